"""The recorder: takes usage rows, durable at once through the journal, and folds them into the database in batches.

The journal is the truth; the queue in memory only spares reading it again. A segment whose rows did not all fit into
the queue is read from the disk later, just like what a dead process left, so memory stays bounded however long the
database is away.

What the database has, and what it has not yet, is told apart exactly by whoever holds ``folding``: no row is stored
meanwhile, and ``unfolded`` names every row that is recorded and not stored, unless ``has_rows_on_disk_alone``.

A call that money is held for records its hold before it goes out; see gateway.ledger.recording.journal. What a dead
process left open is recorded at the start, as it stands: ``recovered``.

Failure behavior: while the database is away rows wait in the journal and are tried again with growing pauses. When
the journal itself takes no row, ``record`` raises JournalFull, ``is_accepting`` turns False so that no further call
needs to be made in vain, and the rows refused are kept in memory and appended as soon as there is room. A row that
the database refuses for its values goes to ``refused.records`` in the journal's folder and is logged.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter

import msgspec
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db import Database, DatabaseUnavailable
from gateway.ledger import store
from gateway.ledger.recording.backlog import READ_ROWS, Backlog
from gateway.ledger.recording.doubt import Doubt
from gateway.ledger.recording.journal import Journal, JournalFull
from gateway.ledger.recording.turn import Turn
from gateway.ledger.row import UsageRow

# Also the most that one transaction stores: each costs as much as 200 rows, so under load few and large ones keep pace.
MAX_QUEUED_ROWS = 8_192
MAX_DEFERRED_ROWS = 10_000
MAX_NOTED_KEYS = 50_000
NOTE_INTERVAL_NS = 60 * 1_000_000_000
FIRST_PAUSE_MS = 100
LONGEST_PAUSE_MS = 5_000
_when = attrgetter("created_ns")
_log = logging.getLogger(__name__)
NoteUsed = Callable[[AsyncConnection, Mapping[str, int]], Awaitable[None]]


class RecorderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How often the recorder works."""

    fold_interval_ms: int = 250
    sync_interval_ms: int = 200
    # How long ``close`` may wait for the database; what is left is folded after the next start.
    drain_ms: int = 5_000
    max_queued_rows: int = MAX_QUEUED_ROWS


