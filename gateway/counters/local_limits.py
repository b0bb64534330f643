"""Rate windows and slots of one process, without waiting: for the path of a request that no other process counts."""

from collections.abc import Sequence

from gateway.counters.interface import (
    WINDOW_KEPT_NS,
    Entered,
    Period,
    RateWindow,
    Slot,
    SlotState,
    Taken,
    WindowState,
)
from gateway.counters.periods import NS_PER_S, bounds_of, make_taken


class Epoch:
    """Grows when counters of one process are dropped: who kept one from before has to find it anew."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


class Count:
    """What one policy has used of one window of the calendar."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = 0


class Frame:
    """All counts of one window of the calendar, so that they are dropped at once."""

    __slots__ = ("counts", "end_ns", "end_s", "start_ns")

    def __init__(self, start_s: int, end_s: int) -> None:
        self.start_ns = start_s * NS_PER_S
        self.end_ns = end_s * NS_PER_S
        self.end_s = end_s
        self.counts: dict[str, Count] = {}

    def count_of(self, policy_key: str) -> Count:
        """Find the count of a policy, or begin it."""
        count = self.counts.get(policy_key)
        if count is None:
            count = self.counts[policy_key] = Count()
        return count


class LocalRates:
    """Rate windows; see Counters. Whoever calls has checked the amounts.

    Who counts in the same windows again and again may keep their counts from ``frame_at`` for as long as the frame and
    the epoch last: what is dropped nobody else counts in.
    """

    def __init__(self, epoch: Epoch | None = None) -> None:
        self._epoch = epoch or Epoch()
        self._frames: dict[tuple[Period, int], Frame] = {}
        # Of each period the frame that was used last.
        self._current: dict[Period, Frame] = {}

    def __len__(self) -> int:
        """Count the counters that are kept."""
        return sum(len(frame.counts) for frame in self._frames.values())

    def take(self, windows: Sequence[RateWindow], amounts: Sequence[int], now_ns: int) -> Taken:
        """Count each amount in its window, or none where any would exceed its limit."""
        states: list[WindowState] = []
        is_admitted = True
        # One after the other, since a window that is named twice is counted twice.
        for window, amount in zip(windows, amounts):  # noqa: B905 - checked by the caller
            frame = self.frame_at(window.period, now_ns)
            count, limit = frame.count_of(window.policy_key), window.limit
            count.used += amount
            if count.used > limit:
                is_admitted = False
            else:
                states.append(WindowState(limit, limit - count.used, frame.end_s, False))
        return Taken(True, tuple(states)) if is_admitted else self._refuse(windows, amounts)

    def _refuse(self, windows: Sequence[RateWindow], amounts: Sequence[int]) -> Taken:
        """Give back what was just counted, and tell which windows it was too much for."""
        frames = [self._current[window.period] for window in windows]
        used = [0] * len(windows)
        for position in reversed(range(len(windows))):
            count = frames[position].counts[windows[position].policy_key]
            count.used -= amounts[position]
            used[position] = count.used
        return make_taken(windows, amounts, used, [frame.end_s for frame in frames])

    def give_back(self, windows: Sequence[RateWindow], amounts: Sequence[int], taken_ns: int) -> None:
        """Return what was taken and not used to the windows of that time, if they are still kept."""
        for window, amount in zip(windows, amounts):  # noqa: B905 - checked by the caller
            frame = self._current.get(window.period)
            if frame is None or not frame.start_ns <= taken_ns < frame.end_ns:
                frame = self._frames.get((window.period, bounds_of(window.period, taken_ns).start_s))
            count = None if frame is None else frame.counts.get(window.policy_key)
            if count is not None:
                count.used = max(0, count.used - amount)

    def drop_old(self, now_ns: int) -> None:
        """Forget the windows that have been over for long enough."""
        kept = {key: frame for key, frame in self._frames.items() if frame.end_ns + WINDOW_KEPT_NS > now_ns}
        if len(kept) == len(self._frames):
            return
        self._frames = kept
        self._current = {period: frame for period, frame in self._current.items() if frame in kept.values()}
        self._epoch.number += 1

    def frame_at(self, period: Period, now_ns: int) -> Frame:
        """Find the frame of a moment, and make it the one that is used."""
        frame = self._current.get(period)
        if frame is not None and frame.start_ns <= now_ns < frame.end_ns:
            return frame
        start_s, end_s = bounds_of(period, now_ns)
        frame = self._frames.get((period, start_s))
        if frame is None:
            self.drop_old(now_ns)
            frame = self._frames[period, start_s] = Frame(start_s, end_s)
        self._current[period] = frame
        return frame


