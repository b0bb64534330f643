"""Backends that answer inside the process: the sandbox behind test keys and the bundled embedding model."""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from gateway.backends.interface import Sink
from providers.chat import Answer
from providers.errors import ProviderError, Truncated, Unsupported
from providers.handoff import Waiter
from providers.openai.dialect import OpenAiDialect
from providers.sandbox.model import Sandbox, SandboxReply
from providers.wire import Call, Dialect, Headers, StreamReader, WireRequest

T = TypeVar("T")


class HeaderList:
    """Headers as backends.interface.Head has them."""

    __slots__ = ("_headers",)

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def get(self, name: bytes) -> bytes | None:
        """The first value of a header."""
        return next((value for known, value in self._headers if known == name), None)

    def lines(self, wanted: re.Pattern[bytes]) -> list[bytes]:
        """Header lines that a pattern finds which begins with CRLF and has one group."""
        return wanted.findall(b"".join(b"\r\n%s: %s" % header for header in self._headers))


class InProcessReply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer."""

    status: int = 200
    headers: Headers = ()
    body: bytes

    def gist(self, reading: Callable[[Any], T]) -> T:
        """What ``reading`` makes of the headers."""
        return reading(HeaderList(self.headers))


class ScriptedExchange:
    """A streamed answer that is known beforehand, played with its pauses; see backends.interface.Exchange."""

    whole = None

    def __init__(self, reply: SandboxReply, loop: asyncio.AbstractEventLoop) -> None:
        self.status = reply.status
        self.headers = _headers(reply)
        self._body = reply.body
        events = reply.events or ()
        self._is_cut = reply.cut_after is not None
        self._events = list(events[: reply.cut_after])
        self._gap_s = reply.gap_ms / 1000
        self._loop = loop
        self._sink: Sink | None = None
        self._timer: asyncio.Handle | None = None
        self._is_paused = False
        self._position = 0

    def gist(self, reading: Callable[[Any], T]) -> T:
        """What ``reading`` makes of the headers."""
        return reading(HeaderList(self.headers))

    def attach(self, sink: Sink) -> None:
        """Begin to play."""
        self._sink = sink
        self._timer = self._loop.call_soon(self._play)

    async def read(self, limit_bytes: int) -> bytes:
        """The body of an answer that is no stream."""
        return self._body[:limit_bytes]

    def touch(self) -> None:
        """A script has no timeouts."""

    def pause(self) -> None:
        """Play no further event."""
        self._is_paused = True

    def resume(self) -> None:
        """Go on."""
        if self._is_paused:
            self._is_paused = False
            self._timer = self._loop.call_soon(self._play)

    def release(self) -> None:
        """Stop."""
        self.abort()

    def abort(self) -> None:
        """Stop."""
        self._sink = None
        if self._timer is not None:
            self._timer.cancel()

    def _play(self) -> None:
        while self._sink is not None and not self._is_paused:
            if self._position == len(self._events):
                self._end()
                return
            event = self._events[self._position]
            self._position += 1
            self._sink.piece(event)
            if self._gap_s:
                self._timer = self._loop.call_later(self._gap_s, self._play)
                return

    def _end(self) -> None:
        error: ProviderError | None = None
        if self._is_cut:
            error = Truncated("the sandbox was asked to break this stream off")
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.ended(error)


def _headers(reply: SandboxReply) -> Headers:
    return [(name.encode(), value.encode()) for name, value in reply.headers]


class SandboxBackend:
    """The deterministic model: free, offline."""

    is_free = True
    cancel_stops_whole_calls = True
    secrets: tuple[str, ...] = ()

    def __init__(
        self, sandbox: Sandbox, dialect: Dialect, loop: asyncio.AbstractEventLoop, *, name: str = "sandbox"
    ) -> None:
        self.name = name
        self.dialect = dialect
        self._sandbox = sandbox
        self._loop = loop

    def cancel_stops_billing(self, model: str) -> bool:
        """Nothing is billed."""
        return True

    def post(self, call: Call, request: WireRequest, waiter: Waiter) -> None:
        """There is nothing to be sent."""

    async def fetch(self, call: Call, request: WireRequest) -> InProcessReply:
        """Answer whole, after the pause that was asked for."""
        reply = self._sandbox.plan(call)
        await asyncio.sleep(reply.delay_ms / 1000)
        return InProcessReply(status=reply.status, headers=_headers(reply), body=reply.body)

    async def open(self, call: Call, request: WireRequest) -> ScriptedExchange:
        """Answer as a stream."""
        reply = self._sandbox.plan(call)
        await asyncio.sleep(reply.delay_ms / 1000)
        return ScriptedExchange(reply, self._loop)


class LocalDialect:
    """What the local model is asked and answers is OpenAI's already, and made here, so nothing needs checking."""

    endpoints = frozenset({"embeddings"})

    def __init__(self, openai: OpenAiDialect) -> None:
        self._openai = openai

    def encode(self, call: Call, model: str) -> WireRequest:
        """Refuse everything but embeddings."""
        if call.endpoint not in self.endpoints:
            raise Unsupported(f"The model {model!r} makes embeddings only: call /v1/embeddings.", param="model")
        return WireRequest(path=call.endpoint, body=call.body)

    def decode(self, call: Call, status: int, headers: Headers, body: bytes) -> Answer:
        """Read the usage."""
        return self._openai.decode(call, status, headers, body)

    def open_stream(self, call: Call) -> StreamReader:
        """Embeddings are no stream."""
        raise Unsupported("Embeddings are not streamed.", param="stream")


