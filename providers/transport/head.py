"""The head of a response: its status and its fields, looked up in the raw bytes and split only when asked for."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from providers.errors import InvalidAnswer

# Everything below is interim or not a status.
_OK = 200
# The grammar of a head (RFC 9112), for the one status line that nearly all answers have. It has no possessive
# repetitions, which Python has wrong up to 3.11.4 (https://github.com/python/cpython/issues/106052, 2026-11-26);
# nothing here can match in two ways, so there is nothing to try again.
_USUAL = re.compile(rb"HTTP/1\.1 200 [\t -~\x80-\xff]*(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*)+\r\n\r\n")
LENGTH = b"\r\ncontent-length: "
_CONNECTION = b"\r\nconnection:"
_MAX_LENGTH_DIGITS = 10
T = TypeVar("T")
# From here on a status tells of no answer.
REDIRECTION = 300


class ResponseHead:
    """A head that the parser has found valid: CRLF line ends, no folded lines, no blanks before a colon."""

    __slots__ = ("_pairs", "gists", "has_codings", "lower", "raw", "status")

    def __init__(self, status: int, raw: bytes) -> None:
        self.status = status
        # From the status line to the CRLF of the last field, that CRLF included.
        self.raw = raw
        self.lower = raw.lower()
        # The body may be transfer- or content-encoded: a quick look, which errs only towards yes.
        self.has_codings = b"-encoding:" in self.lower
        self._pairs: list[tuple[bytes, bytes]] | None = None
        # What was made of the fields, by who made it; heads that only differ in their length share it.
        self.gists: dict[Callable[[Any], Any], Any] = {}

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of a field, None when it is missing; ``name`` is lower case."""
        at = self.lower.find(b"\r\n" + name + b":")
        if at < 0:
            return None
        start = at + len(name) + 3
        return self.raw[start : self.raw.find(b"\r\n", start)].strip(b" \t")

    def get_all(self, name: bytes) -> bytes:
        """Return the values of all fields of a name as one list, in lower case (RFC 9110, 5.3)."""
        mark = b"\r\n" + name + b":"
        at = self.lower.find(mark)
        if at < 0:
            return b""
        start = at + len(mark)
        if self.lower.find(mark, start) < 0:
            return self.lower[start : self.lower.find(b"\r\n", start)].strip(b" \t")
        return b", ".join(value for known, value in self.headers if known == name).lower()

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """All fields in their order, names in lower case."""
        if self._pairs is None:
            split = (line.partition(b":") for line in self.raw.split(b"\r\n")[1:-1])
            self._pairs = [(name.lower(), value.strip(b" \t")) for name, _, value in split]
        return self._pairs

    def lines(self, wanted: re.Pattern[bytes]) -> list[bytes]:
        """Return the lines of fields as they stand, found by a pattern that begins with CRLF and has one group."""
        return wanted.findall(self.raw)

    def gist(self, reading: Callable[[Any], T]) -> T:
        """Return what ``reading`` makes of this head, whatever its length; it is asked once for all heads like this."""
        try:
            found: T = self.gists[reading]
        except KeyError:
            found = self.gists[reading] = reading(self)
        return found

    @property
    def content_length(self) -> int | None:
        """The announced size of the body; the parser has checked that it is one decimal number."""
        length = self.get(b"content-length")
        return None if length is None else int(length)

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks; the parser lets no Content-Length stand beside that."""
        return b"\r\ntransfer-encoding:" in self.lower

    @property
    def is_plainly_chunked(self) -> bool:
        """Whether the body comes in chunks, and neither has to be decoded nor refused."""
        return (
            self.raw.startswith(b"HTTP/1.")
            and self.lower.count(b"-encoding:") == 1
            and self.get_all(b"transfer-encoding") == b"chunked"
        )

    @property
    def ends_with_connection(self) -> bool:
        """Whether nothing but the closing of the connection marks the end of the body."""
        return not self.is_chunked and self.content_length is None

    @property
    def tells_of_answer(self) -> bool:
        """Whether the status is that of a success, so that something was made."""
        return self.status < REDIRECTION

    def check(self) -> None:
        """Raise InvalidAnswer for what the parser lets pass but this client does not speak."""
        if not self.raw.startswith(b"HTTP/1."):
            raise InvalidAnswer(f"the answer is not HTTP/1.1: it begins with {self.raw[:16]!r}")
        if self.status < _OK:
            raise InvalidAnswer(f"the answer has the status {self.status}, which cannot end an exchange")
        if self.has_codings and self.is_chunked:
            codings = self.get_all(b"transfer-encoding")
            if codings != b"chunked":
                raise InvalidAnswer(f"the answer has the transfer-encoding {codings[:64]!r}: only chunked is read")


def read_whole(data: bytes, max_header_bytes: int) -> tuple[ResponseHead, int] | None:
    """Read a head with exactly its whole body behind it, and tell where that begins: an ordinary short answer.

    None for everything else, also for what is no HTTP at all: the parser reads those, at several times the cost.
    """
    found = _USUAL.match(data)
    if found is None or found.end() > max_header_bytes:
        return None
    start = found.end()
    head = ResponseHead(_OK, data[: start - 2])
    lower = head.lower
    at = lower.find(LENGTH)
    connection = lower.find(_CONNECTION)
    if (
        at < 0
        or head.has_codings
        or lower.count(b"\r\ncontent-length") > 1
        or lower.count(b"connection:") > 1
        or b"\r\nproxy-connection:" in lower
        or (connection >= 0 and not lower.startswith(b" keep-alive\r\n", connection + len(_CONNECTION)))
    ):
        return None
    at += len(LENGTH)
    digits = lower[at : lower.find(b"\r", at)]
    if not digits.isdigit() or len(digits) > _MAX_LENGTH_DIGITS or int(digits) != len(data) - start:
        return None
    return head, start
