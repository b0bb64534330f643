"""A streamed answer that came to its end in one read is here at once, and is what it would be in pieces."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.errors import ProviderError
from providers.transport.exchange import Exchange
from tests.providers.transport.test_connection import Conversation, chunked

STATUS = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
GZIPPED = b"Transfer-Encoding: gzip, chunked\r\n"
BODY = b"data: one\n\ndata: two\n\n"
STREAM = STATUS + CHUNKED + b"\r\n" + chunked(BODY, [11])


class Tape:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""
        self.ends: list[type[ProviderError] | None] = []

    def piece(self, data: bytes) -> None:
        """Keep a piece."""
        self.data += data

    def ended(self, error: ProviderError | None) -> None:
        """Keep the end."""
        self.ends.append(None if error is None else type(error))


def fate(talk: Conversation, exchange: Exchange) -> Any:
    """What comes of an exchange whose head is here, and of its connection."""
    if not talk.waiter.done():
        return "open"
    error = talk.waiter.exception()
    if error is not None:
        return type(error), talk.socket.is_closed, talk.pool.busy
    tape = Tape()
    exchange.attach(tape)
    left = talk.socket.is_closed, talk.connection.is_idle, len(talk.pool.idle), talk.pool.busy, len(talk.pool.active)
    return exchange.status, exchange.headers, exchange.head.raw, tape.data, tape.ends, exchange.link is None, left


def fates(raws: list[bytes], cuts: list[int], head: bytes = b"POST / HTTP/1.1\r\n") -> list[Any]:
    """What comes of answers one after the other on one connection, each cut in the same places."""
    talk = Conversation(max_header_bytes=300)
    seen: list[Any] = []
    for raw in raws:
        exchange = talk.ask(None, head)
        talk.hear(raw, cuts)
        seen.append(fate(talk, exchange))
        if not talk.connection.is_idle:
            break
        talk.pool.take(0)
        talk.pool.busy = 0
    talk.loop.close()
    return seen


STATUS_LINES = [
    b"HTTP/1.1 500 No\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 204 Empty\r\n", b"HTTP/1.1 101 Switching\r\n",
    b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n", b"HTTP/1.1 2 OK\r\n", b"ICY 200 OK\r\n",
    b"HTTP/2.0 200 OK\r\n", b"HTTP/0.9 200 OK\r\n", b"RTSP/1.0 200 OK\r\n", b"ICE/1.0 200 OK\r\n",
    b"HTTP/1.1 103 Early\r\ntransfer-encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\n",
]  # fmt: skip
FIELDS = [
    b"x-request-id: r2\r\n", b"Content-Encoding: gzip\r\n", b"content-encoding: identity\r\n",
    b"Transfer-Encoding: chunked\r\n", b"transfer-encoding: gzip\r\n", b"Content-Length: 4\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"X-Encoding: none\r\n", b"X: %b\r\n" % (b"y" * 300),
    b"no colon\r\n",
]  # fmt: skip
SURPLUS = [b"\r\n", b"x", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", STREAM]
TRAILERS = [b"x-sum: 1\r\n", b"a: b\r\nc: d\r\n"]


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A streamed answer with little that is out of the ordinary."""
    lines = draw(st.lists(st.sampled_from([b"server: s\r\n", b"x-request-id: r1\r\n", *FIELDS]), max_size=2))
    framing = draw(st.sampled_from([CHUNKED, CHUNKED, CHUNKED, b"transfer-encoding:chunked\r\n", b"", GZIPPED]))
    body = chunked(draw(st.sampled_from([b"", b"a", BODY, b"\r\n\r\n"])), draw(st.lists(st.integers(1, 9), max_size=3)))
    if draw(st.integers(0, 3)) == 0:
        body = body[:-2] + draw(st.sampled_from(TRAILERS)) + b"\r\n"
    status = draw(st.sampled_from([STATUS, STATUS, STATUS, *STATUS_LINES]))
    return status + b"".join(lines) + framing + b"\r\n" + body + draw(st.sampled_from([b"", b"", *SURPLUS]))


@given(
    st.lists(answers(), min_size=1, max_size=3),
    st.integers(0),
    st.sampled_from([b"POST / HTTP/1.1\r\n", b"HEAD / H\r\n"]),
)
@example([STREAM, STREAM], 30, b"POST / HTTP/1.1\r\n")
@example([STREAM + b"\r\n", STREAM], 30, b"POST / HTTP/1.1\r\n")
def test_a_stream_in_one_read_is_taken_as_in_two(raws: list[bytes], cut: int, head: bytes) -> None:
    """Status, fields, body, kind of error, and whether the connection goes back to its pool."""
    # Where a part of the first line comes alone nothing is here at once.
    assert fates(raws, [], head) == fates(raws, [1 + cut % 12], head)