class Leases:
    """Who is inside one slot: those with a lease until it is over, and those without one who are sure to leave."""

    __slots__ = ("expires_ns", "present", "soonest_ns")

    def __init__(self) -> None:
        self.expires_ns: dict[str, int] = {}
        # No lease is over before this; it may be earlier than the first that is.
        self.soonest_ns = 0
        # Without a lease. Who enters or leaves changes it by one; while there are any these leases are kept.
        self.present = 0

    @property
    def inside(self) -> int:
        """How many are inside."""
        return self.present + len(self.expires_ns)

    def has_room(self, limit: int, now_ns: int) -> bool:
        """Whether there is room for another, who those are not in whose lease is over."""
        if self.soonest_ns <= now_ns and self.expires_ns:
            self.drop_old(now_ns)
        return self.inside < limit

    def let_in(self, lease_id: str, expires_ns: int) -> None:
        """Let one in, or renew its lease."""
        if expires_ns < self.soonest_ns or not self.expires_ns:
            self.soonest_ns = expires_ns
        self.expires_ns[lease_id] = expires_ns

    def drop_old(self, now_ns: int) -> None:
        """Let out those whose lease is over; asked where ``soonest_ns`` says that there may be any."""
        self.expires_ns = {lease: expires for lease, expires in self.expires_ns.items() if expires > now_ns}
        self.soonest_ns = min(self.expires_ns.values(), default=0)


class LocalSlots:
    """Concurrency limits; see Counters. Whoever calls has checked the lease.

    Who uses the same slots again and again may keep their leases from ``leases_of`` for as long as the epoch lasts, or
    somebody is inside.
    """

    def __init__(self, epoch: Epoch | None = None) -> None:
        self._epoch = epoch or Epoch()
        self._leases: dict[str, Leases] = {}

    def __len__(self) -> int:
        """Count the slots that somebody is in; the others are kept until the next cleaning."""
        return sum(1 for leases in self._leases.values() if leases.inside)

    def leases_of(self, slot: Slot) -> Leases:
        """Find who is inside, or begin to keep it."""
        leases = self._leases.get(slot.slot_key)
        if leases is None:
            leases = self._leases[slot.slot_key] = Leases()
        return leases

    def enter(self, slots: Sequence[Slot], lease_id: str, now_ns: int, lease_ns: int) -> Entered:
        """Occupy every slot, or none where any is full, and tell how each stands; a lease that is inside is renewed."""
        is_admitted = True
        # All of them, also behind one that is full: whoever asks how they stand counts nobody whose lease is over.
        for slot in slots:
            leases = self.leases_of(slot)
            if not leases.has_room(slot.limit, now_ns) and lease_id not in leases.expires_ns:
                is_admitted = False
        expires_ns = now_ns + lease_ns
        states: list[SlotState] = []
        for slot in slots:
            leases = self.leases_of(slot)
            is_inside = lease_id in leases.expires_ns
            if is_admitted:
                leases.let_in(lease_id, max(leases.expires_ns.get(lease_id, 0), expires_ns))
                is_inside = True
            inside = leases.inside
            is_refusing = not is_inside and inside >= slot.limit
            states.append(SlotState(limit=slot.limit, inside=inside, is_refusing=is_refusing))
        return Entered(is_admitted=is_admitted, slots=tuple(states))

    def leave(self, slots: Sequence[Slot], lease_id: str) -> None:
        """Free the slots; those the lease is not in stay as they are."""
        for slot in slots:
            leases = self._leases.get(slot.slot_key)
            if leases is not None:
                leases.expires_ns.pop(lease_id, None)

    def drop_old(self, now_ns: int) -> None:
        """Let out those whose lease is over, in every slot, and forget the slots that nobody is in."""
        for leases in self._leases.values():
            if leases.soonest_ns <= now_ns:
                leases.drop_old(now_ns)
        kept = {slot_key: leases for slot_key, leases in self._leases.items() if leases.inside}
        if len(kept) < len(self._leases):
            self._leases = kept
            self._epoch.number += 1
