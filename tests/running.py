"""A real gateway on a free port in the test's own loop, and small upstreams for it to call."""

import asyncio
import contextlib
import io
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from databases import place_sqlite
from households import CHEAP

from gateway.app import Gateway, open_gateway
from gateway.config.loading import load_settings
from gateway.db import SQLITE_FILE
from gateway.ledger.row import UsageRow
from gateway.server.run import GatewayServer, listen, make_server


class Running(msgspec.Struct, kw_only=True):
    """A gateway that answers at ``url`` (with /v1), its two first keys, and its inside."""

    url: str
    port: int
    live_key: str
    test_key: str
    gateway: Gateway
    server: GatewayServer
    rows: list[UsageRow]

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        """An HTTP client with the key (the live one by default)."""
        headers = {"authorization": f"Bearer {key or self.live_key}"}
        return httpx.AsyncClient(base_url=self.url.removesuffix("/v1"), headers=headers, timeout=20, trust_env=False)


@asynccontextmanager
async def running(data_dir: Path, config: str = "", environ: Mapping[str, str] | None = None) -> AsyncIterator[Running]:
    """Start a gateway with this configuration text; every usage row is also kept in ``rows``.

    Its people's passwords cost next to nothing: what they do cost is proven where nothing else is.
    """
    path = data_dir / "watchllm.toml"
    path.write_text(config, encoding="utf-8")
    given: dict[str, object] = {"data_dir": str(data_dir / "data"), "server.port": 0}
    if "[cache]" not in config:
        # Tests repeat their requests and mean each; those of the cache say what they want of it.
        given["cache.mode"] = "off"
    settings = load_settings(path, environ or {}, given)
    if settings.database_url is None:
        place_sqlite(settings.data_dir / SQLITE_FILE)
    printed = io.StringIO()
    listener = listen(settings.server)
    port = listener.getsockname()[1]
    async with contextlib.AsyncExitStack() as stack:
        with contextlib.redirect_stdout(printed):
            gateway = await stack.enter_async_context(open_gateway(settings, CHEAP))
        rows = _watch(gateway)
        ready = asyncio.Event()
        server = make_server(
            gateway.app, gateway.door, settings.server, ready.set, lambda _: None, gateway.listeners.end
        )
        serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
        await ready.wait()
        keys = dict(line.split() for line in printed.getvalue().splitlines())
        try:
            yield Running(
                url=f"http://127.0.0.1:{port}/v1",
                port=port,
                # A second gateway on one database prints none.
                live_key=keys.get("api_key", ""),
                test_key=keys.get("test_key", ""),
                gateway=gateway,
                server=server,
                rows=rows,
            )
        finally:
            if not server.should_exit:
                server.handle_exit(signal.SIGTERM, None)
            await serving


def _watch(gateway: Gateway) -> list[UsageRow]:
    rows: list[UsageRow] = []
    recorder = gateway.services.recorder
    take, record = recorder.take, recorder.record

    def keep(row: UsageRow) -> None:
        rows.append(row)
        take(row)

    def keep_at_once(row: UsageRow) -> None:
        rows.append(row)
        record(row)

    recorder.take = keep  # type: ignore[method-assign]
    recorder.record = keep_at_once  # type: ignore[method-assign]
    return rows


class Request(msgspec.Struct, frozen=True):
    """What an upstream was asked."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


Answer = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


class Upstream:
    """A provider in the test's loop: answers each request by a function and remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.open = 0
        self.port = 0

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.open += 1
        try:
            while True:
                request = await read_request(reader)
                self.requests.append(request)
                await self._answer(request, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until done or until the other side is gone."""
        answering = asyncio.ensure_future(self.answer(request, writer))
        gone = asyncio.ensure_future(_closed(reader))
        await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not answering.done():
            answering.cancel()
            raise ConnectionResetError
        await answering
        await writer.drain()


async def _closed(reader: asyncio.StreamReader) -> None:
    # A connection that is reset, as one is that closes on bytes it has not read, comes to no end of its own.
    while not reader.at_eof() and reader.exception() is None:
        await asyncio.sleep(0.005)


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read one request off a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(first.split(" ")[1], headers, body)


@asynccontextmanager
async def upstream(answer: Answer) -> AsyncIterator[Upstream]:
    """Listen with an answering function."""
    provider = Upstream(answer)
    server = await asyncio.start_server(provider.handle, "127.0.0.1", 0)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()


def json_reply(value: Any, status: int = 200, **headers: str) -> bytes:
    """A whole HTTP response with a JSON body."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    lines = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in headers.items())
    head = f"HTTP/1.1 {status} S\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
    return head.encode() + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def framed(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def always(response: bytes) -> Answer:
    """Answer everything with the same bytes."""

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(response)

    return answer


def chat_reply(content: str = "Hello!", prompt: int = 15, completion: int = 10, **more: Any) -> dict[str, Any]:
    """A chat completion as OpenAI sends it."""
    return {
        "id": "chatcmpl-xyz123",
        "object": "chat.completion",
        "created": 1234567890,
        "model": "gpt-4-0613",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    } | more


def openai_config(provider: Upstream, more: str = "") -> str:
    """A configuration whose OpenAI is this upstream."""
    return f'[providers.openai]\nbase_url = "{provider.url}"\napi_key = "sk-upstream-secret"\n{more}'
