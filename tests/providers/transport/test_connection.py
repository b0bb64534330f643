"""The parsing of one connection, driven without sockets: any cut of the bytes gives the same answer."""

import asyncio
import gzip
import itertools
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import InvalidAnswer, ProviderError, Truncated
from providers.handoff import Handoff
from providers.transport.connection import Connection, OriginPool
from providers.transport.exchange import Exchange
from providers.transport.origin import Origin, Timeouts
from providers.transport.outbox import Outbox

ORIGIN = Origin("http", "upstream", 80)
LIMITS = Timeouts(connect_ms=1, first_byte_ms=1, idle_ms=1, total_ms=1)


class Socket:
    """The transport of a connection that is connected to nothing."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        """Keep what is written."""
        self.written += data

    def abort(self) -> None:
        """Note that it was closed."""
        self.is_closed = True

    def pause_reading(self) -> None:
        """Nothing is read here."""

    def resume_reading(self) -> None:
        """Nothing is read here."""

    def get_write_buffer_size(self) -> int:
        """Everything is written at once."""
        return 0


class Conversation:
    """A connection with its pool, and exchanges over it."""

    def __init__(self, max_header_bytes: int = 65_536) -> None:
        self.loop = asyncio.new_event_loop()
        outbox = Outbox()
        # No loop runs here whose turn could end.
        outbox.at_once = 1_000_000
        self.pool = OriginPool(ORIGIN, max_header_bytes, set(), set(), outbox)
        self.connection = Connection(self.pool)
        self.socket = Socket()
        self.connection.connection_made(self.socket)

    def ask(self, limit_bytes: int | None = 1 << 30, head: bytes = b"POST / HTTP/1.1\r\n") -> Exchange:
        """Send a request as the transport would."""
        exchange = Exchange(ORIGIN, LIMITS, 0, limit_bytes)
        self.waiter: Handoff[None] = Handoff(loop=self.loop)
        self.pool.busy += 1
        exchange.begin(self.connection, self.waiter, 0)
        self.connection.send(exchange, head, b"{}" if head.startswith(b"POST") else b"")
        return exchange

    def hear(self, raw: bytes, cuts: list[int]) -> None:
        """Receive bytes in pieces."""
        edges = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
        for start, end in itertools.pairwise(edges):
            if start < end and not self.socket.is_closed:
                self.connection.data_received(raw[start:end])

    def outcome(self) -> ProviderError | None:
        """How the exchange ended."""
        assert self.waiter.done()
        self.loop.close()
        return self.waiter.exception()


def chunked(data: bytes, sizes: list[int]) -> bytes:
    """Cut a body into chunks of the given sizes, the last taking the rest."""
    out = b""
    for size in sizes:
        if data:
            out += b"%X;x=1\r\n%b\r\n" % (len(data[:size]), data[:size])
            data = data[size:]
    return out + (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + b"0\r\n\r\n"


def encoded(data: bytes, coding: str) -> tuple[bytes, bytes]:
    """Return the Content-Encoding line and the encoded body."""
    raw_deflate = zlib.compressobj(wbits=-15)
    return {
        "identity": lambda: (b"", data),
        "gzip": lambda: (b"Content-Encoding: gzip\r\n", gzip.compress(data)),
        "two members": lambda: (b"Content-Encoding: gzip\r\n", gzip.compress(data[:7]) + gzip.compress(data[7:])),
        "deflate": lambda: (b"content-encoding: deflate\r\n", zlib.compress(data)),
        "raw deflate": lambda: (
            b"Content-Encoding:deflate\r\n",
            raw_deflate.compress(data) + raw_deflate.flush(),
        ),
    }[coding]()


CODINGS = ["identity", "gzip", "two members", "deflate", "raw deflate"]


@given(
    data=st.binary(max_size=3000) | st.binary(max_size=20).map(lambda unit: unit * 20_000),
    coding=st.sampled_from(CODINGS),
    sizes=st.none() | st.lists(st.integers(1, 900), max_size=8),
    interim=st.integers(0, 2),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
)
def test_a_body_survives_any_cut(data, coding, sizes, interim, cuts):
    """Length or chunks, plain or compressed, after interim heads: the body comes out as it was, twice in a row."""
    field, packed = encoded(data, coding)
    framing = b"Content-Length: %d\r\n" % len(packed) if sizes is None else b"Transfer-Encoding: chunked\r\n"
    body = packed if sizes is None else chunked(packed, sizes)
    raw = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * interim + b"HTTP/1.1 200 OK\r\n" + field + framing + b"\r\n" + body
    talk = Conversation()
    for _ in range(2):
        exchange = talk.ask()
        talk.hear(raw, cuts)
        assert talk.waiter.done()
        assert talk.waiter.exception() is None
        assert exchange.body == data
        if not talk.connection.is_idle:
            # A last chunk that was cut in two cannot be told from a surplus line end.
            break
        talk.pool.take(0)
    talk.loop.close()
    assert talk.pool.active == set()


@given(
    data=st.binary(min_size=1, max_size=300),
    sizes=st.lists(st.integers(1, 90), max_size=8),
    cuts=st.lists(st.integers(0, 1_000), max_size=8),
)
def test_who_waits_for_a_head_finds_what_came_with_it(make_tape, data, sizes, cuts):
    """Whoever goes on at once, with the head, has the body so far; the rest comes as it comes, and the end once."""
    head, body = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(data, sizes)
    talk, tape, found = Conversation(), make_tape(), []
    exchange = talk.ask(None)

    def take() -> None:
        exchange.attach(tape)
        found.append(b"".join(tape.pieces))

    talk.waiter.taker = take
    talk.hear(head + body, cuts)
    talk.loop.close()
    edges = sorted({cut % (len(head + body) + 1) for cut in cuts} | {len(head + body)})
    came = (head + body)[: min(edge for edge in edges if edge >= len(head))]
    assert (b"".join(tape.pieces), tape.ends) == (data, [None])
    assert data.startswith(found[0])
    assert bool(found[0]) == (len(came) > len(head) + body.index(b"\r\n") + 2)


@given(size=st.integers(1, 60), cuts=st.lists(st.integers(0, 200), max_size=5), data=st.data())
def test_a_body_that_stops_anywhere_is_truncated(size, cuts, data):
    """No prefix of a framed response is taken for the whole."""
    framing = data.draw(st.sampled_from(["length", "chunks"]))
    body = b"x" * size
    if framing == "length":
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, body)
    else:
        raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body, [7])
    stop = data.draw(st.integers(1, len(raw) - 1))
    talk = Conversation()
    talk.ask()
    talk.hear(raw[:stop], cuts)
    talk.connection.eof_received()
    assert isinstance(talk.outcome(), Truncated)
    assert talk.pool.idle == []


@given(raw=st.binary(min_size=1, max_size=200), cuts=st.lists(st.integers(0, 200), max_size=4))
def test_noise_never_becomes_a_pooled_connection(raw, cuts):
    """Arbitrary bytes end in a ProviderError, and nothing else escapes."""
    talk = Conversation()
    talk.ask()
    talk.hear(raw, cuts)
    if not talk.waiter.done():
        talk.connection.connection_lost(None)
    assert isinstance(talk.outcome(), ProviderError)
    assert talk.pool.idle == []
    assert talk.pool.busy == 0


@given(
    at=st.integers(0, 80),
    noise=st.binary(min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 100), max_size=3),
)
def test_a_damaged_answer_leaves_the_counts_right(at, noise, cuts):
    """Whatever a few wrong bytes do, an exchange ends once and its connection is either idle or closed."""
    raw = b"HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    talk = Conversation()
    talk.ask()
    talk.hear(raw[:at] + noise + raw[at + len(noise) :], cuts)
    if not talk.waiter.done():
        talk.connection.connection_lost(None)
    talk.outcome()
    assert talk.pool.busy == 0
    assert talk.pool.active == set()
    assert talk.socket.is_closed or talk.connection.is_idle or talk.pool.live == set()


def test_a_head_request_has_no_body():
    """The Content-Length of a HEAD response announces what GET would bring; the connection is not kept."""
    talk = Conversation()
    exchange = talk.ask(head=b"HEAD / HTTP/1.1\r\n")
    talk.hear(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", [])
    assert talk.outcome() is None
    assert (exchange.status, exchange.body) == (200, b"")
    assert talk.socket.is_closed


def test_a_get_announces_no_body():
    """Content-Length is left out where the method has no body."""
    talk = Conversation()
    talk.ask(head=b"GET / HTTP/1.1\r\n")
    assert talk.socket.written == b"GET / HTTP/1.1\r\n\r\n"
    talk.loop.close()


def test_a_last_chunk_that_came_whole_keeps_the_connection():
    """The usual cut, between chunks, is recognised as an exact end."""
    talk = Conversation()
    talk.ask()
    for part in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nok\r\n", b"0\r\n\r\n"):
        talk.connection.data_received(part)
    assert talk.outcome() is None
    assert talk.connection.is_idle


@pytest.mark.parametrize("surplus", [b"\r\n", b"\r", b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_second_answer_is_not_part_of_the_first(framing, surplus):
    """The body is exactly the first response's, and the connection is closed."""
    first = (
        b"Content-Length: 2\r\n\r\nok"
        if framing == "length"
        else b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    talk = Conversation()
    exchange = talk.ask()
    talk.hear(b"HTTP/1.1 200 OK\r\n" + first + surplus, [])
    assert talk.outcome() is None
    assert exchange.body == b"ok"
    assert talk.socket.is_closed


def test_a_head_over_the_limit_is_refused_in_any_cut():
    """The limit holds whether the head comes at once or byte by byte."""
    raw = b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100 + b"\r\nContent-Length: 0\r\n\r\n"
    for cuts in ([], list(range(len(raw)))):
        talk = Conversation(max_header_bytes=100)
        talk.ask()
        talk.hear(raw, cuts)
        assert isinstance(talk.outcome(), InvalidAnswer)
