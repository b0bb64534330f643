"""Streams through the whole gateway: what passes, when it passes, and what happens when either side breaks off."""

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import (
    STREAM_HEAD,
    Answer,
    Request,
    Running,
    Upstream,
    framed,
    json_reply,
    openai_config,
    running,
    upstream,
)

HELLO = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hello!"}], "stream": True}
COUNTS = {"prompt_tokens": 15, "completion_tokens": 10, "total_tokens": 25}
DONE = b"data: [DONE]\n\n"
END_OF_BODY = b"0\r\n\r\n"
BIG_BYTES = 20_000_000


def event(delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0) -> bytes:
    """One chunk of a stream as OpenAI sends it."""
    choice = {"index": index, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1234567890, "model": "gpt-4-0613"}
    return b"data: " + json.dumps(head | {"choices": [choice]}).encode() + b"\n\n"


HEL, LO, STOP = event({"role": "assistant", "content": "Hel"}), event({"content": "lo"}), event(finish="stop")
USAGE = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[],"usage":%b}\n\n' % (
    json.dumps(COUNTS).encode()
)


def streaming(*events: bytes) -> Answer:
    """Answer with a whole stream."""

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(framed(part) for part in events) + END_OF_BODY)

    return answer


GOOD = streaming(HEL, LO, STOP, USAGE, DONE)


def dying(*events: bytes) -> Answer:
    """Send a part of a stream, then close the connection."""

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(framed(part) for part in events))
        await writer.drain()
        writer.close()

    return answer


def one_after_another(*answers: Answer) -> Answer:
    """Answer each request in its own way, the last way for all that follow."""
    waiting = list(answers)

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request, writer)

    return answer


def events_of(body: bytes) -> list[Any]:
    """The data of a stream's events, decoded; [DONE] as it stands."""
    datas = [block.removeprefix(b"data: ") for block in body.removesuffix(b"\n\n").split(b"\n\n")]
    return ["[DONE]" if data == b"[DONE]" else json.loads(data) for data in datas]


async def until(condition: Callable[[], bool], within_s: float = 1.0) -> None:
    """Wait for something that another task does."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


async def stream_whole(gateway: Running, **more: Any) -> httpx.Response:
    """Make the call and read the whole answer."""
    async with gateway.client() as client:
        return await client.post("/v1/chat/completions", json=HELLO | more)


async def test_the_first_chunk_arrives_before_the_provider_has_finished(tmp_path: Path) -> None:
    """Nothing is gathered: the client's first byte makes the provider go on."""
    go_on = asyncio.Event()

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(HEL))
        await go_on.wait()
        writer.write(framed(STOP) + framed(DONE) + END_OF_BODY)

    async with upstream(answer) as provider, running(tmp_path, openai_config(provider)) as gateway:
        async with gateway.client() as client, client.stream("POST", "/v1/chat/completions", json=HELLO) as response:
            parts = response.aiter_raw()
            first = await anext(parts)
            go_on.set()
            rest = b"".join([part async for part in parts])
    assert (first, events_of(rest)[-1]) == (HEL, "[DONE]")


async def test_chunks_pass_byte_for_byte(tmp_path: Path) -> None:
    """Order of members, spaces, escapes and unknown members are the provider's; only the last chunk has more."""
    odd = b'data: {"choices" : [ {"delta":{"content":"\\u00fc\xc3\xbc\\/"},"index":0,"x":1.50} ],"obfuscation":"aZ"}\n\n'
    async with upstream(streaming(HEL, odd, LO, STOP, USAGE, DONE)) as provider:
        async with running(tmp_path, openai_config(provider)) as gateway:
            body = (await stream_whole(gateway)).content
    passed = HEL + odd + LO + STOP.removesuffix(b"}\n\n")
    assert body.startswith(passed + b',"x-WatchLLM-cached":false,')
    assert body.endswith(DONE)


@pytest.mark.parametrize("is_asked", [True, False])
async def test_a_usage_chunk_passes_only_to_who_asked(tmp_path: Path, is_asked: bool) -> None:
    """The gateway asks in any case; its empty choices would break ``chunk.choices[0]``."""
    options = {"stream_options": {"include_usage": True}} if is_asked else {}
    async with upstream(GOOD) as provider, running(tmp_path, openai_config(provider)) as gateway:
        body = (await stream_whole(gateway, **options)).content
    assert provider.requests[0].json()["stream_options"] == {"include_usage": True}
    assert (USAGE in body) is is_asked
    assert [bool(chunk["choices"]) for chunk in events_of(body)[:-1]] == [True] * 3 + [False] * is_asked
    assert [(row.total_tokens, row.is_estimated, row.status) for row in gateway.rows] == [(25, False, "complete")]


