"""Streams that are here to their end: what is read of them at once, and what is left to a relay."""

from typing import Any

import pytest
from fakes import DONE, STREAM, USAGE_CHUNK, chunk

from gateway.backends.arrived import Arrived, Reading, read_all
from providers.errors import InvalidAnswer
from providers.openai.stream import OpenAiStream

SHOWN = chunk("Hel") + chunk("lo!")


def test_what_is_here_to_its_end_is_read_at_once() -> None:
    """All but the end may go out, and the usage is known; so it is without [DONE], as it is on its way."""
    for pieces in (STREAM, STREAM[:-1], [b"".join(STREAM)]):
        arrived = Arrived.read(OpenAiStream(), pieces, None)
        assert arrived is not None
        assert (arrived.events, arrived.usage.total_tokens, arrived.reader.finished) == (SHOWN, 25, True)
        assert (arrived.is_abandoned, arrived.is_attached) == (False, False)


def test_what_its_end_completes_is_part_of_it() -> None:
    """An event whose blank line is missing, where nothing else is."""
    body = b"".join(STREAM[:4]) + chunk(None).rstrip()
    arrived = Arrived.read(OpenAiStream(), [body], None)
    assert arrived is not None
    assert arrived.events == SHOWN + chunk(None)


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        STREAM[:2],
        STREAM[:3],
        (*STREAM[:3], DONE),
        (*STREAM[:2], USAGE_CHUNK),
        (*STREAM[:2], b'data: {"error":{"message":"no"}}\n\n'),
        (*STREAM[:2], b"data: {oops}\n\n", *STREAM[2:]),
        (*STREAM[:3], USAGE_CHUNK.replace(b"10", b"0").replace(b"25", b"15"), DONE),
        (*STREAM[:3], USAGE_CHUNK.replace(b'"completion_tokens": 10', b'"completion_tokens": -10'), DONE),
    ],
    ids=["empty", "cut", "no usage", "done without usage", "no end", "error", "no JSON", "nothing used", "incredible"],
)
def test_what_breaks_or_tells_no_usage_is_left_to_a_relay(pieces: tuple[bytes, ...]) -> None:
    """What it said has to be counted, or told with its fault, and neither is done at once."""
    assert Arrived.read(OpenAiStream(), pieces, None) is None


def test_what_goes_too_far_is_left_to_a_relay() -> None:
    """The guard has seen all of it."""
    seen: list[str] = []

    def guard(reader: Any) -> InvalidAnswer | None:
        seen.append(reader.delivered().text())
        return None if len(seen) == 1 else InvalidAnswer("too far")

    results = [Arrived.read(OpenAiStream(), STREAM, guard) for _ in range(2)]
    assert (results[0] is None, results[1] is None, seen) == (False, True, ["Hello!", "Hello!"])


def test_all_are_read_before_any_goes_on() -> None:
    """In their order; one that fails is told so, and keeps no other from its own."""
    log: list[str] = []
    found: dict[str, Any] = {}

    def reading_of(name: str) -> Reading:
        def guard(_: Any) -> None:
            log.append(f"read {name}")
            if name == "b":
                raise RuntimeError("a bug")

        def tell(what: Any) -> None:
            log.append(f"go {name}")
            found[name] = what

        return tell, OpenAiStream(), STREAM, guard

    read_all([reading_of(name) for name in "abc"])
    assert log == ["read a", "read b", "read c", "go a", "go b", "go c"]
    assert [found[name].events for name in "ac"] == [SHOWN, SHOWN]
    assert str(found["b"]) == "a bug"
