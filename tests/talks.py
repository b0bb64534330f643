"""Talks with one connection of the server, over a transport that is connected to nothing."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from gateway.config.settings import Server
from gateway.errors import Fault
from gateway.server.direct import DirectClient
from gateway.server.door import Door
from gateway.server.protocol import GatewayProtocol
from providers.handoff import Handoff
from providers.transport import outbox
from providers.transport.outbox import Outbox

BOUNDS = Server(max_body_bytes=200, header_timeout_ms=1_000, body_timeout_ms=3_000, keepalive_ms=5_000)
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"host: gateway\r\n"
KEY = b"authorization: Bearer good\r\n"
# {} stands for the number until the body is known.
PLAIN = CHAT + HOST + KEY + b"content-length: {}\r\n\r\n"
HEADS = [
    PLAIN,
    CHAT + b"Content-Length:{}\r\n" + HOST + KEY + b"\r\n",
    CHAT + HOST + b"CONTENT-LENGTH:\t {}\r\nx-note: \xe9 a:b \t\r\n" + KEY + b"Connection: keep-alive\r\n\r\n",
    b"POST /v1/embeddings?a=content-length HTTP/1.1\r\n" + KEY + b"x-content-length: 3\r\ncontent-length: {}\r\n"
    b"HOST: gateway\r\n\r\n",
    PLAIN.replace(b"good", b"goods"),
]
CHUNKED = PLAIN.replace(b"content-length: {}", b"transfer-encoding: chunked")
ANSWER_ID = re.compile(rb"x-request-id: req_[0-9a-z]{26}")
# Bodies that are answered so by the lobby below.
AT_ONCE, AFTER_A_WAIT, IN_PARTS = b"\1at once", b"\3after a wait", b"\4in parts"


class Socket(asyncio.Transport):
    """A transport that is connected to nothing and keeps what happens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep what is written, but for the id of an answer, which no other has."""
        assert b"<eof>" not in self.log
        if not self.is_closed:
            self.log.append(ANSWER_ID.sub(b"x-request-id: req_", bytes(data)))

    def write_eof(self) -> None:
        """Note it."""
        self.log.append(b"<eof>")

    def can_write_eof(self) -> bool:
        """As TCP can."""
        return True

    def close(self) -> None:
        """Note it once."""
        if not self.is_closed:
            self.log.append(b"<closed>")
        self.is_closed = True

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.is_closed

    abort = close


class Lobby:
    """A door that answers a body by its first byte, in every way in which a call can be answered."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.is_open = True
        self.revision = 0
        self.knocks = 0
        # Every visit with its body, and what the calls were told of their clients.
        self.events: list[Any] = []
        self.waits: list[Handoff[None]] = []

    def endpoint(self, path: bytes) -> str | None:
        """Two endpoints."""
        return {b"/v1/chat/completions": "chat", b"/v1/embeddings": "embeddings"}.get(path.partition(b"?")[0])

    def serve_by(self, runner: Any, end_turn: Callable[[], None]) -> None:
        """All is answered as it comes."""

    def keep_rows(self) -> None:
        """There is no ledger."""

    def knock(self, endpoint: str, headers: list[tuple[bytes, bytes]], single: dict[bytes, bytes]) -> Any:
        """Let in who has a good key while the door is open; the visit tells all that was read."""
        self.knocks += 1
        if not self.is_open or not single.get(b"authorization", b"").startswith(b"Bearer good"):
            raise Fault("invalid_api_key", "A stranger.")
        return endpoint, self.revision, tuple(pair for pair in headers if pair[0] != b"content-length")

    def welcomes(self, visit: Any) -> bool:
        """Whether nothing changed."""
        return self.is_open and visit[1] == self.revision

    def enter(self, visit: Any, body: bytes, client: DirectClient, started_ns: int) -> Coroutine[Any, Any, None] | None:
        """Refuse the body, or answer it."""
        self.events.append((visit, body))
        if body and body[0] % 5:
            return self.answer(body[0] % 5, body, client)
        return client.send(400, b"", body)

    def decline(self, visit: Any, client: DirectClient, fault: Fault) -> Coroutine[Any, Any, None] | None:
        """Refuse at once."""
        return client.send(fault.status, b"", fault.message.encode())

    async def answer(self, way: int, body: bytes, client: DirectClient) -> None:
        """Answer before the protocol has returned, in the next turn, when the test says so, or in two parts."""
        if way == 2:
            await asyncio.sleep(0)
        if way == 4:
            client.start(b"")
            client.write(b"part")
        if way > 2:
            self.waits.append(Handoff(loop=self.loop))
            client.watch(lambda: self.events.append("gone"), self.events.append)
            await self.waits[-1]
        if way == 4:
            client.end(body)
        else:
            client.send(200, b"", body)

    def refuse(self, client: DirectClient, fault: Fault, _origin: str) -> None:
        """Answer with the fault's message."""
        client.send(fault.status, b"", fault.message.encode())


