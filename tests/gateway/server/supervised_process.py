"""A supervisor and its workers in a process of their own; what the workers do is the first argument.

Every worker says its number and its parent's once it runs. The second argument is a path that only the first worker
can create.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from gateway.server import workers

WAIT_S = 20.0
# Between a worker's death and its successor; in service a young one's is half a second.
workers.FIRST_PAUSE_S = 0.0
_fork = os.fork


def say(word: str) -> None:
    """Write a line at once, whole."""
    os.write(sys.stdout.fileno(), f"{word} {os.getpid()} {os.getppid()}\n".encode())


def is_first() -> bool:
    """Whether this is the first of all workers to ask."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL))
        return True
    return False


def wait() -> int:
    """Run until a signal ends it, as the kernel does."""
    say("runs")
    time.sleep(WAIT_S)
    return 9


def drain(code: int) -> int:
    """Run until SIGTERM, and say so."""
    asked: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        asked.append(number)

    signal.signal(signal.SIGTERM, note)
    say("runs")
    while not asked:
        time.sleep(0.005)
    say("drained")
    return code


def fail() -> int:
    """Be unable to start, where it is the first."""
    if is_first():
        return 3
    return wait()


def crash() -> int:
    """Raise, where it is the first."""
    if is_first():
        raise RuntimeError("no room on the disk")
    return wait()


def fork_and_be_told_to_end() -> int:
    """Fork, and have SIGTERM come to both before either has gone on."""
    process_id = _fork()
    os.kill(os.getpid(), signal.SIGTERM)
    return process_id


WORK: dict[str, Callable[[], int]] = {
    "wait": wait,
    "drain": lambda: drain(0),
    "drain badly": lambda: drain(4),
    "fail": fail,
    "crash": crash,
    "fail late": fail,
    "signal": wait,
}


if __name__ == "__main__":
    if sys.argv[1] == "fail late":
        workers.YOUNG_S = 0.0
    if sys.argv[1] == "signal":
        os.fork = fork_and_be_told_to_end
    sys.exit(workers.Supervisor(2, lambda _: WORK[sys.argv[1]]()).run())
