"""What limits a caller, looked up once a key, and the counters that say whether it may pass.

Failure behavior: rate limits fail open. While the counters in Redis cannot be used each process counts by itself, from
0 on, so that what passes is at most the limit times the number of processes; nothing waits for Redis then.
"""

from collections.abc import Sequence

import msgspec

from gateway.accounts.directory import KeyRecord
from gateway.counters.interface import MAX_COUNT, Counters, CountersUnavailable, RateWindow, Slot, Taken
from gateway.counters.memory import MemoryCounters
from gateway.limits.lane import Lane
from gateway.limits.plans import Group, find_windows

# More keys than this are looked up anew now and then.
MAX_POLICIES = 65_536


class CallPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What governs the calls of one key: its plan's windows and its own."""

    plan: str | None
    requests: tuple[RateWindow, ...]
    # One for each of ``requests``, as a request counts.
    ones: tuple[int, ...]
    tokens: RateWindow | None
    slots: tuple[Slot, ...]
    # What answers may tell of: ``requests``, and the tokens where no window of them is told of.
    looked: tuple[RateWindow, ...] = ()
    # The same without waiting, where there is one process.
    lane: Lane | None = None


class Gate:
    """Knows what limits whom, and counts."""

    def __init__(self, counters: Counters, *, enforce: bool, lease_ms: int) -> None:
        self.counters = counters
        # The same without waiting, where there is one process.
        self.local = counters if isinstance(counters, MemoryCounters) else None
        # Counts while the shared ones cannot.
        self.spare = MemoryCounters()
        # Plans are kept; a key's own limits always are.
        self.enforce = enforce
        # A call that never leaves, its process being dead, is taken to have left after this.
        self.lease_ns = lease_ms * 1_000_000
        self._policies: dict[str, tuple[KeyRecord, CallPolicy | None]] = {}

    def policy_of(self, caller: KeyRecord) -> CallPolicy | None:
        """What governs the calls of a key; None: nothing."""
        has_none = caller.requests_per_minute is None and caller.tokens_per_minute is None
        if has_none and caller.max_concurrent is None and not (self.enforce and caller.account_id is not None):
            return None
        known = self._policies.get(caller.key_id)
        if known is not None and known[0] is caller:
            return known[1]
        if len(self._policies) >= MAX_POLICIES:
            self._policies.clear()
        policy = self._find_policy(caller)
        self._policies[caller.key_id] = caller, policy
        return policy

    def windows_of(self, caller: KeyRecord, group: Group) -> tuple[RateWindow, ...]:
        """What a request with a key that is no proxied call counts in; an operator's key in nothing."""
        if not self.enforce or caller.account_id is None:
            return ()
        return find_windows(group, caller.plan or "", caller.rate_overrides, subject_of(caller))

    async def take(self, windows: Sequence[RateWindow], amounts: Sequence[int], now_ns: int) -> Taken:
        """Count in the shared counters, or by ourselves."""
        try:
            return await self.counters.take(windows, amounts, now_ns)
        except CountersUnavailable:
            return await self.spare.take(windows, amounts, now_ns)

    async def give_back(self, windows: Sequence[RateWindow], amounts: Sequence[int], taken_ns: int) -> None:
        """Return what was taken; where nobody can be asked it stays taken until its window ends."""
        try:
            await self.counters.give_back(windows, amounts, taken_ns)
        except CountersUnavailable:
            await self.spare.give_back(windows, amounts, taken_ns)

    def _find_policy(self, caller: KeyRecord) -> CallPolicy:
        requests = self.windows_of(caller, "proxy")
        per_minute, tokens = caller.requests_per_minute, caller.tokens_per_minute
        if per_minute is not None:
            key_id = caller.count_in("requests_per_minute")
            requests = (
                RateWindow(policy_key=f"key-requests:{key_id}", period="minute", limit=_count(per_minute)),
                *requests,
            )
        limit = caller.max_concurrent
        minute = (
            None
            if tokens is None
            else RateWindow(
                policy_key=f"key-tokens:{caller.count_in('tokens_per_minute')}", period="minute", limit=_count(tokens)
            )
        )
        is_told = any(window.period != "month" for window in requests)
        slot = None if limit is None else Slot(slot_key=f"key:{caller.count_in('max_concurrent')}", limit=_count(limit))
        return CallPolicy(
            plan=caller.plan,
            requests=requests,
            ones=(1,) * len(requests),
            tokens=minute,
            slots=() if slot is None else (slot,),
            looked=requests if is_told or minute is None else (*requests, minute),
            lane=None if self.local is None else Lane(self.local, requests, minute, slot),
        )


def subject_of(caller: KeyRecord) -> str:
    """Whose counter it is: the account's; what its sandbox keys do is counted apart."""
    return f"{caller.account_id}:test" if caller.kind == "test" else f"{caller.account_id}"


def _count(limit: int) -> int:
    return min(max(limit, 0), MAX_COUNT)
