"""A clock for promises in seconds: it stands still while this process is kept from running."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

_TICK_S = 0.005


class WaitingClock:
    """Counts the seconds that something waited, less those in which a busy machine let this process do nothing.

    It looks every few milliseconds; a look that comes late tells how long the loop stood still. What something waits
    for by itself (an interval, a timeout, an answer) counts in full.
    """

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._lost_s = 0.0

    @property
    def seconds(self) -> float:
        """What was waited so far."""
        return time.monotonic() - self._started_s - self._lost_s

    async def tick(self) -> None:
        """Look until cancelled."""
        while True:
            looked_s = time.monotonic()
            await asyncio.sleep(_TICK_S)
            self._lost_s += max(0.0, time.monotonic() - looked_s - 2 * _TICK_S)


@contextlib.asynccontextmanager
async def waiting_clock() -> AsyncIterator[WaitingClock]:
    """A clock that runs until the end of the block."""
    clock = WaitingClock()
    ticking = asyncio.get_running_loop().create_task(clock.tick())
    try:
        yield clock
    finally:
        ticking.cancel()
