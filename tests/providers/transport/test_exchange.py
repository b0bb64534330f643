"""An opened exchange: sinks, readers, deadlines by events, back-pressure, release, abort, compressed bodies."""

import asyncio

import pytest

from providers.errors import InvalidAnswer, TimedOut, Truncated

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_open_returns_with_the_head(lab, then):
    """The body need not have begun."""
    upstream = await lab.serve([HEAD, then.HANG])
    exchange = await lab.open(upstream)
    assert exchange.status == 200
    assert (b"content-type", b"text/event-stream") in exchange.headers
    assert exchange.first_byte_ns > 0
    exchange.abort()


async def test_a_sink_gets_the_body_and_its_end(lab):
    """Every byte comes once, in order, then the end, and the connection is free."""
    upstream = await lab.serve([HEAD, chunk(b"one"), chunk(b"two"), LAST])
    tape = await lab.stream(upstream)
    assert (tape.data, tape.ends) == (b"onetwo", [None])
    assert lab.counts(upstream) == (0, 1)


async def test_chunks_of_one_read_come_as_one_piece(lab):
    """What arrived together is relayed together."""
    upstream = await lab.serve([HEAD + chunk(b"a") * 100 + LAST])
    tape = await lab.stream(upstream)
    assert tape.pieces == [b"a" * 100]


async def test_a_late_sink_gets_at_once_what_is_here(lab, make_tape, settle):
    """attach delivers what has arrived, synchronously, the end included."""
    upstream = await lab.serve([HEAD, chunk(b"one"), chunk(b"two"), LAST])
    exchange = await lab.open(upstream)
    await settle()
    tape = make_tape()
    exchange.attach(tape)
    assert (tape.pieces, tape.ends) == ([b"onetwo"], [None])


async def test_a_late_sink_gets_what_came_before_an_error(lab, then, make_tape, settle):
    """An error that came before the sink is told after the bytes that came before it."""
    upstream = await lab.serve([HEAD, chunk(b"one"), then.CLOSE])
    exchange = await lab.open(upstream)
    await settle()
    tape = make_tape()
    exchange.attach(tape)
    assert tape.pieces == [b"one"]
    assert isinstance(tape.ends[0], Truncated)


async def test_pieces_before_garbage_are_delivered(lab):
    """Chunks that were good before the framing broke reach the sink, then the error."""
    upstream = await lab.serve([HEAD + chunk(b"good") + b"zz\r\nbad"])
    tape = await lab.stream(upstream)
    assert tape.data == b"good"
    assert isinstance(tape.ends[0], InvalidAnswer)


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_broken_stream_is_truncated(lab, then, end):
    """The sink is told that the last chunk is missing."""
    upstream = await lab.serve([HEAD, chunk(b"one"), 0.01, then(end)])
    tape = await lab.stream(upstream)
    assert tape.data == b"one"
    assert isinstance(tape.ends[0], Truncated)


async def test_read_returns_the_body(lab):
    """A caller that opened may still read all."""
    upstream = await lab.serve([HEAD, chunk(b"one"), 0.01, chunk(b"two"), LAST])
    exchange = await lab.open(upstream)
    assert await exchange.read(6) == b"onetwo"
    assert lab.counts(upstream) == (0, 1)


async def test_read_of_what_is_all_here_returns(lab, settle):
    """The end may have come before the reader."""
    upstream = await lab.serve([HEAD + chunk(b"one") + LAST])
    exchange = await lab.open(upstream)
    await settle()
    assert await exchange.read(3) == b"one"


async def test_read_has_a_limit(lab, then):
    """Beyond it the connection is closed."""
    upstream = await lab.serve([HEAD, chunk(b"0123456789"), then.HANG])
    exchange = await lab.open(upstream)
    with pytest.raises(InvalidAnswer, match="larger than 9 bytes"):
        await exchange.read(9)
    assert lab.counts(upstream) == (0, 0)


