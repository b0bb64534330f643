"""The fixed bytes of a stream's chunks: one after the other differs only in what it says, and at OpenAI in padding.

A run of such chunks is checked and read as a whole, at a tenth of the cost of reading each: the texts are cut out where
they must stand, what is left is compared with what it must be, and the texts are decoded as one list of strings.
"""

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Literal, Self

import msgspec

from providers.openai.reply import BROKEN_JSON, MessageWire, say
from providers.sse import MAX_EVENT_BYTES

PREFIX = b"data: "
SEPARATOR = b"\n\n"
# How an event that is one object begins and ends.
OPENING, CLOSING = PREFIX + b"{", b"}" + SEPARATOR
# Where a chunk says something, and OpenAI's padding against guessing texts by their lengths. Source:
# https://platform.openai.com/docs/api-reference/chat/create, stream_options.include_obfuscation (2026-11-22).
SAID = re.compile(rb'"(?:content|reasoning_content|reasoning|arguments|text)": ?"([^"\\]*(?:\\.[^"\\]*)*)"')
PADDING = re.compile(rb'"obfuscation": ?"([A-Za-z0-9]*)"')
# No chunk that holds one of them says one thing and nothing else.
SILENT, EMPTY = b'"delta":{}', b'"content":""'
# What a form must say when it stands in the gap; no event that holds it is learnt from. And nothing must say nothing:
# of two members that hold a thought the second counts where the first is empty.
MARK = b"-- what is said --"
BETWEEN_CHUNKS = SEPARATOR + PREFIX
# With a CR, which no piece has that is read here: no text can look like two, and none can swallow the next.
BETWEEN_STRINGS = b'"\r,"'
BETWEEN_PAIRS = b'"]\r,["'
STRING = msgspec.json.Decoder(str)
STRINGS = msgspec.json.Decoder(list[str])
# Of text and padding.
PAIRS = msgspec.json.Decoder(list[tuple[str, str]])


class PlainChoice(msgspec.Struct, frozen=True, gc=False):
    """A choice that goes on."""

    index: int | None = None
    delta: MessageWire | None = None
    text: str | None = None
    finish_reason: Literal[""] | None = None
    message: MessageWire | None = None
    usage: None = None


class PlainChunk(msgspec.Struct, frozen=True, gc=False):
    """A chunk that says something and nothing else: no end, no usage, no error."""

    choices: list[PlainChoice]
    usage: None = None
    error: None = None
    x_groq: None = None
    service_tier: str | None = None


PLAIN_CHUNK = msgspec.json.Decoder(PlainChunk)


