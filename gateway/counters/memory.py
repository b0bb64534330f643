"""The counters of one process. ``rates``, ``slots`` and ``holds`` do the same without waiting.

Failure behavior: nothing here fails from outside; the process's end loses every count, and what ``holds`` says of it.
"""

from collections.abc import Sequence

from gateway.counters.interface import (
    SLOT_KEPT_NS,
    Entered,
    ExpiredHold,
    LineCount,
    LineName,
    NewHold,
    RateWindow,
    Reservation,
    Settled,
    Slot,
    Taken,
    check_counts,
    check_lease,
)
from gateway.counters.local_holds import LocalHolds
from gateway.counters.local_limits import Epoch, LocalRates, LocalSlots


class MemoryCounters:
    """Counters in this process; see Counters."""

    def __init__(self) -> None:
        self.epoch = Epoch()
        self.rates = LocalRates(self.epoch)
        self.slots = LocalSlots(self.epoch)
        self.holds = LocalHolds(self.epoch)

    async def take(self, windows: Sequence[RateWindow], amounts: Sequence[int], now_ns: int) -> Taken:
        """Count each amount in its window, or none where any would exceed its limit."""
        check_counts(windows, amounts)
        return self.rates.take(windows, amounts, now_ns)

    async def give_back(self, windows: Sequence[RateWindow], amounts: Sequence[int], taken_ns: int) -> None:
        """Return what was taken and not used."""
        check_counts(windows, amounts)
        self.rates.give_back(windows, amounts, taken_ns)

    async def enter(self, slots: Sequence[Slot], lease_id: str, now_ns: int, lease_ns: int) -> Entered:
        """Occupy every slot, or none where any is full."""
        check_lease(lease_ns)
        return self.slots.enter(slots, lease_id, now_ns, lease_ns)

    async def leave(self, slots: Sequence[Slot], lease_id: str) -> None:
        """Free the slots."""
        self.slots.leave(slots, lease_id)

    async def reserve(self, hold: NewHold, now_ns: int) -> Reservation:
        """Hold the amount on every line, or on none."""
        return self.holds.reserve(hold, now_ns)

    async def settle(self, hold_id: str, amount_pusd: int, now_ns: int) -> Settled:
        """End a hold with what was really spent."""
        return self.holds.settle(hold_id, amount_pusd, now_ns)

    async def release(self, hold_id: str, now_ns: int) -> Settled:
        """End a hold of which nothing was spent."""
        return self.holds.settle(hold_id, 0, now_ns)

    async def withdraw(self, hold_id: str, now_ns: int) -> None:
        """Take a hold back as if it had never been."""
        self.holds.withdraw(hold_id, now_ns)

    async def renew(self, hold_id: str, now_ns: int, lease_ns: int, memo: bytes | None = None) -> bool:
        """Let the lease last longer."""
        return self.holds.renew(hold_id, now_ns, lease_ns, memo)

    async def sweep(self, now_ns: int, claim_ns: int, max_holds: int = 100) -> tuple[ExpiredHold, ...]:
        """Hand out the holds whose lease is over, and drop what is old."""
        self.rates.drop_old(now_ns)
        # Not to the moment: a clock that steps back finds those inside that it knew.
        self.slots.drop_old(now_ns - SLOT_KEPT_NS)
        return self.holds.sweep(now_ns, claim_ns, max_holds)

    async def seize(self, memo_prefix: bytes, now_ns: int, claim_ns: int) -> tuple[ExpiredHold, ...]:
        """Hand out the holds whose memo begins so, lease or not."""
        return self.holds.seize(memo_prefix, now_ns, claim_ns)

    async def adjust(self, line: LineName, delta_pusd: int, if_spent_pusd: int | None = None) -> bool:
        """Correct what a line has spent."""
        return self.holds.adjust(line, delta_pusd, if_spent_pusd)

    async def look(self, lines: Sequence[LineName]) -> tuple[LineCount | None, ...]:
        """Tell what the counters of the lines say."""
        return self.holds.look(lines)

    async def close(self) -> None:
        """Nothing is open."""