class Recorder:
    """Records usage rows; one a process, built and closed by the application."""

    def __init__(  # noqa: PLR0913, PLR0917 - what happens with rows is handed in
        self,
        database: Database,
        journal: Journal,
        note_used: NoteUsed,
        now_ns: Callable[[], int],
        settings: RecorderSettings | None = None,
        take_stored: store.TakeStored | None = None,
    ) -> None:
        self.folding = asyncio.Lock()
        self.recovered: tuple[UsageRow, ...] = ()
        self._take_stored = take_stored
        # Holds of this process for which no row came yet, by their calls' ids.
        self._holds: dict[str, Doubt] = {}
        # Those that are not written yet.
        self._new_holds: list[Doubt] = []
        self._has_holds_behind = False
        self._database = database
        self.journal = journal
        self._note_used = note_used
        self._now_ns = now_ns
        self._settings = settings or RecorderSettings()
        self._queue: deque[UsageRow] = deque()
        self._deferred: deque[UsageRow] = deque()
        # Rows that are not written yet.
        self._taken: list[UsageRow] = []
        # What has to be done before they are, and may bring more of them.
        self.turn = Turn(self.write_noted)
        self._noted_ns: dict[str, int] = {}
        # Rows ever queued, and how many of those the database has.
        self._queued = 0
        self._folded = 0
        self._backlog = Backlog(journal)
        # Where in the active segment the rows begin that found no room in the queue, and how many they are.
        self._spilled_from: int | None = None
        self._spilled = 0
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._folded_all = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def pending(self) -> int:
        """Rows recorded by this process that the database does not have yet."""
        return len(self._queue) + self._spilled + self._backlog.unread + len(self._deferred)

    @property
    def is_accepting(self) -> bool:
        """Whether a row recorded now would be durable; if not, a call had better not be made."""
        return not self._deferred

    def start(self) -> None:
        """Begin to fold, with what dead processes left first."""
        self.recovered = tuple(self.journal.find_open_holds())
        for hold in self.recovered:
            with suppress(JournalFull):
                self.record(hold)
        for work in (self._fold_forever(), self._sync_forever()):
            self._tasks.append(asyncio.create_task(work))  # noqa: TID251 - kept, and awaited on close
        if self._backlog:
            self._wake.set()

    @property
    def has_rows_on_disk_alone(self) -> bool:
        """Whether rows wait that ``unfolded`` cannot name, since only the disk has them."""
        return self._spilled > 0 or self._backlog.is_unread

    def unfolded(self) -> Iterator[UsageRow]:
        """Name the rows that are recorded and not stored; nothing may be awaited meanwhile."""
        yield from self._queue
        yield from self._deferred
        yield from self._taken

    def hold(self, doubt: Doubt) -> None:
        """Note a hold, which ``write_noted`` makes survive this process's end, until the row of the same id comes.

        A later hold of one id takes its place.
        """
        self._new_holds.append(doubt)

    def take(self, row: UsageRow) -> None:
        """Note a row, to be written with all others of this turn of the event loop: a write's cost is mostly fixed.

        Whoever lets an answer leave within the turn asks for ``write_noted`` before.
        """
        if not self._taken:
            self.turn.begin()
        self._taken.append(row)

    def write_noted(self) -> JournalFull | None:
        """Make what was noted survive this process's end; where it cannot, rows are kept in memory, and holds noted.

        What the turn has put off is done before.
        """
        self.turn.finish()
        rows = self._taken
        if not rows and not self._new_holds:
            return None
        self._taken = []
        try:
            self._append(rows)
        except JournalFull as full:
            for row in rows:
                _log.error("usage of request %s waits in memory: %s", row.request_id, full)
                self._defer(row)
            return full
        return None

    def record(self, row: UsageRow) -> None:
        """Make a row survive this process's end. Raises JournalFull; the row is then kept, but in memory only."""
        try:
            self._append((row,))
        except JournalFull:
            self._defer(row)
            raise

    def _append(self, rows: Sequence[UsageRow]) -> None:
        """Write rows, with all holds that were noted: one that came after its own row would never end."""
        holds = self._new_holds
        start = self.journal.append(*rows, holds=holds)
        if holds:
            self._new_holds = []
            for hold in holds:
                self._holds[hold.request_id] = hold
        self._enqueue(rows, start)

    async def synced(self) -> None:
        """Wait until all that was recorded survives a loss of power too. Raises JournalFull."""
        if (full := self.write_noted()) is not None:
            raise full
        await self.journal.sync()

    async def flush(self) -> None:
        """Wait until the database has all that was recorded before; the caller sets the time limit."""
        self.write_noted()
        target = self._queued
        while self._deferred or self._folded < target or self.has_rows_on_disk_alone:
            has_deferred = bool(self._deferred)
            self._folded_all.clear()
            self._wake.set()
            self._hurry.set()
            await self._folded_all.wait()
            if has_deferred:
                # They are queued by now, and were not as the target was set.
                target = self._queued

    async def close(self) -> None:
        """Fold what there is and stop; the journal stays for the next start where the database does not take it."""
        self.write_noted()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_ms / 1_000):
                await self.flush()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._drop_folded()
        if not self.journal.is_synced:
            with suppress(JournalFull):
                await self.journal.sync()
        is_folded = not (self.pending or self.has_rows_on_disk_alone)
        if not is_folded:
            _log.warning("%d usage rows wait in the journal for the next start", self.pending)
        if self._deferred:
            _log.error("%d usage rows could be written nowhere and are lost", len(self._deferred))
        await self.journal.close(is_folded=is_folded)

    def _enqueue(self, rows: Sequence[UsageRow], start: int) -> None:
        """Have rows folded that were appended at ``start``: from memory, or from the disk once memory is full."""
        if not rows:
            return
        if self._holds:
            for row in rows:
                self._holds.pop(row.request_id, None)
        queue, limit = self._queue, self._settings.max_queued_rows
        before = len(queue)
        if self._spilled_from is not None or before + len(rows) > limit:
            # All that follows in this segment too, so that reading from there on finds no row that was in memory.
            if self._spilled_from is None:
                self._spilled_from = start
            self._spilled += len(rows)
            self._wake.set()
            return
        queue.extend(rows)
        self._queued += len(rows)
        if not before:
            self._wake.set()
        elif before < limit // 2 <= len(queue):
            self._hurry.set()

    def _defer(self, row: UsageRow) -> None:
        if len(self._deferred) >= MAX_DEFERRED_ROWS:
            _log.error("the usage row of %s is lost: the journal is full, and so is the memory", row.request_id)
            return
        self._deferred.append(row)
        self._wake.set()

    async def _fold_forever(self) -> None:
        pause_ms = 0
        while True:
            await self._wait_for_rows(pause_ms)
            try:
                refused = self._tend_journal()
                has_stored = await self._fold_queue()
                has_stored = await self._fold_disk() or has_stored
                self._drop_folded()
                if refused is not None and not has_stored:
                    raise refused
            except Exception as error:
                # Whatever went wrong, the rows are in the journal: the worker must outlive it and try again.
                if not pause_ms or not isinstance(error, DatabaseUnavailable | JournalFull):
                    _log.warning("%d usage rows wait: %s: %s", self.pending, type(error).__name__, error)
                pause_ms = min(max(2 * pause_ms, FIRST_PAUSE_MS), LONGEST_PAUSE_MS)
            else:
                if pause_ms:
                    _log.warning("usage rows are stored again, %d still wait", self.pending)
                pause_ms = 0
                self._folded_all.set()

    async def _wait_for_rows(self, pause_ms: int) -> None:
        """Sleep until there is work, and then until there is a batch of it or the interval is over."""
        if pause_ms:
            await asyncio.sleep(pause_ms / 1_000)
            return
        if not (self.pending or self.has_rows_on_disk_alone):
            self._wake.clear()
            self._hurry.clear()
            await self._wake.wait()
        if len(self._queue) < self._settings.max_queued_rows // 2 and not self.has_rows_on_disk_alone:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.fold_interval_ms / 1_000):
                    await self._hurry.wait()
        self._hurry.clear()

    def _tend_journal(self) -> JournalFull | None:
        """Seal, and append what waits for room; a refusal keeps no rows from being stored, since that makes room."""
        try:
            self._rotate()
            while self._deferred:
                self._append((self._deferred[0],))
                self._deferred.popleft()
        except JournalFull as full:
            return full
        return None

    def _rotate(self) -> None:
        """Seal a segment that is long enough, or whose rows must be read again, since that needs its end."""
        self._move_holds()
        if self.journal.has_outgrown_segment or (self._spilled and len(self._queue) < READ_ROWS):
            segment = self.journal.seal(self._now_ns())
            self._backlog.add(segment, queued=self._queued, unread_from=self._spilled_from, unread=self._spilled)
            self._spilled_from, self._spilled = None, 0
            self._has_holds_behind = bool(self._holds)
            self._move_holds()

    def _move_holds(self) -> None:
        """Write the open holds again, so that they do not go with the segment that they were in."""
        if self._has_holds_behind:
            self.journal.append(holds=list(self._holds.values()), is_move=True)
            self._has_holds_behind = False

    async def _fold_queue(self) -> bool:
        rows = list(self._queue)
        if rows:
            async with self.folding:
                await self._insert(rows)
                for _ in rows:
                    self._queue.popleft()
            self._folded += len(rows)
        return bool(rows)

    async def _fold_disk(self) -> bool:
        """Fold one batch of what is on the disk alone."""
        rows = self._backlog.read()
        if rows is not None:
            await self._insert(rows)
            self._backlog.done_reading()
        return rows is not None

    def _drop_folded(self) -> None:
        if not self._has_holds_behind:
            self._backlog.drop(self._folded)

    async def _insert(self, rows: list[UsageRow]) -> None:
        """Store rows in one transaction; where values are refused, halve until the culprit is alone."""
        try:
            noted = await self._store(rows)
        except (DBAPIError, OverflowError) as error:
            if len(rows) == 1:
                await asyncio.to_thread(self.journal.keep_refused, rows[0])
                _log.error("the database refuses the usage row of %s: %s", rows[0].request_id, error)
                return
            half = len(rows) // 2
            await self._insert(rows[:half])
            await self._insert(rows[half:])
        else:
            self._noted_ns.update(noted)

    async def _store(self, rows: list[UsageRow]) -> dict[str, int]:
        """Store rows; only those that are new are handed on, so that what is made of them counts each once."""
        noted = self._keys_to_note(rows)
        async with self._database.write() as connection:
            # Some may be there already: a segment read again, or a call that was given up and ended all the same.
            new = await store.insert_rows(connection, rows)
            if self._take_stored is not None and new:
                await self._take_stored(connection, new)
            if noted:
                await self._note_used(connection, noted)
        return noted

    def _keys_to_note(self, rows: list[UsageRow]) -> dict[str, int]:
        """Name the keys whose last use was noted more than a minute before these rows, and their last use."""
        if len(self._noted_ns) > MAX_NOTED_KEYS:
            self._noted_ns.clear()
        # The latest of each key's: thousands may be of one.
        used_ns = {row.key_id: row.created_ns for row in sorted(rows, key=_when)}
        known_ns = self._noted_ns
        return {key: at_ns for key, at_ns in used_ns.items() if at_ns - known_ns.get(key, 0) >= NOTE_INTERVAL_NS}

    async def _sync_forever(self) -> None:
        """Bring the journal to the disk itself at every interval."""
        while True:
            await asyncio.sleep(self._settings.sync_interval_ms / 1_000)
            if not self.journal.is_synced:
                try:
                    await self.journal.sync()
                except JournalFull as error:
                    _log.error("a loss of power would take the last usage rows: %s", error)
