"""Streams and the cache: what is shared while it flows, what is kept of it, and who leaves when."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from running import Request, Running, chat_reply, json_reply, openai_config, running, upstream
from streaming import until

HELLO: dict[str, Any] = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hello!"}], "stream": True}
CACHED = '[cache]\nmode = "exact"\n'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """One chunk of the provider's stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4", "choices": [choice]} | more
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


END = (
    event({}, "stop")
    + event({}, choices=[], usage={"prompt_tokens": 15, "completion_tokens": 10, "total_tokens": 25})
    + b"data: [DONE]\n\n"
)
WORDS = [event({"content": text}) for text in ("Hel", "lo", " you")]


class Tap:
    """A provider that sends its stream when it is told to."""

    def __init__(self) -> None:
        self.goes_on = [asyncio.Event() for _ in range(3)]
        self.left = asyncio.Event()

    async def answer(self, _: Request, writer: asyncio.StreamWriter) -> None:
        """The head and first word, then each further part when its turn comes."""
        try:
            await self.goes_on[0].wait()
            writer.write(HEAD + WORDS[0])
            await self.goes_on[1].wait()
            writer.write(WORDS[1])
            await self.goes_on[2].wait()
            writer.write(WORDS[2] + END)
            await writer.drain()
        finally:
            self.left.set()

    def finish(self) -> None:
        """Send everything."""
        for event in self.goes_on:
            event.set()


def text_of(body: bytes) -> str:
    """What a stream says."""
    datas = [block[6:] for block in body.split(b"\n\n") if block.startswith(b"data: ") and b"[DONE]" not in block]
    chunks = [json.loads(data) for data in datas]
    return "".join(part["choices"][0]["delta"].get("content") or "" for part in chunks if part.get("choices"))


async def read(gateway: Running, asked: dict[str, Any] = HELLO, stop_after: bytes | None = None) -> tuple[Any, bytes]:
    """Make a call and read its answer, or leave once this was in it."""
    async with gateway.client() as client, client.stream("POST", "/v1/chat/completions", json=asked) as reply:
        body = b""
        async for piece in reply.aiter_raw():
            body += piece
            if stop_after is not None and stop_after in body:
                break
    return reply, body


async def test_who_asks_the_same_meanwhile_gets_the_stream_as_it_comes(tmp_path: Path) -> None:
    """One call; whoever joins late gets what was missed at once, and the end with figures of its own."""
    tap = Tap()
    async with upstream(tap.answer) as provider, running(tmp_path, openai_config(provider) + CACHED) as gateway:
        metrics = gateway.gateway.services.metrics
        leading = asyncio.ensure_future(read(gateway))
        await until(lambda: len(provider.requests) == 1)
        early = asyncio.ensure_future(read(gateway, HELLO | {"stream_options": {"include_usage": True}}))
        await until(lambda: metrics.requests_in_flight == 2)
        tap.goes_on[0].set()
        tap.goes_on[1].set()
        whole = asyncio.ensure_future(read(gateway, HELLO | {"stream": False}))
        _, part = await read(gateway, stop_after=b'"Hel"')
        assert text_of(part[: part.rindex(b"\n\n") + 2]).startswith("Hel")
        await until(lambda: metrics.requests_in_flight == 3)
        tap.finish()
        replies = [await leading, await early, await whole]
    assert len(provider.requests) == 1
    assert [reply.headers["x-watchllm-cache"] for reply, _ in replies] == ["miss", "hit-exact", "hit-exact"]
    assert text_of(replies[0][1]) == text_of(replies[1][1]) == "Hello you"
    assert json.loads(replies[2][1])["choices"][0]["message"]["content"] == "Hello you"
    assert (b'"usage"' in replies[0][1], b'"usage"' in replies[1][1]) == (False, True)
    assert b'"x-WatchLLM-cost-usd":"0"' in replies[1][1]
    assert all(body.endswith(b"data: [DONE]\n\n") for _, body in replies[:2])
    assert sorted((row.status, row.cost_pusd, row.is_cached) for row in gateway.rows) == [
        ("cancelled", 0, False),
        ("complete", 0, True),
        ("complete", 0, True),
        ("complete", 1_050_000_000, False),
    ]


async def test_a_leader_that_leaves_does_not_end_what_others_wait_for(tmp_path: Path) -> None:
    """The call goes on for those who follow, is charged to who began it, and its answer is kept."""
    tap = Tap()
    async with upstream(tap.answer) as provider, running(tmp_path, openai_config(provider) + CACHED) as gateway:
        metrics = gateway.gateway.services.metrics
        leading = asyncio.ensure_future(read(gateway, stop_after=b'"Hel"'))
        await until(lambda: len(provider.requests) == 1)
        following = asyncio.ensure_future(read(gateway))
        await until(lambda: metrics.requests_in_flight == 2)
        tap.goes_on[0].set()
        await leading
        await asyncio.sleep(0.05)
        assert not tap.left.is_set()
        tap.finish()
        reply, body = await following
        later, _ = await read(gateway)
    assert text_of(body) == "Hello you"
    assert (reply.headers["x-watchllm-cache"], later.headers["x-watchllm-cache"]) == ("hit-exact", "hit-exact")
    assert [row.cost_pusd for row in gateway.rows if not row.is_cached] == [1_050_000_000]
    assert len(provider.requests) == 1


