"""The headers by which browsers guard what ordinary routes answer; the proxied calls, which programs make, have none.
And those that tell which methods a path takes.

A page names its own content security policy, which stays.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope

Hook = Callable[[Message, Scope], Coroutine[None, None, None]]
GUARDING: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
# A year. Only where the operator says that browsers come by HTTPS: it cannot be taken back.
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")


def guard_answers(public_url: str, proxied: frozenset[str]) -> Hook:
    """Make the hook that adds the headers to every answer, refusals included, but to those of the proxied paths."""
    guarding = (*GUARDING, STRICT_TRANSPORT) if public_url.startswith("https://") else GUARDING

    async def add(message: Message, scope: Scope) -> None:
        given: dict[str, Any] = dict(message)
        if given["type"] != "http.response.start" or scope["path"] in proxied:
            return
        headers: list[tuple[bytes, bytes]] = given["headers"]
        present = {name.lower() for name, _ in headers}
        headers.extend(pair for pair in guarding if pair[0] not in present)

    return add


async def tell_methods(message: Message, scope: Scope) -> None:
    """Hook: name all methods of a path in the answer to OPTIONS; the framework names those that it met first alone."""
    given: dict[str, Any] = dict(message)
    asked: dict[str, Any] = dict(scope)
    if given["type"] != "http.response.start" or asked.get("method") != "OPTIONS":
        return
    app: Litestar = scope["litestar_app"]
    methods = {
        method
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path_format == asked.get("path_template")
        for method in route.methods
    }
    if methods:
        headers: list[tuple[bytes, bytes]] = given["headers"]
        headers[:] = [pair for pair in headers if pair[0].lower() != b"allow"]
        headers.append((b"allow", ", ".join(sorted(methods)).encode()))
