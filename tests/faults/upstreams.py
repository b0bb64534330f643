"""The providers behind the gateway: one that behaves and counts, one that misbehaves by script, and a sink."""

import asyncio
import contextlib
import json
import re
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from faults.cases import CASES_FILE, TOOL_FILE
from faults.wire import exchange

PROVIDER_KEY = "sk-upstream-canary-4Qm8vXz2LpW7"
USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Asked(msgspec.Struct, frozen=True):
    """One request as the provider got it."""

    head: str
    body: bytes


class Peer(msgspec.Struct, frozen=True):
    """A connection to the provider."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Write, and wait while the gateway does not read."""
        self.writer.write(data)
        await self.writer.drain()

    async def is_left(self, within_s: float) -> bool:
        """Whether the gateway closes the connection in time."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(within_s):
                await self.reader.read()
        return self.reader.at_eof() or self.reader.exception() is not None


Behaviour = Callable[[Asked, Peer], Awaitable[None]]


class GoodProvider:
    """Answers every call properly and remembers it by the case in its path; a case may have a behaviour instead."""

    def __init__(self) -> None:
        self.asked: defaultdict[str, list[Asked]] = defaultdict(list)
        self.behaviours: dict[str, Behaviour] = {}
        self.port = 0
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        peer = Peer(reader, writer)
        try:
            while True:
                asked = await read_asked(reader)
                found = re.search(r" /g/([\w-]+)/", asked.head)
                name = found[1] if found else ""
                self.asked[name].append(asked)
                await self.behaviours.get(name, answer_well)(asked, peer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._serving.discard(task)
            writer.close()

    async def close(self) -> None:
        """End every connection."""
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


async def read_asked(reader: asyncio.StreamReader) -> Asked:
    """Read one request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"(?i)\r\ncontent-length: *(\d+)", head)
    return Asked(head, await reader.readexactly(int(length[1]) if length else 0))


async def answer_well(asked: Asked, peer: Peer) -> None:
    """A chat, a stream of one, or embeddings."""
    body = json.loads(asked.body)
    if "/embeddings" in asked.head.partition("\r\n")[0]:
        data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        await peer.send(whole({"object": "list", "data": data, "model": "e", "usage": usage}))
    elif body.get("stream"):
        events = [event({"content": "Hello"}), event({}, "stop"), usage_event(), b"data: [DONE]\n\n"]
        await peer.send(STREAM_HEAD + b"".join(map(framed, events)) + b"0\r\n\r\n")
    else:
        await peer.send(whole(completion()))


def completion() -> dict[str, Any]:
    """A chat completion."""
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": USAGE,
    }


def whole(value: Any) -> bytes:
    """An HTTP answer with a JSON body."""
    body = json.dumps(value).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """One chunk of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: %s\n\n" % json.dumps(chunk).encode()


def usage_event() -> bytes:
    """The chunk that reports the usage."""
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": USAGE}
    return b"data: %s\n\n" % json.dumps(chunk).encode()


def framed(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


@asynccontextmanager
async def good_provider() -> AsyncIterator[GoodProvider]:
    """Listen."""
    provider = GoodProvider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0, backlog=4096, limit=16 << 20)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
        await provider.close()


class Sink:
    """A port where nobody should ever call."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    async def serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Count a caller."""
        self.connections += 1
        writer.close()


@asynccontextmanager
async def sink() -> AsyncIterator[Sink]:
    """Listen."""
    trap = Sink()
    server = await asyncio.start_server(trap.serve, "127.0.0.1", 0)
    trap.port = server.sockets[0].getsockname()[1]
    try:
        yield trap
    finally:
        server.close()


@asynccontextmanager
async def fault_upstream() -> AsyncIterator[int]:
    """The scripted provider in a process of its own; gives its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(TOOL_FILE), str(CASES_FILE), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int((await process.stdout.readline()).split()[1])
    finally:
        process.terminate()
        await process.wait()


async def fault_stats(port: int) -> dict[str, dict[str, int]]:
    """How often each case was called, and how many of its connections are open."""
    reply = await exchange(port, b"GET /_faults/stats HTTP/1.1\r\n\r\n")
    stats: dict[str, dict[str, int]] = reply.json()
    return stats