async def test_the_settled_figures_ride_in_the_chunk_with_the_finish(tmp_path: Path) -> None:
    """Cost as in the ledger, exact, in both spellings."""
    async with upstream(GOOD) as provider, running(tmp_path, openai_config(provider)) as gateway:
        chunks = events_of((await stream_whole(gateway)).content)
    assert chunks[2]["choices"][0]["finish_reason"] == "stop"
    # 15 tokens at 30 USD and 10 at 60 USD a million.
    assert chunks[2]["x-WatchLLM-cost-usd"] == chunks[2]["x_WatchLLM_cost_usd"] == "0.00105"
    assert gateway.rows[0].cost_pusd == 1_050_000_000


async def test_of_several_choices_every_chunk_passes(tmp_path: Path) -> None:
    """With n above 1 chunks are interleaved; the last finish carries the figures."""
    parts = [event({"content": text}, index=index) for text, index in (("a", 0), ("b", 1), ("c", 0))]
    ends = [event(finish="stop", index=0), event({"content": "d"}, index=1), event(finish="length", index=1)]
    async with upstream(streaming(*parts, *ends, USAGE, DONE)) as provider:
        async with running(tmp_path, openai_config(provider)) as gateway:
            body = (await stream_whole(gateway, n=2)).content
    assert body.startswith(b"".join(parts + ends[:2]))
    assert ["x-WatchLLM-cost-usd" in chunk for chunk in events_of(body)[:-1]] == [False] * 5 + [True]


@pytest.mark.parametrize("ending", ["closed", "ended"])
async def test_a_truncated_stream_ends_with_an_error(tmp_path: Path, ending: str) -> None:
    """Whether the connection breaks or the body ends cleanly: without its end the answer is not one."""
    answer = dying(HEL, LO) if ending == "closed" else streaming(HEL, LO)
    async with upstream(answer) as provider, running(tmp_path, openai_config(provider)) as gateway:
        body = (await stream_whole(gateway)).content
    assert body.startswith(HEL + LO)
    last = events_of(body)[-1]
    assert (last["error"]["code"], last["error"]["type"]) == ("upstream_truncated", "provider_error")
    assert [(row.status, row.error_code) for row in gateway.rows] == [("incomplete", "upstream_truncated")]
    assert gateway.rows[0].is_estimated
    assert gateway.rows[0].cost_pusd > 0


async def test_a_silent_stream_ends_with_an_error(tmp_path: Path) -> None:
    """Comments are no progress: the idle time counts events."""

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(HEL))
        while True:
            writer.write(framed(b": still here\n\n"))
            await asyncio.sleep(0.02)

    config = "[timeouts]\nidle_ms = 200\n"
    async with upstream(answer) as provider, running(tmp_path, openai_config(provider, config)) as gateway:
        body = (await stream_whole(gateway)).content
        await until(lambda: provider.open == 0)
    assert body.startswith(HEL + b'data: {"error":')
    assert [(row.status, row.error_code) for row in gateway.rows] == [("incomplete", "upstream_timeout")]


def endless(word: bytes = b"") -> Answer:
    """A stream of 60 words, and then silence."""

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(framed(event({"content": f" word{word.decode()}"})) for _ in range(60)))
        await asyncio.sleep(30)

    return answer


async def leave_after(gateway: Running, words: int) -> None:
    """Read so many chunks of a stream, then close the connection."""
    async with gateway.client() as client, client.stream("POST", "/v1/chat/completions", json=HELLO) as response:
        heard = b""
        async for part in response.aiter_raw():
            heard += part
            if heard.count(b" word") >= words:
                break


async def test_a_client_that_leaves_ends_the_providers_work(tmp_path: Path) -> None:
    """Where closing stops the billing the connection is closed within a second; what was produced is charged once."""
    async with upstream(endless()) as provider, running(tmp_path, openai_config(provider)) as gateway:
        await leave_after(gateway, 60)
        await until(lambda: provider.open == 0, within_s=1.0)
        await until(lambda: bool(gateway.rows))
    assert [(row.status, row.http_status, row.is_estimated) for row in gateway.rows] == [("cancelled", 499, True)]
    assert gateway.rows[0].output_tokens >= 60
    assert gateway.rows[0].cost_pusd > 60 * 60_000_000


async def test_a_client_that_leaves_before_the_answer_ends_it_too(tmp_path: Path) -> None:
    """The provider that has not answered yet is told as well, and the prompt is charged."""

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with upstream(answer) as provider, running(tmp_path, openai_config(provider)) as gateway:
        async with gateway.client() as client:
            call = asyncio.ensure_future(client.post("/v1/chat/completions", json=HELLO))
            await until(lambda: bool(provider.requests))
            call.cancel()
            await asyncio.wait({call})
        await until(lambda: provider.open == 0, within_s=1.0)
        await until(lambda: bool(gateway.rows))
    assert [(row.status, row.http_status, row.is_estimated) for row in gateway.rows] == [("cancelled", 499, True)]
    assert gateway.rows[0].input_tokens > 0


