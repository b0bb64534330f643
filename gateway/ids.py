"""The identifiers of everything that is stored: UUIDv7s, written as 26 characters of lower-case base32.

A UUIDv7 (RFC 9562 section 5.7) begins with its millisecond and goes on with 74 random bits. The alphabet is
Crockford's, in lower case (https://www.crockford.com/base32.html): it ascends in ASCII, so texts sort as the times do,
and it lacks i, l, o and u, which are easily misread.
"""

import os
import re

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# Python's own digits of base 32, which int() reads.
_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_TO_DIGITS = str.maketrans(ALPHABET, _DIGITS)
# Ten bits at a time: two characters a look-up instead of one.
_PAIRS = tuple(high + low for high in ALPHABET for low in ALPHABET)
# A random byte as the character of its low five bits; as the first character after the time, 0111r for version 7; and
# as the fourth, r10rr for the variant.
_RANDOM = bytes(ord(ALPHABET[byte & 31]) for byte in range(256))
_VERSION = tuple(ALPHABET[0b01110 | byte & 1] for byte in range(256))
_VARIANT = tuple(ALPHABET[0b01000 | (byte & 4) << 2 | byte & 3] for byte in range(256))
_DRAWN_BYTES = 16
_POOLED_IDS = 256
_SPELLING = re.compile(r"(?:[a-z]+[_-])?([0-7][0-9a-hjkmnp-tv-z]{25})", re.ASCII | re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def new_id(now_ns: int) -> str:
    """Make an identifier for something that begins at ``now_ns``; 74 of its bits come from the system's generator."""
    return make_id(now_ns, os.urandom(_DRAWN_BYTES))


def make_id(now_ns: int, drawn: bytes) -> str:
    """Make an identifier of something that began at ``now_ns`` from 16 bytes that somebody drew."""
    return _write_time(now_ns // 1_000_000) + _write_tail(drawn)


class IdSource:
    """Makes identifiers for requests: as ``new_id``, but asks the system for many at once, since each asking costs."""

    __slots__ = ("_tails", "_time", "_time_ms")

    def __init__(self) -> None:
        self._tails: list[str] = []
        self._time_ms = -1
        self._time = ""

    def new(self, now_ns: int) -> str:
        """Make an identifier."""
        time_ms = now_ns // 1_000_000
        if time_ms != self._time_ms:
            self._time_ms = time_ms
            self._time = _write_time(time_ms)
        if not self._tails:
            drawn = os.urandom(_DRAWN_BYTES * _POOLED_IDS)
            self._tails = [_write_tail(drawn[at : at + _DRAWN_BYTES]) for at in range(0, len(drawn), _DRAWN_BYTES)]
        return self._time + self._tails.pop()


def _write_time(time_ms: int) -> str:
    pairs = _PAIRS
    return (
        f"{pairs[time_ms >> 40]}{pairs[time_ms >> 30 & 1023]}{pairs[time_ms >> 20 & 1023]}{pairs[time_ms >> 10 & 1023]}"
        f"{pairs[time_ms & 1023]}"
    )


def _write_tail(drawn: bytes) -> str:
    tail = drawn.translate(_RANDOM).decode()
    return f"{_VERSION[drawn[0]]}{tail[1:3]}{_VARIANT[drawn[3]]}{tail[4:]}"


def parse_id(text: str) -> str:
    """Read any spelling of an identifier into its 26 characters: ``dep_X``, ``dep-X``, ``X`` or a bare UUID.

    Raises ValueError with the text when it is none of these.
    """
    if match := _SPELLING.fullmatch(text):
        return match[1].lower()
    if _UUID.fullmatch(text):
        value = int(text.replace("-", ""), 16)
        return "".join(_PAIRS[value >> shift & 1023] for shift in range(120, -10, -10))
    raise ValueError(f"{text[:64]!r} is not an id: write it as it was given, like 'proj_' and 26 letters and digits")


def to_uuid(short_id: str) -> str:
    """Write an identifier of 26 characters as a bare UUID."""
    digits = f"{int(short_id.translate(_TO_DIGITS), 32):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