async def test_read_refuses_what_is_announced_too_large(lab, then):
    """Content-Length is believed when it is too much."""
    upstream = await lab.serve([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", then.HANG])
    exchange = await lab.open(upstream)
    with pytest.raises(InvalidAnswer) as refused:
        await exchange.read(9)
    assert refused.value.was_made


async def test_an_error_that_is_too_large_was_no_answer(lab, then):
    """What tells of a failure is not billed."""
    upstream = await lab.serve([b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 10\r\n\r\n", then.HANG])
    exchange = await lab.open(upstream)
    with pytest.raises(InvalidAnswer) as refused:
        await exchange.read(9)
    assert not refused.value.was_made


async def test_read_raises_what_went_wrong_before(lab, then, settle):
    """An error waits for its reader."""
    upstream = await lab.serve([HEAD, chunk(b"one"), then.CLOSE])
    exchange = await lab.open(upstream)
    await settle()
    with pytest.raises(Truncated):
        await exchange.read(100)


async def test_a_cancelled_read_closes_the_connection(lab, then, wait_until):
    """Nobody reads the rest, so nobody may get it."""
    upstream = await lab.serve([HEAD, chunk(b"one"), then.HANG])
    exchange = await lab.open(upstream)
    call = asyncio.create_task(exchange.read(100))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert lab.counts(upstream) == (0, 0)
    await wait_until(lambda: upstream.open == 0)


async def test_an_abort_wakes_the_reader(lab, then):
    """Nobody is left waiting."""
    upstream = await lab.serve([HEAD, then.HANG])
    exchange = await lab.open(upstream)
    call = asyncio.create_task(exchange.read(100))
    await asyncio.sleep(0)
    exchange.abort()
    with pytest.raises(Truncated, match="aborted"):
        await call


async def test_a_body_has_one_consumer(lab, then, make_tape):
    """A second sink or reader is a mistake of the caller."""
    upstream = await lab.serve([HEAD, then.HANG])
    exchange = await lab.open(upstream)
    exchange.attach(make_tape())
    with pytest.raises(RuntimeError):
        exchange.attach(make_tape())
    with pytest.raises(RuntimeError):
        await exchange.read(1)
    exchange.abort()


async def test_bytes_without_events_meet_the_first_byte_deadline(lab, then):
    """Before the first touch a drip is no progress; the wait counts from the request."""
    upstream = await lab.serve([HEAD, *([chunk(b"x"), 0.03] * 10), then.HANG])
    tape = await lab.stream(upstream, first_byte_ms=100)
    assert isinstance(tape.ends[0], TimedOut)
    assert tape.ends[0].phase == "first_byte"
    assert tape.pieces


async def test_only_touch_extends_the_idle_deadline(lab, then, make_tape):
    """After an event a drip inside the next one is idle."""
    upstream = await lab.serve([HEAD, *([chunk(b"x"), 0.03] * 12), then.HANG])
    exchange = await lab.open(upstream, idle_ms=100)
    tape = make_tape(exchange)
    exchange.attach(tape)
    exchange.touch()
    error = await tape.end()
    assert isinstance(error, TimedOut)
    assert error.phase == "idle"


async def test_touches_keep_a_stream_alive(lab, make_tape):
    """With an event in time neither deadline fires."""
    # Longer than either in all, and with room for what a busy machine adds to each pause.
    upstream = await lab.serve([HEAD, *([chunk(b"x"), 0.05] * 14), LAST])
    exchange = await lab.open(upstream, first_byte_ms=600, idle_ms=600)
    tape = make_tape(exchange, touches=True)
    exchange.attach(tape)
    assert await tape.end() is None
    assert tape.data == b"x" * 14


async def test_a_stream_has_a_total(lab, then, make_tape):
    """However lively, it ends."""
    upstream = await lab.serve([HEAD, *([chunk(b"x"), 0.03] * 20), then.HANG])
    exchange = await lab.open(upstream, idle_ms=100, total_ms=150)
    tape = make_tape(exchange, touches=True)
    exchange.attach(tape)
    error = await tape.end()
    assert isinstance(error, TimedOut)
    assert error.phase == "total"


async def test_a_head_without_a_consumer_times_out(lab, then, make_tape):
    """Nothing is in flight without a deadline, also before attach."""
    upstream = await lab.serve([HEAD, then.HANG])
    exchange = await lab.open(upstream, first_byte_ms=60)
    await asyncio.sleep(0.05)
    tape = make_tape()
    exchange.attach(tape)
    assert isinstance(await tape.end(), TimedOut)


async def test_a_paused_stream_is_not_read(lab, then, make_tape, wait_until, settle):
    """The server is slowed down by its own socket, and everything comes after resume."""
    data = b"x" * 65_536
    upstream = await lab.serve([HEAD, *([chunk(data)] * 200), LAST])
    exchange = await lab.open(upstream)
    tape = make_tape()
    exchange.attach(tape)
    exchange.pause()
    await settle()
    seen = len(tape.data)
    await settle()
    assert len(tape.data) == seen < 100 * len(data)
    exchange.resume()
    assert await tape.end() is None
    assert len(tape.data) == 200 * len(data)
    assert lab.counts(upstream) == (0, 1)


async def test_the_idle_deadline_rests_while_paused(lab, then, make_tape):
    """A slow client is not a slow upstream."""
    upstream = await lab.serve([HEAD, chunk(b"x"), then.HANG])
    exchange = await lab.open(upstream, idle_ms=60)
    tape = make_tape()
    exchange.attach(tape)
    exchange.touch()
    exchange.pause()
    for _ in range(5):
        await asyncio.sleep(0.04)
    assert tape.ends == []
    exchange.resume()
    error = await tape.end()
    assert isinstance(error, TimedOut)
    assert error.phase == "idle"


async def test_the_total_deadline_runs_while_paused(lab, then, make_tape):
    """A client cannot hold a connection for ever."""
    upstream = await lab.serve([HEAD, chunk(b"x"), then.HANG])
    exchange = await lab.open(upstream, total_ms=80)
    tape = make_tape()
    exchange.attach(tape)
    exchange.pause()
    error = await tape.end()
    assert isinstance(error, TimedOut)
    assert error.phase == "total"


async def test_a_connection_paused_at_the_end_serves_on(lab, make_tape):
    """Pausing leaves no trace on the pooled connection."""
    upstream = await lab.serve([HEAD + chunk(b"x") + LAST])
    for _ in range(3):
        exchange = await lab.open(upstream)
        tape = make_tape()
        exchange.attach(tape)
        exchange.pause()
        exchange.resume()
        assert await tape.end() is None
    assert upstream.connections == 1


async def test_an_unwanted_body_does_not_pile_up(lab, then, make_tape, wait_until, settle):
    """Before attach only so much is kept; then the socket waits, and nothing is lost."""
    data = b"x" * 65_536
    upstream = await lab.serve([HEAD, *([chunk(data)] * 200), LAST])
    exchange = await lab.open(upstream)
    await settle()
    assert sum(map(len, exchange._parts)) < 2 * 1024 * 1024
    tape = make_tape()
    exchange.attach(tape)
    assert await tape.end() is None
    assert len(tape.data) == 200 * len(data)


async def test_release_waits_for_the_end(lab, make_tape, wait_until):
    """After its last event a stream needs a moment for its last chunk; then its connection is good."""
    gate = asyncio.Event()
    upstream = await lab.serve([HEAD, chunk(b"data: [DONE]\n\n"), gate, LAST])
    exchange = await lab.open(upstream)
    tape = make_tape()
    exchange.attach(tape)
    await wait_until(lambda: bool(tape.pieces))
    exchange.release()
    assert lab.counts(upstream) == (1, 0)
    gate.set()
    await wait_until(lambda: lab.counts(upstream) == (0, 1))
    assert tape.ends == []


async def test_release_of_an_ended_exchange_changes_nothing(lab):
    """It may be said twice."""
    upstream = await lab.serve([HEAD + chunk(b"x") + LAST])
    exchange = await lab.open(upstream)
    await exchange.read(10)
    exchange.release()
    exchange.release()
    exchange.abort()
    assert lab.counts(upstream) == (0, 1)


async def test_release_before_a_consumer_frees_the_connection(lab, wait_until):
    """A caller that wants only the head needs no sink."""
    gate = asyncio.Event()
    upstream = await lab.serve([HEAD, chunk(b"x"), gate, LAST])
    exchange = await lab.open(upstream)
    exchange.release()
    gate.set()
    await wait_until(lambda: lab.counts(upstream) == (0, 1))


async def test_release_does_not_read_for_ever(lab, then, wait_until):
    """More than 64 KiB of unwanted body closes the connection."""
    gate = asyncio.Event()
    upstream = await lab.serve([HEAD, gate, *([chunk(b"x" * 16_384)] * 5), then.HANG])
    exchange = await lab.open(upstream)
    exchange.release()
    gate.set()
    await wait_until(lambda: upstream.open == 0)
    assert lab.counts(upstream) == (0, 0)


async def test_release_does_not_wait_for_ever(lab, then, wait_until):
    """A second after its release the connection is closed."""
    upstream = await lab.serve([HEAD, then.HANG])
    exchange = await lab.open(upstream)
    exchange.release()
    exchange.due_ns -= 960_000_000
    await wait_until(lambda: upstream.open == 0)
    assert lab.counts(upstream) == (0, 0)


async def test_abort_closes_at_once_and_tells_nobody(lab, then, make_tape, wait_until):
    """The caller knows that it aborted."""
    upstream = await lab.serve([HEAD, chunk(b"x"), then.HANG])
    exchange = await lab.open(upstream)
    tape = make_tape()
    exchange.attach(tape)
    exchange.abort()
    assert lab.counts(upstream) == (0, 0)
    await wait_until(lambda: upstream.open == 0)
    assert tape.ends == []


@pytest.mark.parametrize("verb", ["abort", "release"])
async def test_a_sink_may_stop_within_a_piece(lab, make_tape, wait_until, verb):
    """Whatever the sink does, nothing more is delivered."""
    upstream = await lab.serve([HEAD + chunk(b"x"), chunk(b"y"), LAST])
    exchange = await lab.open(upstream)
    tape = make_tape()

    def piece(data: bytes) -> None:
        tape.pieces.append(data)
        getattr(exchange, verb)()

    tape.piece = piece
    exchange.attach(tape)
    await wait_until(lambda: lab.counts(upstream)[0] == 0)
    await asyncio.sleep(0.01)
    assert (len(tape.pieces), tape.ends) == (1, [])
