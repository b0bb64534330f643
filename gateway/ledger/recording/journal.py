"""The journal: usage rows on disk from the moment they are recorded until the database has them.

``append`` hands the row to the operating system in one write, so it survives the end of the process, kill -9
included, once it returns. A loss of power is survived by what ``sync`` (shared by all who wait) has brought to the
disk itself.

Before a call that money is held for goes out, its hold is written too. A hold whose row never came is what a dead
process may have had billed: ``find_open_holds`` tells those of the orphans.

A process writes to a segment of its own, which it holds locked. What a dead process left behind can be locked, and is
taken over by the next one that opens the folder. Each has a name there, ``owner``. One that finds nobody else alive in
the folder has taken over all that the dead left: ``heirs_of`` names them, and what is in no record of theirs was never
written.

Failure behavior: a row that cannot be written whole raises JournalFull and leaves no part of itself behind, or only
such a part as a reader passes over. Damage found in a segment is logged, costs the damaged records alone, and keeps
the file under the ending ``.damaged``.
"""

import asyncio
import errno
import fcntl
import logging
import os
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from gateway.ids import new_id
from gateway.ledger.recording.doubt import Doubt
from gateway.ledger.recording.records import HOLDS_BEGIN, read_records, write_holds, write_record
from gateway.ledger.row import UsageRow

SEGMENT_BYTES = 16 * 1024 * 1024
MAX_JOURNAL_BYTES = 4 * 1024 * 1024 * 1024
REFUSED_FILE = "refused.records"
_SUFFIX = ".journal"
_DRAFT_SUFFIX = ".draft"
_DAMAGED_SUFFIX = ".damaged"
_BATCH_ROWS = 500
_OWNER_SUFFIX = ".owner"
_LOCK_TIMEOUT_S = 5.0
_LOCK_PAUSE_S = 0.01
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_log = logging.getLogger(__name__)


class JournalFull(Exception):
    """The row could not be made durable; no call may be answered as if it were."""


