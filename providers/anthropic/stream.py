"""A stream of the Messages API, said as a stream of chat.completion.chunk, event by event.

Failure behavior: ``failure`` is Refused after an error event; InvalidAnswer after bytes that are no event, a tool's
input without its tool, or another message's start inside an open one (what was said of the first cannot be taken
back), or a stream without an event; Truncated where the stream ends before message_stop. Until message_delta counted
the output, ``usage`` is marked ``estimated``: its input is the provider's, its output 0 and still to be counted from
``delivered()``, because message_start holds a mere placeholder.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

from providers import splice
from providers.anthropic.blocks import Chunks, Delta, is_known_delta
from providers.anthropic.parameters import UNREADABLE
from providers.anthropic.reply import (
    Message,
    StopDetails,
    explain_refusal,
    finish_reason,
    read_error,
    refuse,
    wants_function_call,
)
from providers.anthropic.usage import Figures, read_figures, replace_figures, to_openai, to_usage
from providers.chat import Usage
from providers.delivered import Delivered
from providers.errors import InvalidAnswer, ProviderError, Truncated
from providers.sse import SseEvent, SseParser
from providers.wire import Call


class _Delta(Delta, frozen=True):
    stop_reason: str | None = None
    stop_details: StopDetails | None = None


class _Event(msgspec.Struct, frozen=True):
    type: str = ""
    index: int = 0
    message: Message = Message()
    content_block: msgspec.Raw = msgspec.Raw()
    delta: _Delta = _Delta()
    usage: msgspec.Raw = msgspec.Raw()
    # Of any type in the wild.
    error: Any = None


class _Kind(msgspec.Struct, frozen=True):
    type: str = ""
    delta: msgspec.Raw = msgspec.Raw()


DONE = b"[DONE]"
_decode = msgspec.json.Decoder(_Event).decode


class AnthropicStream:
    """Reads one stream; see providers.wire.StreamReader for the contract."""

    def __init__(self, call: Call, created_s: int) -> None:
        self.usage: Usage | None = None
        self.finished = False
        self.failure: ProviderError | None = None
        self.held: bytes | None = None
        self.usage_chunk: bytes | None = None
        self.events = 0
        self._model = call.model
        self._is_legacy = wants_function_call(call)
        self._parser = SseParser()
        self._chunks = Chunks(model=call.model, created_s=created_s, is_legacy=self._is_legacy)
        self._figures: Figures | None = None
        self._message_id = ""

    @property
    def has_ended(self) -> bool:
        """Whether its stop_reason has come."""
        return self.held is not None

    def feed(self, piece: bytes) -> bytes:
        """Take any cut of the upstream's bytes; return the SSE bytes that may go to the client now."""
        try:
            return self._take(self._parser.feed(piece))
        except InvalidAnswer as error:
            self.failure = error
            return b""

    def feed_all(self, pieces: Sequence[bytes]) -> bytes:
        """Take a stream that is here to its end, as it was framed."""
        return self.feed(b"".join(pieces))

    def end(self) -> bytes:
        """The upstream ended: return what may still go out; set ``failure`` to Truncated if the end is missing."""
        out = self._take(self._parser.end())
        if not self.finished and self.failure is None and not self.events:
            # A web page, or an error that came as a success: nothing was begun that could have been cut.
            self.failure = InvalidAnswer("the provider's stream holds no event")
        elif self.failure is None and self.has_ended and not self.finished:
            # Its stop_reason and its figures are here: only the word that nothing follows is missing.
            out += self._stop_message(_Event())
        elif not self.finished and self.failure is None:
            self.failure = Truncated(f"the provider's stream ended after {self.events} events without a stop_reason")
        return out

    def delivered(self) -> Delivered:
        """What was produced so far (contents, reasoning, tool calls' names and arguments), for estimates."""
        return self._chunks.delivered

    def _take(self, events: list[SseEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if self.finished or self.failure is not None:
                break
            self.events += 1
            try:
                out.append(self._step(event))
            except InvalidAnswer as error:
                self.failure = error
        return b"".join(out)

    def _step(self, given: SseEvent) -> bytes:
        if given.data.strip() == DONE:
            # Servers that only speak like Anthropic end so too, some with nothing else.
            return b"" if self.held is None else self._stop_message(_Event())
        try:
            given.data.decode()
            event = _decode(given.data)
        except UNREADABLE as error:
            text = splice.as_text(given.data)
            mended = splice.mend(text) or text
            if mended != given.data:
                return self._step(SseEvent(given.event, mended))
            if self._is_unknown(given):
                return b""
            raise InvalidAnswer(f"event {self.events} of the provider's stream cannot be read: {error}") from None
        step = self._STEPS.get(event.type or given.event)
        return b"" if step is None else step(self, event)

    def _is_unknown(self, given: SseEvent) -> bool:
        """Whether an event, or its delta, is of a kind that nothing is known of."""
        try:
            told = msgspec.json.decode(given.data, type=_Kind)
            kind = told.type or given.event
            if kind == "content_block_delta":
                return not is_known_delta(msgspec.json.decode(told.delta, type=_Kind).type)
        except UNREADABLE:
            return False
        return kind not in self._STEPS

    def _start_message(self, event: _Event) -> bytes:
        message = event.message
        is_repeated = self._chunks.is_begun and message.id == self._message_id
        if self._chunks.delivered.has_any and not is_repeated:
            raise InvalidAnswer(f"the provider began message {message.id!r} inside message {self._message_id!r}")
        is_whole = message.stop_reason is not None
        figures = read_figures(message.usage)
        if figures is not None:
            # The output of a message that has only begun is a placeholder.
            self._count(figures if is_whole else msgspec.structs.replace(figures, output_tokens=None))
        if is_repeated:
            return b""
        self._message_id = message.id
        out = [self._chunks.begin(message.id, message.model or self._model)]
        out += [self._chunks.open(index, raw) for index, raw in enumerate(message.content or [])]
        if is_whole:
            out.append(self._stop(message.stop_reason, message.stop_details))
        return b"".join(out)

    def _start_block(self, event: _Event) -> bytes:
        return self._chunks.open(event.index, event.content_block)

    def _continue_block(self, event: _Event) -> bytes:
        return self._chunks.add(event.index, event.delta)

    def _stop_block(self, event: _Event) -> bytes:
        return self._chunks.close(event.index)

    def _continue_message(self, event: _Event) -> bytes:
        figures = read_figures(event.usage)
        if figures is not None:
            self._count(replace_figures(self._figures, figures) if self._figures else figures)
        delta = event.delta
        return b"" if delta.stop_reason is None else self._stop(delta.stop_reason, delta.stop_details)

    def _stop_message(self, event: _Event) -> bytes:
        out = self._chunks.close_all() if self.held else self._stop(None, None)
        usage, figures = self.usage, self._figures
        if usage is not None and figures is not None and not (usage.estimated or figures.is_absurd):
            self.usage_chunk = self._chunks.count(to_openai(usage, figures))
        self.finished = True
        return out

    def _fail(self, event: _Event) -> bytes:
        self.failure = refuse(read_error(event.error), 200)
        return b""

    def _count(self, figures: Figures) -> None:
        self._figures = figures
        self.usage = to_usage(figures)

    def _stop(self, stop_reason: str | None, details: StopDetails | None) -> bytes:
        """End every block and hold the chunk with the finish_reason."""
        out = self._chunks.close_all()
        refusal = msgspec.json.encode(explain_refusal(details)) if stop_reason == "refusal" else None
        delta = b"{}" if refusal is None else b'{"refusal":' + refusal + b"}"
        self.held = self._chunks.finish(delta, finish_reason(stop_reason, self._is_legacy), stop_reason)
        return out if self._chunks.is_begun else out + self._chunks.begin("", "")

    # What each event does; one that stands here not is passed over.
    _STEPS: ClassVar[dict[str, Callable[["AnthropicStream", _Event], bytes]]] = {
        "message_start": _start_message,
        "content_block_start": _start_block,
        "content_block_delta": _continue_block,
        "content_block_stop": _stop_block,
        "message_delta": _continue_message,
        "message_stop": _stop_message,
        "error": _fail,
    }
