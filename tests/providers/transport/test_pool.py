"""The transport as its callers see it: fetching, pooling, retrying, deadlines, cancelling, closing."""

import asyncio
import socket

import pytest

from providers.errors import PoolExhausted, TimedOut, Truncated, Unreachable, Withheld
from providers.transport.origin import Origin, Timeouts
from providers.transport.pool import Transport

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_reply_comes_whole(lab):
    """fetch returns status, fields with lower-case names, body and the time of the first byte."""
    upstream = await lab.serve([OK])
    limits = Timeouts(connect_ms=5000, first_byte_ms=5000, idle_ms=5000, total_ms=5000)
    reply = await lab.transport.fetch(upstream.origin, b"POST / HTTP/1.1\r\n", b"{}", limits, limit_bytes=10)
    assert (reply.status, reply.body) == (200, b"ok")
    assert reply.headers == [(b"content-type", b"application/json"), (b"content-length", b"2")]
    assert reply.first_byte_ns > 0


async def test_the_request_is_completed_by_its_length(lab):
    """The transport adds Content-Length and the empty line, and nothing else."""
    upstream = await lab.serve([OK])
    await lab.fetch(upstream, b'{"a":1}')
    _, head, body = upstream.requests[0]
    assert head.endswith(b"authorization: Bearer sk-upstream\r\ncontent-length: 7\r\n\r\n")
    assert body == b'{"a":1}'


async def test_a_large_request_arrives_whole(lab):
    """A body that is too large to be copied is written behind its head."""
    upstream = await lab.serve([OK])
    body = bytes(range(256)) * 8192
    assert await lab.fetch(upstream, body) == (200, b"ok")
    assert upstream.requests[0][2] == body


@pytest.mark.parametrize("body", [b"{}", b"x" * 100_000])
async def test_a_request_that_may_not_leave_yet_is_not_sent(lab, body):
    """Whatever its size, and whether its connection is a new one; what comes after it is."""
    upstream = await lab.serve([OK])
    full = []
    lab.use(Transport(before=lambda: full[0] if full else None))
    assert await lab.fetch(upstream) == (200, b"ok")
    full.append(Withheld("no room"))
    for _ in range(2):
        with pytest.raises(Withheld, match="no room"):
            await lab.fetch(upstream, body)
    assert (len(upstream.requests), lab.counts(upstream)[0]) == (1, 0)
    full.clear()
    assert await lab.fetch(upstream, body) == (200, b"ok")
    assert upstream.requests[-1][2] == body


async def test_a_post_without_body_announces_zero(lab):
    """A POST carries its Content-Length even where it is 0."""
    upstream = await lab.serve([OK])
    await lab.fetch(upstream, b"")
    assert b"content-length: 0\r\n" in upstream.requests[0][1]


async def test_the_connection_is_used_again(lab):
    """Requests in a row travel on one connection."""
    upstream = await lab.serve([OK])
    for _ in range(5):
        await lab.fetch(upstream)
    assert upstream.connections == 1
    assert lab.counts(upstream) == (0, 1)


async def test_the_connection_used_last_is_used_first(lab):
    """The pool is a stack, so that surplus connections grow old."""
    upstream = await lab.serve([OK])
    await asyncio.gather(*(lab.fetch(upstream) for _ in range(3)))
    last = upstream.requests[-1][0]
    for _ in range(4):
        await lab.fetch(upstream)
    assert {number for number, _, _ in upstream.requests[3:]} == {last}


async def test_origins_share_nothing(lab):
    """A connection belongs to one scheme, host and port."""
    first, second = await lab.serve([OK]), await lab.serve([OK])
    await lab.fetch(first)
    await lab.fetch(second)
    assert (first.connections, second.connections) == (1, 1)


async def test_small_packets_are_not_delayed(lab):
    """TCP_NODELAY is set by the event loop; a request would otherwise wait for an acknowledgement."""
    upstream = await lab.serve([OK])
    await lab.fetch(upstream)
    (pool,) = lab.transport._pools.values()
    connection = pool.idle[0]._transport.get_extra_info("socket")
    with socket.socket(fileno=socket.dup(connection.fileno())) as twin:
        assert twin.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_the_busy_maximum_refuses_at_once(lab, then):
    """At the maximum the next call fails without waiting, and works again after one ended."""
    lab.use(Transport(max_connections_per_origin=2))
    gate = asyncio.Event()
    upstream = await lab.serve([gate, OK])
    calls = [asyncio.create_task(lab.fetch(upstream)) for _ in range(2)]
    await asyncio.sleep(0.01)
    with pytest.raises(PoolExhausted) as refused:
        await lab.fetch(upstream)
    assert not refused.value.sent
    gate.set()
    await asyncio.gather(*calls)
    assert await lab.fetch(upstream) == (200, b"ok")


