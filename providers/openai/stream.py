"""A streamed OpenAI answer, passed through: only what must be held, dropped or understood is touched.

Ordinary chunks leave exactly as they came, runs of one form in one piece: see providers.openai.template.
The chunk with the finish_reason is held back for the settled figures, usage chunks are held back because their empty
``choices`` break ``chunk.choices[0]``, and comments, ids and retry hints end here.

Failure behavior: an error object, an event that is not JSON, or a stream without an event sets ``failure``; the
bytes before it have left.
"""

from collections.abc import Iterable, Sequence

import msgspec

from providers import splice
from providers.chat import Usage
from providers.delivered import Delivered
from providers.errors import InvalidAnswer, ProviderError, Refused, Truncated
from providers.openai.chunk import (
    CHUNK,
    DONE,
    LOOSE_CHUNK,
    ODD_USAGE_CHUNK,
    ChunkWire,
    OddUsageChunk,
    find_bare_error,
    is_json,
    read_named_error,
    with_deltas,
)
from providers.openai.reply import BROKEN_JSON, ChoiceWire, error_in_success, say, strings_in
from providers.openai.template import PREFIX, SEPARATOR, ChunkTemplate
from providers.openai.usage import read_any_usage, read_usage
from providers.sse import BYTE_ORDER_MARK, MAX_EVENT_BYTES, SseParser, parse_block

# A field of its own in which older llama.cpp servers send an error.
LLAMA_ERROR = b"error:"
# What Azure says of the prompt, in a chunk without choices. Source:
# https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-streaming (2026-11-28).
PROMPT_FILTER = "prompt_filter_results"
# What Azure's filter says of a choice.
FILTERED = b'"content_filter'
# So often in a row a form is learnt without finding it again; then this stream's chunks are read one by one.
MAX_LESSONS = 16
END = PREFIX + DONE + SEPARATOR
# A stream of fewer pieces gains nothing by their being known.
FEW = 4


def is_event(piece: bytes) -> bool:
    """Whether a piece is one event of data and nothing else."""
    return piece.startswith(PREFIX) and piece.find(SEPARATOR) == len(piece) - len(SEPARATOR) and piece.find(b"\r") < 0


