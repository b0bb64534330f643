"""An answer in the other form than was asked for: whole where a stream was wanted, or a stream where a whole one was.

Servers that know no streams, or nothing else, answer so. It was made and will be billed, so it is not asked for again:
it is read, counted, and said in the form that was wanted.

Failure behavior: what is an answer in neither form fails as it would have in the form that was wanted.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from providers.chat import Answer, Usage, is_counted
from providers.delivered import Delivered
from providers.errors import InvalidAnswer, ProviderError
from providers.openai.recorded import fold, unfold
from providers.openai.reply import BROKEN_JSON, HTTP_OK
from providers.openai.template import PREFIX, SEPARATOR
from providers.splice import mend
from providers.sse import BYTE_ORDER_MARK
from providers.wire import Call, Dialect, StreamReader

MAX_WHOLE_BYTES = 67_108_864
# How a stream of events begins.
_EVENTS_BEGIN = (b"data:", b"event:", b"id:", b"retry:", b":")
_JSON = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode


class WholeReader:
    """A StreamReader for an answer whose head says that it is one JSON text; see providers.wire.StreamReader.

    Nothing goes out before its end. Where it is a stream all the same, it is read as one.
    """

    def __init__(self, dialect: Dialect, call: Call) -> None:
        self._dialect = dialect
        self._call = call
        self._pieces: list[bytes] = []
        self._size = 0
        self._stream: StreamReader | None = None
        self._delivered = Delivered()
        self.usage: Usage | None = None
        self.finished = False
        self.failure: ProviderError | None = None
        self.held: bytes | None = None
        self.usage_chunk: bytes | None = None
        self.events = 0

    @property
    def has_ended(self) -> bool:
        """Whether it has all of the answer."""
        return self.finished if self._stream is None else self._stream.has_ended

    def feed(self, piece: bytes) -> bytes:
        """Take any cut of the upstream's bytes; return the SSE bytes that may go to the client now."""
        if self._stream is None and not self._pieces and is_stream(piece):
            self._stream = self._dialect.open_stream(self._call)
        if self._stream is not None:
            return self._follow(self._stream, self._stream.feed(piece))
        self._size += len(piece)
        if self._size > MAX_WHOLE_BYTES:
            self.failure = InvalidAnswer(f"the provider's answer is larger than {MAX_WHOLE_BYTES} bytes")
            self._pieces.clear()
        elif self.failure is None:
            self._pieces.append(piece)
        return b""

    def feed_all(self, pieces: Sequence[bytes]) -> bytes:
        """Take a stream that is here to its end, as it was framed."""
        return self.feed(b"".join(pieces))

    def end(self) -> bytes:
        """The upstream ended: say the answer as a stream."""
        if self._stream is not None:
            return self._follow(self._stream, self._stream.end())
        if self.failure is not None or self.finished:
            return b""
        body, self._pieces = b"".join(self._pieces), []
        try:
            answer = self._dialect.decode(self._call, HTTP_OK, (), body)
            self.usage = answer.usage
            *said, held, counted = unfold(_read(answer.body), self._call.endpoint)
        except ProviderError as failure:
            self.failure = failure
            return b""
        if answer.text:
            self._delivered.add([answer.text])
        self.held = _encode(held)
        self.usage_chunk = _encode(counted) if counted.get("usage") else None
        self.events = len(said) + 1
        self.finished = True
        return b"".join([PREFIX + _encode(chunk) + SEPARATOR for chunk in said])

    def delivered(self) -> Delivered:
        """What was produced so far, where that has to be counted."""
        return self._delivered if self._stream is None else self._stream.delivered()

    def _follow(self, stream: StreamReader, out: bytes) -> bytes:
        """Be as the stream is."""
        self.usage, self.finished, self.failure = stream.usage, stream.finished, stream.failure
        self.held, self.usage_chunk, self.events = stream.held, stream.usage_chunk, stream.events
        return out


def is_stream(body: bytes) -> bool:
    """Whether a body begins as a stream of events does."""
    return body.removeprefix(BYTE_ORDER_MARK).lstrip().startswith(_EVENTS_BEGIN)


def fold_stream(dialect: Dialect, call: Call, body: bytes) -> Answer:
    """The whole answer of a stream that came where none was asked for; raises ProviderError."""
    reader = dialect.open_stream(call)
    events = reader.feed(body) + reader.end()
    if reader.failure is not None:
        reader.failure.usage = reader.failure.usage or reader.usage
        raise reader.failure
    parts = [event.removeprefix(PREFIX) for event in events.split(SEPARATOR) if event.startswith(PREFIX)]
    parts += [part for part in (reader.held, reader.usage_chunk) if part is not None]
    whole = _encode(fold([_read(part) for part in parts], call.endpoint))
    text = "" if is_counted(reader.usage) else reader.delivered().text()
    return Answer(body=whole, usage=reader.usage, text=text)


def _read(body: bytes) -> dict[str, Any]:
    try:
        return _JSON.decode(body)
    except BROKEN_JSON:
        pass
    try:
        return _JSON.decode(mend(body) or body)
    except BROKEN_JSON as broken:
        raise InvalidAnswer(f"the provider's answer is not JSON: {broken}") from broken
