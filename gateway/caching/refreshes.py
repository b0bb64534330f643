"""Which requests were answered anew though an answer may be kept: every other process is told to forget the older one.

It is noted in memory and written with the next look at the cache's settings, which all processes follow.

Failure behavior: while the database is away what is noted waits; of more than can wait the oldest is given up, and
other processes give what they keep of it until it ends.
"""

from collections.abc import Iterable

from gateway.caching import store
from gateway.caching.answers import MAX_REFRESHES
from gateway.db import Database


class Refreshes:
    """One a process: what it has to tell."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, int] = {}

    def __len__(self) -> int:
        """How many wait to be written."""
        return len(self._waiting)

    def note(self, keys: Iterable[bytes], created_ns: int) -> None:
        """Calls of this time took the place of whatever is kept for these requests."""
        for key in keys:
            self._waiting[key] = max(created_ns, self._waiting.pop(key, 0))
        while len(self._waiting) > MAX_REFRESHES:
            del self._waiting[next(iter(self._waiting))]

    async def write(self, database: Database) -> None:
        """Write what waits. Raises DatabaseUnavailable, and it waits on."""
        if not self._waiting:
            return
        taken, self._waiting = self._waiting, {}
        try:
            async with database.write() as connection:
                await store.write_refreshes(connection, taken)
        except BaseException:
            since, self._waiting = self._waiting, taken
            for key, created_ns in since.items():
                self.note((key,), created_ns)
            raise