async def answer_elsewhere(_: Any, receive: Any, send: Any) -> None:
    """Read a request to its end and answer 404."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"none"})


APP = cast("Any", answer_elsewhere)
CONFIG = uvicorn.Config(APP, ws="none", lifespan="off", loop="none", log_config=None, access_log=False)


class Talk:
    """One connection, driven from within its own loop as by a socket; what is done returns what was written then."""

    def __init__(self, *, reads_all: bool = False, is_busy: bool = False) -> None:
        self.loop = asyncio.new_event_loop()
        self.faults: list[Any] = []
        self.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        # Whether it reads every head: what all others are measured by.
        self.reads_all = reads_all
        self.lobby = Lobby(self.loop)
        self.outbox = Outbox()
        self.is_busy = is_busy
        self.state = ServerState()
        self.socket = Socket()
        self.now_s = self.loop.time()
        self.is_lost = self.is_pressed = False
        self.connect(self.lobby)

    def connect(self, door: Door) -> None:
        """Be connected to a door."""
        self.protocol = GatewayProtocol(CONFIG, self.state, {}, self.loop, door=door, bounds=BOUNDS, outbox=self.outbox)
        self.protocol.connection_made(self.socket)

    def do(self, act: Callable[[], object]) -> list[bytes]:
        """Run a callback in the loop, and what it left there."""
        before = len(self.socket.log)
        # Beside many others no answer leaves before the end of its turn.
        self.outbox.at_once = 0 if self.is_busy else outbox.AT_ONCE
        self.loop.call_soon(act)
        for _ in range(4):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        assert self.faults == []
        return self.socket.log[before:]

    def hear(self, *reads: bytes) -> list[bytes]:
        """Receive one read after the other, as long as the socket is open."""
        written: list[bytes] = []
        for data in reads:
            if self.reads_all:
                self.protocol._known = None  # pyright: ignore[reportPrivateUsage] - no head is known
            if not self.socket.is_closed:
                written += self.do(lambda data=data: self.protocol.data_received(data))
        return written

    def wait_s(self, seconds: float) -> list[bytes]:
        """Sweep, and again after some time."""
        written = self.do(lambda: self.protocol.sweep(self.now_s))
        self.now_s += seconds
        return written + self.do(lambda: self.protocol.sweep(self.now_s))

    def release(self) -> list[bytes]:
        """Let go on what waits."""
        waits, self.lobby.waits = self.lobby.waits, []
        return self.do(lambda: [wait.hand(None) for wait in waits])

    def revise(self) -> None:
        """Change some key."""
        self.lobby.revision += 1

    def bar(self) -> None:
        """Close the door, or open it again."""
        self.lobby.is_open = not self.lobby.is_open

    def press(self) -> None:
        """Have the socket's buffer full, or empty again."""
        self.is_pressed = not self.is_pressed
        self.do(self.protocol.pause_writing if self.is_pressed else self.protocol.resume_writing)

    def drain(self) -> list[bytes]:
        """Have the server end."""
        return self.do(self.protocol.shutdown)

    def lose(self) -> None:
        """Lose the connection."""
        self.socket.abort()
        if not self.is_lost:
            self.is_lost = True
            self.do(lambda: self.protocol.connection_lost(None))

    def close(self) -> None:
        """End what is left."""
        self.lose()
        self.release()
        self.loop.close()

    def step(self, step: Any) -> Any:
        """Receive a read, let time pass, or do what has this name; returns what can be seen from outside then."""
        if isinstance(step, bytes):
            self.hear(step)
        elif isinstance(step, float):
            self.wait_s(step)
        else:
            getattr(self, step)()
        return list(self.socket.log), list(self.lobby.events), self.state.total_requests, len(self.state.tasks)


def ask(body: bytes, head: bytes = PLAIN, length: bytes | None = None) -> bytes:
    """A request with the length that its body has, or with another."""
    return head.replace(b"{}", b"%d" % len(body) if length is None else length) + body


# Heads that are not to be taken for the plain one, or not to be remembered.
