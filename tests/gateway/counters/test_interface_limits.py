"""Rate windows and slots, the same of both kinds."""

import pytest

from gateway.counters.interface import MAX_COUNT, Counters, Period, RateWindow, Slot
from tests.gateway.counters.programs import START_NS, S

MINUTE = RateWindow(policy_key="key:requests", period="minute", limit=2)
TOKENS = RateWindow(policy_key="key:tokens", period="hour", limit=100)
SLOT = Slot(slot_key="key", limit=2)
# START_NS is half a minute before the year ends.
NEW_YEAR_S = START_NS // S + 30


async def test_a_window_admits_its_limit_and_tells_how_it_stands(counters: Counters) -> None:
    """Limit, remaining and reset are what the headers show."""
    answers = [await counters.take([MINUTE], [1], START_NS) for _ in range(3)]
    assert [answer.is_admitted for answer in answers] == [True, True, False]
    assert [answer.windows[0].remaining for answer in answers] == [1, 0, 0]
    assert {(answer.windows[0].limit, answer.windows[0].reset_s) for answer in answers} == {(2, NEW_YEAR_S)}


async def test_all_windows_take_or_none(counters: Counters) -> None:
    """Where one refuses, the others are as they were, and only it is named."""
    refused = await counters.take([MINUTE, TOKENS], [1, 101], START_NS)
    assert [window.is_refusing for window in refused.windows] == [False, True]
    assert [window.remaining for window in refused.windows] == [2, 100]
    assert (await counters.take([MINUTE, TOKENS], [1, 100], START_NS)).is_admitted


async def test_a_window_named_twice_is_counted_twice(counters: Counters) -> None:
    """Two amounts of one window add up, and are refused together."""
    assert not (await counters.take([MINUTE, MINUTE], [1, 2], START_NS)).is_admitted
    assert (await counters.take([MINUTE, MINUTE], [1, 1], START_NS)).is_admitted
    assert not (await counters.take([MINUTE], [1], START_NS)).is_admitted


async def test_a_limit_of_0_admits_nothing_but_nothing(counters: Counters) -> None:
    """Zero is a limit, not its absence."""
    closed = RateWindow(policy_key="key:requests", period="day", limit=0)
    assert not (await counters.take([closed], [1], START_NS)).is_admitted
    assert (await counters.take([closed], [0], START_NS)).is_admitted
    assert (await counters.take([], [], START_NS)).is_admitted


@pytest.mark.parametrize("period", ["minute", "hour", "day", "month"])
async def test_a_window_ends_with_the_calendars_and_a_clock_that_steps_back_finds_its_count(
    counters: Counters, period: Period
) -> None:
    """A new window begins at 0; the old one is not begun anew."""
    window = RateWindow(policy_key="key:requests", period=period, limit=1)
    assert (await counters.take([window], [1], START_NS)).is_admitted
    assert not (await counters.take([window], [1], START_NS + 29 * S)).is_admitted
    assert (await counters.take([window], [1], START_NS + 30 * S)).is_admitted
    assert not (await counters.take([window], [1], START_NS + 29 * S)).is_admitted


async def test_what_is_given_back_can_be_taken_again_in_its_own_window_only(counters: Counters) -> None:
    """Never below 0, and a later window gains nothing."""
    await counters.take([TOKENS], [100], START_NS)
    await counters.give_back([TOKENS], [30], START_NS)
    assert (await counters.take([TOKENS], [0], START_NS)).windows[0].remaining == 30
    await counters.give_back([TOKENS], [1_000], START_NS)
    assert (await counters.take([TOKENS], [0], START_NS)).windows[0].remaining == 100
    later_ns = START_NS + 31 * S
    await counters.take([TOKENS], [50], later_ns)
    await counters.give_back([TOKENS], [50], START_NS)
    await counters.give_back([], [], START_NS)
    assert (await counters.take([TOKENS], [0], later_ns)).windows[0].remaining == 50


async def test_the_largest_count_is_exact(counters: Counters) -> None:
    """The bound keeps every sum below what a double holds."""
    window = RateWindow(policy_key="key:tokens", period="month", limit=MAX_COUNT)
    assert (await counters.take([window], [MAX_COUNT - 1], START_NS)).windows[0].remaining == 1
    assert not (await counters.take([window], [MAX_COUNT], START_NS)).is_admitted
    assert (await counters.take([window], [1], START_NS)).windows[0].remaining == 0


async def test_a_slot_admits_its_limit_and_who_leaves_makes_room(counters: Counters) -> None:
    """Leaving twice frees one place."""
    assert (await counters.enter([SLOT], "a", START_NS, S)).slots[0].inside == 1
    assert (await counters.enter([SLOT], "b", START_NS, S)).slots[0].inside == 2
    refused = await counters.enter([SLOT], "c", START_NS, S)
    assert (refused.is_admitted, refused.slots[0].inside, refused.slots[0].is_refusing) == (False, 2, True)
    for _ in range(2):
        await counters.leave([SLOT], "a")
    assert (await counters.enter([SLOT], "c", START_NS, S)).is_admitted
    assert not (await counters.enter([SLOT], "d", START_NS, S)).is_admitted


async def test_the_slots_of_a_crashed_process_come_back(counters: Counters) -> None:
    """A lease that is over holds nothing; one that is renewed goes on."""
    one = Slot(slot_key="key", limit=1)
    await counters.enter([one], "crashed", START_NS, 2 * S)
    assert not (await counters.enter([one], "next", START_NS + 2 * S - 1_000, S)).is_admitted
    assert (await counters.enter([one], "next", START_NS + 2 * S, S)).is_admitted
    assert (await counters.enter([one], "next", START_NS + 2 * S, 9 * S)).is_admitted
    assert not (await counters.enter([one], "other", START_NS + 5 * S, S)).is_admitted


async def test_all_slots_are_entered_or_none(counters: Counters) -> None:
    """A full project leaves the key's places free."""
    project = Slot(slot_key="project", limit=0)
    assert not (await counters.enter([SLOT, project], "a", START_NS, S)).is_admitted
    assert (await counters.enter([SLOT], "b", START_NS, S)).slots[0].inside == 1
    assert (await counters.enter([], "b", START_NS, S)).is_admitted
    await counters.leave([], "b")


@pytest.mark.parametrize("amount", [-1, MAX_COUNT + 1])
async def test_an_amount_that_is_no_count_is_a_mistake(counters: Counters, amount: int) -> None:
    """It raises and counts nothing, as does another number of amounts than of windows."""
    with pytest.raises(ValueError, match="use 0 to"):
        await counters.take([MINUTE], [amount], START_NS)
    with pytest.raises(ValueError, match="use 0 to"):
        RateWindow(policy_key="", period="minute", limit=amount)
    with pytest.raises(ValueError, match="give one for each"):
        await counters.give_back([MINUTE], [], START_NS)
    with pytest.raises(ValueError, match="more than 0"):
        await counters.enter([SLOT], "a", START_NS, 0)
    assert (await counters.take([MINUTE], [0], START_NS)).windows[0].remaining == 2