@pytest.mark.parametrize("raw", [line + CHUNKED + b"\r\n" + chunked(BODY, [11]) for line in STATUS_LINES])
def test_an_odd_stream_in_one_read_is_taken_as_in_two(raw: bytes) -> None:
    """Also before and behind an ordinary one."""
    for raws in ([raw, STREAM], [STREAM, raw], [STREAM.replace(CHUNKED, GZIPPED), raw]):
        assert fates(raws, []) == fates(raws, [1])


def test_a_head_that_looks_like_one_in_its_middle_is_whole() -> None:
    """Where the read that brings the end begins with what could be a head."""
    raw = STREAM.replace(CHUNKED, b"via: HTTP/1.1 proxy\r\n" + CHUNKED)
    assert fates([raw, STREAM], [raw.index(b"HTTP/1.1 proxy")]) == fates([raw, STREAM], [])


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (STREAM, BODY),
        (STREAM.replace(b"200 OK", b"500 No"), BODY),
        (STATUS + CHUNKED + b"\r\n0\r\n\r\n", b""),
        (STREAM.replace(CHUNKED, CHUNKED + b"connection: close\r\n"), BODY),
        (STREAM.replace(CHUNKED, CHUNKED + b"content-encoding: gzip\r\n"), None),
        (STREAM.replace(CHUNKED, CHUNKED + b"x-encoding: none\r\n"), None),
        (STREAM.replace(CHUNKED, CHUNKED + b"x: " + b"y" * 300 + b"\r\n"), None),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + STREAM, None),
        (STREAM + b"x", None),
        (STREAM[:-2], None),
        (STATUS + b"Content-Length: 4\r\n\r\nbody", None),
    ],
    ids=["plain", "error", "empty", "close", "gzip", "other coding", "long", "interim", "more", "cut", "length"],
)
def test_only_an_ordinary_stream_is_here_at_once(raw: bytes, body: bytes | None) -> None:
    """Whoever waits for the head finds all of it, and its connection has gone its way."""
    talk = Conversation(max_header_bytes=300)
    exchange = talk.ask(None)
    wholes: list[list[bytes] | None] = []
    talk.waiter.taker = lambda: wholes.append(None if talk.waiter.exception() else exchange.whole)
    talk.hear(raw, [])
    # As it was framed.
    assert wholes == [body if body is None else [part for part in (body[:11], body[11:]) if part]]
    if body is not None:
        assert (talk.connection.is_idle, talk.socket.is_closed) == (b"close" not in raw, b"close" in raw)
        exchange.release()
        assert exchange.whole is None
        assert exchange.link is None
    talk.loop.close()


def test_who_takes_it_some_other_way_may() -> None:
    """A sink, once; after that there is nothing left to take."""
    talk = Conversation()
    exchange, tape = talk.ask(None), Tape()
    talk.hear(STREAM, [])
    exchange.attach(tape)
    assert (tape.data, tape.ends, exchange.whole) == (BODY, [None], None)
    talk.loop.close()


async def test_it_can_be_read_as_a_whole(lab: Any) -> None:
    """As the body of a refusal is; and the connection carries the next one."""
    upstream = await lab.serve([STREAM])
    for _ in range(2):
        exchange = await lab.open(upstream)
        assert (exchange.whole, lab.counts(upstream)) == ([BODY[:11], BODY[11:]], (0, 1))
        assert await exchange.read(100) == BODY
    assert upstream.connections == 1


def test_a_head_that_came_before_is_not_read_again() -> None:
    """What was made of it is kept, until another one comes; what only begins like it is another one."""
    talk = Conversation()
    heads: list[Any] = []
    longer = STREAM.replace(CHUNKED, CHUNKED + b"x-request-id: r2\r\n")
    for raw in (STREAM, STREAM, longer, STREAM):
        exchange = talk.ask(None)
        talk.hear(raw, [])
        heads.append(exchange.head)
        exchange.release()
        talk.pool.take(0)
        talk.pool.busy = 0
    assert heads[0] is heads[1]
    assert [head.get(b"x-request-id") for head in heads] == [None, None, b"r2", None]
    talk.loop.close()
