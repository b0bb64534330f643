"""The head of an origin's last ordinary answer, by which its next one is recognised without being read again.

Servers without dates and ids in their heads (llama.cpp, plain proxies) answer every call with the same one, but for the
digits of its Content-Length. From others nothing is recognised, and the comparison ends at the first byte that differs.
"""

import msgspec

from providers.transport.head import LENGTH, ResponseHead

MAX_LENGTH_DIGITS = 10
LINE_END, BLANK_LINE = b"\r\n", b"\r\n\r\n"


class KnownAnswer:
    """A head that ``read_whole`` has taken; it takes further answers that only differ in their length."""

    __slots__ = ("_after", "_before", "_digits", "_head")

    def __init__(self, head: ResponseHead) -> None:
        """``head`` has one Content-Length, as every head that ``read_whole`` takes."""
        self._head = head
        start = head.lower.find(LENGTH) + len(LENGTH)
        end = head.raw.find(b"\r", start)
        # Up to the digits, and from behind them to the blank line.
        self._before = head.raw[:start]
        self._digits = head.raw[start:end]
        self._after = head.raw[end:] + b"\r\n"

    def read(self, data: bytes, max_header_bytes: int) -> tuple[ResponseHead, int] | None:
        """As ``read_whole``, for answers with this head; None for all others."""
        before, after = self._before, self._after
        if not data.startswith(before):
            return None
        start = len(before)
        end = data.find(b"\r", start, start + MAX_LENGTH_DIGITS + 1)
        digits = data[start:end]
        if end < 0 or not digits.isdigit() or not data.startswith(after, end):
            return None
        body_at = end + len(after)
        if int(digits) != len(data) - body_at or body_at > max_header_bytes:
            return None
        if digits == self._digits:
            return self._head, body_at
        head = ResponseHead(self._head.status, data[: body_at - 2])
        head.gists = self._head.gists
        return head, body_at


class KnownStream(msgspec.Struct, frozen=True):
    """The head of a chunked answer, and its bytes with the blank line: no body begins before them."""

    raw: bytes
    head: ResponseHead


def read_stream(data: bytes, status: int, max_header_bytes: int) -> KnownStream | None:
    """Read the head of a chunked answer that the parser has found valid; None for what has to be decoded or refused."""
    end = data.find(BLANK_LINE)
    if end > max_header_bytes:
        return None
    head = ResponseHead(status, data[: end + len(LINE_END)])
    return KnownStream(data[: end + len(BLANK_LINE)], head) if head.is_plainly_chunked else None