class Segment:
    """One locked file of the journal."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = size
        self.is_damaged = False

    def read(self, max_rows: int, start: int = 0) -> Generator[list[UsageRow], None, None]:
        """Yield every row from ``start`` on, in lists of at most ``max_rows``; damage is logged and passed over."""
        data = os.pread(self.descriptor, self.size - start, start)
        position = 0
        while position < len(data):
            stretch = read_records(data, position, max_rows)
            if stretch.damaged_bytes:
                self.is_damaged = True
                _log.error(
                    "%d bytes of %s between %d and %d hold no usage row and were passed over; the file is kept as %s",
                    *(stretch.damaged_bytes, self.path, start + position, start + stretch.end, _DAMAGED_SUFFIX),
                )
            position = stretch.end
            if stretch.rows:
                yield stretch.rows

    def has_holds(self) -> bool:
        """Whether there may be a hold in it, told by the mark alone."""
        return HOLDS_BEGIN in os.pread(self.descriptor, self.size, 0)

    def read_holds(self) -> Generator[UsageRow, None, None]:
        """Yield the row that each hold may become, in the order in which they were written."""
        data = os.pread(self.descriptor, self.size, 0)
        position = 0
        while position < len(data):
            stretch = read_records(data, position, _BATCH_ROWS)
            position = stretch.end
            yield from stretch.holds


class Journal:
    """The open journal of one process, from its making until ``close``."""

    def __init__(
        self, folder: Path, now_ns: int, *, segment_bytes: int = SEGMENT_BYTES, max_bytes: int = MAX_JOURNAL_BYTES
    ) -> None:
        """Take over what dead processes left, as ``orphans``, and begin a segment. Raises JournalFull."""
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._max_bytes = max_bytes
        # Rows appended, and how many of them are known to be on the disk itself.
        self.appended = 0
        self._synced = 0
        self._syncing: asyncio.Task[None] | None = None
        # Descriptors of what was sealed, or made, since the last sync.
        self._unsynced: list[int] = []
        self.owner = new_id(now_ns)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._tenure, is_alone = _enter(folder)
            dead = _list_owners(folder) if is_alone else ()
            self.orphans, is_whole = _take_orphans(folder)
            self.heirs_of: tuple[str, ...] = dead if is_whole else ()
            fcntl.flock(self._tenure, fcntl.LOCK_SH)
            self.active = self._begin(now_ns)
        except OSError as error:
            raise JournalFull(f"no journal can be kept in {folder} ({error.strerror}): make it writable") from error
        self._sealed = list(self.orphans)
        self._sealed_bytes = sum(orphan.size for orphan in self.orphans)

    @property
    def has_outgrown_segment(self) -> bool:
        """Whether the active segment is large enough to be sealed."""
        return self.active.size >= self._segment_bytes

    @property
    def is_synced(self) -> bool:
        """Whether everything appended is on the disk itself."""
        return self._synced >= self.appended

    def append(self, *rows: UsageRow, holds: Sequence[Doubt] = (), is_move: bool = False) -> int:
        """Hand rows, and holds, to the operating system at once; returns where in the active segment they begin.

        Raises JournalFull, and none is recorded then. What only moves is let in beyond the bound: it makes room.
        """
        record = write_record(rows[0]) if len(rows) == 1 else b"".join(map(write_record, rows))
        if holds:
            record += write_holds(holds)
        active = self.active
        size = len(record)
        if active.size + self._sealed_bytes + size > self._max_bytes and not is_move:
            raise JournalFull(f"{self._max_bytes} bytes of usage already wait for the database: bring it back")
        try:
            written = os.write(active.descriptor, record)
        except OSError as error:
            _cut(active)
            raise JournalFull(f"{active.path} cannot be written ({error.strerror}): make room on the disk") from error
        if written != size:
            _cut(active)
            raise JournalFull(f"{active.path} was not written whole: make room on the disk")
        start, active.size = active.size, active.size + size
        self.appended += len(rows)
        return start

    async def sync(self) -> None:
        """Wait until every row appended so far is on the disk itself; all who wait share the disk's syncs.

        Raises JournalFull when the disk refuses.
        """
        target = self.appended
        while self._synced < target:
            if self._syncing is None or self._syncing.done():
                self._syncing = asyncio.create_task(self._sync_once())  # noqa: TID251 - kept, awaited here and on close
            try:
                # One who gives up waiting takes nothing from the others.
                await asyncio.shield(self._syncing)
            except OSError as error:
                raise JournalFull(f"the disk of {self._folder} refused a sync ({error.strerror})") from error

    def seal(self, now_ns: int) -> Segment:
        """Begin a new segment and give the one before; its rows stay until ``drop``. Raises JournalFull."""
        sealed = self.active
        try:
            self.active = self._begin(now_ns)
        except OSError as error:
            raise JournalFull(f"no segment can be added in {self._folder} ({error.strerror}): make room") from error
        self._unsynced.append(os.dup(sealed.descriptor))
        self._sealed.append(sealed)
        self._sealed_bytes += sealed.size
        return sealed

    def find_open_holds(self) -> list[UsageRow]:
        """Find the holds in the orphans for which no row came."""
        holds: dict[str, UsageRow] = {}
        ended: set[str] = set()
        for orphan in self.orphans:
            if orphan.has_holds():
                holds.update((hold.request_id, hold) for hold in orphan.read_holds())
        if holds:
            for orphan in self.orphans:
                for rows in orphan.read(_BATCH_ROWS):
                    ended.update(row.request_id for row in rows if row.request_id in holds)
        return [hold for hold in holds.values() if hold.request_id not in ended]

    def sign(self) -> None:
        """Let the next one here know of this process, which holds money elsewhere. Raises JournalFull."""
        try:
            (self._folder / f"{self.owner}{_OWNER_SUFFIX}").write_text(_boot_id(), encoding="ascii")
        except OSError as error:
            raise JournalFull(f"{self._folder} cannot be written ({error.strerror}): make room on the disk") from error

    def bury(self, owner: str) -> None:
        """Forget one of ``heirs_of``."""
        (self._folder / f"{owner}{_OWNER_SUFFIX}").unlink(missing_ok=True)

    def keep_refused(self, row: UsageRow) -> None:
        """Put a row that the database refuses into a file that is never deleted here."""
        descriptor = os.open(self._folder / REFUSED_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, write_record(row))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def drop(self, segment: Segment) -> None:
        """Delete a sealed segment whose rows the database has; one that was damaged is kept under another name."""
        self._sealed.remove(segment)
        self._sealed_bytes -= segment.size
        _remove(segment)

    async def close(self, *, is_folded: bool) -> None:
        """Close the files; where the database has every row (``is_folded``) the active one is deleted too."""
        if self._syncing is not None:
            await asyncio.wait((self._syncing,))
        if is_folded:
            _remove(self.active)
        else:
            os.close(self.active.descriptor)
        for descriptor in (*(segment.descriptor for segment in self._sealed), *self._unsynced, self._tenure):
            os.close(descriptor)

    async def _sync_once(self) -> None:
        covered, descriptors = self.appended, [*self._unsynced, os.dup(self.active.descriptor)]
        self._unsynced = []
        try:
            await asyncio.to_thread(_sync_files, descriptors)
        except OSError:
            self._unsynced += descriptors
            raise
        for descriptor in descriptors:
            os.close(descriptor)
        self._synced = max(self._synced, covered)

    def _begin(self, now_ns: int) -> Segment:
        """Make a file that is locked before it bears the name by which others look for orphans."""
        path = self._folder / f"{new_id(now_ns)}{_SUFFIX}"
        draft = path.with_suffix(_DRAFT_SUFFIX)
        descriptor = os.open(draft, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.rename(path)
            self._unsynced.append(os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY))
        except OSError:
            os.close(descriptor)
            raise
        return Segment(path, descriptor, 0)


def _enter(folder: Path) -> tuple[int, bool]:
    """Lock the folder, alone where nobody else has it; the lock falls with the process."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    deadline_s = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            return descriptor, kind == fcntl.LOCK_EX
        if time.monotonic() > deadline_s:
            os.close(descriptor)
            raise OSError(errno.EBUSY, "another process has been taking it over for too long")
        # Whoever has it alone takes over the files of the dead, and then lets others in.
        time.sleep(_LOCK_PAUSE_S)


