"""Streams through the whole gateway: what passes, when it passes, and how much of it is held."""

import asyncio
import gzip
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from running import STREAM_HEAD, Answer, Request, Running, Upstream, framed, openai_config, running, upstream
from streaming import (
    COUNTS,
    DONE,
    END_OF_BODY,
    GOOD,
    HEL,
    HELLO,
    LO,
    STOP,
    USAGE,
    event,
    events_of,
    stream_whole,
    streaming,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
# More than the kernel and the gateway may hold of a stream on its way.
MANY_PARTS = 40_000


@pytest.fixture(scope="module")
def answer() -> Answer:
    """What the provider does at the beginning of each test."""
    return GOOD


async def test_the_first_chunk_arrives_before_the_provider_has_finished(gateway: Running, provider: Upstream) -> None:
    """Nothing is gathered: the client's first byte makes the provider go on."""
    go_on = asyncio.Event()

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(HEL))
        await go_on.wait()
        writer.write(framed(STOP) + framed(DONE) + END_OF_BODY)

    provider.answer = answer
    async with gateway.client() as client, client.stream("POST", "/v1/chat/completions", json=HELLO) as response:
        parts = response.aiter_raw()
        first = await anext(parts)
        go_on.set()
        rest = b"".join([part async for part in parts])
    assert (first, events_of(rest)[-1]) == (HEL, "[DONE]")


async def test_chunks_pass_byte_for_byte(gateway: Running, provider: Upstream) -> None:
    """Order of members, spaces, escapes and unknown members are the provider's; only the last chunk has more."""
    odd = (
        b'data: {"choices" : [ {"delta":{"content":"\\u00fc\xc3\xbc\\/"},"index":0,"x":1.50} ],"obfuscation":"aZ"}\n\n'
    )
    provider.answer = streaming(HEL, odd, LO, STOP, USAGE, DONE)
    body = (await stream_whole(gateway)).content
    passed = HEL + odd + LO + STOP.removesuffix(b"}\n\n")
    assert body.startswith(passed + b',"x-WatchLLM-cached":false,')
    assert body.endswith(DONE)


@pytest.mark.parametrize("is_asked", [True, False])
async def test_a_usage_chunk_passes_only_to_who_asked(gateway: Running, provider: Upstream, is_asked: bool) -> None:
    """The gateway asks in any case; its empty choices would break ``chunk.choices[0]``."""
    options = {"stream_options": {"include_usage": True}} if is_asked else {}
    body = (await stream_whole(gateway, **options)).content
    assert provider.requests[0].json()["stream_options"] == {"include_usage": True}
    assert (USAGE in body) is is_asked
    assert [bool(chunk["choices"]) for chunk in events_of(body)[:-1]] == [True] * 3 + [False] * is_asked
    assert [(row.total_tokens, row.is_estimated, row.status) for row in gateway.rows] == [(25, False, "complete")]


async def test_the_settled_figures_ride_in_the_chunk_with_the_finish(gateway: Running) -> None:
    """Cost as in the ledger, exact, in both spellings."""
    chunks = events_of((await stream_whole(gateway)).content)
    assert chunks[2]["choices"][0]["finish_reason"] == "stop"
    # 15 tokens at 30 USD and 10 at 60 USD a million.
    assert chunks[2]["x-WatchLLM-cost-usd"] == chunks[2]["x_WatchLLM_cost_usd"] == "0.00105"
    assert gateway.rows[0].cost_pusd == 1_050_000_000


async def test_figures_arrive_though_more_follows_the_finish(gateway: Running, provider: Upstream) -> None:
    """OpenRouter sends its usage in a chunk with an empty choice, after the finish."""
    late = event({"role": "assistant", "content": ""}).removesuffix(b"}\n\n") + b', "usage": %b}\n\n' % (
        json.dumps(COUNTS).encode()
    )
    provider.answer = streaming(HEL, STOP, late, DONE)
    chunks = events_of((await stream_whole(gateway)).content)
    assert [chunk["x-WatchLLM-cost-usd"] for chunk in chunks[:-1] if "x-WatchLLM-cost-usd" in chunk] == ["0.00105"]


async def test_the_row_is_kept_before_the_client_sees_the_end(gateway: Running) -> None:
    """Whoever has [DONE] has a row."""
    kept: list[int] = []
    async with gateway.client() as client, client.stream("POST", "/v1/chat/completions", json=HELLO) as response:
        async for part in response.aiter_raw():
            if part.endswith(DONE):
                kept.append(len(gateway.rows))
    assert kept == [1]


