"""Keeps the store and the memory of like questions the same: loads at the start, writes what is new, follows the rest.

The tables are the truth and are followed by revision, as everything else in the gateway is: one short query each 0.4 s
works on SQLite and PostgreSQL alike, and nothing is left to be reconciled with a second source.

Failure behavior: see gateway.accounts.follower and pending; a question that was written and is in no index (a crash
between the two) is found at the next start, one that is in an index and was not written is forgotten when it is used.
"""

import asyncio
import gc
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from gateway.accounts.follower import Follower
from gateway.caching.semantic import store
from gateway.caching.semantic.memory import Learnt, Memory, pack_learnt
from gateway.caching.semantic.pending import Pending
from gateway.caching.semantic.store import EntryRow
from gateway.db import Database, DatabaseUnavailable

# New questions are in the store, and so within reach of the other processes, after this time.
WRITE_INTERVAL_S = 0.5
# What scopes have learnt is saved this often; what came since is read again from what was seen.
SAVE_INTERVAL_S = 30.0
CLEAN_INTERVAL_S = 600.0
# Of a page, some milliseconds.
TAKEN_AT_ONCE = 500
# A process that was away for longer begins with the saved state.
KEPT_SEEN_NS = 3_600 * 10**9
KEPT_DECISIONS_NS = 30 * 86_400 * 10**9
_START = (-1, -1)
# Of a scope that was never saved.
_NOTHING = (0, Learnt(b"", []))
_log = logging.getLogger(__name__)


