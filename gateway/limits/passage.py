"""One limited call on its way: what it took of its key's limits, and what it gives back, exactly once.

Where one process counts, all of it happens without waiting.

Failure behavior: as gateway.limits.gate; a call whose counters went away during it gives no tokens back, which are free
when their minute is over; its slot is, as soon as the counters are there again.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from gateway.counters.interface import MAX_COUNT, Counters, CountersUnavailable, Entered, RateWindow, Taken
from gateway.errors import Fault
from gateway.limits.gate import CallPolicy, Gate
from gateway.limits.lane import Lane
from gateway.limits.refusals import choose_shown, lines_of, refuse_rate, refuse_size, refuse_slot

Counting = Callable[[], Awaitable[int]]


class Passage(msgspec.Struct, eq=False):
    """What one call has taken. Not keyword-only: made by position, it costs a call a third."""

    gate: Gate
    policy: CallPolicy
    lease_id: str
    now_ns: Callable[[], int]
    # When it took what it took last; at first, when the call came.
    taken_ns: int
    # The answer's header lines.
    lines: bytes = b""
    # What the call used in the end.
    used_tokens: int = 0
    # The lane that it is in, where nobody had to be waited for, and what it has taken of the tokens there.
    lane: Lane | None = None
    lane_tokens: int = 0
    # What it has taken else of the tokens, and the counters whose slots it may be in.
    tokens: int | None = None
    inside_at: Counters | None = None
    # It is counted by this process alone, since the shared counters went away.
    is_apart: bool = False

    @property
    def counters(self) -> Counters:
        """Where it is counted."""
        return self.gate.spare if self.is_apart else self.gate.counters

    def enter_at_once(self, bound_tokens: int) -> bool:
        """Take a request, a slot and the tokens where that needs no waiting; False: nothing was taken."""
        lane = self.policy.lane
        if lane is None or (lines := lane.enter(bound_tokens, self.taken_ns)) is None:
            return False
        self.lines, self.lane, self.lane_tokens = lines, lane, bound_tokens
        return True

    async def enter(self, bound_tokens: int, count_tokens: Counting, *, is_all_input: bool = False) -> None:
        """Take a request, a slot and the most tokens that the call may use; raises Fault, and has taken nothing then.

        ``bound_tokens`` is quick to tell and too high; where it has no room, ``count_tokens`` is asked.
        ``is_all_input``: no limit on the reply would make the call smaller.
        """
        policy = self.policy
        if policy.slots:
            entered = await self._occupy()
            if not entered.is_admitted:
                self.inside_at = None
                await self.look()
                raise refuse_slot(entered.slots, policy.plan)
        window = policy.tokens
        if window is None:
            await self.pass_requests()
            return
        taken = await self._take_tokens(window, bound_tokens)
        tokens = bound_tokens
        if not taken.is_admitted and not any(state.is_refusing for state in taken.windows[:-1]):
            tokens = await count_tokens()
            taken = await self._take_tokens(window, tokens)
        if taken.is_admitted:
            return
        if tokens > window.limit and not any(state.is_refusing for state in taken.windows[:-1]):
            raise refuse_size(tokens, window.limit, policy.plan, is_all_input=is_all_input)
        raise self._refusal((*policy.requests, window), taken)

    async def pass_requests(self) -> None:
        """Count one request and nothing else; raises Fault."""
        policy = self.policy
        looked = policy.looked
        taken = await self._take(looked, (*policy.ones, 0)[: len(looked)])
        if not taken.is_admitted:
            raise self._refusal(looked, taken)

    async def look(self) -> None:
        """See how the requests stand, without counting one."""
        await self._take(self.policy.looked, (0,) * len(self.policy.looked))

    def settle_at_once(self) -> bool:
        """As ``settle``, where that needs no waiting; False: ``settle`` has to be asked."""
        lane = self.lane
        if lane is None:
            return self.tokens is None and self.inside_at is None
        self.lane = None
        unused_tokens = self.lane_tokens - self.used_tokens
        lane.leave(unused_tokens, self.taken_ns if unused_tokens >= 0 else self.now_ns())
        return True

    async def settle(self) -> None:
        """Leave the slots and give the unused tokens back, or take what was used beyond; later calls do nothing."""
        if self.settle_at_once():
            return
        counters, self.inside_at = self.inside_at, None
        tokens, self.tokens = self.tokens, None
        try:
            if counters is not None:
                await counters.leave(self.policy.slots, self.lease_id)
            if tokens is not None:
                await self._settle_tokens(tokens)
        except CountersUnavailable:
            # Told by the link's log. The counters see to the slots themselves, and tokens end with their minute.
            return

    async def _occupy(self) -> Entered:
        slots, lease_id, lease_ns = self.policy.slots, self.lease_id, self.gate.lease_ns
        # Before it is known: whoever is cancelled while asking may be inside.
        self.inside_at = self.counters
        try:
            return await self.counters.enter(slots, lease_id, self.now_ns(), lease_ns)
        except CountersUnavailable:
            self.is_apart, self.inside_at = True, self.gate.spare
            return await self.counters.enter(slots, lease_id, self.now_ns(), lease_ns)

    async def _take_tokens(self, window: RateWindow, tokens: int) -> Taken:
        policy = self.policy
        tokens = min(tokens, MAX_COUNT)
        asked = self._take((*policy.requests, window), (*policy.ones, tokens))
        taking = asyncio.create_task(asked)  # noqa: TID251 - awaited here, whatever happens
        try:
            await asyncio.shield(taking)
        finally:
            # Also for a call that leaves meanwhile: they may be counted already, and only who knows that can give them
            # back. Redis has its time limit.
            if (await taking).is_admitted:
                self.tokens = tokens
        return taking.result()

    async def _take(self, windows: tuple[RateWindow, ...], amounts: tuple[int, ...]) -> Taken:
        now_ns = self.taken_ns = self.now_ns()
        try:
            taken = await self.counters.take(windows, amounts, now_ns)
        except CountersUnavailable:
            self.is_apart = True
            taken = await self.counters.take(windows, amounts, now_ns)
        told = len(self.policy.looked)
        self.lines = lines_of(choose_shown(windows[:told], taken.windows[:told]))
        return taken

    def _refusal(self, windows: tuple[RateWindow, ...], taken: Taken) -> Fault:
        self.lines = lines_of(choose_shown(windows, taken.windows))
        return refuse_rate(windows, taken.windows, self.policy.plan, self.taken_ns)

    async def _settle_tokens(self, taken_tokens: int) -> None:
        window = self.policy.tokens
        assert window is not None, "only what was taken is settled"  # noqa: S101 - for the type checkers
        unused = taken_tokens - min(self.used_tokens, MAX_COUNT)
        if unused > 0:
            await self.counters.give_back((window,), (unused,), self.taken_ns)
        elif unused < 0:
            now_ns = self.now_ns()
            taken = await self.counters.take((window,), (-unused,), now_ns)
            if not taken.is_admitted:
                # The minute is full, and what does not fit into it is nobody's any more.
                await self.counters.take((window,), (taken.windows[0].remaining,), now_ns)
