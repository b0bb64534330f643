"""What the transport takes for an answer: framing, limits, surplus, and the shared recorded faults."""

import resource

import pytest
from faults.cases import load_cases, load_tool

from providers.errors import InvalidAnswer, TimedOut, Truncated
from providers.transport.origin import Origin
from providers.transport.pool import Transport

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

SURPLUS = {
    "after a length": OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "an empty line": OK + b"\r\n",
    "after chunks": CHUNKED + b"2\r\nok\r\n0\r\n\r\n\r\n",
    "an answer after chunks": CHUNKED + b"2\r\nok\r\n0\r\n\r\nHTTP/1.1 204 Evil\r\n\r\n",
    "half a line after chunks": CHUNKED + b"2\r\nok\r\n0\r\n\r\nH",
    "garbage": OK + b"\0\0\0",
}


@pytest.mark.parametrize("raw", SURPLUS.values(), ids=SURPLUS)
async def test_surplus_bytes_end_the_connection(lab, raw):
    """An answer with something behind it is good, its connection is not."""
    upstream = await lab.serve([raw])
    assert await lab.fetch(upstream) == (200, b"ok")
    assert lab.counts(upstream) == (0, 0)


NOT_KEPT = {
    "connection: close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("raw", NOT_KEPT.values(), ids=NOT_KEPT)
async def test_a_connection_is_kept_only_where_the_server_keeps_it(lab, raw):
    """The response says whether its connection may be used again."""
    upstream = await lab.serve([raw])
    assert await lab.fetch(upstream) == (200, b"ok")
    assert lab.counts(upstream) == (0, 0)


KEPT = {
    "chunked": CHUNKED + b"2\r\nok\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"2;ext=1\r\nok\r\n0\r\nX-T: v\r\n\r\n",
    "HTTP/1.0 keep-alive": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    "100 first": b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    "103 first": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + OK,
}


@pytest.mark.parametrize("raw", KEPT.values(), ids=KEPT)
async def test_every_exact_end_keeps_the_connection(lab, raw):
    """Chunks, trailers and interim responses are read, and the connection serves on."""
    upstream = await lab.serve([raw])
    assert await lab.fetch(upstream) == (200, b"ok")
    assert await lab.fetch(upstream) == (200, b"ok")
    assert upstream.connections == 1


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_a_status_without_body_ends_with_its_head(lab, status):
    """204 and 304 have no body, whatever they announce."""
    upstream = await lab.serve([b"HTTP/1.1 " + status + b"\r\nX: y\r\n\r\n"])
    assert (await lab.fetch(upstream))[1] == b""
    assert lab.counts(upstream) == (0, 1)


async def test_a_redirect_is_returned(lab):
    """Nothing is followed: the key would go elsewhere."""
    target = b"HTTP/1.1 307 Moved\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n"
    upstream = await lab.serve([target])
    assert await lab.fetch(upstream) == (307, b"")


@pytest.mark.parametrize("version", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"])
async def test_a_body_may_end_with_the_connection(lab, then, version):
    """Without any framing the end of the connection is the end of the body."""
    upstream = await lab.serve([version + b"he", b"llo", then.CLOSE])
    assert await lab.fetch(upstream) == (200, b"hello")
    assert lab.counts(upstream) == (0, 0)


async def test_a_body_until_close_that_is_reset_is_truncated(lab, then):
    """A reset is never a clean end."""
    upstream = await lab.serve([b"HTTP/1.0 200 OK\r\n\r\nhe", 0.01, then.RESET])
    with pytest.raises(Truncated):
        await lab.fetch(upstream)


SHORT = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
    "no last chunk": CHUNKED + b"2\r\nok\r\n",
    "half a chunk": CHUNKED + b"9\r\nok",
    "head": b"HTTP/1.1 200 OK\r\nContent-Le",
}


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("raw", SHORT.values(), ids=SHORT)
async def test_a_short_answer_is_truncated(lab, then, raw, end):
    """Framing that is not fulfilled is seen."""
    upstream = await lab.serve([raw, 0.005, then(end)])
    with pytest.raises(Truncated):
        await lab.fetch(upstream)
    assert lab.counts(upstream) == (0, 0)


INVALID = {
    "garbage": b"\0\1\2garbage\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "RTSP": b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a folded field": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "101": b"HTTP/1.1 101 Switching\r\nContent-Length: 0\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nxx",
    "status 99": b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding before chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a bad chunk size": CHUNKED + b"zz\r\nok\r\n0\r\n\r\n",
    "an unknown encoding": b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nok",
    "two encodings": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, br\r\nContent-Length: 2\r\n\r\nok",
    "two encoding fields": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\ncontent-encoding: gzip\r\n"
    b"Content-Length: 2\r\n\r\nok",
    "empty lines first": b"\r\n\r\n" + OK,
    "a nul in a value": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("raw", INVALID.values(), ids=INVALID)
async def test_what_is_not_our_http_is_invalid(lab, raw):
    """Anything that two readers could take differently is refused, and its connection closed."""
    upstream = await lab.serve([raw])
    with pytest.raises(InvalidAnswer):
        await lab.fetch(upstream)
    assert lab.counts(upstream) == (0, 0)


async def test_a_long_head_is_invalid(lab, then):
    """A head has a limit, also while it is not complete."""
    lab.use(Transport(max_header_bytes=1000))
    line = b"X: " + b"y" * 200 + b"\r\n"
    endless = await lab.serve([b"HTTP/1.1 200 OK\r\n" + line * 3, line * 3, then.HANG])
    complete = await lab.serve([b"HTTP/1.1 200 OK\r\n" + line * 6 + b"Content-Length: 0\r\n\r\n"])
    for upstream in (endless, complete):
        with pytest.raises(InvalidAnswer, match="larger than 1000 bytes"):
            await lab.fetch(upstream)


async def test_interim_heads_count_towards_the_limit(lab, then):
    """A hundred thousand 100s are not an answer."""
    lab.use(Transport(max_header_bytes=1000))
    upstream = await lab.serve([b"HTTP/1.1 100 Continue\r\n\r\n" * 50, then.HANG])
    with pytest.raises(InvalidAnswer):
        await lab.fetch(upstream)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"])
async def test_a_body_over_the_limit_is_invalid(lab, then, head):
    """The limit holds for what was announced and for what came."""
    upstream = await lab.serve([head + b"01234567890", then.CLOSE])
    with pytest.raises(InvalidAnswer, match="larger than 10 bytes"):
        await lab.fetch(upstream, limit_bytes=10)
    assert lab.counts(upstream) == (0, 0)


async def test_an_announced_giant_is_refused_before_it_comes(lab, then):
    """Content-Length alone is enough."""
    upstream = await lab.serve([b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", then.HANG])
    with pytest.raises(InvalidAnswer):
        await lab.fetch(upstream)


async def test_a_body_at_the_limit_is_good(lab):
    """The limit itself is allowed."""
    upstream = await lab.serve([OK])
    assert await lab.fetch(upstream, limit_bytes=2) == (200, b"ok")


async def test_a_giant_body_needs_no_memory(lab):
    """A body without end is dropped as soon as it passes the limit."""
    block = b"y" * (1 << 20)

    async def flood(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(block)
            await writer.drain()

    origin = await lab.serve_by(flood)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InvalidAnswer):
        await lab.fetch_from(origin)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


# What the transport itself must see in the recorded faults; the rest of their faults is in the content.
FAULTS = {
    "sse-001": None,
    "sse-003": None,
    "sse-030": None,
    "sse-033": Truncated,
    "sse-034": Truncated,
    "sse-035": Truncated,
    "sse-076": None,
    "sse-077": InvalidAnswer,
    "sse-084": TimedOut,
    "sse-086": TimedOut,
    "sse-087": None,
    "sse-090": Truncated,
    "upstream-016": None,
    "upstream-029": None,
    "upstream-033": None,
    "upstream-036": InvalidAnswer,
    "upstream-037": None,
    "upstream-047": InvalidAnswer,
    "upstream-048": InvalidAnswer,
    "upstream-050": InvalidAnswer,
    "upstream-051": None,
    "upstream-053": InvalidAnswer,
}


@pytest.mark.parametrize("case", FAULTS if load_cases() else [])
async def test_a_recorded_fault_is_seen(lab, case):
    """Each fault of the shared file that concerns HTTP ends in its own error."""
    origin = await lab.serve_by(load_tool().FaultUpstream(load_cases()).handle)
    head = b"POST /f/%b/v1/chat/completions HTTP/1.1\r\nhost: h\r\n" % case.encode()
    kind = FAULTS[case]
    limits = {"first_byte_ms": 100, "idle_ms": 100} if kind is TimedOut else {}
    call = lab.fetch_path(Origin("http", "127.0.0.1", origin.port), head, limit_bytes=16 << 20, **limits)
    if kind is None:
        await call
    else:
        with pytest.raises(kind):
            await call