class Local(Protocol):
    """The embedding model; see providers.local.backend."""

    async def embeddings(self, call: Call) -> Answer:
        """Answer an embeddings call."""
        ...

    async def embed(self, texts: Sequence[str], *, is_patient: bool = False) -> Any:
        """Embed texts; see providers.local.queue.EmbeddingQueue.submit."""
        ...

    async def close(self) -> None:
        """Stop."""
        ...


class LocalEmbeddings:
    """The bundled embedding model as a backend: free, offline, in a worker thread, loaded by its first call.

    A call that is cancelled leaves the queue, where no other waits for its vectors; loading goes on for the next one.
    """

    is_free = True
    cancel_stops_whole_calls = True
    secrets: tuple[str, ...] = ()

    def __init__(self, name: str, open_local: Callable[[], Local], dialect: Dialect) -> None:
        self.name = name
        self.dialect = dialect
        self._open_local = open_local
        self._local: Local | None = None
        # While it is loaded.
        self._opening: asyncio.Future[Local] | None = None

    def cancel_stops_billing(self, model: str) -> bool:
        """Nothing is billed."""
        return True

    def post(self, call: Call, request: WireRequest, waiter: Waiter) -> None:
        """There is nothing to be sent."""

    async def fetch(self, call: Call, request: WireRequest) -> InProcessReply:
        """Embed."""
        local = self._local or await self._opened()
        return InProcessReply(body=(await local.embeddings(call)).body)

    async def open(self, call: Call, request: WireRequest) -> ScriptedExchange:
        """Embeddings are no stream."""
        raise Unsupported("Embeddings are not streamed.", param="stream")

    async def embed(self, texts: Sequence[str], *, is_patient: bool = False) -> Any:
        """Embed texts for the gateway itself: see providers.local.queue.EmbeddingQueue.submit."""
        local = self._local or await self._opened()
        return await local.embed(texts, is_patient=is_patient)

    async def _opened(self) -> Local:
        """The model; its imports take some tenths of a second, which other calls need not wait for."""
        opening = self._opening
        if opening is None:
            opening = self._opening = asyncio.get_running_loop().run_in_executor(None, self._open_local)
            opening.add_done_callback(self._note_opened)
        # A thread cannot be stopped: who is cancelled leaves what it loads to those who come.
        return await asyncio.shield(opening)

    def _note_opened(self, opening: asyncio.Future[Local]) -> None:
        """The model is loaded, or the next call tries anew."""
        self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._local = opening.result()

    async def close(self) -> None:
        """Stop the worker, if there ever was one."""
        if self._opening is not None:
            await asyncio.wait([self._opening])
        if self._local is not None:
            await self._local.close()
