"""A scripted upstream on loopback, certificates made on the spot, and both kinds of event loop."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from enum import Enum
from pathlib import Path

import pytest
import uvloop
from certificates import write_certificate

from providers.errors import ProviderError
from providers.handoff import Waiter
from providers.transport.exchange import Exchange
from providers.transport.origin import Origin, Timeouts
from providers.transport.pool import Transport

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: upstream\r\nauthorization: Bearer sk-upstream\r\n"


class Then(Enum):
    """What a script may do besides sending bytes (bytes), waiting (seconds) and awaiting something."""

    CLOSE = "close"
    RESET = "reset"
    # Until the client goes away.
    HANG = "hang"


Step = bytes | float | Then | asyncio.Event
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Upstream:
    """Plays one script a request, the last one for ever; notes every request and every connection's end."""

    def __init__(self, scripts: tuple[list[Step], ...]) -> None:
        self.scripts = list(scripts)
        # (number of the connection, head, body)
        self.requests: list[tuple[int, bytes, bytes]] = []
        self.connections = 0
        self.open = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.origin = Origin("http", "127.0.0.1", 1)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        self.open += 1
        number = self.connections
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
                body = await reader.readexactly(int(length or b"0"))
                self.requests.append((number, head, body))
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                if not await self.play(script, reader, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def play(self, script: list[Step], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Play one script; False: the connection is to be closed."""
        for step in script:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
                # Let the client, which lives in the same loop, read it before the next step.
                for _ in range(4):
                    await asyncio.sleep(0)
            elif isinstance(step, float):
                await asyncio.sleep(step)
            elif isinstance(step, asyncio.Event):
                await step.wait()
            elif step is Then.HANG:
                await reader.read()
                return False
            else:
                if step is Then.RESET:
                    connection: socket.socket = writer.get_extra_info("socket")
                    linger = struct.pack("ii", 1, 0)
                    with socket.socket(fileno=socket.dup(connection.fileno())) as twin:
                        twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    writer.transport.abort()
                return False
        return True


class Tape:
    """A sink that keeps what it is given; ``touches`` makes every piece count as progress."""

    def __init__(self, exchange: Exchange | None = None, *, touches: bool = False) -> None:
        self.exchange = exchange
        self.touches = touches
        self.pieces: list[bytes] = []
        self.ends: list[ProviderError | None] = []
        self.over = asyncio.Event()

    def piece(self, data: bytes) -> None:
        """Keep a piece."""
        self.pieces.append(data)
        if self.touches and self.exchange is not None:
            self.exchange.touch()

    def ended(self, error: ProviderError | None) -> None:
        """Keep the end."""
        self.ends.append(error)
        self.over.set()

    async def end(self) -> ProviderError | None:
        """Wait for the end and return its error."""
        await asyncio.wait_for(self.over.wait(), 5)
        assert len(self.ends) == 1
        return self.ends[0]

    @property
    def data(self) -> bytes:
        """Everything so far."""
        return b"".join(self.pieces)


class Lab:
    """What a test of the transport needs: servers, a transport, and words for what every test does."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.servers: list[asyncio.Server] = []
        self.upstreams: list[Upstream] = []
        self.extra: list[Transport] = []
        self.handlers = 0

    async def serve(self, *scripts: list[Step], tls: ssl.SSLContext | None = None) -> Upstream:
        """Start an upstream with one script a request."""
        upstream = Upstream(scripts)
        server = await asyncio.start_server(upstream.handle, "127.0.0.1", 0, ssl=tls)
        self.servers.append(server)
        self.upstreams.append(upstream)
        port = server.sockets[0].getsockname()[1]
        upstream.origin = Origin("https" if tls else "http", "127.0.0.1", port)
        return upstream

    async def serve_by(self, handler: Handler, scheme: str = "http") -> Origin:
        """Start a server with a handler of the test's own, which ends when its client does."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.handlers += 1
            try:
                await handler(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                self.handlers -= 1
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        self.servers.append(server)
        return Origin(scheme, "127.0.0.1", server.sockets[0].getsockname()[1])

    async def serve_silence(self, scheme: str) -> Origin:
        """Start a server that takes connections and never says a word."""

        async def listen(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        return await self.serve_by(listen, scheme)

    def use(self, transport: Transport) -> Transport:
        """Take a transport with other settings; it is closed at the end."""
        self.extra.append(self.transport)
        self.transport = transport
        return transport

    async def fetch_from(self, origin: Origin, body: bytes = b"", **limits: int) -> tuple[int, bytes]:
        """Fetch from an origin that is not a scripted upstream."""
        reply = await self.transport.fetch(origin, HEAD, body, timeouts(**limits), limit_bytes=1000)
        return reply.status, reply.body

    async def fetch_path(self, origin: Origin, head: bytes, *, limit_bytes: int, **limits: int) -> bytes:
        """Fetch with a head of the test's own."""
        reply = await self.transport.fetch(origin, head, b"{}", timeouts(**limits), limit_bytes=limit_bytes)
        return reply.body

    async def fetch(
        self, upstream: Upstream, body: bytes = b"{}", *, limit_bytes: int = 1 << 20, **limits: int
    ) -> tuple[int, bytes]:
        """Fetch and return (status, body)."""
        reply = await self.transport.fetch(upstream.origin, HEAD, body, timeouts(**limits), limit_bytes=limit_bytes)
        return reply.status, reply.body

    async def open(self, upstream: Upstream, **limits: int) -> Exchange:
        """Open an exchange."""
        return await self.transport.open(upstream.origin, HEAD, b"{}", timeouts(**limits))

    def post(self, upstream: Upstream, waiter: Waiter, **limits: int) -> Exchange | None:
        """Post a request."""
        return self.transport.post(upstream.origin, HEAD, b"{}", timeouts(**limits), waiter, limit_bytes=1 << 20)

    async def stream(self, upstream: Upstream, **limits: int) -> Tape:
        """Open an exchange, attach a sink and wait for its end."""
        exchange = await self.open(upstream, **limits)
        tape = Tape(exchange)
        exchange.attach(tape)
        await tape.end()
        return tape

    def counts(self, upstream: Upstream) -> tuple[int, int]:
        """Return (busy, idle) connections to an upstream."""
        return self.transport.connections().get(upstream.origin, (0, 0))

    async def close(self) -> None:
        """Close the transports, then the servers."""
        for transport in (self.transport, *self.extra):
            await transport.close()
        for server in self.servers:
            server.close()
        for upstream in self.upstreams:
            for writer in upstream.writers:
                writer.transport.abort()
        await until(lambda: not self.handlers and not any(upstream.open for upstream in self.upstreams))
        # The server's own sockets are closed in the next rounds of the loop.
        for _ in range(4):
            await asyncio.sleep(0)


def timeouts(**limits: int) -> Timeouts:
    """Generous limits, except where a test names one."""
    return Timeouts(**({"connect_ms": 5000, "first_byte_ms": 5000, "idle_ms": 5000, "total_ms": 10_000} | limits))


async def until(condition: Callable[[], bool]) -> None:
    """Wait, not longer than needed, until something is so."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


async def some_turns() -> None:
    """Let what is on its way arrive: twenty turns of the loop, a millisecond apart.

    One long sleep would be over in one turn where the machine let the process do nothing meanwhile.
    """
    for _ in range(20):
        await asyncio.sleep(0.001)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test runs on both kinds of event loop."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """A laboratory that is closed at the end."""
    laboratory = Lab()
    yield laboratory
    await laboratory.close()


@pytest.fixture(scope="session")
def make_tape() -> type[Tape]:
    """The recording sink."""
    return Tape


@pytest.fixture
def then() -> type[Then]:
    """What a script may do."""
    return Then


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Wait for a condition."""
    return until


@pytest.fixture
def settle() -> Callable[[], Awaitable[None]]:
    """Let what is on its way arrive."""
    return some_turns


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Make self-signed certificates: for a host name or an address, returns the file with key and certificate."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(host: str) -> Path:
        path = folder / f"{host}.pem"
        return path if path.exists() else write_certificate(path, host)

    yield make
