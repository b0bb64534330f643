"""httpx over the transport: its interface, its exceptions, its streams."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import httpx
import pytest

from providers.transport.httpx_adapter import PooledTransport
from providers.transport.origin import Origin
from providers.transport.pool import Transport

OK = b"HTTP/1.1 200 Fine\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
async def client(lab) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose requests travel over the laboratory's transport."""
    async with httpx.AsyncClient(transport=PooledTransport(lab.transport), timeout=5) as made:
        yield made


async def test_a_get_returns_a_response(lab, client):
    """Any method works, and the response is httpx's own."""
    upstream = await lab.serve([OK])
    response = await client.get(f"{upstream.origin}/a%20b?c=d", headers={"x-y": "z"})
    assert (response.status_code, response.reason_phrase, response.text) == (200, "Fine", "ok")
    assert response.headers["x-a"] == "b"
    assert response.http_version == "HTTP/1.1"
    head = upstream.requests[0][1]
    assert head.startswith(b"GET /a%20b?c=d HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"x-y: z\r\n" in head
    assert b"content-length" not in head.lower()
    assert lab.counts(upstream) == (0, 1)


async def test_a_post_carries_its_body(lab, client):
    """The length is written once, by the transport."""
    upstream = await lab.serve([OK])
    await client.post(str(upstream.origin), json={"a": 1})
    _, head, body = upstream.requests[0]
    assert body == b'{"a":1}'
    assert head.lower().count(b"content-length") == 1


async def test_a_streamed_request_body_is_read_first(lab, client):
    """A generator becomes a body with a length."""
    upstream = await lab.serve([OK])

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    await client.post(str(upstream.origin), content=parts())
    assert upstream.requests[0][2] == b"onetwo"
    assert b"transfer-encoding" not in upstream.requests[0][1].lower()


async def test_a_head_request_ends_with_its_head(lab, client, then):
    """HEAD announces a body that does not come."""
    upstream = await lab.serve([OK[:-2], then.HANG])
    response = await client.head(str(upstream.origin))
    assert response.headers["content-length"] == "2"


async def test_a_body_can_be_streamed(lab, client):
    """Pieces come as they arrive."""
    gate = asyncio.Event()
    upstream = await lab.serve([CHUNKED, b"3\r\none\r\n", gate, b"3\r\ntwo\r\n0\r\n\r\n"])
    pieces = []
    async with client.stream("GET", str(upstream.origin)) as response:
        async for piece in response.aiter_bytes():
            pieces.append(piece)
            gate.set()
    assert pieces == [b"one", b"two"]
    assert lab.counts(upstream) == (0, 1)


async def test_a_slow_reader_slows_the_server(lab, client, settle):
    """No more than a few reads wait in memory."""
    block = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    upstream = await lab.serve([CHUNKED, *([block] * 200), b"0\r\n\r\n"])
    size = 0
    async with client.stream("GET", str(upstream.origin)) as response:
        await settle()
        assert sum(map(len, response.stream._stream._pieces)) < 2 << 20
        async for piece in response.aiter_bytes():
            size += len(piece)
    assert size == 200 * 65_536


async def test_a_stream_that_is_left_frees_its_connection(lab, client, then, wait_until):
    """Leaving the block ends the exchange: drained while that is cheap, or closed."""
    block = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    upstream = await lab.serve([CHUNKED, *([block] * 100), then.HANG])
    async with client.stream("GET", str(upstream.origin)) as response:
        async for _ in response.aiter_bytes():
            break
    await wait_until(lambda: lab.counts(upstream) == (0, 0))


async def test_a_compressed_body_is_decoded_once(lab, client):
    """The transport decodes, so httpx must not."""
    packed = gzip.compress(b"hello" * 1000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    upstream = await lab.serve([head + packed])
    response = await client.get(str(upstream.origin))
    assert response.content == b"hello" * 1000
    assert b"accept-encoding: gzip, deflate\r\n" in upstream.requests[0][1]


async def test_redirects_are_the_clients_choice(lab, client):
    """httpx does not follow unless told."""
    upstream = await lab.serve([b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"], [OK])
    assert (await client.get(str(upstream.origin))).status_code == 302


FAILURES = {
    "truncated": ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "close"], httpx.RemoteProtocolError),
    "no byte": (["close"], httpx.RemoteProtocolError),
    "garbage": ([b"\0\0\0\0\0\0"], httpx.RemoteProtocolError),
    "silence": (["hang"], httpx.ReadTimeout),
    "half a body": ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "hang"], httpx.ReadTimeout),
}


