"""What the journal still has to keep: segments that are no longer written, until the database has all of their rows.

Most wait for rows that the recorder has in memory too. Those that found no room there, and what a dead process left,
are read from the disk, each row once unless it is read again after the end of the process.
"""

from collections import deque
from collections.abc import Generator

import msgspec

from gateway.ledger.recording.journal import Journal, Segment
from gateway.ledger.row import UsageRow

# What is read from the disk at once.
READ_ROWS = 1_000


class _Sealed(msgspec.Struct):
    """A segment: done once ``queued`` rows of all were folded from memory, and the rest from the disk."""

    segment: Segment
    queued: int
    # Where the rows begin that are on the disk alone, and how many this process put there; None: there are none.
    unread_from: int | None
    unread: int


class Backlog:
    """The sealed segments, oldest first; one a recorder."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._sealed = deque(_Sealed(orphan, 0, 0, 0) for orphan in journal.orphans)
        self._batches: Generator[list[UsageRow], None, None] | None = None
        self._rows: list[UsageRow] | None = None

    def __bool__(self) -> bool:
        """Whether there is any segment."""
        return bool(self._sealed)

    @property
    def is_unread(self) -> bool:
        """Whether there may be rows on the disk alone."""
        return any(sealed.unread_from is not None for sealed in self._sealed)

    @property
    def unread(self) -> int:
        """Rows of this process that are on the disk alone, in segments that were not read to their end."""
        return sum(sealed.unread for sealed in self._sealed)

    def add(self, segment: Segment, *, queued: int, unread_from: int | None, unread: int) -> None:
        """Take a segment that was sealed when ``queued`` rows of all had found room in memory."""
        self._sealed.append(_Sealed(segment, queued, unread_from, unread))

    def read(self) -> list[UsageRow] | None:
        """The next rows that are on the disk alone, the same again until ``done_reading``; None: a segment ended."""
        sealed = next((sealed for sealed in self._sealed if sealed.unread_from is not None), None)
        if sealed is None or sealed.unread_from is None:
            return None
        if self._batches is None:
            self._batches = sealed.segment.read(READ_ROWS, sealed.unread_from)
        self._rows = self._rows or next(self._batches, None)
        if self._rows is None:
            self._batches, sealed.unread_from, sealed.unread = None, None, 0
        return self._rows

    def done_reading(self) -> None:
        """The database has what was read."""
        self._rows = None

    def drop(self, folded: int) -> None:
        """Delete the segments, oldest first, whose rows the database has: ``folded`` of all that were in memory."""
        while self._sealed and self._sealed[0].unread_from is None and folded >= self._sealed[0].queued:
            self._journal.drop(self._sealed.popleft().segment)
