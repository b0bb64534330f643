"""Compressed bodies of exchanges: decoded as they come, bounded, and never half."""

import asyncio
import gzip
import resource
import zlib

import pytest

from providers.errors import InvalidAnswer, Truncated

GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize("field", [b"gzip", b"x-gzip", b"GZIP", b"deflate"])
@pytest.mark.parametrize("size", [0, 20, 300_000])
async def test_a_compressed_body_is_decoded(lab, field, size):
    """gzip and deflate are undone, in pieces of at most 64 KiB."""
    data = bytes(index * index % 251 for index in range(size))
    packed = zlib.compress(data) if field == b"deflate" else gzip.compress(data)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: " + field + b"\r\nContent-Length: %d\r\n\r\n" % len(packed)
    upstream = await lab.serve([head + packed])
    assert (await lab.fetch(upstream))[1] == data
    tape = await lab.stream(upstream)
    assert (tape.data, tape.ends) == (data, [None])
    assert max(map(len, tape.pieces), default=0) <= 65_536


async def test_a_compressed_stream_is_decoded_as_it_comes(lab, then, make_tape, wait_until):
    """An event is delivered when it was flushed, not when the stream ends."""
    engine = zlib.compressobj(wbits=31)
    first = engine.compress(b"data: 1\n\n") + engine.flush(zlib.Z_SYNC_FLUSH)
    gate = asyncio.Event()
    upstream = await lab.serve([GZIP, chunk(first), gate, chunk(engine.flush()), LAST])
    exchange = await lab.open(upstream)
    tape = make_tape()
    exchange.attach(tape)
    await wait_until(lambda: tape.data == b"data: 1\n\n")
    gate.set()
    assert await tape.end() is None


def bomb(size: int) -> bytes:
    """Gzip that becomes ``size`` zero bytes."""
    engine = zlib.compressobj(9, wbits=31)
    return b"".join(engine.compress(bytes(1 << 20)) for _ in range(size >> 20)) + engine.flush()


async def test_a_bomb_meets_the_limit_of_a_fetch(lab):
    """32 KB that would be 32 MiB stop at the limit, in little memory."""
    upstream = await lab.serve([GZIP + chunk(bomb(32 << 20)) + LAST])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InvalidAnswer, match="larger than"):
        await lab.fetch(upstream, limit_bytes=4 << 20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10
    assert lab.counts(upstream) == (0, 0)


async def test_a_bomb_meets_the_cap_of_a_sink(lab, make_tape):
    """A stream may not become larger than its cap, and comes in slices until then."""
    upstream = await lab.serve([GZIP + chunk(bomb(8 << 20)) + LAST])
    exchange = await lab.open(upstream)
    tape = make_tape()
    exchange.attach(tape, max_decoded_bytes=1 << 20)
    assert isinstance(await tape.end(), InvalidAnswer)
    assert len(tape.data) <= 1 << 20
    assert max(map(len, tape.pieces)) <= 65_536


async def test_a_paused_sink_gets_no_more_slices(lab, make_tape):
    """Back-pressure holds inside one read as well: decoding itself waits."""
    upstream = await lab.serve([GZIP + chunk(bomb(1 << 20)) + LAST])
    exchange = await lab.open(upstream)
    tape = make_tape()

    def piece(data: bytes) -> None:
        tape.pieces.append(data)
        exchange.pause()

    tape.piece = piece
    exchange.attach(tape)
    resumes = 0
    while not tape.ends:
        await asyncio.sleep(0)
        seen = len(tape.pieces)
        exchange.resume()
        assert len(tape.pieces) <= seen + 1
        resumes += 1
        assert resumes < 1000
    assert tape.ends == [None]
    assert len(tape.data) == 1 << 20


BROKEN = {
    "not gzip": (b"not gzip at all", InvalidAnswer),
    "a bad checksum": (gzip.compress(b"hello")[:-8] + b"\0" * 8, InvalidAnswer),
    "a tail": (gzip.compress(b"hello") + b"tail", InvalidAnswer),
    "cut short": (gzip.compress(b"hello" * 100)[:-5], Truncated),
}


@pytest.mark.parametrize(("packed", "kind"), BROKEN.values(), ids=BROKEN)
async def test_broken_compression_is_told(lab, packed, kind):
    """Neither a fetch nor a sink takes half of a compressed body for the whole."""
    upstream = await lab.serve([GZIP + chunk(packed) + LAST])
    with pytest.raises(kind):
        await lab.fetch(upstream)
    tape = await lab.stream(upstream)
    assert isinstance(tape.ends[0], kind)
