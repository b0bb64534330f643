"""The calendar of rate windows, in UTC, and what a window's count means for a caller."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from gateway.counters.interface import Entered, Period, RateWindow, Slot, SlotState, Taken, WindowState

NS_PER_S = 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTHS_S: dict[Period, int] = {"minute": 60, "hour": 3_600, "day": 86_400}
_MONTHS_PER_YEAR = 12


class Bounds(NamedTuple):
    """A window in unix seconds: its first one, and the first one after it."""

    start_s: int
    end_s: int


def bounds_of(period: Period, now_ns: int) -> Bounds:
    """Find the window that a moment lies in."""
    now_s = now_ns // NS_PER_S
    if period == "month":
        today = _EPOCH + timedelta(seconds=now_s)
        start = today.replace(day=1, hour=0, minute=0, second=0)
        years, month = divmod(start.month, _MONTHS_PER_YEAR)
        end = start.replace(year=start.year + years, month=month + 1)
        return Bounds(_to_s(start), _to_s(end))
    length_s = _LENGTHS_S[period]
    start_s = now_s - now_s % length_s
    return Bounds(start_s, start_s + length_s)


def make_taken(
    windows: Sequence[RateWindow], amounts: Sequence[int], used: Sequence[int], ends: Sequence[int]
) -> Taken:
    """Judge a step by what each window had ``used`` before it; ``ends`` are unix seconds."""
    states: list[WindowState] = []
    is_admitted = True
    for window, amount, count in zip(windows, amounts, used, strict=True):
        if count + amount > window.limit:
            is_admitted = False
    for window, amount, count, end_s in zip(windows, amounts, used, ends, strict=True):
        after = count + amount
        left = window.limit - (after if is_admitted else count)
        states.append(
            WindowState(
                limit=window.limit,
                remaining=left if left > 0 else 0,
                reset_s=end_s,
                is_refusing=after > window.limit,
            )
        )
    return Taken(is_admitted=is_admitted, windows=tuple(states))


def make_entered(slots: Sequence[Slot], others: Sequence[int], was_inside: Sequence[bool]) -> Entered:
    """Judge a step by how many ``others`` each slot held, and whether the lease was in it before."""
    refusing = [
        not inside and count >= slot.limit for slot, count, inside in zip(slots, others, was_inside, strict=True)
    ]
    is_admitted = True not in refusing
    return Entered(
        is_admitted=is_admitted,
        slots=tuple(
            SlotState(limit=slot.limit, inside=count + (is_admitted or inside), is_refusing=is_refusing)
            for slot, count, inside, is_refusing in zip(slots, others, was_inside, refusing, strict=True)
        ),
    )


def _to_s(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1)
