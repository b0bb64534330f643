"""A pytest plugin: the tests' folders are in memory, where there is one with room.

To make and to delete thousands of files on a disk takes a tenth of the suite's time. What is measured is to be as on
a disk: the targets that do so keep theirs there.
"""

import os
import shutil
from pathlib import Path

import pytest

from tests.targets_plugin import wanted_mark

MEMORY = Path("/dev/shm")  # noqa: S108 - folders of a session's own are made in it
MEMORY_BYTES = 6 << 30


def find_memory() -> Path | None:
    """A folder in memory, where there is one with room."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES else None


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest where; unless the environment says it."""
    folder = find_memory()
    if folder is not None and wanted_mark(config.getoption("markexpr")) is None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))
