"""Asks an application as a server would, with a peer's address and headers that a client would not send."""

from typing import Any

import msgspec
from litestar import Litestar


class Reply(msgspec.Struct):
    """A reply as far as these tests look at it."""

    status_code: int
    headers: dict[str, str]
    text: str


class Transport:
    """Calls an application with the peer's address in the scope, as the server would put it."""

    def __init__(self, app: Litestar, peer: str) -> None:
        self.app = app
        self.peer = peer

    async def get(self, path: str, headers: dict[str, str]) -> Reply:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": (self.peer, 1) if self.peer else None,
            "server": ("127.0.0.1", 80),
            "state": {},
            "extensions": {},
        }
        await self.app(scope, receive, send)  # type: ignore[arg-type] # a plain scope is what a server passes
        head = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], head, b"".join(message.get("body", b"") for message in sent[1:]).decode())