@pytest.mark.parametrize(("script", "kind"), FAILURES.values(), ids=FAILURES)
async def test_failures_are_httpx_exceptions(lab, client, then, script, kind):
    """Callers catch what they always caught; the request is attached."""
    upstream = await lab.serve([then(step) if isinstance(step, str) else step for step in script])
    with pytest.raises(kind) as error:
        await client.get(str(upstream.origin), timeout=0.1 if "hang" in script else 5)
    assert error.value.request.method == "GET"


async def test_a_refused_connection_is_a_connect_error(lab, client):
    """Nothing was sent."""
    upstream = await lab.serve([OK])
    lab.servers[0].close()
    await lab.servers[0].wait_closed()
    with pytest.raises(httpx.ConnectError):
        await client.get(str(upstream.origin))


async def test_a_slow_connection_is_a_connect_timeout(lab, client):
    """TLS with a silent server."""
    origin = await lab.serve_silence("https")
    with pytest.raises(httpx.ConnectTimeout):
        await client.get(str(origin), timeout=0.06)


async def test_a_full_pool_is_a_pool_timeout(lab, then, wait_until):
    """The maximum holds for httpx as well."""
    lab.use(Transport(max_connections_per_origin=1))
    upstream = await lab.serve([then.HANG])
    async with httpx.AsyncClient(transport=PooledTransport(lab.transport), timeout=5) as client:
        call = asyncio.create_task(client.get(str(upstream.origin)))
        await wait_until(lambda: lab.counts(upstream) == (1, 0))
        with pytest.raises(httpx.PoolTimeout):
            await client.get(str(upstream.origin))
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


async def test_a_total_can_be_set(lab, then):
    """httpx has no limit for the whole; the adapter has."""
    upstream = await lab.serve([CHUNKED, *([b"1\r\nx\r\n", 0.03] * 10), then.HANG])
    transport = PooledTransport(lab.transport, total_ms=100)
    async with httpx.AsyncClient(transport=transport, timeout=5) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(str(upstream.origin))


@pytest.mark.parametrize("headers", [{b"x": b"a\r\nb: c"}, {b"x": b"a\nb"}, {b"x": b"\0"}, {b"x y": b"a"}, {b"": b"a"}])
async def test_a_header_cannot_write_another(lab, client, headers):
    """A line end in a name or a value is refused before anything is sent."""
    upstream = await lab.serve([OK])
    with pytest.raises(httpx.LocalProtocolError):
        await client.get(str(upstream.origin), headers=headers)
    assert upstream.requests == []


@pytest.mark.parametrize("method", ["GET / HTTP/1.1\r\nX: y\r\n\r\nGET", "", "CONNECT"])
async def test_a_method_cannot_write_a_request(lab, client, method):
    """Only a token may be a method, and a tunnel is not one of ours."""
    upstream = await lab.serve([OK])
    with pytest.raises(httpx.LocalProtocolError):
        await client.request(method, str(upstream.origin))
    assert upstream.requests == []


async def test_other_schemes_are_refused(client):
    """Only http and https are spoken."""
    with pytest.raises(httpx.UnsupportedProtocol):
        await client.get("ftp://host/")


async def test_ipv6_literals_and_ports_reach_the_origin(lab, client):
    """The origin is made from the URL as httpx understands it."""
    with pytest.raises(httpx.ConnectError, match=r"\[::1\]:1\b"):
        await client.get("http://[::1]:1/")
    assert Origin("http", "::1", 1) not in {origin for origin, (busy, _) in lab.transport.connections().items() if busy}