class ChunkTemplate:
    """One form of chunk, from ``data:`` to the blank line: its bytes before, between and behind what differs."""

    __slots__ = ("_closes", "_first", "_joint", "_last", "_middle", "_opens", "_two_bytes", "said", "tier")

    def __init__(self, first: bytes, middle: bytes, last: bytes, said: str) -> None:
        # What was said in the chunk that it was learnt from.
        self.said = said
        # What its chunks say of the service's tier.
        self.tier: str | None = None
        self._first = first
        # Between text and padding; empty where there is no padding.
        self._middle = middle
        self._last = last
        self._joint = last + first
        # Where a text with its quotes (and padding) stands in an event.
        self._opens = len(first) - 1
        self._closes = 1 - len(last)
        # So long can two chunks be, and one with a long text: those are read as runs.
        self._two_bytes = min(2 * (len(first) + len(middle) + len(last)), MAX_EVENT_BYTES)

    @classmethod
    def learn(cls, event: bytes, piece: bytes = b"", behind: int = 0) -> Self | None:
        """Take the form of a whole event; None where it is not a chunk that says one thing and does nothing else.

        What follows it is in ``piece`` from ``behind`` on: None as well where that begins otherwise.
        """
        if event.find(SILENT) >= 0 or event.find(EMPTY) >= 0:
            # The role or the end, of which the patterns would look at every byte.
            return None
        text = SAID.search(event)
        if text is None:
            return None
        begin, end = text.span(1)
        if (
            # Nothing is said in the chunk that only names the role: none like it will follow.
            begin == end
            or (behind < len(piece) and not piece.startswith(event[:begin], behind))
            or not (event.startswith(OPENING) and event.endswith(CLOSING))
            or event.find(b"\n") != len(event) - len(SEPARATOR)
            or event.find(b'"delta":null') >= 0
            or event.find(MARK) >= 0
        ):
            return None
        first, last, middle = event[:begin], event[end:], b""
        padding = PADDING.search(event, end) if last.find(b'"obfuscation"') >= 0 else None
        if padding is not None:
            middle, last = event[end : padding.start(1)], event[padding.end(1) :]
        try:
            said = STRING.decode(b'"%b"' % event[begin:end])
        except BROKEN_JSON:
            return None
        template = cls(first, middle, last, said)
        return template if template._says_mark() else None

    def read_one(self, piece: bytes) -> str | None:
        """Read a piece that is nothing but one chunk of this form, with a text of usual length; None for any other.

        What stands between the fixed bytes is read as one string of JSON, in which there can be no line end. So nothing
        else has to be looked for, not even a CR.
        """
        if len(piece) >= self._two_bytes or not piece.startswith(self._first) or not piece.endswith(self._last):
            return None
        closes, middle = self._closes, self._middle
        if middle:
            at = piece.find(middle, self._opens + 1, closes - 1)
            padding = piece[at + len(middle) : closes - 1]
            if at < 0 or (padding and not padding.isalnum()):
                return None
            closes = at + 1
        try:
            return STRING.decode(piece[self._opens : closes])
        except BROKEN_JSON:
            return None

    def read(self, piece: bytes, start: int) -> tuple[str, int, int] | None:
        """Read the chunks of this form from ``start`` on, to the last one in the piece: text, number, and their end.

        None where the first or any other in between has another form. The piece has no CR.
        """
        first, last = self._first, self._last
        if not piece.startswith(first, start):
            return None
        begin = start + len(first)
        end = piece.rfind(last, begin)
        if end < 0:
            return None
        # Not split at the joint itself: searching for hundreds of bytes costs ten times as much.
        chunks = piece[start + len(PREFIX) : end + len(last) - len(SEPARATOR)].split(BETWEEN_CHUNKS)
        said = list(map(_cut(len(first) - len(PREFIX), len(last) - len(SEPARATOR)), chunks))
        text = self._read_said(said, piece, begin, end)
        return None if text is None else (text, len(chunks), end + len(last))

    def read_framed(self, events: Sequence[bytes], piece: bytes, start: int) -> str | None:
        """As ``read`` where these are the events of the piece from ``start`` to its end: what they say."""
        if not piece.startswith(self._first, start) or not piece.endswith(self._last):
            return None
        said = list(map(_cut(len(self._first), len(self._last)), events))
        return self._read_said(said, piece, start + len(self._first), len(piece) - len(self._last))

    def is_one(self, piece: bytes) -> bool:
        """Whether a piece begins and ends as one chunk of this form, or several, does."""
        return piece.startswith(self._first) and piece.endswith(self._last)

    def _read_said(self, said: list[bytes], piece: bytes, begin: int, end: int) -> str | None:
        """Read what is cut out of chunks; None where what stands between in the piece is anything else."""
        joined = self._joint.join(said)
        if len(joined) != end - begin or not piece.startswith(joined, begin):
            return None
        try:
            return self._decode(said)
        except BROKEN_JSON:
            return None

    def _decode(self, said: list[bytes]) -> str | None:
        """Read what stands between the fixed bytes; None where one of them looks like several."""
        middle = self._middle
        if middle:
            return _decode_pairs(said, middle)
        joined = b"".join(said)
        if joined.isascii() and joined.find(b"\\") < 0:
            # No character and no escape can go on in the next: as one text at a third of the cost.
            return STRING.decode(b'"%b"' % joined)
        texts = STRINGS.decode(b'["%b"]' % BETWEEN_STRINGS.join(said))
        return "".join(texts) if len(texts) == len(said) else None

    def _says_mark(self) -> bool:
        """Whether a chunk of this form is plain, and says exactly what stands in its gap; an empty thought: nothing."""
        return self._says(MARK) and (b'"reasoning' not in self._first or self._says(b""))

    def _says(self, mark: bytes) -> bool:
        event = b"".join((self._first, mark, self._middle, self._last))
        try:
            chunk = PLAIN_CHUNK.decode(event[len(PREFIX) : -len(SEPARATOR)])
        except BROKEN_JSON:
            return False
        choices, self.tier = chunk.choices, chunk.service_tier
        if len(choices) != 1:
            return False
        said: list[str] = []
        delta, text = choices[0].delta, choices[0].text
        if delta is not None:
            say(delta, said)
        elif text is not None:
            said.append(text)
        return "".join(said).encode() == mark


def _cut(before: int, behind: int) -> Callable[[bytes], bytes]:
    """What takes a chunk's text (and padding) out of it.

    Not in a loop of our own: of a hundred chunks that was a tenth of all that a stream takes of the interpreter.
    """
    return itemgetter(slice(before, -behind))


def _decode_pairs(said: list[bytes], middle: bytes) -> str | None:
    joined = BETWEEN_PAIRS.join(said)
    parted = joined.replace(middle, BETWEEN_STRINGS)
    # As many as there are chunks: then it is once in each, since in a pair it can be no more than that.
    if len(joined) - len(parted) != len(said) * (len(middle) - len(BETWEEN_STRINGS)):
        return None
    pairs = PAIRS.decode(b'[["%b"]]' % parted)
    return "".join([text for text, _ in pairs]) if len(pairs) == len(said) else None
