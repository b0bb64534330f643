"""The counters of several processes, in Redis: every operation is one script, so one atomic step and one round trip.

All keys share a hash tag, so that a Redis Cluster keeps them together. Redis must not evict (maxmemory-policy
noeviction). Times are kept in microseconds, a lease's end rounded up.

Failure behavior: every operation raises CountersUnavailable as RedisLink does. Who could not be let in or out of a slot
that way is let out once Redis answers again. A settling that is lost that way leaves its hold open, and ``sweep`` hands
it out. A Redis that lost its data knows no count: rates and slots begin at 0, lines are Unseeded until the ledger is
read, a hold that was open is ``unknown`` when it settles and counts for nothing.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Self

from gateway.counters.departures import Departures
from gateway.counters.interface import (
    LINE_IDLE_NS,
    LINE_KEPT_NS,
    SETTLED_KEPT_NS,
    SLOT_KEPT_NS,
    WINDOW_KEPT_NS,
    BudgetLine,
    CountersSpared,
    CountersUnavailable,
    Entered,
    ExpiredHold,
    Held,
    HoldIdTaken,
    LineCount,
    LineName,
    LineState,
    NewHold,
    RateWindow,
    Refused,
    Reservation,
    Settled,
    Slot,
    Taken,
    Unseeded,
    check_counts,
    check_lease,
    check_pusd,
)
from gateway.counters.link import LinkLimits, RedisLink
from gateway.counters.periods import NS_PER_S, Bounds, bounds_of, make_entered, make_taken
from gateway.counters.scripts import load_scripts

_NS_PER_US = 1_000
_NS_PER_MS = 1_000_000
_LINE_TIMES = (LINE_KEPT_NS // _NS_PER_MS, LINE_IDLE_NS // _NS_PER_MS)


class SharedCounters:
    """Counters in Redis; see Counters."""

    def __init__(self, link: RedisLink, namespace: str) -> None:
        self.link = link
        self._departures = Departures(self._leave)
        self._scripts = load_scripts()
        self._prefix = f"{{{namespace}}}:"
        self._hold_prefix = f"{self._prefix}h:"
        self._ends_key = f"{self._prefix}ends"

    @classmethod
    def open(cls, url: str, namespace: str = "watchllm", limits: LinkLimits | None = None) -> Self:
        """Make counters in the Redis at ``url``; those of one namespace are the same. Raises ValueError."""
        return cls(RedisLink.open(url, limits), namespace)

    async def take(self, windows: Sequence[RateWindow], amounts: Sequence[int], now_ns: int) -> Taken:
        """Count each amount in its window, or none where any would exceed its limit."""
        check_counts(windows, amounts)
        if not windows:
            return make_taken((), (), (), ())
        bounds = [bounds_of(window.period, now_ns) for window in windows]
        arguments: list[int] = []
        for window, amount, (_, end_s) in zip(windows, amounts, bounds, strict=True):
            arguments += (amount, window.limit, (end_s * NS_PER_S + WINDOW_KEPT_NS - now_ns) // _NS_PER_MS)
        answer = await self.link.run(self._scripts.take, self._window_keys(windows, bounds), arguments)
        return make_taken(windows, amounts, _to_numbers(answer), [end_s for _, end_s in bounds])

    async def give_back(self, windows: Sequence[RateWindow], amounts: Sequence[int], taken_ns: int) -> None:
        """Return what was taken and not used to the windows of that time."""
        check_counts(windows, amounts)
        if windows:
            bounds = [bounds_of(window.period, taken_ns) for window in windows]
            await self.link.run(self._scripts.give_back, self._window_keys(windows, bounds), amounts)

    async def enter(self, slots: Sequence[Slot], lease_id: str, now_ns: int, lease_ns: int) -> Entered:
        """Occupy every slot, or none where any is full; a lease that is inside is renewed."""
        check_lease(lease_ns)
        if not slots:
            return make_entered((), (), ())
        # The leases end by the callers' clocks; the key, which goes by Redis's own, only some time after them.
        times = (_to_us(now_ns), _up_to_us(now_ns + lease_ns), (lease_ns + SLOT_KEPT_NS) // _NS_PER_MS)
        try:
            answer = await self.link.run(
                self._scripts.enter, self._slot_keys(slots), (lease_id, *times, *(slot.limit for slot in slots))
            )
        except CountersSpared:
            raise
        except (CountersUnavailable, asyncio.CancelledError):
            # Redis may let it in all the same, however late.
            self._departures.note(slots, lease_id)
            raise
        self._departures.forget(lease_id)
        numbers = _to_numbers(answer)
        return make_entered(slots, numbers[::2], [inside == 1 for inside in numbers[1::2]])

    async def leave(self, slots: Sequence[Slot], lease_id: str) -> None:
        """Free the slots; those the lease is not in stay as they are."""
        if not slots:
            return
        try:
            await self._leave(slots, lease_id)
        except (CountersUnavailable, asyncio.CancelledError):
            self._departures.note(slots, lease_id)
            raise

    async def reserve(self, hold: NewHold, now_ns: int) -> Reservation:
        """Hold the amount on every line, or on none where it does not fit."""
        keys = [*self._hold_keys(hold.hold_id), self._ends_key]
        arguments: list[str | int | bytes] = [
            hold.hold_id,
            hold.amount_pusd if hold.least_pusd is None else hold.least_pusd,
            hold.amount_pusd,
            _to_us(now_ns),
            _up_to_us(now_ns + hold.lease_ns),
            hold.memo,
            *_LINE_TIMES,
        ]
        for line in hold.lines:
            keys.append(self._line_key(line.budget_key, line.window_key))
            arguments.append(line.limit_pusd)
            arguments.append("" if line.seed_pusd is None else line.seed_pusd)
            arguments.append("" if line.resets_ns is None else _to_us(line.resets_ns))
        for join in hold.joins:
            at = next(at for at, line in enumerate(hold.lines) if line.budget_key == join.budget_key)
            arguments += (at, join.hold_id, join.amount_pusd)
        answer: bytes = await self.link.run(self._scripts.reserve, keys, arguments)
        return _read_reservation(hold, answer)

    async def settle(self, hold_id: str, amount_pusd: int, now_ns: int) -> Settled:
        """End a hold with what was really spent; only the first time counts."""
        check_pusd(amount_pusd)
        answer = await self._end(hold_id, amount_pusd, now_ns, SETTLED_KEPT_NS)
        outcome, *figures = answer.split()
        if outcome == b"unknown":
            return Settled(outcome="unknown")
        charged, held, *spent = figures
        return Settled(
            outcome="settled" if outcome == b"settled" else "repeated",
            charged_pusd=int(charged),
            held_pusd=int(held),
            spent_pusd=tuple(None if figure == b"-" else int(figure) for figure in spent),
        )

    async def release(self, hold_id: str, now_ns: int) -> Settled:
        """End a hold of which nothing was spent."""
        return await self.settle(hold_id, 0, now_ns)

    async def withdraw(self, hold_id: str, now_ns: int) -> None:
        """Take a hold back as if it had never been."""
        await self._end(hold_id, 0, now_ns, 0)

    async def _end(self, hold_id: str, amount_pusd: int, now_ns: int, kept_ns: int) -> bytes:
        keys = [*self._hold_keys(hold_id), self._ends_key]
        arguments = (hold_id, amount_pusd, _to_us(now_ns), kept_ns // _NS_PER_MS, *_LINE_TIMES)
        answer: bytes = await self.link.run(self._scripts.settle, keys, arguments)
        return answer

    async def renew(self, hold_id: str, now_ns: int, lease_ns: int, memo: bytes | None = None) -> bool:
        """Let the lease last longer, and replace the memo where one is given; False when the hold is no longer ours."""
        check_lease(lease_ns)
        arguments = (hold_id, _up_to_us(now_ns + lease_ns), *(() if memo is None else (memo,)))
        keys = [f"{self._hold_prefix}{hold_id}", self._ends_key]
        return bool(await self.link.run(self._scripts.renew, keys, arguments) == b"1")

    async def sweep(self, now_ns: int, claim_ns: int, max_holds: int = 100) -> tuple[ExpiredHold, ...]:
        """Hand out the holds whose lease is over; what is old Redis drops by itself."""
        check_lease(claim_ns)
        arguments = (self._hold_prefix, _to_us(now_ns), _up_to_us(now_ns + claim_ns), max_holds)
        rows: list[list[bytes]] = await self.link.run(self._scripts.sweep, [self._ends_key], arguments)
        return self._read_claimed(rows)

    async def seize(self, memo_prefix: bytes, now_ns: int, claim_ns: int) -> tuple[ExpiredHold, ...]:
        """Hand out the holds whose memo begins so, lease or not, a stretch of the open holds at a time."""
        check_lease(claim_ns)
        found: list[ExpiredHold] = []
        cursor = b"0"
        while True:
            arguments = (self._hold_prefix, memo_prefix, _up_to_us(now_ns + claim_ns), cursor)
            cursor, *rows = await self.link.run(self._scripts.seize, [self._ends_key], arguments)
            found += self._read_claimed(rows)
            if cursor == b"0":
                return tuple(found)

    def _read_claimed(self, rows: list[list[bytes]]) -> tuple[ExpiredHold, ...]:
        return tuple(
            ExpiredHold(
                hold_id=hold_id.decode(),
                amount_pusd=int(amount),
                expires_ns=int(float(ends_us)) * _NS_PER_US,
                lines=tuple(self._read_line_key(key.decode()) for key in keys),
                memo=memo,
            )
            for hold_id, ends_us, amount, memo, *keys in rows
        )

    async def adjust(self, line: LineName, delta_pusd: int, if_spent_pusd: int | None = None) -> bool:
        """Correct what a line has spent, never below 0."""
        arguments = (abs(delta_pusd), "1" if delta_pusd < 0 else "", "" if if_spent_pusd is None else if_spent_pusd)
        keys = [self._line_key(line.budget_key, line.window_key)]
        return bool(await self.link.run(self._scripts.adjust, keys, arguments) == b"1")

    async def look(self, lines: Sequence[LineName]) -> tuple[LineCount | None, ...]:
        """Tell what the counters of the lines say; None where there is none."""
        if not lines:
            return ()
        keys = [self._line_key(line.budget_key, line.window_key) for line in lines]
        answer: bytes = await self.link.run(self._scripts.look, keys, ())
        figures = answer.split()
        return tuple(
            None if spent == b"-" else LineCount(spent_pusd=int(spent), held_pusd=int(held))
            for spent, held in zip(figures[::2], figures[1::2], strict=True)
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._departures.close()
        await self.link.close()

    async def _leave(self, slots: Sequence[Slot], lease_id: str) -> None:
        await self.link.run(self._scripts.leave, self._slot_keys(slots), (lease_id,))

    def _window_keys(self, windows: Sequence[RateWindow], bounds: Sequence[Bounds]) -> list[str]:
        return [
            f"{self._prefix}w:{window.period}:{start_s}:{window.policy_key}"
            for window, (start_s, _) in zip(windows, bounds, strict=True)
        ]

    def _slot_keys(self, slots: Sequence[Slot]) -> list[str]:
        return [f"{self._prefix}c:{slot.slot_key}" for slot in slots]

    def _hold_keys(self, hold_id: str) -> tuple[str, str]:
        return f"{self._hold_prefix}{hold_id}", f"{self._prefix}s:{hold_id}"

    def _line_key(self, budget_key: str, window_key: str) -> str:
        # The length tells where the first key ends, whatever stands in it.
        return f"{self._prefix}b:{len(budget_key)}:{budget_key}:{window_key}"

    def _read_line_key(self, key: str) -> LineName:
        length, _, names = key.removeprefix(f"{self._prefix}b:").partition(":")
        cut = int(length)
        return LineName(budget_key=names[:cut], window_key=names[cut + 1 :])


def _read_reservation(hold: NewHold, answer: bytes) -> Reservation:
    outcome, *figures = answer.split()
    if outcome == b"held":
        amount, room, begun = figures
        return Held(hold_id=hold.hold_id, amount_pusd=int(amount), room_pusd=int(room), begun=_read_begun(hold, begun))
    if outcome == b"refused":
        begun, *figures = figures
        return Refused(
            begun=_read_begun(hold, begun),
            lines=tuple(
                _make_state(hold.lines[int(at)], int(spent), int(held))
                for at, spent, held in zip(figures[::3], figures[1::3], figures[2::3], strict=True)
            ),
        )
    if outcome == b"unseeded":
        return Unseeded(lines=tuple(hold.lines[int(at)] for at in figures))
    raise HoldIdTaken(f"a hold {hold.hold_id!r} is open or was settled a moment ago: give each hold a new id")


def _read_begun(hold: NewHold, begun: bytes) -> tuple[BudgetLine, ...]:
    return () if begun == b"-" else tuple(hold.lines[int(at)] for at in begun.split(b","))


def _make_state(line: BudgetLine, spent_pusd: int, held_pusd: int) -> LineState:
    return LineState(
        budget_key=line.budget_key,
        window_key=line.window_key,
        limit_pusd=line.limit_pusd,
        spent_pusd=spent_pusd,
        held_pusd=held_pusd,
        resets_ns=line.resets_ns,
    )


def _to_numbers(answer: Any) -> list[int]:
    return [int(number) for number in answer.split()]


def _to_us(time_ns: int) -> int:
    return time_ns // _NS_PER_US


def _up_to_us(time_ns: int) -> int:
    return -(-time_ns // _NS_PER_US)
