"""The cases that wait: what they ask for is named by no text of the interface yet. One reason a case."""

from collections.abc import Iterable

from faults.cases import Case

UPLOADS = "no text defines an endpoint that takes files"
STRIPE = "no billing yet, so /api/webhooks/stripe is not there"
PAGES = "no page shows, searches or redirects yet: the dashboard's own issue"
SLOW_REDIS = "proved by tests/path/test_shared_limits.py, which freezes and kills a Redis under calls"
FLUSHED_REDIS = "no budget is kept in Redis yet"
REDIS_RACE = "proved by the counters' suite, which cancels calls between others"
RELOAD = "no text defines a reload of the configuration: a change is a restart"
CLOCK = "no process can be given another clock: the counters' suite lets it step back and jump over every window"

# Whole groups; the cases of a group that run all the same are in RUNS.
GROUPS = {
    "upload": UPLOADS,
    "webhook": STRIPE,
    "dash": PAGES,
    "clock": CLOCK,
}
RUNS = frozenset({"dash-001", "dash-003", "dash-005", "dash-007", "dash-008", "dash-012", "dash-014", "dash-016"})
CASES = {
    "auth-032": "there are no settings over HTTP: no text defines /api/settings",
    "client-006": "Idempotency-Key is defined by no text",
    "client-007": "proved by tests/path/test_budgets.py: of fifty callers those go out that fit together",
    "header-008": "Idempotency-Key is defined by no text",
    "header-024": "x-gateway-timeout is defined by no text, and unknown headers are ignored",
    "header-025": "x-gateway-timeout is defined by no text, and unknown headers are ignored",
    "http-018": "no text defines a list of allowed hosts; a browser sends a session's cookie to its own host only",
    "ssrf-055": "proved by the test of providers/transport/address_guard.py, whose resolver changes its answer",
    "storage-003": SLOW_REDIS,
    "storage-005": FLUSHED_REDIS,
    "storage-006": REDIS_RACE,
    "storage-013": "proved by the crash test of make test-long, which kills the process under load",
    "storage-016": RELOAD,
    "storage-017": RELOAD,
    "storage-018": RELOAD,
    "storage-019": "transports are built once at the start and shared: another credential closes none of them",
    "storage-020": "proved by the vault's test of make test-long, which rotates and restarts under load",
}


def reason(case: Case) -> str | None:
    """Why a case waits; None for one that runs."""
    if case["id"] in RUNS:
        return None
    return CASES.get(case["id"]) or GROUPS.get(case["group"])


def runnable(cases: Iterable[Case]) -> list[Case]:
    """The cases that do not wait."""
    return [case for case in cases if reason(case) is None]