async def test_a_left_stream_is_read_to_its_end_where_closing_saves_nothing(tmp_path: Path) -> None:
    """The provider bills on, so its own figures are worth more than an estimate."""
    go_on = asyncio.Event()

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(event({"content": " word"})))
        await go_on.wait()
        writer.write(framed(STOP) + framed(USAGE) + framed(DONE) + END_OF_BODY)

    config = "cancel_stops_billing = false\n"
    async with upstream(answer) as provider, running(tmp_path, openai_config(provider, config)) as gateway:
        await leave_after(gateway, 1)
        # The gateway has seen the client leave; the provider's connection is still there.
        await asyncio.sleep(0.05)
        assert provider.open == 1
        go_on.set()
        await until(lambda: bool(gateway.rows))
    assert [(row.status, row.total_tokens, row.is_estimated) for row in gateway.rows] == [("cancelled", 25, False)]


FAILURES: dict[str, Answer] = {
    "status": streaming(),
    "no event": streaming(),
    "closed": dying(),
    "not a stream": streaming(b"<html>busy</html>"),
}


async def overloaded(_: Request, writer: asyncio.StreamWriter) -> None:
    """Answer 500."""
    writer.write(json_reply({"error": {"message": "busy", "type": "server_error", "code": None}}, 500))


FAILURES["status"] = overloaded
QUICK = "[retries]\nbase_backoff_ms = 1\n"


@pytest.mark.parametrize("failure", FAILURES)
async def test_before_the_first_byte_a_failure_is_tried_again(tmp_path: Path, failure: str) -> None:
    """The client sees one clean stream."""
    answer = one_after_another(FAILURES[failure], GOOD)
    async with upstream(answer) as provider, running(tmp_path, openai_config(provider, QUICK)) as gateway:
        response = await stream_whole(gateway)
    assert (response.status_code, len(events_of(response.content))) == (200, 4)
    assert response.content.startswith(HEL + LO)
    assert [(row.status, row.attempts, row.total_tokens) for row in gateway.rows] == [("complete", 2, 25)]


async def test_after_the_first_byte_nothing_is_tried_again(tmp_path: Path) -> None:
    """A second try would say the beginning twice."""
    answer = one_after_another(dying(HEL), GOOD)
    async with upstream(answer) as provider, running(tmp_path, openai_config(provider, QUICK)) as gateway:
        body = (await stream_whole(gateway)).content
    assert len(provider.requests) == 1
    assert body.count(b'"Hel"') == 1


async def vanish(_: Request, writer: asyncio.StreamWriter) -> None:
    """Close the connection without an answer."""
    writer.close()


def two_targets(first: Upstream, second: Upstream) -> str:
    """A configuration whose gpt-4 has a second home."""
    return openai_config(
        first,
        f'[providers.other]\ndialect = "openai"\nbase_url = "{second.url}"\napi_key = "sk-other"\n'
        '[[models]]\nname = "gpt-4"\n'
        'targets = [{ provider = "openai", model = "gpt-4-turbo" }, { provider = "other", model = "o/gpt-4" }]\n',
    )


@pytest.mark.parametrize("failure", [*FAILURES, "no answer"])
async def test_the_next_target_answers_where_the_first_fails(tmp_path: Path, failure: str) -> None:
    """In order, before the first byte, each asked for its own name of the model."""
    async with upstream(FAILURES.get(failure, vanish)) as first, upstream(GOOD) as second:
        async with running(tmp_path, two_targets(first, second)) as gateway:
            response = await stream_whole(gateway)
    assert response.content.startswith(HEL + LO + STOP[:-3])
    assert [request.json()["model"] for request in first.requests + second.requests] == ["gpt-4-turbo", "o/gpt-4"]
    assert (response.headers["x-watchllm-provider"], response.headers["x-watchllm-model"]) == ("other", "o/gpt-4")
    assert [(row.provider, row.upstream_model, row.model, row.attempts) for row in gateway.rows] == [
        ("other", "o/gpt-4", "gpt-4", 2)
    ]


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


async def test_a_client_that_stops_reading_stops_the_provider(tmp_path: Path) -> None:
    """20 MB wait at the provider, not in the gateway, and all of it arrives once the client reads on."""
    part = framed(event({"content": "x" * 4_000}))
    count = BIG_BYTES // len(part)
    sent = [0]

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for _ in range(count):
            writer.write(part)
            await writer.drain()
            sent[0] += 1
        writer.write(framed(STOP) + framed(USAGE) + framed(DONE) + END_OF_BODY)

    async with upstream(answer) as provider, running(tmp_path, openai_config(provider)) as gateway:
        before = resident_bytes()
        reader, writer = await connect(gateway)
        body = json.dumps(HELLO).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.live_key}\r\n"
        writer.write(f"{head}connection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        stalled_at = await wait_for_stall(sent)
        grown = resident_bytes() - before
        heard = await reader.read(-1)
        writer.close()
    assert stalled_at < count * 0.6
    assert grown < 12_000_000
    assert heard.count(b'"content": "xxxx') == count
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
