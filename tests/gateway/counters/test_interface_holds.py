"""Money holds, the same of both kinds: spent + held never exceeds a limit."""

import asyncio
import random
from collections.abc import Mapping

import pytest

from gateway.counters.interface import (
    MAX_PUSD,
    BudgetLine,
    Counters,
    Held,
    HoldIdTaken,
    Join,
    LineCount,
    LineName,
    NewHold,
    Refused,
    Settled,
    Unseeded,
)
from tests.gateway.counters.programs import START_NS, S

KEY = LineName(budget_key="key", window_key="2026-12")
PROJECT = LineName(budget_key="project", window_key="2026-12")
CALLERS = 1_000


def make_line(name: LineName = KEY, limit_pusd: int = 100, seed_pusd: int | None = 0) -> BudgetLine:
    """Make a line whose window ends in half a minute."""
    return BudgetLine(
        budget_key=name.budget_key,
        window_key=name.window_key,
        limit_pusd=limit_pusd,
        resets_ns=START_NS + 30 * S,
        seed_pusd=seed_pusd,
    )


def make_hold(hold_id: str, amount_pusd: int, *lines: BudgetLine, least_pusd: int | None = None) -> NewHold:
    """Make a hold of 10 s, on the key's line where none is given."""
    return NewHold(
        hold_id=hold_id,
        lines=lines or (make_line(),),
        amount_pusd=amount_pusd,
        least_pusd=least_pusd,
        lease_ns=10 * S,
        memo=b"of " + hold_id.encode(),
    )


async def look(counters: Counters, name: LineName = KEY) -> tuple[int, int]:
    """Tell spent and held."""
    (count,) = await counters.look([name])
    assert count is not None
    return count.spent_pusd, count.held_pusd


async def test_a_line_is_corrected_where_it_says_what_was_expected(counters: Counters) -> None:
    """Both ways, never below 0, not where it changed meanwhile, and not where there is none."""
    assert not await counters.adjust(KEY, 5)
    await counters.reserve(make_hold("a", 60), START_NS)
    assert await counters.adjust(KEY, 30)
    assert await look(counters) == (30, 60)
    assert not await counters.adjust(KEY, 1, if_spent_pusd=29)
    assert await counters.adjust(KEY, -10, if_spent_pusd=30)
    assert await look(counters) == (20, 60)
    assert isinstance(await counters.reserve(make_hold("b", 21), START_NS), Refused)
    assert await counters.adjust(KEY, -(10**18))
    assert await look(counters) == (0, 60)
    await counters.settle("a", 7, START_NS)
    assert await look(counters) == (7, 0)


async def test_what_is_held_is_settled_to_the_truth(counters: Counters) -> None:
    """Held becomes spent, the rest is free again."""
    held = await counters.reserve(make_hold("a", 60), START_NS)
    assert held == Held(hold_id="a", amount_pusd=60, room_pusd=40, begun=(make_line(),))
    assert await look(counters) == (0, 60)
    settled = await counters.settle("a", 25, START_NS)
    assert settled == Settled(outcome="settled", charged_pusd=25, held_pusd=60, spent_pusd=(25,))
    assert settled.overshoot_pusd == 0
    assert await look(counters) == (25, 0)


async def test_a_refusal_names_the_lines_and_how_they_stand(counters: Counters) -> None:
    """And holds nothing, on the other lines neither."""
    project = make_line(PROJECT, 1_000, 950)
    await counters.reserve(make_hold("a", 30), START_NS)
    refused = await counters.reserve(make_hold("b", 60, make_line(), project), START_NS)
    assert isinstance(refused, Refused)
    (line,) = refused.lines
    assert (line.budget_key, line.window_key) == ("project", "2026-12")
    assert (line.limit_pusd, line.spent_pusd, line.held_pusd) == (1_000, 950, 0)
    assert line.resets_ns == START_NS + 30 * S
    assert (await look(counters), await look(counters, PROJECT)) == ((0, 30), (950, 0))
    assert refused.begun == (project,)
    held = await counters.reserve(make_hold("b", 50, make_line(), project), START_NS)
    assert isinstance(held, Held)
    assert held.begun == ()


