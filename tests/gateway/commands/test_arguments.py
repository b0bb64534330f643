"""What the arguments of the command line say."""

import argparse
from collections.abc import Callable

import pytest

from gateway.commands.arguments import (
    MAX_CALLS,
    MAX_NAME_CHARS,
    read_count,
    read_duration_ns,
    read_end,
    read_limit,
    read_moment,
    read_name,
    read_names,
    read_note,
)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("4w", 2_419_200)]
)
def test_a_duration_is_read(text: str, seconds: int) -> None:
    """Every unit that the help names."""
    assert read_duration_ns(text) == seconds * 1_000_000_000


def test_what_else_there_is_is_read() -> None:
    """Each in its own form."""
    assert read_limit("proxy_per_minute=1000") == ("proxy_per_minute", 1_000)
    assert read_count(str(MAX_CALLS)) == MAX_CALLS
    assert read_names("a, b,,a") == {"a", "b"}
    assert (read_name("Shop \u00e9"), read_note("")) == ("Shop \u00e9", "")
    assert read_end("2026-11-28") - read_moment("2026-11-28") >= 86_399 * 1_000_000_000


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_duration_ns, "5y"), (read_duration_ns, "\u0661s"), (read_duration_ns, "0s"),
        (read_limit, "speed"), (read_limit, "speed=\u0661"), (read_limit, "speed=-1"),
        (read_count, "0"), (read_count, str(MAX_CALLS + 1)), (read_count, "1" * 5_000), (read_count, "x"),
        (read_names, " , "),
        (read_name, ""), (read_name, "  "), (read_name, "a\nb"), (read_name, "a" * (MAX_NAME_CHARS + 1)),
        (read_note, "a\tb"), (read_note, "\x1b[0m"),
        (read_moment, "yesterday"), (read_end, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(read: Callable[[str], object], text: str) -> None:
    """By the command line, with the option's name."""
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)
