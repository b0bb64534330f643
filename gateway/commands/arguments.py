"""Reads what the arguments of the command line say.

Failure behavior: what cannot be read raises ArgumentTypeError, which the command line tells with the option's name.
"""

import argparse
import re

from gateway.analytics import moments
from gateway.errors import shown

_NS_PER_S = 1_000_000_000
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhdw])")
# Fits a table and a page.
MAX_NAME_CHARS = 128
MAX_CALLS = 5_000_000


def read_limit(text: str) -> tuple[str, int]:
    """Read a plan's figure such as proxy_per_minute=1000."""
    name, _, figure = text.partition("=")
    if not figure.isascii() or not figure.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a limit such as proxy_per_minute=1000")
    return name, int(figure)


def read_count(text: str) -> int:
    """Read how many calls to make."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(MAX_CALLS)) or not 1 <= int(text) <= MAX_CALLS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MAX_CALLS}")
    return int(text)


def read_moment(text: str, *, is_end: bool = False) -> int:
    """Read a date or an RFC 3339 moment into ns since the epoch; with ``is_end`` a date ends with its day."""
    try:
        return moments.parse_moment(text, is_end=is_end)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def read_end(text: str) -> int:
    """Read the end of a period, which includes a date that is named."""
    return read_moment(text, is_end=True)


def read_name(text: str) -> str:
    """Read a project's name."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"a name is 1 to {MAX_NAME_CHARS} printable characters")
    return read_note(text)


def read_note(text: str) -> str:
    """Read what somebody may leave empty."""
    if not text.isprintable() or len(text) > MAX_NAME_CHARS:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not 1 to {MAX_NAME_CHARS} printable characters")
    return text


def read_names(text: str) -> frozenset[str]:
    """Read names with commas between them."""
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError("name at least one, or leave the option out")
    return names


def read_duration_ns(text: str) -> int:
    """Read a duration such as 90s, 15m, 12h, 30d or 4w into ns."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90s, 15m, 12h, 30d or 4w")
    return int(match[1]) * _SECONDS[match[2]] * _NS_PER_S