async def test_a_line_without_counter_and_seed_asks_for_the_ledger(counters: Counters) -> None:
    """Nothing is done before the seed is there; it is used once."""
    blind = make_line(PROJECT, seed_pusd=None)
    answer = await counters.reserve(make_hold("a", 1, make_line(), blind), START_NS)
    assert answer == Unseeded(lines=(blind,))
    assert await counters.look([KEY, PROJECT]) == (None, None)
    assert await counters.look([]) == ()
    await counters.reserve(make_hold("a", 1, make_line(), make_line(PROJECT, seed_pusd=99)), START_NS)
    refused = await counters.reserve(make_hold("b", 1, blind, make_line(seed_pusd=77)), START_NS)
    assert isinstance(refused, Refused)
    assert (await look(counters), await look(counters, PROJECT)) == ((0, 1), (99, 1))


@pytest.mark.parametrize(
    ("least", "expected"), [(40, 40), (41, None), (0, 40)], ids=["just fits", "does not fit", "from 0"]
)
async def test_the_largest_amount_that_fits_every_line_is_held(
    counters: Counters, least: int, expected: int | None
) -> None:
    """For a reply whose length is cut to what is left."""
    lines = make_line(seed_pusd=10), make_line(PROJECT, 200, 160)
    answer = await counters.reserve(make_hold("a", 95, *lines, least_pusd=least), START_NS)
    if expected is None:
        assert isinstance(answer, Refused)
    else:
        assert answer == Held(hold_id="a", amount_pusd=expected, room_pusd=0, begun=lines)
    assert await look(counters, PROJECT) == (160, expected or 0)


async def test_limits_and_amounts_of_0(counters: Counters) -> None:
    """Nothing fits into nothing, but for nothing; and nothing fits where too much was spent."""
    none = make_line(limit_pusd=0)
    assert isinstance(await counters.reserve(make_hold("a", 1, none), START_NS), Refused)
    assert await counters.reserve(make_hold("b", 0, none), START_NS) == Held(hold_id="b", amount_pusd=0, room_pusd=0)
    assert (await counters.settle("b", 0, START_NS)).outcome == "settled"
    over = make_line(PROJECT, limit_pusd=9, seed_pusd=10)
    assert isinstance(await counters.reserve(make_hold("c", 0, over), START_NS), Refused)


async def test_settling_twice_counts_once(counters: Counters) -> None:
    """A retry, a replay or a late release changes nothing and is told what was charged."""
    await counters.reserve(make_hold("a", 60), START_NS)
    await counters.settle("a", 50, START_NS)
    repeated = Settled(outcome="repeated", charged_pusd=50, held_pusd=60)
    assert await counters.settle("a", 55, START_NS) == repeated
    assert await counters.release("a", START_NS) == repeated
    assert await look(counters) == (50, 0)
    with pytest.raises(HoldIdTaken, match="'a'"):
        await counters.reserve(make_hold("a", 1), START_NS)


async def test_an_id_that_is_open_is_not_given_twice(counters: Counters) -> None:
    """Or two calls would settle one hold."""
    await counters.reserve(make_hold("a", 60), START_NS)
    with pytest.raises(HoldIdTaken):
        await counters.reserve(make_hold("a", 60), START_NS)
    assert await look(counters) == (0, 60)


async def test_a_hold_that_nobody_knows_is_unknown(counters: Counters) -> None:
    """It changes nothing."""
    assert await counters.settle("a", 1, START_NS) == Settled(outcome="unknown")
    assert not await counters.renew("a", START_NS, S)


async def test_a_settling_above_the_hold_is_recorded_and_reported(counters: Counters) -> None:
    """The line's spent is the truth, above its limit even, and what follows is refused."""
    await counters.reserve(make_hold("a", 60), START_NS)
    settled = await counters.settle("a", 130, START_NS)
    assert (settled.overshoot_pusd, settled.spent_pusd) == (70, (130,))
    assert (await counters.settle("a", 0, START_NS)).overshoot_pusd == 70
    assert isinstance(await counters.reserve(make_hold("b", 0), START_NS), Refused)


async def test_a_hold_settles_into_the_window_it_was_reserved_in(counters: Counters) -> None:
    """Whatever the time is then."""
    next_name = LineName(budget_key="key", window_key="2027-01")
    await counters.reserve(make_hold("old", 60), START_NS)
    later_ns = START_NS + 31 * S
    await counters.reserve(make_hold("new", 10, make_line(next_name)), later_ns)
    await counters.settle("old", 50, later_ns)
    assert (await look(counters), await look(counters, next_name)) == ((50, 0), (0, 10))


