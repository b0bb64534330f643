"""What a table holds, kept in memory and followed: loaded at the start, then asked for changes again and again.

Each table has a revision, and all revisions are read at once: as long as one stands still its table is not asked.

Failure behavior: while the database is away what is known stays known and ``is_stale`` is True; the log tells once when
that begins and once when it ends.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from gateway.db import Database, DatabaseUnavailable

# A change made by any process is followed by every other within 1 s: the pause, and room for a slow answer.
POLL_INTERVAL_MS = 400
POLL_TIMEOUT_MS = 2_000
_log = logging.getLogger(__name__)


class Follower(ABC):
    """Follows one table; a subclass says which ``things`` they are, how many it knows, and takes the changes over."""

    things: str
    # The name of the table's revision.
    revision_name: str

    def __init__(self, database: Database) -> None:
        self._database = database
        # Where the revision stood before the latest look; None: it was not looked at.
        self._looked_at: int | None = None
        self._polling: asyncio.Task[None] | None = None
        self._refreshing = asyncio.Lock()
        self.is_stale = True

    @abstractmethod
    def __len__(self) -> int:
        """Count what is known."""

    @abstractmethod
    async def take_changes(self) -> None:
        """Take over what changed since the last time. Raises DatabaseUnavailable."""

    async def tend(self) -> None:  # noqa: B027 - most have nothing to do
        """Do what is due with each look, whether anything changed or not. Raises DatabaseUnavailable."""

    async def start(self) -> None:
        """Load everything, then follow changes until ``close``. Raises DatabaseUnavailable."""
        await self.refresh()
        self._polling = asyncio.create_task(self._poll())  # noqa: TID251 - kept, and awaited on close

    async def refresh(self) -> None:
        """Take over what changed since the last time. Raises DatabaseUnavailable, and is stale then."""
        async with self._refreshing, self._asking():
            await self.take_changes()
        self.is_stale = False

    async def close(self) -> None:
        """Stop following; what is known stays known."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait((self._polling,))
            self._polling = None

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_INTERVAL_MS / 1_000)
            was_stale = self.is_stale
            try:
                await self._look()
            except DatabaseUnavailable as error:
                if not was_stale:
                    _log.warning("only the %d %s known so far are used: %s", len(self), self.things, error)
            else:
                if was_stale:
                    _log.warning("the %s are up to date again: %d are known", self.things, len(self))

    async def _look(self) -> None:
        """Take over what changed, where anything did."""
        async with self._asking():
            revision = await self._database.revisions.read(self.revision_name)
            await self.tend()
        if self.is_stale or revision != self._looked_at:
            await self.refresh()
            self._looked_at = revision

    @asynccontextmanager
    async def _asking(self) -> AsyncGenerator[None, None]:
        """Ask the database for something in time; what fails makes this stale, and says what could not be read."""
        try:
            async with asyncio.timeout(POLL_TIMEOUT_MS / 1_000):
                yield
        except (DatabaseUnavailable, TimeoutError) as error:
            self.is_stale = True
            raise DatabaseUnavailable(f"{self.things} could not be read: {str(error) or 'timed out'}") from error
