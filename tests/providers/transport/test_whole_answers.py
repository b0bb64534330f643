"""An ordinary answer that came in one read is not parsed: it is taken exactly as the parser would have taken it."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.errors import InvalidAnswer
from providers.transport import connection
from providers.transport.exchange import Exchange
from providers.transport.head import read_whole
from tests.providers.transport.test_connection import Conversation

POST = b"POST / HTTP/1.1\r\n"
HEADS = 65_536
ORDINARY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nbody"


@contextmanager
def noting() -> Generator[list[bool]]:
    """Note for every look at the first bytes of an answer whether they were taken unparsed; none is known before."""
    taken: list[bool] = []

    def note(data: bytes, max_header_bytes: int) -> Any:
        found = read_whole(data, max_header_bytes)
        taken.append(found is not None)
        return found

    with patch.object(connection, "read_whole", note), patch.object(connection, "KnownAnswer", return_value=None):
        yield taken


@contextmanager
def parsing() -> Generator[None]:
    """Have every answer parsed."""
    with patch.object(connection, "read_whole", return_value=None):
        yield


def outcome(
    answers: list[bytes], cuts: list[int], *, request: bytes = POST, limit_bytes: int = 1 << 20, has_end: bool = True
) -> list[Any]:
    """What comes of answers that follow each other on one connection, each cut in the same places."""
    talk = Conversation(HEADS)
    seen: list[Any] = []
    for raw in answers:
        exchange = talk.ask(limit_bytes, request)
        talk.hear(raw, cuts)
        if has_end and not talk.waiter.done():
            talk.connection.eof_received()
        seen.append(fate(talk, exchange))
        if not talk.connection.is_idle:
            break
        talk.pool.take(0)
        talk.pool.busy = 0
    talk.loop.close()
    return seen


def fate(talk: Conversation, exchange: Exchange) -> Any:
    """How an exchange ended, and what became of its connection."""
    left = (
        talk.socket.is_closed,
        talk.connection.is_idle,
        len(talk.pool.idle),
        talk.pool.busy,
        talk.pool.active == set(),
    )
    if not talk.waiter.done():
        return "open", left
    error = talk.waiter.exception()
    if error is not None:
        return type(error), left
    return exchange.status, exchange.headers, exchange.head.raw, exchange.body, exchange.link, left


STATUS_LINES = [
    b"HTTP/1.1 200 ", b"HTTP/1.1 200", b"HTTP/1.1 200 \xff\tO-K", b"HTTP/1.0 200 OK", b"HTTP/2 200 OK",
    b"http/1.1 200 OK", b"HTTP/1.1 201 Created", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 404 Not Found", b"HTTP/1.1 101 Switching", b"HTTP/1.1 2000 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1  200 OK",
    b" HTTP/1.1 200 OK", b"\r\nHTTP/1.1 200 OK", b"HTTP/1.1 200 O\0K", b"HTTP/1.1 200 O\x7fK", b"HTTP/1.1 200 O\rK",
    b"ICY 200 OK", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
    b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK",
]  # fmt: skip
FIELDS = [
    b"X-A: b", b"x-a:", b"X-A:\t b \t", b"X-A: \x80\xff", b"!#$%&'*+-.^_`|~09: v", b"Set-Cookie: a=b; c",
    b"Vary: Accept-Encoding", b"X-Note: y-encoding: z", b"Keep-Alive: timeout=0", b"Trailer: x",
    b"X-Connection: close", b"X-Content-Length: 1", b"Content-Length-X: 1", b"Upgrade: h2c",
    b"Proxy-Connection: keep-alive", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity",
    b"transfer-encoding:", b"Content-Encoding: gzip", b"Content-Encoding: identity", b"content-encoding: br",
    b"no colon", b"Space : x", b"Two Words: x", b": x", b"X\x80: y", b"X(: y", b"X@: y", b'X": y', b"X\0: y",
    b" folded", b"\tfolded", b"X-A: b\r\n c", b"X-A: b\nX-B: c", b"X-A: b\rX-B: c", b"X-A: \0", b"X-A: \x01",
    b"X-A: \x7f",
]  # fmt: skip
CONNECTIONS = [
    b"Connection: keep-alive", b"Connection: Keep-Alive", b"connection:keep-alive", b"Connection: keep-alive ",
    b"Connection:\tkeep-alive", b"CONNECTION: KEEP-ALIVE", b"Connection: close", b"connection:Close", b"Connection: ",
    b"Connection: keep-alive, close", b"Connection: close, keep-alive", b"Connection: te", b"Connection: upgrade",
    b"Connection: te\r\nConnection: close", b"Connection: close\r\nConnection: keep-alive", b"Connection : close",
]  # fmt: skip
# What may stand for the one field that announces the body; %d is its size.
LENGTHS = [
    b"content-length: %d", b"CONTENT-LENGTH: %d", b"Content-Length:%d", b"Content-Length:\t%d", b"Content-Length:  %d",
    b"Content-Length: %d ", b"Content-Length: %d\t", b"Content-Length: 0%d", b"Content-Length: %010d",
    b"Content-Length: %011d", b"Content-Length: %030d", b"Content-Length: +%d", b"Content-Length: -%d",
    b"Content-Length: 0x%x", b"Content-Length: %d0", b"Content-Length: 1%d", b"Content-Length: %d;",
    b"Content-Length: %d\0", b"Content-Length: %d, %d", b"Content-Length: %d,%d", b"Content-Length: %d %d",
    b"Content-Length: \x0b%d", b"Content-Length: ", b"Content-Length:", b"Content-Length : %d",
    b"Content-Length: 99999999999999999999", b"X-A: b", b"Content-Length: %d\r\nContent-Length: %d",
    b"Content-Length: %d\r\ncontent-length: 1", b"Content-Length: 1\r\nContent-Length: %d",
    b"Content-Length: 1\r\nContent-Length: 2", b"Content-Length: %d\r\ncontent-length:%d",
    b"Content-Length: %d\r\ncontent-length:",
]  # fmt: skip
ENDS = [b"\r\n\r\n", b"\r\n\r\n", b"\r\n\r\n", b"\n\n", b"\r\n\n", b"\n\r\n", b"\r\r\n", b"\r\n \r\n", b"\r\n"]
SURPLUS = [b"\r\n", b"\n", b"x", b"\0", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]


def often(usual: Any, others: list[Any]) -> st.SearchStrategy[Any]:
    """Mostly the usual."""
    return st.one_of(st.just(usual), st.just(usual), st.just(usual), st.sampled_from(others))


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """An answer with little that is out of the ordinary."""
    body: bytes = draw(st.binary(max_size=12) | st.sampled_from([b"\r\n\r\n", ORDINARY]))
    form: bytes = draw(often(b"Content-Length: %d", LENGTHS))
    lines: list[bytes] = draw(st.lists(often(b"X-A: b", FIELDS), max_size=2))
    lines += draw(often([], [[line] for line in CONNECTIONS]))
    size = len(body)
    lines.insert(draw(st.integers(0, len(lines))), form % ((size,) * form.count(b"%")))
    head = b"\r\n".join([draw(often(b"HTTP/1.1 200 OK", STATUS_LINES)), *lines])
    return head + draw(often(b"\r\n\r\n", ENDS)) + body + draw(often(b"", SURPLUS))


REQUESTS = often(POST, [b"GET / HTTP/1.1\r\n", b"HEAD / HTTP/1.1\r\n"])
LIMITS = often(1 << 20, [0, 3, 4, 11, 12])


@given(st.lists(answers(), min_size=1, max_size=2), st.integers(1), REQUESTS, LIMITS, st.booleans())
@example([ORDINARY, ORDINARY], 20, POST, 4, True)
@example([ORDINARY, ORDINARY], 70, POST, 3, True)
def test_an_answer_in_one_read_is_taken_as_in_two(
    raws: list[bytes], cut: int, request: bytes, limit_bytes: int, has_end: bool
) -> None:
    """Status, fields, body, kind of error, and whether the connection goes back to its pool."""
    limits: dict[str, Any] = {"request": request, "limit_bytes": limit_bytes, "has_end": has_end}
    at_once = outcome(raws, [], **limits)
    with parsing():
        assert at_once == outcome(raws, [], **limits)
        assert at_once == outcome(raws, [1 + cut % len(raws[0])], **limits)
    assert at_once == outcome(raws, [1 + cut % len(raws[0])], **limits)


ODD = [
    *[ORDINARY.replace(b"HTTP/1.1 200 OK", line) for line in STATUS_LINES],
    *[ORDINARY.replace(b"Content-Type: application/json", line) for line in FIELDS + CONNECTIONS],
    *[ORDINARY.replace(b"Content-Length: 4", line % ((4,) * line.count(b"%"))) for line in LENGTHS],
    *[ORDINARY.replace(b"\r\n\r\n", end) for end in ENDS],
    *[ORDINARY + surplus for surplus in SURPLUS],
]


@pytest.mark.parametrize("raw", ODD, ids=range(len(ODD)))
def test_an_odd_answer_in_one_read_is_taken_as_in_two(raw: bytes) -> None:
    """Whichever part of it is odd."""
    at_once = outcome([raw, ORDINARY], [])
    with parsing():
        for cut in (1, 15, 20, raw.find(b"\r\n\r\n") + 2, len(raw) - 1):
            assert at_once == outcome([raw, ORDINARY], [cut])


@given(st.integers(0, len(ORDINARY)), st.binary(max_size=2), st.integers(0, 2), st.integers(1))
def test_an_ordinary_answer_with_a_few_other_bytes_is_taken_as_in_two(at: int, new: bytes, gone: int, cut: int) -> None:
    """Wherever they are."""
    raw = ORDINARY[:at] + new + ORDINARY[at + gone :]
    at_once = outcome([raw], [])
    with parsing():
        assert at_once == outcome([raw], []) == outcome([raw], [1 + cut % len(raw)])


def with_field(line: bytes) -> bytes:
    """The ordinary answer with one more field."""
    return ORDINARY.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n", 1)


@pytest.mark.parametrize(
    "raw",
    [
        ORDINARY,
        ORDINARY.replace(b"200 OK", b"200 "),
        ORDINARY.replace(b"Content-Length: 4", b"CONTENT-length: 0004"),
        ORDINARY.replace(b": 4", b": 0")[:-4],
        with_field(b"Connection: Keep-Alive"),
        with_field(b"X-A: \x80\t"),
    ],
    ids=["plain", "no reason", "zeros", "empty", "keep-alive", "bytes"],
)
def test_an_ordinary_answer_is_not_parsed(raw: bytes) -> None:
    """Time after time on one connection."""
    with noting() as taken:
        fates = outcome([raw] * 3, [])
    assert taken == [True] * 3
    assert fates == [(200, *fates[0][1:3], raw.partition(b"\r\n\r\n")[2], None, (False, True, 1, 0, True))] * 3


@pytest.mark.parametrize(
    "raw",
    [
        ORDINARY[:-1],
        ORDINARY + b"\r\n",
        ORDINARY.replace(b"200", b"201"),
        ORDINARY.replace(b"HTTP/1.1", b"HTTP/1.0"),
        ORDINARY.replace(b"Content-Length: 4", b"X: y"),
        with_field(b"Content-Length: 4"),
        with_field(b"Content-Encoding: identity"),
        with_field(b"Transfer-Encoding: chunked"),
        with_field(b"Connection: close"),
        with_field(b"Connection: keep-alive, close"),
        with_field(b" Connection: close"),
    ],
    ids=["short", "long", "201", "1.0", "unmeasured", "two lengths", "coding", "chunks", "close", "list", "fold"],
)
def test_any_other_answer_is_parsed(raw: bytes) -> None:
    """The parser decides."""
    with noting() as taken:
        outcome([raw], [])
    assert taken == [False]


def test_answers_of_both_kinds_follow_each_other_on_one_connection() -> None:
    """The parser stands between two answers whenever it is asked."""
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    created = ORDINARY.replace(b"200 OK", b"201 Created")
    with noting() as taken:
        fates = outcome([ORDINARY, chunks, ORDINARY, created, ORDINARY], [])
    assert [(status, body) for status, _, _, body, *_ in fates] == [
        (status, b"body") for status in [200] * 3 + [201, 200]
    ]
    assert taken == [True, False, True, False, True]


@pytest.mark.parametrize(("spare_bytes", "is_taken"), [(0, True), (-1, False), (-3, False)])
def test_a_head_at_its_limit_is_taken_as_by_the_parser(spare_bytes: int, is_taken: bool) -> None:
    """The parser does not count the empty line, so it decides on what is longer by no more than that."""
    talk = Conversation(len(ORDINARY) - len(b"body") + spare_bytes)
    exchange = talk.ask()
    with noting() as taken:
        talk.hear(ORDINARY, [])
    assert (taken, talk.outcome(), exchange.body) == ([is_taken], None, b"body")


def test_an_answer_to_a_request_that_is_still_being_sent_ends_the_connection() -> None:
    """What is left of the request would stand before the next one."""
    talk = Conversation()
    exchange = talk.ask()
    with patch.object(talk.socket, "get_write_buffer_size", return_value=1), noting() as taken:
        talk.hear(ORDINARY, [])
    assert (taken, talk.outcome(), exchange.body) == ([True], None, b"body")
    assert (talk.socket.is_closed, talk.pool.idle, talk.pool.busy) == (True, [], 0)


@pytest.mark.parametrize("end", ["abort", "release"])
def test_an_exchange_that_is_over_has_no_hold_on_its_connection(end: str) -> None:
    """It may carry another one by then."""
    talk = Conversation()
    exchange = talk.ask()
    talk.hear(ORDINARY, [])
    getattr(exchange, end)()
    assert (talk.outcome(), talk.socket.is_closed, talk.connection.is_idle) == (None, False, True)


async def test_a_connection_carries_ordinary_answers_one_after_the_other(lab: Any) -> None:
    """Over a socket, on both kinds of event loop."""
    upstream = await lab.serve([ORDINARY])
    with noting() as taken:
        assert [await lab.fetch(upstream) for _ in range(3)] == [(200, b"body")] * 3
    assert (taken, upstream.connections, lab.counts(upstream)) == ([True] * 3, 1, (0, 1))


async def test_a_server_that_closes_after_an_ordinary_answer_is_connected_to_again(
    lab: Any, then: Any, wait_until: Any
) -> None:
    """Its end is noticed while the connection is idle."""
    upstream = await lab.serve([ORDINARY, then.CLOSE])
    for connections in (1, 2):
        assert await lab.fetch(upstream) == (200, b"body")
        await wait_until(lambda: lab.counts(upstream) == (0, 0))
        assert upstream.connections == connections


async def test_an_ordinary_answer_beyond_the_limit_is_refused(lab: Any) -> None:
    """As it would be had it come in parts."""
    upstream = await lab.serve([ORDINARY])
    with pytest.raises(InvalidAnswer, match="larger than 3 bytes"):
        await lab.fetch(upstream, limit_bytes=3)
    assert lab.counts(upstream) == (0, 0)


async def test_an_ordinary_answer_to_who_reads_by_himself_is_parsed(lab: Any) -> None:
    """It waits for a reader or a sink."""
    upstream = await lab.serve([ORDINARY])
    exchange = await lab.open(upstream)
    assert (await exchange.read(4), (await lab.stream(upstream)).data) == (b"body", b"body")
    assert (upstream.connections, lab.counts(upstream)) == (1, (0, 1))


async def test_a_head_request_is_answered_without_a_body(lab: Any) -> None:
    """Even where exactly as many bytes follow as are announced."""
    upstream = await lab.serve([ORDINARY])
    head = b"HEAD / HTTP/1.1\r\nhost: upstream\r\n"
    limits = (await lab.open(upstream)).timeouts
    reply = await lab.transport.fetch(upstream.origin, head, b"", limits, limit_bytes=4)
    assert (reply.status, reply.body) == (200, b"")


@pytest.mark.parametrize(
    "field",
    [
        b"Content-Length:4\r\nContent-Length: 4",
        b"Content-Length:5\r\nContent-Length: 4",
        b"Content-Length:\t5\r\nContent-Length: 4",
        b"Content-Length:  4\r\ncontent-length: 4",
        b"Content-Length:\r\nContent-Length: 4",
        b"Content-Length: 4\r\nConnection: keep-alive\r\nConnection: close",
        b"Content-Length: 4\r\nProxy-Connection: close",
    ],
)
def test_two_lengths_or_two_wishes_for_the_connection_are_the_parsers(field: bytes) -> None:
    """They are refused, or end the connection, in one read as in two."""
    raw = ORDINARY.replace(b"Content-Length: 4", field)
    at_once = outcome([raw], [])
    with parsing():
        assert at_once == outcome([raw], []) == outcome([raw], [20])
