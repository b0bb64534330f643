"""Which document a request belongs to: a function of its path, and of what the caller asks for (rows C1 and C2)."""

from collections.abc import Mapping

from gateway.envelope import Surface

# The longest beginning that fits decides.
BEGINNINGS: dict[str, Surface] = {
    "/": "W",
    "/v1/inference": "E",
    "/v1/deployments": "E",
    "/v1/usage": "E",
    "/v1/webhooks": "E",
    "/api/v1": "A",
    "/api/v1/deploy": "S",
    "/api/v1/deployments": "S",
    "/api/v1/predict": "S",
    "/api/v1/test-model": "S",
    "/api/v1/metrics": "S",
    "/api/v1/status": "S",
    "/api/v1/webhooks": "S",
    "/api/v1/auth/me": "S",
    # D's document has no errors: S's envelope.
    "/api/v1/datasets": "S",
    "/api/v1/dashboards": "S",
    "/api/v1/query": "S",
    "/api/v1/schedules": "S",
}
HEADER = "x-api-surface"
NAMED: dict[str, Surface] = {"w": "W", "s": "S", "a": "A", "e": "E", "d": "S"}
# The documents' own hosts.
HOSTS: dict[str, Surface] = {"api.serveml.com": "S", "api.efgwatch.com": "E", "api.dataforge.ai": "S"}
# Claimed by two documents: there the host, then the header decides.
SHARED = ("/api/v1/auth/register", "/api/v1/auth/login", "/api/v1/models")


def surface_of(path: str, headers: Mapping[str, str]) -> Surface:
    """The surface that a request's errors are rendered for."""
    if path.startswith(SHARED):
        host = headers.get("host", "").partition(":")[0].lower()
        named = HOSTS.get(host) or NAMED.get(headers.get(HEADER, "").strip().lower())
        if named is not None:
            return named
    beginning = max((known for known in BEGINNINGS if _is_below(path, known)), key=len, default="/")
    return BEGINNINGS[beginning]


def _is_below(path: str, beginning: str) -> bool:
    return path == beginning or path.startswith(beginning.rstrip("/") + "/")