async def test_an_expired_hold_is_handed_out_once_and_stays_held(counters: Counters) -> None:
    """Its sweeper charges or frees it; a sweeper that died is replaced."""
    project = make_line(PROJECT)
    await counters.reserve(make_hold("a", 60, make_line(), project), START_NS)
    assert await counters.sweep(START_NS + 10 * S - 1_000, S) == ()
    (swept,) = await counters.sweep(START_NS + 10 * S, 5 * S)
    assert (swept.hold_id, swept.amount_pusd, swept.memo) == ("a", 60, b"of a")
    assert (swept.lines, swept.expires_ns) == ((KEY, PROJECT), START_NS + 10 * S)
    assert await counters.sweep(START_NS + 15 * S - 1_000, S) == ()
    assert not await counters.renew("a", START_NS + 11 * S, 60 * S)
    assert await look(counters) == (0, 60)
    (again,) = await counters.sweep(START_NS + 15 * S, S)
    assert again.hold_id == "a"
    assert (await counters.settle("a", 60, START_NS + 15 * S)).outcome == "settled"
    assert (await counters.settle("a", 20, START_NS + 15 * S)).charged_pusd == 60
    assert await counters.sweep(START_NS + 60 * S, S) == ()


async def test_a_sweep_is_bounded_and_begins_with_the_oldest(counters: Counters) -> None:
    """What is left comes next time."""
    for n in range(3):
        await counters.reserve(make_hold(f"h{n}", 1), START_NS - n * S)
    swept = [await counters.sweep(START_NS + 20 * S, S, max_holds=2) for _ in range(2)]
    assert [[hold.hold_id for hold in batch] for batch in swept] == [["h2", "h1"], ["h0"]]


async def test_a_renewed_hold_is_not_swept(counters: Counters) -> None:
    """Renewing lengthens, never shortens, and may tell more of the call."""
    await counters.reserve(make_hold("a", 60), START_NS)
    assert await counters.renew("a", START_NS, 20 * S, b"sent")
    assert await counters.renew("a", START_NS, S)
    assert await counters.sweep(START_NS + 19 * S, S) == ()
    (swept,) = await counters.sweep(START_NS + 20 * S, S)
    assert swept.memo == b"sent"


@pytest.mark.parametrize("limit", [2**53 + 1, 9 * 10**18 + 1, MAX_PUSD])
async def test_amounts_beyond_what_a_double_holds_are_exact(counters: Counters, limit: int) -> None:
    """To the last picodollar."""
    line = make_line(limit_pusd=limit, seed_pusd=limit - 3)
    held = await counters.reserve(make_hold("a", 1, line), START_NS)
    assert held == Held(hold_id="a", amount_pusd=1, room_pusd=2, begun=(line,))
    assert isinstance(await counters.reserve(make_hold("b", 3, line), START_NS), Refused)
    assert await counters.reserve(make_hold("b", 2, line), START_NS) == Held(hold_id="b", amount_pusd=2, room_pusd=0)
    assert isinstance(await counters.reserve(make_hold("c", 1, line), START_NS), Refused)
    assert (await counters.settle("a", MAX_PUSD, START_NS)).spent_pusd == (limit - 3 + MAX_PUSD,)
    assert await look(counters) == (limit - 3 + MAX_PUSD, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_pusd": -1},
        {"amount_pusd": MAX_PUSD + 1},
        {"least_pusd": 3},
        {"least_pusd": -1},
        {"lines": ()},
        {"lines": (make_line(), make_line(limit_pusd=7))},
        {"lease_ns": 0},
    ],
    ids=["negative", "too much", "least above most", "least negative", "no line", "a line twice", "no lease"],
)
def test_a_hold_that_can_mean_nothing_is_a_mistake(wrong: Mapping[str, object]) -> None:
    """It raises as it is made."""
    right: dict[str, object] = {"hold_id": "a", "lines": (make_line(),), "amount_pusd": 2, "lease_ns": S}
    with pytest.raises(ValueError, match=r"use |names each"):
        NewHold(**{**right, **wrong})  # type: ignore[arg-type]


async def test_money_outside_the_bounds_is_a_mistake(counters: Counters) -> None:
    """In limits, seeds and settlings."""
    await counters.reserve(make_hold("a", 60), START_NS)
    for amount in (-1, MAX_PUSD + 1):
        with pytest.raises(ValueError, match=str(amount)):
            make_line(limit_pusd=amount)
        with pytest.raises(ValueError, match=str(amount)):
            make_line(seed_pusd=amount)
        with pytest.raises(ValueError, match=str(amount)):
            await counters.settle("a", amount, START_NS)
    assert await look(counters) == (0, 60)


