"""What a turn of the loop puts off is done at its end, together, whatever fails."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.ledger.recording.turn import Turn


class Ends:
    """A turn that is ended as the recorder ends it, and all that happened."""

    def __init__(self) -> None:
        self.happened: list[object] = []
        self.turn = Turn(self.end)

    def end(self) -> None:
        """Do what was put off."""
        self.happened.append("end")
        self.turn.finish()

    def add(self, items: Sequence[int]) -> None:
        """One work."""
        self.happened.append(list(items))

    def name(self, items: Sequence[int]) -> None:
        """Another."""
        self.happened.append([str(item) for item in items])


async def test_what_is_put_off_is_done_together_when_the_turn_ends() -> None:
    """One work after the other, each for all of its items in their order."""
    ends = Ends()
    for item in (1, 2, 3):
        ends.turn.put_off(ends.add, item)
        ends.turn.put_off(ends.name, item)
    assert ends.happened == []
    await asyncio.sleep(0)
    assert ends.happened == ["end", [1, 2, 3], ["1", "2", "3"]]
    await asyncio.sleep(0)
    ends.turn.put_off(ends.add, 4)
    await asyncio.sleep(0)
    assert ends.happened[3:] == ["end", [4]]


async def test_who_cannot_wait_has_it_done_now() -> None:
    """Once: nothing is left for the end."""
    ends = Ends()
    ends.turn.put_off(ends.add, 1)
    ends.turn.finish()
    assert ends.happened == [[1]]
    await asyncio.sleep(0)
    assert ends.happened == [[1], "end"]


async def test_what_work_puts_off_itself_is_done_as_well() -> None:
    """Within the same turn."""
    ends = Ends()
    ends.turn.put_off(lambda items: [ends.turn.put_off(ends.add, item) for item in items] and None, 1)
    ends.turn.finish()
    assert ends.happened == [[1]]


async def test_what_is_last_comes_behind_all_others_and_not_before_the_end() -> None:
    """Also where it was put off first, and somebody had the rest done sooner."""
    ends = Ends()
    ends.turn.put_off(ends.name, 1, is_last=True)
    ends.turn.put_off(ends.add, 2)
    ends.turn.finish()
    ends.turn.put_off(ends.add, 3)
    assert ends.happened == [[2]]
    await asyncio.sleep(0)
    assert ends.happened == [[2], [3], ["1"], "end"]


async def test_what_last_work_puts_off_is_done_and_further_last_work_is_the_next_turns() -> None:
    """So a turn ends."""
    ends = Ends()

    def follow(items: Sequence[int]) -> None:
        ends.turn.put_off(ends.add, 2)
        ends.turn.put_off(ends.name, 3, is_last=True)

    ends.turn.put_off(follow, 1, is_last=True)
    await asyncio.sleep(0)
    assert ends.happened == ["end", [2]]
    await asyncio.sleep(0)
    assert ends.happened == ["end", [2], ["3"], "end"]


async def test_work_that_fails_is_told_and_stops_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the reason."""
    ends = Ends()

    def fail(items: Sequence[int]) -> None:
        raise RuntimeError(f"cannot do {items}")

    ends.turn.put_off(fail, 1)
    ends.turn.put_off(ends.add, 2)
    ends.turn.finish()
    assert ends.happened == [[2]]
    assert "cannot do [1]" in caplog.text


async def test_the_server_is_told_that_a_turn_has_ended() -> None:
    """Afterwards, so that what was said leaves with it; however often the turn was begun, it ends once."""
    ends = Ends()
    ends.turn.after = lambda: ends.happened.append("after")
    for _ in range(2):
        ends.turn.begin()
    await asyncio.sleep(0)
    assert ends.happened == ["end", "after"]
    await asyncio.sleep(0)
    assert ends.happened == ["end", "after"]
