"""Who may still be inside a slot in Redis and is not: it could not be told that they left, or answered too late.

Without it a moment's pause of Redis would keep a place taken until the lease of a call that is long over ends.

Failure behavior: it asks until Redis answers; of more than can wait the oldest is given up, whose lease ends by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from gateway.counters.interface import CountersUnavailable, Slot

MAX_WAITING = 100_000
# By then what was asked of Redis and not waited for has arrived there.
LATE_S = 1.0
# Redis may have been told to let somebody out just before a question that came earlier, by another connection, lets
# them in: it is told once more.
_TIMES = 2
Leave = Callable[[Sequence[Slot], str], Awaitable[None]]


class Departures:
    """What Redis has to be told yet; works in a task of its own as long as there is anything."""

    def __init__(self, leave: Leave, *, late_s: float = LATE_S) -> None:
        self._leave = leave
        self._late_s = late_s
        # By lease: the slots, and how often Redis has been told.
        self._waiting: dict[str, tuple[Sequence[Slot], int]] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many Redis does not know of."""
        return len(self._waiting)

    def note(self, slots: Sequence[Slot], lease_id: str) -> None:
        """Have Redis told that a lease is in none of these slots."""
        if len(self._waiting) >= MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[lease_id] = slots, 0
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())  # noqa: TID251 - kept, and awaited on close

    def forget(self, lease_id: str) -> None:
        """The lease is inside after all."""
        self._waiting.pop(lease_id, None)

    async def close(self) -> None:
        """Tell Redis what it can be told at once, and stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        with suppress(CountersUnavailable):
            await self._tell()

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._late_s)
            with suppress(CountersUnavailable):
                await self._tell()

    async def _tell(self) -> None:
        for lease_id, (slots, times) in list(self._waiting.items()):
            await self._leave(slots, lease_id)
            if lease_id not in self._waiting:
                continue
            if times + 1 < _TIMES:
                self._waiting[lease_id] = slots, times + 1
            else:
                del self._waiting[lease_id]
