"""Redis is told who is not inside a slot until it answers, and once more."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.counters import departures
from gateway.counters.departures import Departures
from gateway.counters.interface import CountersUnavailable, Slot

SLOTS = (Slot(slot_key="key", limit=1),)
LATE_S = 0.001


class Told:
    """Redis, which may be away."""

    def __init__(self) -> None:
        self.is_gone = False
        self.leases: list[str] = []
        self.refused = 0
        self.departures = Departures(self.leave, late_s=LATE_S)

    async def leave(self, slots: Sequence[Slot], lease_id: str) -> None:
        """Hear of one."""
        assert slots == SLOTS
        if self.is_gone:
            self.refused += 1
            raise CountersUnavailable("away")
        self.leases.append(lease_id)

    async def settle(self) -> None:
        """Wait until all is told."""
        async with asyncio.timeout(5):
            while len(self.departures):
                await asyncio.sleep(LATE_S)


async def test_each_is_told_twice_and_then_forgotten() -> None:
    """A question that was sent before may arrive after the first."""
    told = Told()
    told.departures.note(SLOTS, "a")
    await told.settle()
    told.departures.note(SLOTS, "b")
    await told.settle()
    assert told.leases == ["a", "a", "b", "b"]
    await told.departures.close()


async def test_redis_is_asked_until_it_answers() -> None:
    """As long as it is away nothing is forgotten."""
    told = Told()
    told.is_gone = True
    told.departures.note(SLOTS, "a")
    async with asyncio.timeout(5):
        while told.refused < 3:
            await asyncio.sleep(LATE_S)
    assert len(told.departures) == 1
    told.is_gone = False
    await told.settle()
    assert told.leases == ["a", "a"]


async def test_who_is_inside_after_all_stays() -> None:
    """Nobody is told of them."""
    told = Told()
    told.departures.note(SLOTS, "a")
    told.departures.forget("a")
    await told.departures.close()
    assert (told.leases, len(told.departures)) == ([], 0)


async def test_closing_tells_what_it_can() -> None:
    """Also with Redis away it ends."""
    for is_gone in (False, True):
        told = Told()
        told.is_gone = is_gone
        told.departures.note(SLOTS, "a")
        await told.departures.close()
        assert told.leases == ([] if is_gone else ["a"])


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is given up."""
    monkeypatch.setattr(departures, "MAX_WAITING", 2)
    told = Told()
    for lease_id in "abc":
        told.departures.note(SLOTS, lease_id)
    await told.settle()
    assert sorted(set(told.leases)) == ["b", "c"]
