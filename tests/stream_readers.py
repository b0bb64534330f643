"""Readers of OpenAI's streams for comparison: the usual one, and one that reads every chunk by itself."""

from collections.abc import Iterable, Sequence
from typing import Any

from providers.openai.stream import MAX_LESSONS, OpenAiStream


def careful() -> OpenAiStream:
    """A reader that has given forms up: it reads every chunk by itself."""
    stream = OpenAiStream()
    stream._lessons = MAX_LESSONS  # pyright: ignore[reportPrivateUsage]  # the state of one that found no form
    return stream


def told(stream: OpenAiStream, pieces: Iterable[bytes]) -> dict[str, Any]:
    """All that a reader tells of a stream."""
    return _tell(stream, b"".join(map(stream.feed, pieces)))


def told_at_once(pieces: Sequence[bytes]) -> dict[str, Any]:
    """All that a reader tells of a stream that was here to its end, in these pieces."""
    stream = OpenAiStream()
    return _tell(stream, stream.feed_all(pieces))


def _tell(stream: OpenAiStream, out: bytes) -> dict[str, Any]:
    out += stream.end()
    said = stream.delivered()
    return {
        "out": out,
        "said": (said.text(), said.unkept_chars, said.has_any),
        "usage": stream.usage,
        "held": stream.held,
        "usage_chunk": stream.usage_chunk,
        "end": (stream.finished, type(stream.failure), str(stream.failure)),
        "events": stream.events,
    }
