"""Server-sent events: bytes in, events out; incremental, bounded, and indifferent to where the bytes are cut.

Failure behavior: a line or an event longer than the bound raises InvalidAnswer; nothing else can fail. Any mixture of
CR, LF and CRLF ends a line, also when a cut falls between CR and LF. Only CR and LF do: U+2028 and U+0085 are text.
"""

from typing import NamedTuple

from providers.errors import InvalidAnswer

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Images come whole in one event, 1 to 3 MB of base64 each.
MAX_EVENT_BYTES = 4_194_304


class SseEvent(NamedTuple):
    """One event: its type ("" where none was given) and its data, lines joined by LF."""

    event: str
    data: bytes


def parse_block(block: bytes) -> SseEvent | None:
    """Read the lines of one event (LF-separated, no blank line); None where there is no data field."""
    event, data = "", None
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            data = value if data is None else data + b"\n" + value
        elif name == b"event":
            event = value.removeprefix(b" ").decode("utf-8", "replace")
    return None if data is None else SseEvent(event, data)


class SseParser:
    """Cuts a stream of bytes into events. ``pending`` tells whether an unfinished event waits."""

    __slots__ = ("_after_cr", "_buffer", "_max_event_bytes", "_scanned", "_started")

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._after_cr = False
        self._started = False
        self._max_event_bytes = max_event_bytes

    @property
    def pending(self) -> bool:
        """Whether bytes of an unfinished event, or half of a line end, are held."""
        return bool(self._buffer) or self._after_cr

    def blocks(self, data: bytes) -> list[bytes]:
        """Take the next bytes; return the complete events' lines, LF-separated and without the blank line."""
        buffer = self._buffer
        buffer += self._with_line_feeds(data)
        if not self._started and buffer:
            if buffer.startswith(BYTE_ORDER_MARK):
                del buffer[: len(BYTE_ORDER_MARK)]
                self._started = True
            else:
                self._started = not BYTE_ORDER_MARK.startswith(buffer)
        end = buffer.rfind(b"\n\n", max(0, self._scanned - 1))
        if end < 0:
            self._scanned = len(buffer)
            if self._scanned > self._max_event_bytes:
                raise InvalidAnswer(f"a stream event is longer than {self._max_event_bytes} bytes")
            return []
        complete = bytes(buffer[:end])
        del buffer[: end + 2]
        self._scanned = len(buffer)
        found = [stripped for block in complete.split(b"\n\n") if (stripped := block.strip(b"\n"))]
        if len(complete) > self._max_event_bytes and max(map(len, found)) > self._max_event_bytes:
            raise InvalidAnswer(f"a stream event is longer than {self._max_event_bytes} bytes")
        return found

    def skip(self) -> None:
        """The stream began with events that were read elsewhere: no byte order mark may follow."""
        self._started = True

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take the next bytes; return the events that they complete."""
        return [event for block in self.blocks(data) if (event := parse_block(block)) is not None]

    def end(self) -> list[SseEvent]:
        """The stream is over: return the last event where only its blank line was missing."""
        block = bytes(self._buffer).strip(b"\n")
        self._buffer.clear()
        self._scanned = 0
        event = parse_block(block) if block else None
        return [] if event is None else [event]

    def _with_line_feeds(self, data: bytes) -> bytes:
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data
