"""Streams for tests: their events, providers that send them well or badly, and a client that reads them whole."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
from running import STREAM_HEAD, Answer, Request, Running, framed, json_reply
from waiting_clock import waiting_clock

HELLO = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hello!"}], "stream": True}
COUNTS = {"prompt_tokens": 15, "completion_tokens": 10, "total_tokens": 25}
DONE = b"data: [DONE]\n\n"
END_OF_BODY = b"0\r\n\r\n"


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


async def overloaded(_: Request, writer: asyncio.StreamWriter) -> None:
    """Answer 500."""
    writer.write(json_reply({"error": {"message": "busy", "type": "server_error", "code": None}}, 500))


async def vanish(_: Request, writer: asyncio.StreamWriter) -> None:
    """Close the connection without an answer."""
    writer.close()


async def ponder(_: Request, writer: asyncio.StreamWriter) -> None:
    """Answer nothing for a long time."""
    await asyncio.sleep(30)


def events_of(body: bytes) -> list[Any]:
    """The data of a stream's events, decoded; [DONE] as it stands."""
    datas = [block.removeprefix(b"data: ") for block in body.removesuffix(b"\n\n").split(b"\n\n")]
    return ["[DONE]" if data == b"[DONE]" else json.loads(data) for data in datas]


async def until(condition: Callable[[], bool], within_s: float = 1.0) -> None:
    """Wait for something that another task does; raises TimeoutError where it waited longer."""
    async with waiting_clock() as clock:
        while not condition():
            if clock.seconds > within_s:
                raise TimeoutError
            await asyncio.sleep(0.005)


async def stream_whole(gateway: Running, **more: Any) -> httpx.Response:
    """Make the call and read the whole answer."""
    async with gateway.client() as client:
        return await client.post("/v1/chat/completions", json=HELLO | more)
