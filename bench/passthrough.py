"""The gateway's server and transport with every room taken out: what authentication, metering and the ledger cost.

One known key is swapped for the upstream's; bodies pass both ways unread. Only a benchmark runs this.
"""

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import uvicorn
import uvloop

from bench.contenders import UPSTREAM_PORT
from gateway.config.settings import Server
from gateway.envelope import envelope
from gateway.errors import Fault
from gateway.server.direct import DirectClient
from gateway.server.door import Headers
from gateway.server.drive import Runner
from gateway.server.protocol import GatewayProtocol
from providers.errors import ProviderError
from providers.transport.origin import Timeouts, parse_base_url
from providers.transport.outbox import Outbox
from providers.transport.pool import Transport

ENDPOINTS = {b"/v1/chat/completions": "chat/completions", b"/v1/embeddings": "embeddings"}
LIMIT_BYTES = 33_554_432
JSON = b"content-type: application/json\r\n"
EVENT_STREAM = b"content-type: text/event-stream; charset=utf-8\r\n"
END = b"data: [DONE]\n\n"


class Pipe:
    """Gives a streamed answer to the client as it comes."""

    def __init__(self, client: DirectClient) -> None:
        self._client = client

    def piece(self, data: bytes) -> None:
        """Pass on what one read brought."""
        if data.endswith(END):
            self._client.end(data)
        else:
            self._client.write(data)

    def ended(self, error: ProviderError | None) -> None:
        """The end was passed on with the last piece."""


class BareDoor:
    """What stands behind the short way of gateway.server, with nothing in it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport = Transport()
        self._origin, self._prefix = parse_base_url(f"http://127.0.0.1:{UPSTREAM_PORT}/v1")
        self._timeouts = Timeouts(connect_ms=5_000, first_byte_ms=60_000, idle_ms=30_000, total_ms=600_000)

    def endpoint(self, path: bytes) -> str | None:
        """Name the endpoint of a path."""
        return ENDPOINTS.get(path)

    def knock(self, endpoint: str, headers: Headers, single: dict[bytes, bytes]) -> str:
        """Look for the one key."""
        if (b"authorization", b"Bearer bench") not in headers:
            raise Fault("invalid_api_key", "The benchmark's key is missing.")
        return endpoint

    def welcomes(self, visit: str) -> bool:
        """The one key never changes."""
        return True

    def enter(self, visit: str, body: bytes, client: DirectClient, started_ns: int) -> Coroutine[Any, Any, None]:
        """Return the call's path."""
        return self._relay(visit, body, client)

    def decline(self, visit: str, client: DirectClient, fault: Fault) -> None:
        """Answer with a fault."""
        self.refuse(client, fault)

    def keep_rows(self) -> None:
        """There is no ledger."""

    def serve_by(self, runner: Runner, end_turn: Callable[[], None]) -> None:
        """All is answered as it comes."""

    def refuse(self, client: DirectClient, fault: Fault, address: str = "") -> None:
        """Answer with a fault."""
        client.send(fault.status, JSON, envelope(fault))

    async def _relay(self, endpoint: str, body: bytes, client: DirectClient) -> None:
        head = (
            f"POST {self._prefix}/{endpoint} HTTP/1.1\r\nhost: {self._origin.authority}\r\n"
            "authorization: Bearer sk-upstream\r\ncontent-type: application/json\r\n"
        ).encode()
        if b'"stream":true' not in body:
            reply = await self._transport.fetch(self._origin, head, body, self._timeouts, limit_bytes=LIMIT_BYTES)
            client.send(reply.status, JSON, reply.body)
            return
        exchange = await self._transport.open(self._origin, head, body, self._timeouts)
        client.start(EVENT_STREAM)
        exchange.attach(Pipe(client))


async def answer_elsewhere(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer everything that is not a call, such as the question whether the server is up."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def serve(port: int) -> None:
    """Run until SIGTERM."""
    door = BareDoor(asyncio.get_running_loop())
    http: Any = partial(GatewayProtocol, door=door, bounds=Server(), outbox=Outbox())
    config = uvicorn.Config(
        answer_elsewhere,
        port=port,
        http=http,
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        backlog=4096,
    )
    await uvicorn.Server(config).serve()


def main() -> None:
    """Read the port and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9103)
    port: int = parser.parse_args().port
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(port))


if __name__ == "__main__":
    main()