async def test_a_compressed_stream_is_read(gateway: Running, provider: Upstream) -> None:
    """A provider may compress though it was asked not to."""
    packed = gzip.compress(HEL + LO + STOP + USAGE + DONE)
    head = STREAM_HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head + b"".join(framed(packed[at : at + 9]) for at in range(0, len(packed), 9)) + END_OF_BODY)

    provider.answer = answer
    response = await stream_whole(gateway)
    assert "content-encoding" not in response.headers
    assert response.content.startswith(HEL + LO)
    assert [(row.status, row.total_tokens) for row in gateway.rows] == [("complete", 25)]


async def test_of_several_choices_every_chunk_passes(gateway: Running, provider: Upstream) -> None:
    """With n above 1 chunks are interleaved; the last finish carries the figures."""
    parts = [event({"content": text}, index=index) for text, index in (("a", 0), ("b", 1), ("c", 0))]
    ends = [event(finish="stop", index=0), event({"content": "d"}, index=1), event(finish="length", index=1)]
    provider.answer = streaming(*parts, *ends, USAGE, DONE)
    body = (await stream_whole(gateway, n=2)).content
    assert body.startswith(b"".join(parts + ends[:2]))
    assert ["x-WatchLLM-cost-usd" in chunk for chunk in events_of(body)[:-1]] == [False] * 5 + [True]


async def test_connections_are_used_again_after_a_stream(tmp_path: Path) -> None:
    """Towards the client and towards the provider."""
    peers: set[Any] = set()

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        await GOOD(request, writer)

    addresses: set[Any] = set()
    async with upstream(answer) as provider, running(tmp_path, openai_config(provider)) as gateway:
        async with gateway.client() as client:
            for _ in range(3):
                async with client.stream("POST", "/v1/chat/completions", json=HELLO) as response:
                    addresses.add(response.extensions["network_stream"].get_extra_info("client_addr"))
                    assert (await response.aread()).endswith(DONE)
    assert (len(peers), len(addresses), len(gateway.rows)) == (1, 1, 3)


def resident_bytes() -> int:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096


async def test_a_long_stream_is_not_kept(gateway: Running, provider: Upstream) -> None:
    """What has passed is gone: the text for an estimate is bounded too."""
    part = framed(event({"content": "x" * 16_000}) * 4)

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for _number in range(1_000):
            writer.write(part)
            await writer.drain()
        writer.write(framed(STOP) + framed(USAGE) + framed(DONE) + END_OF_BODY)

    size = 0
    provider.answer = answer
    before = resident_bytes()
    async with gateway.client() as client, client.stream("POST", "/v1/chat/completions", json=HELLO) as response:
        async for piece in response.aiter_raw():
            size += len(piece)
    grown = resident_bytes() - before
    assert size > 64_000_000
    assert grown < 24_000_000


async def test_a_client_that_stops_reading_stops_the_provider(gateway: Running, provider: Upstream) -> None:
    """What comes waits at the provider, not in the gateway, and all of it arrives once the client reads on."""
    part = framed(event({"content": "x" * 4_000}))
    sent = [0]
    is_told_to_end = asyncio.Event()

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        while not is_told_to_end.is_set() and sent[0] < MANY_PARTS:
            writer.write(part)
            await writer.drain()
            sent[0] += 1
        writer.write(framed(STOP) + framed(USAGE) + framed(DONE) + END_OF_BODY)

    provider.answer = answer
    before = resident_bytes()
    reader, writer = await connect(gateway)
    body = json.dumps(HELLO).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.live_key}\r\n"
    writer.write(f"{head}connection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    stalled_at = await wait_for_stall(sent)
    grown = resident_bytes() - before
    is_told_to_end.set()
    heard = await reader.read(-1)
    writer.close()
    assert stalled_at < MANY_PARTS
    assert grown < 12_000_000
    assert heard.count(b'"content": "xxxx') == sent[0]
    assert heard.endswith(DONE + b"\r\n" + END_OF_BODY)
    assert [(row.status, row.total_tokens) for row in gateway.rows] == [("complete", 25)]


async def connect(gateway: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection with a small window."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", gateway.port))
    return await asyncio.open_connection(sock=connection, limit=16_384)


async def wait_for_stall(sent: list[int]) -> int:
    """Wait until a counter that has begun to grow stands still for a quarter of a second."""
    await until(lambda: sent[0] > 0)
    while True:
        seen = sent[0]
        for _ in range(5):
            await asyncio.sleep(0.05)
        if sent[0] == seen:
            return seen
