"""Random programs for the counters: steps that any kind can perform, and the answers that they give."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from hypothesis import strategies as st

from gateway.counters.interface import (
    MAX_PUSD,
    BudgetLine,
    Counters,
    HoldIdTaken,
    LineName,
    NewHold,
    RateWindow,
    Slot,
)

# Half a minute before the year ends, so that every window of the calendar turns during a program.
START_NS = 1_798_761_570 * 10**9
MS = 10**6
S = 10**9
# The furthest that the clock of a program steps back behind the latest it has shown.
MAX_BACK_NS = 59 * S

LIMITS_PUSD = {"small": 10, "none": 0, "large": 9 * 10**18, "doubles end": 2**53 + 1, "all": MAX_PUSD}
HOLD_IDS = tuple(f"h{n}" for n in range(6))


class Step(msgspec.Struct, frozen=True):
    """An operation and what it is given, but for the time; reserving is on the windows of its minute."""

    name: str
    arguments: tuple[Any, ...] = ()


def _steps(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(*arguments).map(lambda drawn: Step(name, drawn))


WINDOWS = st.lists(
    st.tuples(
        st.builds(
            RateWindow,
            policy_key=st.sampled_from(["requests", "tokens"]),
            period=st.sampled_from(["minute", "hour", "day", "month"]),
            limit=st.sampled_from([0, 1, 3, 10, 10**15]),
        ),
        st.sampled_from([0, 1, 1, 2, 4, 10**15]),
    ),
    max_size=4,
)
SLOTS = st.lists(
    st.builds(Slot, slot_key=st.sampled_from(["key", "project"]), limit=st.integers(0, 3)), max_size=3
).map(tuple)
LEASE_IDS = st.sampled_from(["l0", "l1", "l2", "l3"])
LEASES_NS = st.sampled_from([1 * MS, 5 * S, 20 * S, 90 * S])
AMOUNTS = st.one_of(
    st.integers(0, 12),
    st.integers(2**53 - 1, 2**53 + 3),
    st.integers(10**9 - 1, 10**9 + 1),
    st.integers(9 * 10**18 - 3, 9 * 10**18 + 3),
    st.integers(0, MAX_PUSD),
)
BUDGETS = st.lists(st.sampled_from(sorted(LIMITS_PUSD)), min_size=1, max_size=3, unique=True).map(tuple)
SEEDS = st.one_of(st.none(), st.just(0), st.integers(1, 11), AMOUNTS)
HOLDS = st.sampled_from(HOLD_IDS)
MEMOS = st.binary(max_size=3)

TAKES = _steps("take", WINDOWS)
GIVINGS_BACK = _steps("give_back", WINDOWS, st.sampled_from([0, 0, 20 * S, 61 * S]))
ENTRIES = _steps("enter", SLOTS, LEASE_IDS, LEASES_NS)
LEAVINGS = _steps("leave", SLOTS, LEASE_IDS)
RESERVES = _steps("reserve", HOLDS, BUDGETS, AMOUNTS, st.none() | AMOUNTS, SEEDS, LEASES_NS, MEMOS)
SETTLES = _steps("settle", HOLDS, AMOUNTS)
RELEASES = _steps("release", HOLDS)
RENEWALS = _steps("renew", HOLDS, LEASES_NS, st.none() | MEMOS)
SWEEPS = _steps("sweep", LEASES_NS, st.integers(1, 4))
LOOKS = _steps("look", BUDGETS)
PAUSES = _steps("pause", st.sampled_from([-70 * S, -3 * S, -1 * MS, 1 * MS, 1 * S, 10 * S, 40 * S]))


async def perform(counters: Counters, step: Step, now_ns: int) -> Any:
    """Perform a step and give the answer; an id that is taken is an answer too."""
    return await _OPERATIONS[step.name](counters, now_ns, *step.arguments)


async def _take(counters: Counters, now_ns: int, wanted: list[tuple[RateWindow, int]]) -> Any:
    return await counters.take([window for window, _ in wanted], [amount for _, amount in wanted], now_ns)


async def _give_back(counters: Counters, now_ns: int, wanted: list[tuple[RateWindow, int]], ago_ns: int) -> Any:
    return await counters.give_back([window for window, _ in wanted], [amount for _, amount in wanted], now_ns - ago_ns)


async def _reserve(counters: Counters, now_ns: int, *drawn: Any) -> Any:
    hold_id, budgets, amount, least, seed, lease_ns, memo = drawn
    hold = NewHold(
        hold_id=hold_id,
        lines=tuple(make_line(budget, now_ns, seed) for budget in budgets),
        amount_pusd=amount if least is None else max(amount, least),
        least_pusd=None if least is None else min(amount, least),
        lease_ns=lease_ns,
        memo=memo,
    )
    try:
        return await counters.reserve(hold, now_ns)
    except HoldIdTaken:
        return "taken"


def make_line(budget: str, now_ns: int, seed_pusd: int | None) -> BudgetLine:
    """Name the line of a budget whose windows are minutes."""
    minute = now_ns // (60 * S)
    return BudgetLine(
        budget_key=budget,
        window_key=str(minute),
        limit_pusd=LIMITS_PUSD[budget],
        resets_ns=(minute + 1) * 60 * S,
        seed_pusd=seed_pusd,
    )


def line_name(budget: str, now_ns: int) -> LineName:
    """Name the same line for looking."""
    return LineName(budget_key=budget, window_key=str(now_ns // (60 * S)))


_OPERATIONS: dict[str, Callable[..., Awaitable[Any]]] = {
    "take": _take,
    "give_back": _give_back,
    "enter": lambda counters, now_ns, slots, lease_id, lease_ns: counters.enter(slots, lease_id, now_ns, lease_ns),
    "leave": lambda counters, _, slots, lease_id: counters.leave(slots, lease_id),
    "reserve": _reserve,
    "settle": lambda counters, now_ns, hold_id, amount: counters.settle(hold_id, amount, now_ns),
    "release": lambda counters, now_ns, hold_id: counters.release(hold_id, now_ns),
    "renew": lambda counters, now_ns, hold_id, lease_ns, memo: counters.renew(hold_id, now_ns, lease_ns, memo),
    "sweep": lambda counters, now_ns, claim_ns, max_holds: counters.sweep(now_ns, claim_ns, max_holds),
    "look": lambda counters, now_ns, budgets: counters.look([line_name(budget, now_ns) for budget in budgets]),
}
