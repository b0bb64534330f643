"""Sums up, after a start, what was stored before there were sums: beside the calls, a little at a time.

Failure behavior: while the database is away it waits and goes on; stopped at any moment, the next start goes on. Until
it is done, sums are made from the rows: exact, and slower.
"""

import asyncio
import logging
from contextlib import suppress

from gateway.db import Database, DatabaseUnavailable
from gateway.ledger.figures.history import fold_figures
from gateway.ledger.rollups import fold_history

# Between two pieces of work, so that the calls' own rows are stored meanwhile; and while the database is away.
PAUSE_MS = 100
AWAY_PAUSE_MS = 5_000
_log = logging.getLogger(__name__)


class History:
    """Works from ``start`` until it is done or closed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._work())  # noqa: TID251 - kept, and awaited on close

    async def close(self) -> None:
        """Stop after the piece that is under way, which is short: cut off, its work would be lost."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def _work(self) -> None:
        pieces = 0
        while not self._stopping.is_set():
            try:
                if not await fold_history(self._database) and not await fold_figures(self._database):
                    break
                pieces += 1
                await self._pause(PAUSE_MS)
            except DatabaseUnavailable as error:
                _log.warning("older usage rows are not summed up yet: %s", error)
                await self._pause(AWAY_PAUSE_MS)
        if pieces:
            _log.info("%d pieces of older usage rows are summed up", pieces)

    async def _pause(self, pause_ms: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_ms / 1_000):
                await self._stopping.wait()
