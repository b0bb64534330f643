"""Deletes what is over: old sessions, refresh tokens and invitations, and the audit log's oldest entries where its
retention is set; clears keys away that expired long ago. Once an hour while the gateway runs.

Failure behavior: while the database is away nothing is deleted, the log says so, and the next hour tries again. What is
over is not honoured anyhow; deleting it only keeps the tables short.
"""

import asyncio
import logging
from collections.abc import Callable

from gateway.accounts import audit
from gateway.accounts.keyring import keys_store
from gateway.accounts.tenancy import members_store, sessions
from gateway.accounts.tenancy.sessions import Lifetimes
from gateway.db import Database, DatabaseUnavailable

INTERVAL_S = 3_600.0
# Rows of each table in one transaction, and transactions in one round, so that no round keeps others from writing.
BATCH_ROWS = 1_000
MAX_BATCHES = 100
PAUSE_S = 0.02
NS_PER_DAY = 86_400 * 10**9
# As long as an overlap of a rotation at most: until then who looks for a key that is over finds it in its list.
KEY_DAYS = 30
_log = logging.getLogger(__name__)


class Upkeep:
    """One task, which ``close`` ends. ``audit_days`` is how long the audit log goes back; 0: to its beginning."""

    def __init__(
        self,
        database: Database,
        lifetimes: Lifetimes,
        now_ns: Callable[[], int],
        audit_days: int = 0,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._database = database
        self._lifetimes = lifetimes
        self._now_ns = now_ns
        self._audit_days = audit_days
        self._interval_s = interval_s
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first round is an interval away, when the start is over."""
        self._running = asyncio.create_task(self._run())  # noqa: TID251 - kept, and awaited on close

    async def close(self) -> None:
        """Stop; a transaction that runs is rolled back."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,))
            self._running = None

    async def purge(self) -> int:
        """Delete what is over, in batches, and tell how many rows it was. Raises DatabaseUnavailable."""
        deleted = 0
        for _ in range(MAX_BATCHES):
            now_ns = self._now_ns()
            async with self._database.write() as connection:
                batch = await sessions.purge(connection, self._lifetimes, now_ns, BATCH_ROWS)
                batch += await members_store.purge_invitations(connection, now_ns, BATCH_ROWS)
                if self._audit_days:
                    batch += await audit.purge(connection, now_ns - self._audit_days * NS_PER_DAY, BATCH_ROWS)
            async with self._database.write() as connection:
                # Apart: whoever changes keys takes their revision before anything else.
                ended_ns = now_ns - KEY_DAYS * NS_PER_DAY
                batch += await keys_store.clear_ended(connection, ended_ns, BATCH_ROWS, now_ns)
            deleted += batch
            if batch < BATCH_ROWS:
                break
            await asyncio.sleep(PAUSE_S)
        return deleted

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                deleted = await self.purge()
            except DatabaseUnavailable as error:
                _log.warning("old sessions, invitations, keys and audit entries could not be deleted: %s", error)
            else:
                _log.info("deleted %d old sessions, refresh tokens, invitations, keys and audit entries", deleted)