async def test_a_failed_connect_frees_its_place(lab):
    """What cannot connect does not count as busy."""
    lab.use(Transport(max_connections_per_origin=1))
    origin = Origin("http", "127.0.0.1", closed_port())
    for _ in range(3):
        with pytest.raises(Unreachable) as error:
            await lab.fetch_from(origin)
        assert not error.value.sent


def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 70 + ".invalid"])
async def test_an_unknown_host_is_unreachable(lab, host):
    """Name resolution that fails, and a name that cannot even be asked for, are Unreachable and unsent."""
    with pytest.raises(Unreachable) as error:
        await lab.fetch_from(Origin("http", host, 80))
    assert not error.value.sent
    assert lab.transport.connections().get(Origin("http", host, 80), (0, 0)) == (0, 0)


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_fresh_connection_that_breaks_is_not_retried(lab, then, end):
    """Nothing is sent twice on the transport's own account."""
    upstream = await lab.serve([then(end)])
    with pytest.raises(Unreachable) as error:
        await lab.fetch(upstream)
    assert error.value.sent
    assert len(upstream.requests) == 1


async def test_a_pooled_connection_that_breaks_after_a_byte_is_not_retried(lab, then):
    """The answer has begun, so the request was taken."""
    upstream = await lab.serve([OK], [b"HTTP/1.1 200", then.CLOSE])
    await lab.fetch(upstream)
    with pytest.raises(Truncated):
        await lab.fetch(upstream)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("leftover", [b"\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"x"])
async def test_an_idle_connection_that_speaks_is_dropped(lab, wait_until, leftover):
    """Bytes that nobody asked for would be taken for the next answer."""
    gate = asyncio.Event()
    upstream = await lab.serve([OK, gate, leftover], [OK])
    await lab.fetch(upstream)
    assert lab.counts(upstream) == (0, 1)
    gate.set()
    await wait_until(lambda: lab.counts(upstream) == (0, 0))
    await lab.fetch(upstream)
    assert upstream.connections == 2


async def test_an_idle_connection_that_ends_is_dropped(lab, then, wait_until):
    """The pool holds no connection that the server has closed."""
    upstream = await lab.serve([OK, then.CLOSE])
    await lab.fetch(upstream)
    await wait_until(lambda: lab.counts(upstream) == (0, 0))


TIMEOUTS = {
    "no byte": ([], {"first_byte_ms": 60}, "first_byte"),
    "half a head": ([b"HTTP/1.1 200 OK\r\n"], {"first_byte_ms": 60}, "first_byte"),
    "no body": ([OK[:-2]], {"idle_ms": 60}, "idle"),
    "half a body": ([OK[:-1]], {"idle_ms": 60}, "idle"),
    "total": ([OK[:-1]], {"total_ms": 80}, "total"),
    "total before a byte": ([], {"total_ms": 80}, "total"),
}


@pytest.mark.parametrize("case", TIMEOUTS.values(), ids=TIMEOUTS)
async def test_every_wait_has_its_limit(lab, then, wait_until, case):
    """Each deadline names its phase, and the socket is closed."""
    script, limits, phase = case
    upstream = await lab.serve([*script, then.HANG])
    with pytest.raises(TimedOut) as error:
        await lab.fetch(upstream, **limits)
    assert error.value.phase == phase
    assert error.value.sent
    # Of what had begun to come some was made.
    assert error.value.was_made is (len(b"".join(script)) >= len(OK) - 2)
    assert lab.counts(upstream) == (0, 0)
    await wait_until(lambda: upstream.open == 0)


async def test_bytes_extend_the_idle_deadline_of_a_fetch(lab):
    """A slow but steady body is not idle."""
    body = [b"1\r\nx\r\n", 0.04] * 5
    upstream = await lab.serve([CHUNKED, *body, b"0\r\n\r\n"])
    assert await lab.fetch(upstream, idle_ms=100, first_byte_ms=100) == (200, b"xxxxx")


async def test_a_drip_meets_the_total_deadline(lab, then):
    """No drip outlasts the total."""
    upstream = await lab.serve([CHUNKED, *([b"1\r\nx\r\n", 0.03] * 20), then.HANG])
    with pytest.raises(TimedOut) as error:
        await lab.fetch(upstream, idle_ms=100, total_ms=150)
    assert error.value.phase == "total"


async def test_a_connection_that_is_not_made_times_out(lab, certificates):
    """Connecting includes TLS, and nothing was sent."""
    origin = await lab.serve_silence("https")
    with pytest.raises(TimedOut) as error:
        await lab.fetch_from(origin, connect_ms=60)
    assert (error.value.phase, error.value.sent) == ("connect", False)
    assert lab.transport.connections()[origin] == (0, 0)


async def test_a_cancelled_call_closes_its_connection(lab, then, wait_until):
    """An answer that comes too late must never reach the next caller (CVE-2023-28858)."""
    upstream = await lab.serve([then.HANG], [OK])
    call = asyncio.create_task(lab.fetch(upstream))
    await wait_until(lambda: len(upstream.requests) == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert lab.counts(upstream) == (0, 0)
    await wait_until(lambda: upstream.open == 0)
    assert await lab.fetch(upstream) == (200, b"ok")
    assert upstream.requests[-1][0] == 2


async def test_a_call_cancelled_while_connecting_frees_its_place(lab, wait_until):
    """Also a connection that is just being made is closed and not counted."""
    origin = await lab.serve_silence("https")
    call = asyncio.create_task(lab.fetch_from(origin))
    await wait_until(lambda: lab.transport.connections().get(origin) == (1, 0))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert lab.transport.connections()[origin] == (0, 0)


async def test_answers_never_cross_under_cancellation(lab):
    """With callers cancelled at random moments everyone else gets the answer to his own question."""

    async def echo(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            body = await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            await asyncio.sleep(0.001 * (body[-1] % 3))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    origin = await lab.serve_by(echo)

    async def ask(number: int) -> None:
        question = b"question %d" % number
        call = asyncio.create_task(lab.fetch_from(origin, question))
        if number % 3 == 0:
            await asyncio.sleep(0.0005 * (number % 7))
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        else:
            assert await call == (200, question)

    for start in range(0, 200, 20):
        await asyncio.gather(*(ask(start + offset) for offset in range(20)))
    busy, _ = lab.transport.connections()[origin]
    assert busy == 0


async def test_idle_connections_grow_old(lab, wait_until):
    """What was idle for longer than keepalive_ms is not used, and is closed in time."""
    lab.use(Transport(keepalive_ms=20))
    upstream = await lab.serve([OK])
    await lab.fetch(upstream)
    await asyncio.sleep(0.03)
    await lab.fetch(upstream)
    assert upstream.connections == 2
    await wait_until(lambda: lab.counts(upstream) == (0, 0))


async def test_the_sweeper_rests_when_nothing_is_open(lab, wait_until):
    """No timer runs for a transport without connections."""
    lab.use(Transport(keepalive_ms=1))
    upstream = await lab.serve([OK])
    await lab.fetch(upstream)
    await wait_until(lambda: lab.transport._timer is None)
    assert lab.transport.connections() == {}


async def test_close_breaks_off_what_is_in_flight(lab, then, wait_until):
    """After close nothing is open, nobody waits, and nothing can be begun."""
    upstream = await lab.serve([OK], [then.HANG])
    await lab.fetch(upstream)
    call = asyncio.create_task(lab.fetch(upstream))
    await wait_until(lambda: len(upstream.requests) == 2)
    await lab.transport.close()
    with pytest.raises(Unreachable):
        await call
    with pytest.raises(Unreachable, match="closed"):
        await lab.fetch(upstream)
    await wait_until(lambda: upstream.open == 0)


async def test_proxies_of_the_environment_are_not_used(lab, monkeypatch):
    """Requests carry provider keys, so the environment cannot send them elsewhere."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    upstream = await lab.serve([OK])
    assert await lab.fetch(upstream) == (200, b"ok")