class OpenAiStream:
    """A StreamReader for one answer. See providers.wire.StreamReader for its attributes."""

    __slots__ = (
        "_answers", "_delivered", "_ended", "_has_finished", "_lessons", "_parser", "_plain", "_prompt_filter",
        "_template", "_tier", "events", "failure", "finished", "held", "usage", "usage_chunk",
    )  # fmt: skip

    def __init__(self, answers: int = 1) -> None:
        # How many choices were asked for, and the indexes of those that have finished: so many at most.
        self._answers = answers
        self._ended: set[int] = set()
        self._parser = SseParser()
        self._delivered = Delivered()
        self._has_finished = False
        # A member that waits for a chunk with choices.
        self._prompt_filter = b""
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

    @property
    def has_ended(self) -> bool:
        """Whether every choice that was asked for has its finish_reason."""
        return len(self._ended) >= self._answers

    def feed(self, piece: bytes) -> bytes:
        """Take any cut of the upstream's bytes; return what may go to the client now."""
        text = None if self._plain is None else self._plain.read_one(piece)
        if text is not None:
            self._delivered.say(text)
            self.events += 1
            self._lessons = 0
            return piece
        out = self._feed_any(piece)
        is_plain = self._goes_on() and not self._parser.pending and self._lessons < MAX_LESSONS
        self._plain = self._template if is_plain else None
        return out

    def feed_all(self, pieces: Sequence[bytes]) -> bytes:
        """Take a stream that is here to its end, as it was framed: mostly an event a piece, the first of another form.

        So what its chunks say is not looked for, only checked.
        """
        first, second = pieces[:2] if len(pieces) >= FEW else (b"", b"")
        template = ChunkTemplate.learn(second) if is_event(first) and second.find(b"\r") < 0 else None
        if template is None:
            return self.feed(b"".join(pieces))
        last = len(pieces)
        while not template.is_one(pieces[last - 1]):
            last -= 1
        run = b"".join(pieces[:last])
        text = template.read_framed(pieces[1:last], run, len(first))
        if text is None or len(run) > MAX_EVENT_BYTES:
            return self.feed(b"".join(pieces))
        told = self._take_whole(first)
        if told != first or not self._goes_on() or template.tier not in (None, self._tier):
            return told + self.feed(b"".join(pieces[1:]))
        self._delivered.say(text)
        self.events += last - 1
        self._template = template
        # The stream has begun, so a byte order mark is none any more.
        self._parser.skip()
        rest = self._feed_any(b"".join(pieces[last:]))
        return run + rest if rest else run

    def _goes_on(self) -> bool:
        """Whether a chunk that only says something leaves as it came."""
        return self.held is None and self.failure is None and not self.finished and not self._prompt_filter

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
        """The upstream ended; without [DONE] it is the end where every choice has its finish_reason, and only there."""
        if self.failure is not None or self.finished:
            return b""
        out: list[bytes] = []
        rest = self._parser.end()
        for event in rest:
            # An event cut in its middle is a truncation, not a fault of its own.
            if event.data and not is_json(event.data):
                break
            out.append(self._take(event.data))
        if self.failure is None and not self.finished:
            if self.has_ended:
                self.finished = True
            elif self.events:
                self.failure = Truncated("the provider's stream ended before its last event")
            else:
                self.failure = InvalidAnswer("the provider's stream holds no event")
        return b"".join(out)

    def delivered(self) -> Delivered:
        """What was said so far, with reasoning and tool calls."""
        return self._delivered

    def _feed_events(self, piece: bytes) -> bytes:
        """Take a piece that begins with an event: runs of one form as a whole, what differs one by one.

        What may leave as it came is cut out of the piece once, from ``kept`` to the first byte that may not.
        """
        out: list[bytes] = []
        start = kept = 0
        while start < len(piece) and self._lessons < MAX_LESSONS:
            template = None if self.held is not None or self._prompt_filter else self._template
            run = None if template is None else template.read(piece, start)
            if run is not None:
                text, chunks, start = run
                self._delivered.say(text)
                self.events += chunks
                if chunks > 1 or start == len(piece):
                    self._lessons = 0
                continue
            end = piece.find(SEPARATOR, start) + len(SEPARATOR)
            if end < len(SEPARATOR):
                break
            event = piece[start:end]
            told = self._take_whole(event) if self.held is not None else self._take_first(event, piece, end)
            if told != event:
                out += (piece[kept:start], told)
                kept = end
            start = end
            if self.failure is not None or self.finished:
                break
        out.append(piece[kept:start])
        if self.failure is None and not self.finished:
            if start:
                self._parser.skip()
            if start < len(piece):
                out.append(self._feed_carefully(piece[start:]))
        # Nothing empty: the join of one thing copies nothing.
        return b"".join(filter(None, out))

    def _take_first(self, event: bytes, piece: bytes, end: int) -> bytes:
        """Take an event that is not of the form known so far, perhaps the first of another one."""
        self._lessons += 1
        template = ChunkTemplate.learn(event, piece, end)
        if template is not None and template.tier in (None, self._tier) and not self._prompt_filter:
            # It does nothing but say something, which is known by now.
            self._template = template
            self._delivered.say(template.said)
            self.events += 1
            return event
        tier = self._tier
        told = self._take_whole(event)
        self._template = template or (self._template if tier == self._tier else None)
        return told

    def _take_whole(self, event: bytes) -> bytes:
        """Take one event with its blank line; nearly all are one line of data."""
        if event == END:
            self._finish()
            return b""
        if not event.startswith(PREFIX) or event.find(b"\n") != len(event) - len(SEPARATOR):
            return self._take_blocks((event.strip(b"\n"),))
        return self._take(event[len(PREFIX) : -len(SEPARATOR)])

    def _feed_carefully(self, piece: bytes) -> bytes:
        try:
            blocks = self._parser.blocks(piece)
        except InvalidAnswer as too_long:
            self.failure = too_long
            return b""
        tier = self._tier
        told = self._take_blocks(blocks)
        if self._tier != tier:
            # A form has the tier that it was learnt with.
            self._template = None
        return told

    def _take_blocks(self, blocks: Iterable[bytes]) -> bytes:
        """Read events one by one; return what may go out."""
        out: list[bytes] = []
        for block in blocks:
            event = parse_block(block)
            if block.startswith(LLAMA_ERROR):
                self.failure = read_named_error(block.removeprefix(LLAMA_ERROR))
            elif event is not None and event.event == "error":
                self.failure = read_named_error(event.data)
            elif event is not None:
                out.append(self._take(event.data))
            elif not block.startswith(b":") and self.events == 0 and block.startswith((b"{", b"<")):
                self.failure = InvalidAnswer("the provider answered a stream with something else")
            if self.failure is not None or self.finished:
                break
        return b"".join(out)

    def _take(self, data: bytes) -> bytes:
        data = data.strip()
        if not data:
            return b""
        if len(data) == len(DONE) and data.upper() == DONE:
            self._finish()
            return b""
        try:
            chunk = CHUNK.decode(data)
        except BROKEN_JSON:
            return self._take_unusual(data)
        self._tier = chunk.service_tier or self._tier
        usage = chunk.usage or (chunk.x_groq.usage if chunk.x_groq is not None else None)
        if usage is not None:
            self._count(read_usage(usage, self._tier))
        return self._take_read(chunk, data)

    def _count(self, usage: Usage | None) -> None:
        """Note what is reported: the latest counts, but nothing usable gives way to what is not."""
        if usage is not None and (usage.is_credible or self.usage is None or not self.usage.is_credible):
            self.usage = usage

    def _take_read(self, chunk: ChunkWire | OddUsageChunk, data: bytes) -> bytes:
        if chunk.error is not None:
            self.failure = error_in_success(chunk.error)
            return b""
        if not chunk.choices:
            # A usage chunk, or one with nothing to say: clients read choices[0] of every chunk.
            self.usage_chunk = data if chunk.usage is not None else self.usage_chunk
            if chunk.usage is None:
                self.failure = find_bare_error(data)
                self._keep_prompt_filter(data)
            return b""
        return self._take_choices(chunk, chunk.choices, data)

    def _take_choices(self, chunk: ChunkWire | OddUsageChunk, choices: list[ChoiceWire], data: bytes) -> bytes:
        said: list[str] = []
        is_last = is_part = False
        for choice in choices:
            if choice.finish_reason == "error":
                self.failure = Refused("the provider ended its answer with an error", upstream_status=200)
                return b""
            if choice.finish_reason:
                is_last = True
                self._note_end(choice.index)
            is_part = is_part or choice.delta is not None or choice.text is not None
            self._hear(choice, said)
        if said:
            self._delivered.add(said)
        is_silent = not is_last and not said
        if is_silent and self._has_finished and chunk.usage is not None:
            # OpenRouter sends its usage after the finish, in a chunk whose choice says nothing.
            self.usage_chunk = data
        elif is_last or is_part:
            return self._pass(data, is_last=is_last, is_silent=is_silent)
        elif FILTERED in data:
            # Azure's filter tells what it found behind what was said; clients read the delta of every choice.
            return self._pass(with_deltas(data), is_last=False, is_silent=True)
        return b""

    def _hear(self, choice: ChoiceWire, said: list[str]) -> None:
        if choice.usage is not None:
            self._count(read_usage(choice.usage, self._tier))
        if choice.delta is not None:
            say(choice.delta, said)
        elif choice.text:
            said.append(choice.text)

    def _note_end(self, index: int | None) -> None:
        if len(self._ended) < self._answers:
            self._ended.add(index or 0)

    def _keep_prompt_filter(self, data: bytes) -> None:
        """Keep what Azure says of the prompt for the next chunk that has choices."""
        if PROMPT_FILTER.encode() not in data:
            return
        member = splice.find(data, PROMPT_FILTER)
        if member is not None:
            self._prompt_filter = data[member.start : member.value_end]

    def _pass(self, data: bytes, *, is_last: bool, is_silent: bool = False) -> bytes:
        """Let a chunk go, or hold it: from the first finish_reason on, the latest that says something waits.

        The figures go into it; one that says nothing, such as the role of another choice, goes before it.
        """
        self.events += 1
        self._has_finished = self._has_finished or is_last
        data = data.replace(b"\n", b" ").replace(b'"delta":null', b'"delta":{}')
        if self._prompt_filter:
            data, self._prompt_filter = splice.append(data, self._prompt_filter), b""
        if is_silent or not self._has_finished:
            return PREFIX + data + SEPARATOR
        before, self.held = self.held, data
        return b"" if before is None else PREFIX + before + SEPARATOR

    def _take_unusual(self, data: bytes) -> bytes:
        """A chunk that is not of the usual types, or not quite JSON; what is no chunk at all is dropped."""
        data = splice.as_text(data)
        readable = splice.mend(data) or data
        try:
            odd = ODD_USAGE_CHUNK.decode(readable)
        except BROKEN_JSON:
            return self._take_loosely(readable, data)
        self._count(read_any_usage(odd.usage or (odd.x_groq or {}).get("usage"), self._tier))
        return self._take_read(odd, data)

    def _take_loosely(self, readable: bytes, data: bytes) -> bytes:
        """A chunk of which nothing is expected; ``readable`` is what can be read of ``data``."""
        try:
            chunk = LOOSE_CHUNK.decode(readable)
        except msgspec.ValidationError:
            return b""
        except BROKEN_JSON:
            self.failure = InvalidAnswer("an event of the provider's stream is not JSON")
            return b""
        self._count(read_any_usage(chunk.usage, self._tier))
        if chunk.error:
            self.failure = error_in_success(chunk.error)
        elif not chunk.choices:
            self.usage_chunk = data if chunk.usage is not None else self.usage_chunk
        else:
            self._delivered.add(strings_in([choice.delta for choice in chunk.choices]))
            ends = [choice.index for choice in chunk.choices if choice.finish_reason]
            for index in ends:
                self._note_end(index if isinstance(index, int) else None)
            return self._pass(data, is_last=bool(ends))
        return b""

    def _finish(self) -> None:
        if self.events:
            self.finished = True
        else:
            self.failure = InvalidAnswer("the provider's stream ended without an answer")
