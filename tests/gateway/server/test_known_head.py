"""A head that repeats is not read again: whatever a client sends, it is answered as if every head were read."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import Any, cast

import pytest
import uvicorn
from fakes import CALLER, NOW_NS, FakeBackend, FakeDirectory, chat_body, make_services, whole
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from uvicorn.server import ServerState

from gateway.accounts.directory import KeyFault
from gateway.config.settings import Server
from gateway.errors import Fault
from gateway.server.direct import DirectClient
from gateway.server.door import Door
from gateway.server.protocol import GatewayProtocol
from gateway.surfaces.openai import OpenAiDoor
from providers.handoff import Handoff

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
# Bodies that are answered so by the lobby below.
AT_ONCE, AFTER_A_WAIT, IN_PARTS = b"\1at once", b"\3after a wait", b"\4in parts"


class Socket(asyncio.Transport):
    """A transport that is connected to nothing and keeps what happens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep what is written."""
        assert b"<eof>" not in self.log
        if not self.is_closed:
            self.log.append(bytes(data))

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

    def refuse(self, client: DirectClient, fault: Fault) -> None:
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

    def __init__(self, *, reads_all: bool = False) -> None:
        self.loop = asyncio.new_event_loop()
        self.faults: list[Any] = []
        self.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        # Whether it reads every head: what all others are measured by.
        self.reads_all = reads_all
        self.lobby = Lobby(self.loop)
        self.state = ServerState()
        self.socket = Socket()
        self.now_s = self.loop.time()
        self.is_lost = self.is_pressed = False
        self.connect(self.lobby)

    def connect(self, door: Door) -> None:
        """Be connected to a door."""
        self.protocol = GatewayProtocol(CONFIG, self.state, {}, self.loop, door=door, bounds=BOUNDS)
        self.protocol.connection_made(self.socket)

    def do(self, act: Callable[[], object]) -> list[bytes]:
        """Run a callback in the loop, and what it left there."""
        before = len(self.socket.log)
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
ODD_HEADS = [
    PLAIN.replace(old, new)
    for old, new in [
        (b"POST", b"GET"), (b"/v1/", b"/v2/"), (b"good", b"bad"), (b"HTTP/1.1", b"HTTP/1.0"), (HOST, b""),
        (CHAT, b"\r\n" + CHAT), (HOST, HOST + b"Connection: close\r\n"), (HOST, HOST + b"expect: 100-continue\r\n"),
        (HOST, HOST + b"expect: more\r\n"), (HOST, HOST + b"connection: upgrade\r\nupgrade: h2c\r\n"),
        (HOST, HOST + b"upgrade: h2c\r\n"), (HOST, HOST + b"content-length: 1\r\n"),
        (HOST, HOST + b" content-length: 1\r\n"), (b"1.1\r\n", b"1.0\r\nConnection: keep-alive\r\n"),
        *[(b"{}", form) for form in (b"{} ", b"+{}", b"-{}", b"0x{}", b"{},1", b"{}\x00")],
        *[(b"{}", b"0" * zeros + b"{}") for zeros in (1, 9, 10, 30)],
    ]
]  # fmt: skip
BODIES = st.binary(max_size=12) | st.sampled_from([b"\x01" * 150, b"\r\n\r\n", PLAIN, ask(b"\x01"), b"\x03", b"\x04"])
OTHERS = st.one_of(
    st.builds(ask, BODIES, st.sampled_from(HEADS + ODD_HEADS)),
    st.builds(ask, BODIES, st.just(PLAIN), st.sampled_from([b"", b"13", b"150", b"9999999999"])),
    BODIES.map(lambda body: CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"),
    BODIES.map(lambda body: ask(body) + b"}"),
    BODIES.map(lambda body: ask(body + b"x" * BOUNDS.max_body_bytes)),
    st.just(b"GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n"),
)
ACTS = st.sampled_from(["release", "release", "revise", "bar", "press", "drain", "lose", 0.0, 0.9, 1.1, 3.1, 5.1])


def cut(data: bytes, at: int) -> list[Any]:
    """Two reads."""
    return [part for part in (data[: at % len(data)], data[at % len(data) :]) if part]


@st.composite
def scripts(draw: st.DrawFn) -> list[Any]:
    """What one client does, mostly with the same head again and again; at last time passes, and it leaves."""
    head = draw(st.sampled_from(HEADS))
    same = st.builds(ask, BODIES, st.just(head))
    parts = st.one_of(
        st.tuples(same | OTHERS),
        st.tuples(same, st.just("release")),
        st.lists(BODIES.filter(bool), min_size=2, max_size=3).map(
            lambda bodies: (b"".join(ask(body, head) for body in bodies),)
        ),
        st.builds(cut, same | OTHERS, st.integers(0)),
        st.tuples(ACTS),
    )
    steps = [step for part in draw(st.lists(parts, min_size=1, max_size=6)) for step in part]
    return [draw(same), "release", *steps, 0.5, 1.0, 1.0, 1.0, 2.0, 60.0, "lose", "release"]


@given(scripts())
def test_a_connection_behaves_as_if_every_head_were_read(script: list[Any]) -> None:
    """Same bytes out, same calls, same times, after every step, whatever came before and however it was cut."""
    with closing(Talk()) as talk, closing(Talk(reads_all=True)) as measure:
        for step in script:
            assert talk.step(step) == measure.step(step)


@given(st.sampled_from(HEADS), st.lists(BODIES, min_size=2, max_size=4))
def test_a_repeated_request_is_answered_as_on_a_connection_of_its_own(head: bytes, bodies: list[bytes]) -> None:
    """The ones before leave nothing behind, and their head was read once."""
    with closing(Talk()) as repeated:
        for body in bodies:
            with closing(Talk()) as fresh:
                answers = [talk.hear(ask(body, head)) + talk.release() for talk in (repeated, fresh)]
                assert answers[0] == answers[1] != []
        assert (repeated.lobby.knocks, [body for _, body in repeated.lobby.events]) == (1, bodies)


@pytest.mark.parametrize("odd", ODD_HEADS, ids=range(len(ODD_HEADS)))
@pytest.mark.parametrize("first", ["plain", "odd"])
def test_an_odd_head_is_answered_as_if_it_were_read(first: str, odd: bytes) -> None:
    """Behind a head that is known, and behind itself."""
    with closing(Talk()) as talk, closing(Talk(reads_all=True)) as measure:
        for head in (PLAIN if first == "plain" else odd, odd, odd, PLAIN):
            for step in (ask(AT_ONCE, head), ask(IN_PARTS, head), "release"):
                assert talk.step(step) == measure.step(step)


@pytest.mark.parametrize("fault", [KeyFault.REVOKED, KeyFault.EXPIRED])
def test_a_key_that_ended_between_two_requests_is_refused(fault: KeyFault) -> None:
    """Revoked: the directory has another revision. Expired: only the time is another."""
    clock = [NOW_NS]
    keys: dict[bytes, Any] = {b"good": replace(CALLER, expires_ns=NOW_NS + 10), b"goods": CALLER}
    directory = FakeDirectory(keys)
    parts: dict[str, Any] = {"directory": directory, "now_ns": lambda: clock[0]}
    with closing(Talk()) as talk:
        talk.do(lambda: talk.connect(OpenAiDoor(make_services(FakeBackend(whole()), **parts))))
        answers = talk.hear(ask(chat_body()), ask(chat_body()))
        keys[b"good"] = fault
        if fault is KeyFault.EXPIRED:
            clock[0] += 10
        else:
            directory.revision += 1
        answers += talk.hear(*(ask(chat_body(), head) for head in (PLAIN, PLAIN, HEADS[-1], HEADS[-1], PLAIN)))
    assert [answer[9:12] for answer in answers] == [b"200", b"200", b"401", b"401", b"200", b"200", b"401"]


def repeat(talk: Talk, body: bytes) -> list[bytes]:
    """Send a request whose head is known, after having been idle for almost too long."""
    talk.hear(ask(AT_ONCE))
    assert talk.wait_s(4.9) == []
    written = talk.hear(ask(body))
    assert talk.lobby.knocks == 1
    return written


def test_a_connection_idles_as_long_after_a_repeated_request() -> None:
    """keepalive_ms from the answer on."""
    with closing(Talk()) as talk:
        repeat(talk, AT_ONCE)
        assert (talk.wait_s(4.9), talk.wait_s(0.2)) == ([], [b"<closed>"])


@pytest.mark.parametrize(("at", "within_s"), [(30, 1.0), (-2, 3.0)], ids=["head", "body"])
def test_a_head_that_repeats_in_part_must_arrive_in_time(at: int, within_s: float) -> None:
    """header_timeout_ms and body_timeout_ms hold for what is not here at once."""
    with closing(Talk()) as talk:
        repeat(talk, AT_ONCE)
        talk.hear(ask(AT_ONCE)[:at])
        assert talk.wait_s(within_s - 0.1) == []
        assert talk.wait_s(0.2)[0].startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("body", [AFTER_A_WAIT, IN_PARTS], ids=["whole", "stream"])
def test_a_repeated_request_that_is_answered_has_no_deadline(body: bytes) -> None:
    """Neither that of the idle time before it nor one of its own."""
    with closing(Talk()) as talk:
        repeat(talk, body)
        assert talk.wait_s(1_000.0) == []
        assert body in talk.release()[-1]


@pytest.mark.parametrize("body", [AT_ONCE, AFTER_A_WAIT, IN_PARTS], ids=["answered", "whole", "stream"])
def test_a_drain_lets_a_repeated_request_end(body: bytes) -> None:
    """The answer that is under way comes, if one is, and then the connection ends."""
    with closing(Talk()) as talk:
        repeat(talk, body)
        *answers, end = talk.drain() + talk.release()
        assert ([body in answer for answer in answers], end) == ([True] * (body != AT_ONCE), b"<closed>")


@pytest.mark.parametrize("body", [AFTER_A_WAIT, IN_PARTS], ids=["whole", "stream"])
def test_a_client_that_leaves_during_a_repeated_request_is_noticed(body: bytes) -> None:
    """The call is told, ends, and writes nothing more."""
    with closing(Talk()) as talk:
        repeat(talk, body)
        talk.lose()
        assert talk.lobby.events[-1] == "gone"
        assert (talk.release(), talk.state.tasks) == ([], set())
