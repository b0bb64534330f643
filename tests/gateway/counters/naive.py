"""What the counters should answer, worked out the slow way: everything is kept, and summed up when it is asked for."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from gateway.counters.interface import (
    SETTLED_KEPT_NS,
    BudgetLine,
    Entered,
    ExpiredHold,
    Held,
    HoldIdTaken,
    LineCount,
    LineName,
    LineState,
    NewHold,
    Period,
    RateWindow,
    Refused,
    Reservation,
    Settled,
    Slot,
    SlotState,
    Taken,
    Unseeded,
    WindowState,
)


class Hold(msgspec.Struct, kw_only=True):
    """A hold, open or ended."""

    wanted: NewHold
    amount_pusd: int
    expires_ns: int
    memo: bytes
    is_claimed: bool = False
    charged_pusd: int | None = None
    ended_ns: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.charged_pusd is None


def name_window(period: Period, now_ns: int) -> tuple[str, int]:
    """Name the calendar's window of a moment, and tell its end in unix seconds."""
    now = datetime.fromtimestamp(now_ns // 10**9, UTC)
    start = now.replace(second=0)
    if period != "minute":
        start = start.replace(minute=0)
    if period in ("day", "month"):
        start = start.replace(hour=0)
    if period == "month":
        start = start.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
    else:
        end = start + {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}[period]
    return f"{period} {start}", int(end.timestamp())


class NaiveCounters:
    """The model of Counters; good for an hour of made-up time, in which no line is dropped."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, int]] = []
        self.leases: dict[tuple[str, str], int] = {}
        self.seeds: dict[tuple[str, str], int] = {}
        self.holds: list[Hold] = []

    def used(self, policy_key: str, name: str) -> int:
        """Sum up a window."""
        return sum(amount for key, window, amount in self.taken if (key, window) == (policy_key, name))

    async def take(self, windows: Sequence[RateWindow], amounts: Sequence[int], now_ns: int) -> Taken:
        """Append, judge, and take back."""
        length, befores = len(self.taken), list[int]()
        for window, amount in zip(windows, amounts, strict=True):
            name, _ = name_window(window.period, now_ns)
            befores.append(self.used(window.policy_key, name))
            self.taken.append((window.policy_key, name, amount))
        refusing = [
            before + amount > window.limit for window, amount, before in zip(windows, amounts, befores, strict=True)
        ]
        if any(refusing):
            del self.taken[length:]
        return Taken(
            is_admitted=not any(refusing),
            windows=tuple(
                WindowState(
                    limit=window.limit,
                    remaining=max(0, window.limit - before - (0 if any(refusing) else amount)),
                    reset_s=name_window(window.period, now_ns)[1],
                    is_refusing=is_refusing,
                )
                for window, amount, before, is_refusing in zip(windows, amounts, befores, refusing, strict=True)
            ),
        )

    async def give_back(self, windows: Sequence[RateWindow], amounts: Sequence[int], taken_ns: int) -> None:
        """Append what is taken back."""
        for window, amount in zip(windows, amounts, strict=True):
            name, _ = name_window(window.period, taken_ns)
            self.taken.append((window.policy_key, name, -min(amount, self.used(window.policy_key, name))))

    async def enter(self, slots: Sequence[Slot], lease_id: str, now_ns: int, lease_ns: int) -> Entered:
        """Count who is inside."""
        keys = {slot.slot_key for slot in slots}
        self.leases = {
            lease: expires for lease, expires in self.leases.items() if lease[0] not in keys or expires > now_ns
        }
        inside = [{lease for key, lease in self.leases if key == slot.slot_key} for slot in slots]
        refusing = [
            lease_id not in those and len(those) >= slot.limit for slot, those in zip(slots, inside, strict=True)
        ]
        if not any(refusing):
            for slot, those in zip(slots, inside, strict=True):
                key = (slot.slot_key, lease_id)
                self.leases[key] = max(self.leases.get(key, 0), now_ns + lease_ns)
                those.add(lease_id)
        return Entered(
            is_admitted=not any(refusing),
            slots=tuple(
                SlotState(limit=slot.limit, inside=len(those), is_refusing=is_refusing)
                for slot, those, is_refusing in zip(slots, inside, refusing, strict=True)
            ),
        )

    async def leave(self, slots: Sequence[Slot], lease_id: str) -> None:
        """Forget the leases."""
        for slot in slots:
            self.leases.pop((slot.slot_key, lease_id), None)

    def on_line(self, key: tuple[str, str]) -> list[Hold]:
        """List the holds that ever were on a line."""
        return [
            hold for hold in self.holds if key in [(line.budget_key, line.window_key) for line in hold.wanted.lines]
        ]

    def count(self, key: tuple[str, str]) -> LineCount | None:
        """Sum up a line."""
        if key not in self.seeds:
            return None
        holds = self.on_line(key)
        return LineCount(
            spent_pusd=self.seeds[key] + sum(hold.charged_pusd or 0 for hold in holds),
            held_pusd=sum(hold.amount_pusd for hold in holds if hold.is_open),
        )

    def find(self, hold_id: str, now_ns: int) -> Hold | None:
        """Find the latest hold of an id, if it is open or remembered."""
        found = [hold for hold in self.holds if hold.wanted.hold_id == hold_id]
        return found[-1] if found and (found[-1].is_open or found[-1].ended_ns + SETTLED_KEPT_NS > now_ns) else None

    async def reserve(self, hold: NewHold, now_ns: int) -> Reservation:
        """Judge by the sums."""
        if self.find(hold.hold_id, now_ns) is not None:
            raise HoldIdTaken
        keys = [(line.budget_key, line.window_key) for line in hold.lines]
        unseeded = tuple(
            line for key, line in zip(keys, hold.lines, strict=True) if key not in self.seeds and line.seed_pusd is None
        )
        if unseeded:
            return Unseeded(lines=unseeded)
        begun = tuple(line for key, line in zip(keys, hold.lines, strict=True) if key not in self.seeds)
        for key, line in zip(keys, hold.lines, strict=True):
            self.seeds.setdefault(key, line.seed_pusd or 0)
        least = hold.amount_pusd if hold.least_pusd is None else hold.least_pusd
        states = [self.state(line) for line in hold.lines]
        rooms = [state.limit_pusd - state.spent_pusd - state.held_pusd for state in states]
        refusing = tuple(state for state, room in zip(states, rooms, strict=True) if room < least)
        if refusing:
            return Refused(lines=refusing, begun=begun)
        amount = min(hold.amount_pusd, *rooms)
        self.holds.append(Hold(wanted=hold, amount_pusd=amount, expires_ns=now_ns + hold.lease_ns, memo=hold.memo))
        return Held(hold_id=hold.hold_id, amount_pusd=amount, room_pusd=min(rooms) - amount, begun=begun)

    def state(self, line: BudgetLine) -> LineState:
        """Tell how a line stands that has a counter."""
        count = self.count((line.budget_key, line.window_key))
        assert count is not None
        return LineState(
            budget_key=line.budget_key,
            window_key=line.window_key,
            limit_pusd=line.limit_pusd,
            spent_pusd=count.spent_pusd,
            held_pusd=count.held_pusd,
            resets_ns=line.resets_ns,
        )

    async def settle(self, hold_id: str, amount_pusd: int, now_ns: int) -> Settled:
        """Mark the hold; the sums follow."""
        hold = self.find(hold_id, now_ns)
        if hold is None:
            return Settled(outcome="unknown")
        if hold.charged_pusd is not None:
            return Settled(outcome="repeated", charged_pusd=hold.charged_pusd, held_pusd=hold.amount_pusd)
        hold.charged_pusd, hold.ended_ns = amount_pusd, now_ns
        spent = tuple(self.state(line).spent_pusd for line in hold.wanted.lines)
        return Settled(outcome="settled", charged_pusd=amount_pusd, held_pusd=hold.amount_pusd, spent_pusd=spent)

    async def release(self, hold_id: str, now_ns: int) -> Settled:
        """Settle with nothing."""
        return await self.settle(hold_id, 0, now_ns)

    async def renew(self, hold_id: str, now_ns: int, lease_ns: int, memo: bytes | None = None) -> bool:
        """Move the end."""
        hold = self.find(hold_id, now_ns)
        if hold is None or not hold.is_open or hold.is_claimed:
            return False
        hold.expires_ns = max(hold.expires_ns, now_ns + lease_ns)
        hold.memo = hold.memo if memo is None else memo
        return True

    async def sweep(self, now_ns: int, claim_ns: int, max_holds: int = 100) -> tuple[ExpiredHold, ...]:
        """Hand out what has expired."""
        expired = [hold for hold in self.holds if hold.is_open and hold.expires_ns <= now_ns]
        expired.sort(key=lambda hold: (hold.expires_ns, hold.wanted.hold_id))
        swept = tuple(
            ExpiredHold(
                hold_id=hold.wanted.hold_id,
                amount_pusd=hold.amount_pusd,
                expires_ns=hold.expires_ns,
                lines=tuple(
                    LineName(budget_key=line.budget_key, window_key=line.window_key) for line in hold.wanted.lines
                ),
                memo=hold.memo,
            )
            for hold in expired[:max_holds]
        )
        for hold in expired[:max_holds]:
            hold.is_claimed, hold.expires_ns = True, now_ns + claim_ns
        return swept

    async def look(self, lines: Sequence[LineName]) -> tuple[LineCount | None, ...]:
        """Tell the sums."""
        return tuple(self.count((line.budget_key, line.window_key)) for line in lines)

    async def close(self) -> None:
        """Nothing is open."""
