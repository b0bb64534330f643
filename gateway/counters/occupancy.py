"""Who serves from a data directory: one process alone where it counts limits and budgets by itself, or all on a Redis.

Two that count by themselves would each let through as much as a limit allows. The lock is on an open file, so it falls
with the process that holds it and with the workers that it has forked, however they end; commands take none.

Failure behavior: a directory that is occupied raises DirectoryOccupied, one that cannot be written OSError.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = "serving.lock"


class DirectoryOccupied(OSError):
    """Another process serves from the data directory."""


@contextmanager
def occupy(folder: Path, *, counts_alone: bool) -> Generator[None]:
    """Serve from a directory, which is made where it is missing. Raises DirectoryOccupied."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if counts_alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryOccupied(
                f"another gateway serves from {folder}, and each would count limits and budgets by itself: stop it "
                "first, choose another --data-dir, or have all of them count in one Redis (REDIS_URL)"
            ) from None
        yield
    finally:
        os.close(descriptor)
