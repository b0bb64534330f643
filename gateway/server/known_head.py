"""The head of a connection's last request, by which its next one is recognised without being read again."""

import re
from typing import Any

LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)\r\n", re.IGNORECASE)
# What keeps a head from being recognised: its request is not over with its body.
UNREPEATED = (b"upgrade", b"expect")
MAX_LENGTH_DIGITS = 10


class KnownHead:
    """A head that was read and checked, to recognise a connection's next request by: clients repeat their heads.

    Only the digits of the Content-Length differ; every other byte is the same, so reading it again tells nothing new.
    """

    __slots__ = ("_after", "_before", "visit")

    def __init__(self, before: bytes, after: bytes, visit: Any) -> None:
        # Up to the digits, and from behind them to the blank line.
        self._before = before
        self._after = after
        self.visit = visit

    @staticmethod
    def read(data: bytes, single: dict[bytes, bytes], visit: Any) -> "KnownHead | None":
        """Take the head that ``data`` begins with, with these headers; None where no body of a known length follows."""
        if any(name in single for name in UNREPEATED):
            return None
        end = data.find(b"\r\n\r\n")
        length = LENGTH.search(data, 0, end + 2)
        return None if length is None else KnownHead(data[: length.start(1)], data[length.end(1) : end + 4], visit)

    def body_of(self, data: bytes) -> bytes | None:
        """The body where ``data`` is exactly one whole request with this head, else None."""
        before, after = self._before, self._after
        if not data.startswith(before):
            return None
        start = len(before)
        end = data.find(b"\r", start, start + MAX_LENGTH_DIGITS + 1)
        digits = data[start:end]
        if end < 0 or not digits.isdigit() or not data.startswith(after, end):
            return None
        body = data[end + len(after) :]
        return body if len(body) == int(digits) else None