async def test_an_answer_that_came_whole_is_theirs_who_wait_though_its_caller_left(tmp_path: Path) -> None:
    """It is charged to who asked for it, and the others need not ask anew."""
    may_end = asyncio.Event()

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        await may_end.wait()
        writer.write(json_reply(chat_reply("Hello you")))

    asked = HELLO | {"stream": False}
    async with upstream(answer) as provider, running(tmp_path, openai_config(provider) + CACHED) as gateway:
        metrics = gateway.gateway.services.metrics
        leading = asyncio.ensure_future(read(gateway, asked))
        await until(lambda: len(provider.requests) == 1)
        following = asyncio.ensure_future(read(gateway, asked))
        await until(lambda: metrics.requests_in_flight == 2)
        leading.cancel()
        await asyncio.wait([leading])
        may_end.set()
        reply, body = await following
    assert reply.headers["x-watchllm-cache"] == "hit-exact"
    assert json.loads(body)["choices"][0]["message"]["content"] == "Hello you"
    assert len(provider.requests) == 1


async def test_when_all_have_left_the_call_ends(tmp_path: Path) -> None:
    """The last to leave ends the provider's work, and what is half is not kept."""
    tap = Tap()
    async with upstream(tap.answer) as provider, running(tmp_path, openai_config(provider) + CACHED) as gateway:
        metrics = gateway.gateway.services.metrics
        leading = asyncio.ensure_future(read(gateway, stop_after=b'"Hel"'))
        await until(lambda: len(provider.requests) == 1)
        following = asyncio.ensure_future(read(gateway, stop_after=b'"lo"'))
        await until(lambda: metrics.requests_in_flight == 2)
        tap.goes_on[0].set()
        await leading
        tap.goes_on[1].set()
        await following
        await until(lambda: metrics.requests_in_flight == 0)
        assert len(gateway.gateway.services.caching.answers) == 0
        assert len(gateway.gateway.services.caching.flights) == 0
    assert [row.status for row in gateway.rows] == ["cancelled", "cancelled"]


@pytest.mark.parametrize("begins", [True, False])
async def test_what_ends_the_call_ends_those_who_follow(tmp_path: Path, begins: bool) -> None:
    """A provider that breaks off breaks off for all; each is told, and nothing is kept."""
    may_end = asyncio.Event()

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        await may_end.wait()
        writer.write(HEAD + (WORDS[0] if begins else b""))
        writer.close()

    config = "[retries]\nmax_tries = 1\n" + CACHED
    async with upstream(answer) as provider, running(tmp_path, openai_config(provider) + config) as gateway:
        metrics = gateway.gateway.services.metrics
        asking = [asyncio.ensure_future(read(gateway)) for _ in range(3)]
        await until(lambda: metrics.requests_in_flight == 3)
        may_end.set()
        replies = await asyncio.gather(*asking)
        assert len(gateway.gateway.services.caching.answers) == 0
    assert len(provider.requests) == 1
    for reply, body in replies:
        assert reply.status_code == (200 if begins else 502)
        assert b'"error"' in body
        assert b"[DONE]" not in body
    assert len(gateway.rows) == 3
    assert sum(not row.is_cached for row in gateway.rows) == 3


async def test_a_stream_that_fails_is_told_the_same_to_all(tmp_path: Path) -> None:
    """What the provider said in it is the fault of those who follow too; their rows have its code."""
    may_end = asyncio.Event()

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        await may_end.wait()
        writer.write(HEAD + WORDS[0] + b'data: {"error":{"message":"Slow down.","type":"rate_limit_error"}}\n\n')

    async with upstream(answer) as provider, running(tmp_path, openai_config(provider) + CACHED) as gateway:
        metrics = gateway.gateway.services.metrics
        asking = [asyncio.ensure_future(read(gateway)) for _ in range(2)]
        await until(lambda: metrics.requests_in_flight == 2)
        may_end.set()
        replies = await asyncio.gather(*asking)
    told = [body[body.index(b'{"error"') :].partition(b"\n")[0] for _, body in replies]
    errors = [json.loads(text)["error"] for text in told]
    assert errors[0]["code"] == errors[1]["code"] != "upstream_truncated"
    assert {row.error_code for row in gateway.rows} == {errors[0]["code"]}


async def test_a_call_that_offers_tools_is_not_shared(tmp_path: Path) -> None:
    """Its answer may call one, and what a tool does is done for one caller."""
    tap = Tap()
    asked = HELLO | {"tools": [{"type": "function", "function": {"name": "f"}}]}
    async with upstream(tap.answer) as provider, running(tmp_path, openai_config(provider) + CACHED) as gateway:
        asking = [asyncio.ensure_future(read(gateway, asked)) for _ in range(2)]
        await until(lambda: len(provider.requests) == 2)
        tap.finish()
        replies = await asyncio.gather(*asking)
        later, _ = await read(gateway, asked)
    assert [reply.headers["x-watchllm-cache"] for reply, _ in replies] == ["miss", "miss"]
    # Nothing was called, so the answer may be given again.
    assert later.headers["x-watchllm-cache"] == "hit-exact"


@pytest.mark.parametrize("opted_in", [True, False])
async def test_tool_calls_are_kept_only_where_that_is_wanted(tmp_path: Path, opted_in: bool) -> None:
    """By default a call of a tool is never given again."""
    call = {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + event(call) + event({}, "tool_calls") + b"data: [DONE]\n\n")

    config = CACHED + f"tool_calls = {str(opted_in).lower()}\n"
    async with upstream(answer) as provider, running(tmp_path, openai_config(provider) + config) as gateway:
        replies = [await read(gateway) for _ in range(2)]
    assert [reply.headers["x-watchllm-cache"] for reply, _ in replies] == ["miss", "hit-exact" if opted_in else "miss"]
    assert b'"tool_calls"' in replies[1][1]