@pytest.mark.parametrize("has_room", [True, False])
async def test_a_line_that_begins_counts_holds_that_are_open(counters: Counters, has_room: bool) -> None:
    """Held, and spent with the others as they settle; what ended meanwhile by what it cost, what is lost as it held."""
    for name in ("open", "ended"):
        await counters.reserve(make_hold(name, 30), START_NS)
    await counters.settle("ended", 5, START_NS)
    joins = tuple(
        Join(budget_key="project", hold_id=name, amount_pusd=amount)
        for name, amount in (("open", 30), ("ended", 30), ("lost", 7))
    )
    new = make_line(PROJECT, limit_pusd=60 if has_room else 50, seed_pusd=8)
    hold = NewHold(hold_id="new", lines=(new,), amount_pusd=10, lease_ns=10 * S, joins=joins)
    answer = await counters.reserve(hold, START_NS)
    assert isinstance(answer, Held if has_room else Refused)
    assert answer.begun == (new,)
    held = 40 if has_room else 30
    assert await counters.look([PROJECT]) == (LineCount(spent_pusd=20, held_pusd=held),)
    # Once: a line that has begun is joined by nobody.
    await counters.reserve(
        NewHold(hold_id="newer", lines=(new,), amount_pusd=0, lease_ns=10 * S, joins=joins), START_NS
    )
    assert await counters.look([PROJECT]) == (LineCount(spent_pusd=20, held_pusd=held),)
    assert (await counters.settle("open", 12, START_NS)).spent_pusd == (17, 32)
    assert await look(counters) == (17, 0)
    assert await counters.look([PROJECT]) == (LineCount(spent_pusd=32, held_pusd=held - 30),)


async def test_a_hold_that_is_withdrawn_was_never_there(counters: Counters) -> None:
    """Its money is free, and its id may hold again at once, on another line too."""
    await counters.withdraw("a", START_NS)
    await counters.reserve(make_hold("a", 60), START_NS)
    await counters.withdraw("a", START_NS)
    assert await look(counters) == (0, 0)
    assert await counters.settle("a", 1, START_NS) == Settled(outcome="unknown")
    assert isinstance(await counters.reserve(make_hold("a", 40, make_line(PROJECT)), START_NS), Held)
    assert (await counters.settle("a", 40, START_NS)).spent_pusd == (40,)
    assert await look(counters) == (0, 0)


async def test_a_thousand_at_once_never_exceed_the_limit(counters: Counters) -> None:
    """Some hold, some settle, some are refused; at every moment spent + held <= limit."""
    line = make_line(limit_pusd=20_000)
    charged: list[int] = []

    async def call(n: int) -> None:
        choice = random.Random(n)  # noqa: S311 - amounts of a test
        hold = make_hold(f"h{n}", choice.randint(1, 100), line, least_pusd=choice.choice([None, 0]))
        answer = await counters.reserve(hold, START_NS)
        if n % 50 == 0:
            assert sum(await look(counters)) <= line.limit_pusd
        if isinstance(answer, Held):
            settled = await counters.settle(hold.hold_id, choice.randint(0, answer.amount_pusd), START_NS)
            assert settled.outcome == "settled"
            charged.append(settled.charged_pusd)
            assert (settled.spent_pusd[0] or 0) <= line.limit_pusd

    await asyncio.gather(*(call(n) for n in range(CALLERS)))
    assert await counters.look([KEY]) == (LineCount(spent_pusd=sum(charged), held_pusd=0),)
    assert sum(charged) > line.limit_pusd // 2


async def test_holds_of_the_gone_are_handed_out_by_their_memo(counters: Counters) -> None:
    """Each to one caller, lease or not; those of others stay where they are."""
    names = [f"a-{number}" for number in range(300)] + ["b-1"]
    for name in names:
        await counters.reserve(make_hold(name, 1, make_line(limit_pusd=1_000)), START_NS)
    seized = [await counters.seize(b"of a-", START_NS, 5 * S) for _ in range(2)]
    assert sorted(hold.hold_id for hold in seized[0]) == sorted(names[:-1])
    assert seized[1] == ()
    assert {(hold.amount_pusd, hold.lines, hold.expires_ns) for hold in seized[0]} == {(1, (KEY,), START_NS + 10 * S)}
    for hold in seized[0][1:]:
        await counters.release(hold.hold_id, START_NS)
    assert await look(counters) == (0, 2)
    # Whom the caller forgot the next sweep hands out.
    (forgotten,) = await counters.sweep(START_NS + 6 * S, S)
    assert forgotten.hold_id == seized[0][0].hold_id
