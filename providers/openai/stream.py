"""A streamed OpenAI answer, passed through: only what must be held, dropped or understood is touched.

Ordinary chunks leave exactly as they came, runs of one form in one piece: see providers.openai.template.
The chunk with the finish_reason is held back for the settled figures, usage chunks are held back because their empty
``choices`` break ``chunk.choices[0]``, and comments, ids and retry hints end here.

Failure behavior: an error object, an event that is not JSON, or a stream without an event sets ``failure``; the
bytes before it have left.
"""

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from providers.chat import Usage
from providers.delivered import Delivered
from providers.errors import InvalidAnswer, ProviderError, Refused, Truncated
from providers.openai.reply import BROKEN_JSON, ChoiceWire, error_in_success, say, strings_in
from providers.openai.template import PREFIX, SEPARATOR, ChunkTemplate
from providers.openai.usage import UsageWire, read_any_usage, read_usage
from providers.splice import mend
from providers.sse import BYTE_ORDER_MARK, MAX_EVENT_BYTES, SseParser, parse_block

DONE = b"[DONE]"
# A field of its own in which older llama.cpp servers send an error.
LLAMA_ERROR = b"error:"
# So often in a row a form is learnt without finding it again; then this stream's chunks are read one by one.
MAX_LESSONS = 16


class GroqWire(msgspec.Struct, frozen=True, gc=False):
    """Groq's own member of the last chunk. Source: https://console.groq.com/docs/api-reference (2026-11-21)."""

    usage: UsageWire | None = None


class ChunkWire(msgspec.Struct, frozen=True, gc=False):
    """The members of a chunk that the gateway reads."""

    choices: list[ChoiceWire] | None = None
    usage: UsageWire | None = None
    error: Any = None
    x_groq: GroqWire | None = None
    service_tier: str | None = None


class OddUsageChunk(msgspec.Struct, frozen=True, gc=False):
    """A chunk that is as usual but for what surrounds its choices."""

    choices: list[ChoiceWire] | None = None
    usage: Any = None
    error: Any = None
    x_groq: dict[str, Any] | None = None


class LooseChoice(msgspec.Struct, frozen=True):
    """A choice of which nothing is expected."""

    delta: Any = None
    finish_reason: Any = None


class LooseChunk(msgspec.Struct, frozen=True):
    """A chunk whose members may have any type."""

    choices: list[LooseChoice] | None = None
    usage: Any = None
    error: Any = None


CHUNK = msgspec.json.Decoder(ChunkWire)
ODD_USAGE_CHUNK = msgspec.json.Decoder(OddUsageChunk)
LOOSE_CHUNK = msgspec.json.Decoder(LooseChunk)
ANY = msgspec.json.Decoder()