def _list_owners(folder: Path) -> tuple[str, ...]:
    """Name those who kept a journal here since the machine was started; what was before it a loss of power may know."""
    owners: list[str] = []
    for path in sorted(folder.glob(f"*{_OWNER_SUFFIX}")):
        if path.read_text(encoding="ascii") == _boot_id() != "":
            owners.append(path.stem)
        else:
            path.unlink()
    return tuple(owners)


def _boot_id() -> str:
    """The machine's name for the time since it was started; empty where it has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _take_orphans(folder: Path) -> tuple[list[Segment], bool]:
    """Lock, oldest first, every segment that no living process holds; tells whether those were all."""
    orphans: list[Segment] = []
    is_whole = True
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            is_whole = False
            continue
        status = os.fstat(descriptor)
        if status.st_nlink:
            orphans.append(Segment(path, descriptor, status.st_size))
        else:
            # Another process took it over and deleted it before its lock fell.
            os.close(descriptor)
    return orphans, is_whole


def _cut(segment: Segment) -> None:
    """Cut a half-written record off; where even this fails, readers pass over it."""
    try:
        os.ftruncate(segment.descriptor, segment.size)
    except OSError:
        segment.size = os.fstat(segment.descriptor).st_size


def _remove(segment: Segment) -> None:
    if segment.is_damaged:
        segment.path.rename(segment.path.with_suffix(_DAMAGED_SUFFIX))
    else:
        segment.path.unlink(missing_ok=True)
    os.close(segment.descriptor)


def _sync_files(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.fsync(descriptor)
