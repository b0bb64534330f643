"""One file of the journal, locked by whoever writes it.

What is appended is copied into memory that the operating system shares with the file (mmap), over blocks that the disk
has set aside before. It belongs to the file from then on and survives the end of the process, kill -9 included, at a
tenth of what a write of its own would cost. Behind the last record the file is zeros until the segment is sealed.

Failure behavior: where the disk has no room for further blocks ``append`` raises OSError, and nothing is recorded.
"""

import logging
import mmap
import os
import sys
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

from gateway.ledger.recording.records import HOLD_MARK, read_records
from gateway.ledger.row import UsageRow

# What is mapped at once, and set aside on the disk: some thousands of rows.
WINDOW_BYTES = 1024 * 1024
DAMAGED_SUFFIX = ".damaged"
_BATCH_ROWS = 500
_log = logging.getLogger(__name__)


class Segment:
    """One locked file of the journal."""

    __slots__ = ("_begin", "_end", "_window", "descriptor", "is_damaged", "path", "size")

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.descriptor = descriptor
        # Where the next record begins.
        self.size = size
        self.is_damaged = False
        # What is mapped of the file, and between which of its bytes.
        self._window: mmap.mmap | None = None
        self._begin = self._end = 0

    def append(self, record: bytes) -> int:
        """Put a record, or several, into the file; returns where. Raises OSError, and nothing is recorded then."""
        start = self.size
        end = start + len(record)
        window = self._window
        if window is None or end > self._end:
            window = self._map(end)
        begin = self._begin
        window[start - begin : end - begin] = record
        self.size = end
        return start

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
                    *(stretch.damaged_bytes, self.path, start + position, start + stretch.end, DAMAGED_SUFFIX),
                )
            position = stretch.end
            if stretch.rows:
                yield stretch.rows

    def has_holds(self) -> bool:
        """Whether there may be a hold in it, told by the mark alone."""
        return HOLD_MARK in os.pread(self.descriptor, self.size, 0)

    def read_holds(self) -> Generator[UsageRow, None, None]:
        """Yield every hold, in the order in which they were written."""
        data = os.pread(self.descriptor, self.size, 0)
        position = 0
        while position < len(data):
            stretch = read_records(data, position, _BATCH_ROWS)
            position = stretch.end
            yield from stretch.holds

    def seal(self) -> None:
        """Append no more: what was set aside and not used goes back to the disk."""
        if self._window is not None:
            self._window.close()
            self._window = None
            self._end = 0
            # Readers pass over the zeros where it refuses.
            with suppress(OSError):
                os.ftruncate(self.descriptor, self.size)

    def remove(self) -> None:
        """Delete the file, whose rows the database has; one that was damaged is kept under another name."""
        self.seal()
        if self.is_damaged:
            self.path.rename(self.path.with_suffix(DAMAGED_SUFFIX))
        else:
            self.path.unlink(missing_ok=True)
        os.close(self.descriptor)

    def _map(self, end: int) -> mmap.mmap:
        """Map the file from the page on which the next record begins, with room up to ``end`` at least."""
        begin = self.size - self.size % mmap.ALLOCATIONGRANULARITY
        pages = -(-(end - begin) // mmap.PAGESIZE)
        length = max(WINDOW_BYTES, pages * mmap.PAGESIZE)
        _set_aside(self.descriptor, begin, length)
        window = mmap.mmap(self.descriptor, length, offset=begin)
        if self._window is not None:
            self._window.close()
        self._window, self._begin, self._end = window, begin, begin + length
        return window


def _set_aside(descriptor: int, begin: int, length: int) -> None:
    """Have the disk keep blocks for a part of a file: to write to memory that it cannot keep ends a process."""
    if sys.platform == "linux":
        os.posix_fallocate(descriptor, begin, length)
    else:
        os.ftruncate(descriptor, begin + length)