class OpenAiStream:
    """A StreamReader for one answer. See providers.wire.StreamReader for its attributes."""

    __slots__ = (
        "_delivered",
        "_has_finished",
        "_lessons",
        "_parser",
        "_plain",
        "_template",
        "_tier",
        "events",
        "failure",
        "finished",
        "held",
        "usage",
        "usage_chunk",
    )

    def __init__(self) -> None:
        self._parser = SseParser()
        self._delivered = Delivered()
        self._has_finished = False
        # The form of the chunks so far, and how often one was learnt in vain since one was found again.
        self._template: ChunkTemplate | None = None
        self._lessons = 0
        # The same form, as long as a piece that is one chunk of it needs no look at anything else.
        self._plain: ChunkTemplate | None = None
        self._tier: str | None = None
        self.usage: Usage | None = None
        self.finished = False
        self.failure: ProviderError | None = None
        self.held: bytes | None = None
        self.usage_chunk: bytes | None = None
        self.events = 0

    def feed(self, piece: bytes) -> bytes:
        """Take any cut of the upstream's bytes; return what may go to the client now."""
        text = None if self._plain is None else self._plain.read_one(piece)
        if text is not None:
            self._delivered.say(text)
            self.events += 1
            self._lessons = 0
            return piece
        out = self._feed_any(piece)
        is_usual = self.held is None and self.failure is None and not self.finished and not self._parser.pending
        self._plain = self._template if is_usual and self._lessons < MAX_LESSONS else None
        return out

    def _feed_any(self, piece: bytes) -> bytes:
        if self.failure is not None or self.finished:
            return b""
        if piece.find(b"\r") >= 0 or piece.startswith(BYTE_ORDER_MARK) or len(piece) > MAX_EVENT_BYTES:
            return self._feed_carefully(piece)
        out = b""
        if self._parser.pending:
            # The end of an event that was cut; the rest begins with a whole one.
            start = piece.find(SEPARATOR) + len(SEPARATOR)
            if start < len(SEPARATOR):
                return self._feed_carefully(piece)
            out, piece = self._feed_carefully(piece[:start]), piece[start:]
            if self.failure is not None or self.finished:
                return out
        rest = self._feed_events(piece)
        return out + rest if out else rest

    def end(self) -> bytes:
        """The upstream ended; a finish_reason without [DONE] is an end, anything else is not."""
        if self.failure is not None or self.finished:
            return b""
        out = bytearray()
        rest = self._parser.end()
        for event in rest:
            # An event cut in its middle is a truncation, not a fault of its own.
            if event.data and not _is_json(event.data):
                break
            self._take(event.data, out)
        if self.failure is None and not self.finished:
            if self.held is not None:
                self.finished = True
            elif self.events:
                self.failure = Truncated("the provider's stream ended before its last event")
            else:
                self.failure = InvalidAnswer("the provider's stream holds no event")
        return bytes(out)

    def delivered(self) -> Delivered:
        """What was said so far, with reasoning and tool calls."""
        return self._delivered

    def _feed_events(self, piece: bytes) -> bytes:
        """Take a piece that begins with an event: runs of one form as a whole, what differs one by one."""
        out: list[bytes] = []
        start = 0
        while start < len(piece) and self._lessons < MAX_LESSONS:
            run = None if self._template is None or self.held is not None else self._template.read(piece, start)
            if run is not None:
                texts, end = run
                self._delivered.add(texts)
                self.events += len(texts)
                if len(texts) > 1 or end == len(piece):
                    self._lessons = 0
                out.append(piece[start:end])
                start = end
                continue
            end = piece.find(SEPARATOR, start) + len(SEPARATOR)
            if end < len(SEPARATOR):
                break
            event = piece[start:end]
            start = end
            tier = self._tier
            out.append(self._take_whole(event))
            if self.failure is not None or self.finished:
                return b"".join(out)
            if self.held is None:
                self._template = ChunkTemplate.learn(event) or (self._template if tier == self._tier else None)
                self._lessons += 1
        if start:
            self._parser.skip()
        if start < len(piece):
            out.append(self._feed_carefully(piece[start:]))
        return b"".join(out)

    def _take_whole(self, event: bytes) -> bytes:
        """Take one event with its blank line; nearly all are one line of data."""
        if not event.startswith(PREFIX) or event.find(b"\n") != len(event) - len(SEPARATOR):
            return self._take_blocks((event.strip(b"\n"),))
        out = bytearray()
        self._take(event[len(PREFIX) : -len(SEPARATOR)], out)
        return bytes(out)

    def _feed_carefully(self, piece: bytes) -> bytes:
        try:
            blocks = self._parser.blocks(piece)
        except InvalidAnswer as too_long:
            self.failure = too_long
            return b""
        return self._take_blocks(blocks)

    def _take_blocks(self, blocks: Iterable[bytes]) -> bytes:
        """Read events one by one; return what may go out."""
        out = bytearray()
        for block in blocks:
            event = parse_block(block)
            if block.startswith(LLAMA_ERROR):
                self.failure = _read_named_error(block.removeprefix(LLAMA_ERROR))
            elif event is not None and event.event == "error":
                self.failure = _read_named_error(event.data)
            elif event is not None:
                self._take(event.data, out)
            elif not block.startswith(b":") and self.events == 0 and block.startswith((b"{", b"<")):
                self.failure = InvalidAnswer("the provider answered a stream with something else")
            if self.failure is not None or self.finished:
                break
        return bytes(out)

    def _take(self, data: bytes, out: bytearray) -> None:
        data = data.strip()
        if not data:
            return
        if len(data) == len(DONE) and data.upper() == DONE:
            self._finish()
            return
        try:
            chunk = CHUNK.decode(data)
        except msgspec.ValidationError:
            self._take_unusual(data, data, out)
            return
        except BROKEN_JSON:
            mended = mend(data)
            if mended is None:
                self.failure = InvalidAnswer("an event of the provider's stream is not JSON")
            else:
                self._take_unusual(mended, data, out)
            return
        self._tier = chunk.service_tier or self._tier
        usage = chunk.usage or (chunk.x_groq.usage if chunk.x_groq is not None else None)
        if usage is not None:
            self._count(read_usage(usage, self._tier))
        self._take_read(chunk, data, out)

    def _count(self, usage: Usage | None) -> None:
        """Note what is reported: the latest counts, but nothing usable gives way to what is not."""
        if usage is not None and (usage.is_credible or self.usage is None or not self.usage.is_credible):
            self.usage = usage

    def _take_read(self, chunk: ChunkWire | OddUsageChunk, data: bytes, out: bytearray) -> None:
        if chunk.error is not None:
            self.failure = error_in_success(chunk.error)
            return
        if not chunk.choices:
            # A usage chunk, or one with nothing to say: clients read choices[0] of every chunk.
            self.usage_chunk = data if chunk.usage is not None else self.usage_chunk
            if chunk.usage is None:
                self.failure = _find_bare_error(data)
            return
        self._take_choices(chunk, chunk.choices, data, out)

    def _take_choices(
        self, chunk: ChunkWire | OddUsageChunk, choices: list[ChoiceWire], data: bytes, out: bytearray
    ) -> None:
        said: list[str] = []
        is_last = is_part = False
        for choice in choices:
            if choice.finish_reason == "error":
                self.failure = Refused("the provider ended its answer with an error", upstream_status=200)
                return
            is_last = is_last or choice.finish_reason is not None
            is_part = is_part or choice.delta is not None or choice.text is not None
            if choice.usage is not None:
                self._count(read_usage(choice.usage, self._tier))
            if choice.delta is not None:
                say(choice.delta, said)
            elif choice.text:
                said.append(choice.text)
        if said:
            self._delivered.add(said)
        is_silent = not is_last and not said
        if is_silent and self._has_finished and chunk.usage is not None:
            # OpenRouter sends its usage after the finish, in a chunk whose choice says nothing.
            self.usage_chunk = data
        elif is_last or is_part:
            self._pass(data, out, is_last=is_last, is_silent=is_silent)

    def _pass(self, data: bytes, out: bytearray, *, is_last: bool, is_silent: bool = False) -> None:
        """Let a chunk go, or hold it: from the first finish_reason on, the latest that says something waits.

        The figures go into it; one that says nothing, such as the role of another choice, goes before it.
        """
        self.events += 1
        self._has_finished = self._has_finished or is_last
        data = data.replace(b"\n", b" ").replace(b'"delta":null', b'"delta":{}')
        if is_silent or not self._has_finished:
            out += PREFIX + data + SEPARATOR
            return
        if self.held is not None:
            out += PREFIX + self.held + SEPARATOR
        self.held = data

    def _take_unusual(self, readable: bytes, data: bytes, out: bytearray) -> None:
        """A chunk that is JSON but not of the usual types; what is no chunk at all is dropped.

        ``readable`` is what can be read of ``data``.
        """
        try:
            odd = ODD_USAGE_CHUNK.decode(readable)
        except BROKEN_JSON:
            self._take_loosely(readable, data, out)
            return
        self._count(read_any_usage(odd.usage or (odd.x_groq or {}).get("usage"), self._tier))
        self._take_read(odd, data, out)

    def _take_loosely(self, readable: bytes, data: bytes, out: bytearray) -> None:
        try:
            chunk = LOOSE_CHUNK.decode(readable)
        except msgspec.ValidationError:
            return
        except BROKEN_JSON:
            self.failure = InvalidAnswer("an event of the provider's stream is not JSON")
            return
        self._count(read_any_usage(chunk.usage, self._tier))
        if chunk.error:
            self.failure = error_in_success(chunk.error)
        elif not chunk.choices:
            self.usage_chunk = data if chunk.usage is not None else self.usage_chunk
        else:
            self._delivered.add(strings_in([choice.delta for choice in chunk.choices]))
            self._pass(data, out, is_last=any(choice.finish_reason for choice in chunk.choices))

    def _finish(self) -> None:
        if self.events:
            self.finished = True
        else:
            self.failure = InvalidAnswer("the provider's stream ended without an answer")


def _find_bare_error(data: bytes) -> ProviderError | None:
    """The error that a chunk without choices is, as vLLM sends it: an object that calls itself one."""
    if data.find(b'"error"') < 0:
        return None
    try:
        told = ANY.decode(data)
    except BROKEN_JSON:
        return None
    is_error = isinstance(told, dict) and cast("dict[str, Any]", told).get("object") == "error"
    return error_in_success(told) if is_error else None


def _read_named_error(data: bytes) -> ProviderError:
    """The error of an event that is called so, with or without a member of that name."""
    try:
        told = ANY.decode(data)
    except BROKEN_JSON:
        told = data.decode("utf-8", "replace").strip()
    return error_in_success(cast("dict[str, Any]", told).get("error", told) if isinstance(told, dict) else told)


def _is_json(data: bytes) -> bool:
    if data.strip().upper() == DONE:
        return True
    try:
        ANY.decode(data)
    except BROKEN_JSON:
        return False
    return True
