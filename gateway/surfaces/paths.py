"""Which document a request belongs to, and in which limit of its plan it counts: functions of path and headers.

Rows C1, C2 and C7.
"""

from collections.abc import Iterable, Mapping

from gateway.envelope import Surface
from gateway.limits.plans import Group

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
# What the plans count. None: nothing; signing in is limited by address and e-mail instead, see gateway.limits.attempts.
GROUPS: dict[str, Group | None] = {
    "/": None,
    "/v1": "models",
    "/v1/inference": "inference",
    "/v1/deployments": "inference",
    "/v1/usage": "inference",
    "/v1/webhooks": "inference",
    "/api": "api",
    "/api/webhooks": None,
    "/api/v1": "machines",
    "/api/v1/auth/register": None,
    "/api/v1/auth/login": None,
    "/api/v1/auth/me": "general",
    "/api/v1/status": "general",
    "/api/v1/webhooks": "general",
    "/api/v1/deploy": "deployments",
    "/api/v1/deployments": "deployments",
    "/api/v1/predict": "predictions",
    "/api/v1/test-model": "predictions",
    "/api/v1/metrics": "metrics",
    "/api/v1/models/upload": "uploads",
    "/api/v1/datasets": "data",
    "/api/v1/dashboards": "data",
    "/api/v1/query": "data",
    "/api/v1/schedules": "data",
}
D_HOST, D_NAME, D_SHARED = "api.dataforge.ai", "d", "/api/v1/models"
# Claimed by two documents: there the host, then the header decides.
SHARED = ("/api/v1/auth/register", "/api/v1/auth/login", "/api/v1/models")


def surface_of(path: str, headers: Mapping[str, str]) -> Surface:
    """The surface that a request's errors are rendered for."""
    if path.startswith(SHARED):
        host = headers.get("host", "").partition(":")[0].lower()
        named = HOSTS.get(host) or NAMED.get(headers.get(HEADER, "").strip().lower())
        if named is not None:
            return named
    return BEGINNINGS[_longest(path, BEGINNINGS)]


def group_of(path: str, headers: Mapping[str, str]) -> Group | None:
    """What a request counts as."""
    if _is_below(path, D_SHARED):
        host = headers.get("host", "").partition(":")[0].lower()
        if host == D_HOST or headers.get(HEADER, "").strip().lower() == D_NAME:
            return "data"
    return GROUPS[_longest(path, GROUPS)]


def _longest(path: str, beginnings: Iterable[str]) -> str:
    return max((known for known in beginnings if _is_below(path, known)), key=len, default="/")


def _is_below(path: str, beginning: str) -> bool:
    return path == beginning or path.startswith(beginning.rstrip("/") + "/")
