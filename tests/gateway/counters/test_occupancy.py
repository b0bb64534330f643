"""Who serves from a data directory."""

import os
import signal
from pathlib import Path

import pytest

from gateway.counters.occupancy import LOCK_FILE, DirectoryOccupied, occupy


@pytest.mark.parametrize(
    ("first", "second", "is_let_in"),
    [(True, True, False), (True, False, False), (False, True, False), (False, False, True)],
)
def test_who_counts_alone_serves_alone(tmp_path: Path, first: bool, second: bool, is_let_in: bool) -> None:
    """Whoever came first stays; those who count in Redis are any number."""
    folder = tmp_path / "new"
    with occupy(folder, counts_alone=first):
        if is_let_in:
            with occupy(folder, counts_alone=second):
                pass
        else:
            with pytest.raises(DirectoryOccupied, match="stop it first"), occupy(folder, counts_alone=second):
                pass
    with occupy(folder, counts_alone=True):
        assert (folder / LOCK_FILE).exists()


def test_what_a_killed_process_held_is_free(tmp_path: Path) -> None:
    """The kernel lets go of it; nobody has to delete a file."""
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        with occupy(tmp_path, counts_alone=True):
            os.write(tell, b".")
            signal.pause()
        os._exit(0)
    os.read(told, 1)
    try:
        with pytest.raises(DirectoryOccupied), occupy(tmp_path, counts_alone=True):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(told)
        os.close(tell)
    with occupy(tmp_path, counts_alone=True):
        pass
