"""The head of an origin's last ordinary answer, by which its next one is recognised without being read again.

Servers without dates and ids in their heads (llama.cpp, plain proxies) answer every call with the same one, but for the
digits of its Content-Length. From others nothing is recognised, and the comparison ends at the first byte that differs.
"""

from providers.transport.head import LENGTH, ResponseHead

MAX_LENGTH_DIGITS = 10


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
