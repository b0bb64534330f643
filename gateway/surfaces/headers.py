"""The headers by which browsers guard what ordinary routes answer; the proxied calls, which programs make, have none.
And what tells which methods a path takes, of which HEAD goes where GET does.

A page names its own content security policy, which stays.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send

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
        headers.append((b"allow", name_methods(methods).encode()))


def name_methods(methods: Iterable[str]) -> str:
    """Name the methods of a path as Allow does; where there is GET there is HEAD."""
    listed = set(methods)
    return ", ".join(sorted(listed | {"HEAD"} if "GET" in listed else listed))


def answer_heads(app: ASGIApp) -> ASGIApp:
    """Make HEAD a GET whose answer ends with its headers, the length of the body that is not sent among them."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        asked: dict[str, Any] = dict(scope)
        if asked.get("method") != "HEAD":
            await app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                # At once: an answer that goes on for ever sees that nobody listens, and the rest finds no reader.
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        as_get: Any = {**asked, "method": "GET"}
        await app(as_get, receive, send_head)

    return answer
