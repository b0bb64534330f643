"""Terms hold for calls that are alike, and for no longer than what they were made of."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from budget_world import CALLER, Treasure, treasure
from msgspec.structs import replace

from gateway.budgets.bound import Tariff, Worst, join_worsts
from gateway.budgets.keeping import terms as kept
from gateway.budgets.keeping.terms import Alike, Remembered, Terms
from gateway.counters.interface import LINE_IDLE_NS
from gateway.db import Database
from tests.gateway.usage_rows import NOW_NS

ALIKE: Alike = ("key_1", "chat/completions", "m", 10)
TABLE = object()
WAY = ("openai", "m-1")
WORST = Worst(input_atto=0, output_atto=10**6, per_request_pusd=0, output_tokens=10)
DAY_NS = 86_400 * 10**9
TARIFF: Tariff = join_worsts([WORST], NOW_NS - DAY_NS, NOW_NS + 10 * DAY_NS)


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[Treasure]:
    """With a budget of a day whose counter is begun."""
    async with treasure(database, tmp_path) as made:
        await made.add(limit_pusd=100)
        wish = made.wish(7)

        async def tighten() -> object:
            raise AssertionError("there is room")

        funds = await made.keeper.reserve(wish, tighten)  # type: ignore[arg-type]
        funds.release()
        yield made


def make(house: Treasure) -> Terms:
    """Make them and have them kept."""
    remembered = house.keeper.remembered
    made = remembered.make(CALLER, house.books.directory.find(CALLER, ""), TABLE, WAY, TARIFF, NOW_NS)
    assert made is not None
    remembered.keep(ALIKE, made)
    return made


async def test_they_hold_for_one_key_one_table_and_one_window(house: Treasure) -> None:
    """A key that was changed is another record, and so is a table that was made anew."""
    remembered, made = house.keeper.remembered, make(house)
    assert remembered.find(ALIKE, CALLER, TABLE, NOW_NS) is made
    assert remembered.find(("key_2", *ALIKE[1:]), CALLER, TABLE, NOW_NS) is None
    assert remembered.find(ALIKE, replace(CALLER, tags="a:b"), TABLE, NOW_NS) is None
    assert remembered.find(ALIKE, CALLER, object(), NOW_NS) is None
    window = made.standings[0].window_at(NOW_NS)
    moments = (window.start_ns - 1, window.start_ns, window.end_ns - 1, window.end_ns)
    assert [remembered.find(ALIKE, CALLER, TABLE, moment) is made for moment in moments] == [False, True, True, False]


async def test_they_end_with_a_change_of_the_budgets(house: Treasure) -> None:
    """The new one governs the next call."""
    make(house)
    await house.add(limit_pusd=5)
    assert house.keeper.remembered.find(ALIKE, CALLER, TABLE, NOW_NS) is None


async def test_they_end_when_their_counter_is_dropped(house: Treasure) -> None:
    """What would be held there nobody else would count."""
    make(house)
    local = house.books.local
    assert local is not None
    local.sweep(NOW_NS + 2 * DAY_NS + LINE_IDLE_NS, 1)
    assert house.keeper.remembered.find(ALIKE, CALLER, TABLE, NOW_NS) is None
    standings = house.books.directory.find(CALLER, "")
    assert house.keeper.remembered.make(CALLER, standings, TABLE, WAY, TARIFF, NOW_NS) is None


async def test_what_is_held_on_them_is_what_reserving_holds(house: Treasure) -> None:
    """On the same counter, up to the same limit, under the caller's own cap."""
    made = make(house)
    held = house.keeper.hold_at_once(made, *_asked(house, 60))
    assert held is not None
    assert house.reserve_at_once(house.wish(41)) is None
    assert house.keeper.hold_at_once(made, *_asked(house, 41)) is None
    assert house.keeper.hold_at_once(made, *_asked(house, 40, cap_pusd=39)) is None
    held.settle(99)
    assert house.keeper.hold_at_once(made, *_asked(house, 2)) is None
    assert house.keeper.hold_at_once(made, *_asked(house, 1)) is not None


async def test_only_so_many_are_kept(house: Treasure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers may invent limits on the reply."""
    monkeypatch.setattr(kept, "MAX_REMEMBERED", 3)
    remembered, made = Remembered(house.books), make(house)
    for limit in range(10):
        remembered.keep((*ALIKE[:3], limit), made)
        assert len(remembered._known) <= 3
        assert remembered.find((*ALIKE[:3], limit), CALLER, TABLE, NOW_NS) is made


def _asked(house: Treasure, amount_pusd: int, cap_pusd: int | None = None) -> tuple[object, int | None, object]:
    wish = house.wish(amount_pusd)
    return wish.bound, cap_pusd, wish.doubt
