"""Which calls got an entry as a part of a batch of inputs, beside the one that their usage row names.

It is noted in memory and written with the next look at the cache's settings, so that a recall names these calls too.

Failure behavior: while the database is away what is noted waits; of more than can wait the oldest is given up.
"""

from collections import deque
from collections.abc import Iterable

from gateway.caching import store
from gateway.caching.store import Part
from gateway.db import Database

# Parts of calls that wait to be written.
MAX_WAITING = 50_000
# Longer than most entries live; a recall of an older one names the calls by their rows alone.
KEPT_NS = 30 * 86_400 * 10**9


class Parts:
    """One a process."""

    def __init__(self) -> None:
        self._waiting: deque[Part] = deque(maxlen=MAX_WAITING)

    def __len__(self) -> int:
        """How many wait to be written."""
        return len(self._waiting)

    def note(self, project_id: str, request_id: str, entry_ids: Iterable[str], created_ns: int) -> None:
        """A call of this time got something of these entries."""
        self._waiting.extend(
            [
                Part(project_id=project_id, entry_id=entry_id, request_id=request_id, created_ns=created_ns)
                for entry_id in entry_ids
            ]
        )

    async def write(self, database: Database) -> None:
        """Write what waits. Raises DatabaseUnavailable, and it waits on."""
        if not self._waiting:
            return
        taken, self._waiting = self._waiting, deque(maxlen=MAX_WAITING)
        try:
            async with database.write() as connection:
                await store.write_parts(connection, taken, max(each.created_ns for each in taken) - KEPT_NS)
        except BaseException:
            self._waiting.extendleft(reversed(taken))
            raise