class Keeper(Follower):
    """Follows the tables, and writes to them; one a process."""

    things = "stored questions"
    revision_name = "semantic"

    def __init__(self, database: Database, memory: Memory, now_ns: Callable[[], int]) -> None:
        super().__init__(database)
        self._memory = memory
        self._now_ns = now_ns
        self._revision = 0
        # Of what this process wrote last.
        self._written = 0
        self._writing: asyncio.Task[None] | None = None
        self._flushing = asyncio.Lock()
        self._is_failing = False
        self.is_whole = False

    def __len__(self) -> int:
        """Count what is known."""
        return len(self._memory.shelf)

    async def open(self) -> None:
        """Load everything, in pages between which calls go on, then follow and write until ``close``."""
        while not self.is_whole:
            try:
                await self._load()
            except (DatabaseUnavailable, TimeoutError) as error:
                _log.warning("the stored questions cannot be loaded yet: %s", error)
                await asyncio.sleep(WRITE_INTERVAL_S)
        await self.start()
        self._writing = asyncio.create_task(self._write_again())  # noqa: TID251 - kept, and awaited on close

    async def close(self) -> None:
        """Write what waits and what was learnt, and stop."""
        await super().close()
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait((self._writing,))
        if self.is_whole:
            await self.flush()
            await self.save()

    async def take_changes(self) -> None:
        """Take over what other processes stored and saw. Raises DatabaseUnavailable."""
        async with self._database.read() as connection:
            revision = await store.read_revision(connection)
        if revision == self._revision:
            return
        if revision < self._revision:
            # The database was replaced by an older copy.
            self._revision = 0
        await self._take_entries(self._revision, revision)
        async with self._database.read() as connection:
            seen = await store.read_seen(connection, self._revision)
        for row in seen:
            if row.revision <= revision and row.process_id != self._memory.pending.process_id:
                self._memory.take_seen(row.scope, row.seen)
        self._revision = revision

    async def flush(self) -> None:
        """Write what waits; while the database is away it goes on waiting."""
        async with self._flushing:
            if self._memory.pending:
                with suppress(DatabaseUnavailable):
                    await self._write(self._memory.pending.take())

    async def save(self) -> None:
        """Save what scopes have learnt; what cannot be saved now is next time."""
        changed, self._memory.changed = self._memory.changed, set()
        try:
            await self.refresh()
            for scope in sorted(changed):
                await self._save(scope)
        except DatabaseUnavailable:
            self._memory.changed |= changed

    async def _save(self, scope: str) -> None:
        """Save what a scope has learnt with all that it knows and the tables do not: that is counted once then."""
        async with self._flushing:
            memory = self._memory
            # In one turn of the loop: the state, what it has of this process, and what it has of the others.
            learnt, taken, revision = memory.export(scope), memory.pending.take(), self._revision
            await self._write(taken, (scope, learnt, revision))

    async def _write(self, taken: Pending, saved: tuple[str, Learnt, int] | None = None) -> None:
        """Write what waited, and a scope's state with it. Raises DatabaseUnavailable, and all of it waits on."""
        memory, now_ns = self._memory, self._now_ns()
        try:
            async with self._database.write() as connection:
                written = await taken.write(connection, now_ns) if taken else self._written
                if saved is not None:
                    scope, learnt, revision = saved
                    await store.save_state(connection, scope, pack_learnt(learnt, written), revision, now_ns)
                    await store.forget_deleted(connection, written)
        except DatabaseUnavailable as error:
            memory.pending.put_back(taken)
            memory.forget(memory.pending.overflow(), deletes=False)
            if not self._is_failing:
                _log.warning("new questions wait for the database: %s", error)
            self._is_failing = True
            raise
        except BaseException:
            # What cannot be written must not be served by this process alone.
            memory.forget(list(taken.entries), deletes=False)
            raise
        self._is_failing, self._written = False, written

    async def _load(self) -> None:
        async with self._database.read() as connection:
            until = await store.read_revision(connection)
            states = await store.read_states(connection)
            oldest = min((revision for _, _, revision in states), default=0)
            seen = await store.read_seen(connection, oldest)
        known: dict[str, tuple[int, Learnt]] = {}
        for scope, state, revision in states:
            if (learnt := self._memory.restore(scope, state)) is not None:
                known[scope] = (revision, learnt)
            else:
                _log.warning(
                    "what %s had learnt is damaged or of another version: it begins anew, and serves nothing until its "
                    "bound is proven again", scope,
                )  # fmt: skip
        counted = {scope: self._memory.engine.count_requests(scope) for scope in known}
        for row in seen:
            revision, learnt = known.get(row.scope, _NOTHING)
            is_own = row.process_id == learnt.process_id
            if (max(revision, learnt.written) if is_own else revision) < row.revision <= until:
                self._memory.take_seen(row.scope, row.seen, counted.get(row.scope, 0) if is_own else 0)
        # A hundred thousand questions are a million objects, none of which is to be collected.
        gc.disable()
        try:
            await self._take_all(until)
        finally:
            gc.enable()
        self._revision = until
        self.is_whole = True

    async def _take_all(self, until: int) -> None:
        loop = asyncio.get_running_loop()
        rows = await self._read_all(until, -1)
        while rows:
            # The next page is read while this one is taken over.
            reading = loop.create_task(self._read_all(until, rows[-1].number))
            try:
                for start in range(0, len(rows), TAKEN_AT_ONCE):
                    self._take(rows[start : start + TAKEN_AT_ONCE])
                    # Calls go on meanwhile.
                    await asyncio.sleep(0)
                rows = await reading
            finally:
                reading.cancel()

    async def _read_all(self, until: int, after: int) -> list[EntryRow]:
        async with self._database.read() as connection:
            return await store.read_all(connection, until, after, self._now_ns())

    async def _take_entries(self, since: int, until: int) -> None:
        after = _START
        while True:
            async with self._database.read() as connection:
                rows = await store.read_entries(connection, since, until, after, self._now_ns())
            self._take(rows)
            if len(rows) < store.PAGE_ROWS:
                return
            after = (rows[-1].revision, rows[-1].number)
            # Calls go on between two pages.
            await asyncio.sleep(0)

    def _take(self, rows: Sequence[EntryRow]) -> None:
        damaged = self._memory.take_rows(rows)
        if damaged:
            _log.warning("%d stored questions are damaged and forgotten", len(damaged))
            self._memory.pending.drop(damaged)

    async def _write_again(self) -> None:
        saved = cleaned = 0.0
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WRITE_INTERVAL_S)
            try:
                await self.flush()
                if loop.time() - saved > SAVE_INTERVAL_S:
                    saved = loop.time()
                    await self.save()
                if loop.time() - cleaned > CLEAN_INTERVAL_S:
                    cleaned = loop.time()
                    await self._clean()
            except DatabaseUnavailable:
                continue
            except Exception:
                # One batch that cannot be written is given up; the next is another.
                _log.exception("new questions could not be stored")

    async def _clean(self) -> None:
        now_ns = self._now_ns()
        expired = [kept.number for kept in self._memory.shelf.find_expired(now_ns)]
        self._memory.forget(expired, deletes=False)
        async with self._database.write() as connection:
            await store.clean(connection, now_ns, seen_ns=KEPT_SEEN_NS, decisions_ns=KEPT_DECISIONS_NS)
