"""The parent of several workers: real processes where it forks and ends them, a played kernel where time counts."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.server.workers import FIRST_PAUSE_S, LONGEST_PAUSE_S, YOUNG_S, Supervisor

ROOT = Path(__file__).parents[3]
PROGRAM = Path(__file__).with_name("supervised_process.py")
KILLED = signal.SIGKILL.value
LIMIT_S = 10


class House:
    """A supervisor of two workers in a process of its own."""

    def __init__(self, work: str, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), work, str(folder / "first")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def hear(self) -> tuple[str, int, int]:
        """The next thing a worker says: a word, its number, its parent's."""
        assert self.process.stdout is not None
        word, number, parent = self.process.stdout.readline().split()
        return word.decode(), int(number), int(parent)

    def hear_two(self) -> set[int]:
        """The numbers of two workers that run."""
        return {self.hear()[1], self.hear()[1]}

    def tell(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the supervisor a signal."""
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Wait for the end: exit code, what else the workers said, and the log."""
        said, logged = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, said.decode(), logged.decode()


@contextlib.contextmanager
def house(work: str, folder: Path) -> Iterator[House]:
    """Start, and leave nothing behind."""
    started = House(work, folder)
    try:
        yield started
    finally:
        started.tell(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.process.communicate(timeout=LIMIT_S)
        started.process.kill()
        started.process.wait()


def is_alive(number: int) -> bool:
    """Whether there is such a process."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, 0)
        return True
    return False


def test_workers_are_processes_of_their_own(tmp_path: Path) -> None:
    """As many as were asked for, children of the one that listens."""
    with house("wait", tmp_path) as started:
        (_, first, first_parent), (_, second, second_parent) = started.hear(), started.hear()
        assert len({first, second, started.process.pid}) == 3
        assert {first_parent, second_parent} == {started.process.pid}


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    """The other one goes on, and the log says what happened."""
    with house("wait", tmp_path) as started:
        victim, other = started.hear_two()
        os.kill(victim, signal.SIGKILL)
        _, successor, _ = started.hear()
        assert successor not in (victim, other)
        assert is_alive(other)
        started.tell()
        assert f"worker {victim} ended with code -{KILLED}" in started.end()[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all(tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 0, and no process is left."""
    with house("wait", tmp_path) as started:
        workers = started.hear_two()
        started.tell(number)
        assert started.end()[0] == 0
        assert [is_alive(worker) for worker in workers] == [False, False]


def test_the_end_waits_for_every_drain(tmp_path: Path) -> None:
    """The parent leaves last."""
    with house("drain", tmp_path) as started:
        started.hear_two()
        started.tell()
        code, said, _ = started.end()
        assert (code, said.count("drained")) == (0, 2)


def test_no_worker_outlives_its_parent(tmp_path: Path) -> None:
    """Killed, it can pass nothing on: each drains by itself, and the address is free again."""
    with house("drain", tmp_path) as started:
        workers = started.hear_two()
        started.tell(signal.SIGKILL)
        try:
            code, said, _ = started.end()
        finally:
            for worker in filter(is_alive, workers):
                os.kill(worker, signal.SIGKILL)
        assert (code, said.count("drained")) == (-KILLED, 2)


def test_a_drain_that_fails_is_the_exit_code(tmp_path: Path) -> None:
    """Whoever started it learns that not all went well."""
    with house("drain badly", tmp_path) as started:
        started.hear_two()
        started.tell()
        assert started.end()[0] == 4


def test_a_worker_that_cannot_start_ends_the_whole(tmp_path: Path) -> None:
    """With its exit code: another try would fail in the same way."""
    with house("fail", tmp_path) as started:
        assert started.end()[0] == 3


def test_a_worker_that_raises_says_why(tmp_path: Path) -> None:
    """It ends the whole, and the operator can read the reason."""
    with house("crash", tmp_path) as started:
        code, _, logged = started.end()
        assert (code, "no room on the disk" in logged) == (1, True)


def test_a_worker_that_had_started_well_is_replaced_whatever_its_code(tmp_path: Path) -> None:
    """It could start, so the next one can."""
    with house("fail late", tmp_path) as started:
        started.hear_two()
        started.tell()
        code, _, logged = started.end()
        assert (code, "ended with code 3" in logged) == (0, True)


def test_a_signal_that_comes_while_a_worker_is_born_is_not_lost(tmp_path: Path) -> None:
    """Neither in the parent, which does not know its number yet, nor in the child, which has its parent's handler."""
    with house("signal", tmp_path) as started:
        assert started.end()[:2] == (0, "")


class Kernel:
    """Processes that are only played: each lives as long as is said, and dies by SIGKILL."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lives_s: list[float]) -> None:
        self.now_s = 0.0
        self.pauses_s: list[float] = []
        self.lives_s = iter(lives_s)
        self.forked = 0
        self.handlers: dict[int, object] = {}
        self.supervisor = Supervisor(1, lambda _: 0)
        for name in ("os.fork", "os.wait", "os.kill", "time.sleep", "time.monotonic", "signal.signal"):
            monkeypatch.setattr(f"gateway.server.workers.{name}", getattr(self, name.partition(".")[2]))

    def fork(self) -> int:
        """Be the parent."""
        self.forked += 1
        return self.forked

    def wait(self) -> tuple[int, int]:
        """The newest worker dies; after the last, SIGTERM comes first."""
        life_s = next(self.lives_s, None)
        if life_s is None:
            self.supervisor._end(signal.SIGTERM, None)
        self.now_s += life_s or 0.0
        return self.forked, KILLED

    def kill(self, _process_id: int, _number: int) -> None:
        """The worker is gone already."""
        raise ProcessLookupError

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses_s.append(seconds)
        self.now_s += seconds

    def monotonic(self) -> float:
        """The time."""
        return self.now_s

    def signal(self, number: int, handler: object) -> None:
        """Handle a signal."""
        self.handlers[number] = handler


def test_workers_that_keep_dying_young_are_replaced_ever_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second, then twice as long each time, at most half a minute."""
    kernel = Kernel(monkeypatch, [0.1] * 9)
    kernel.supervisor.run()
    assert kernel.pauses_s == [FIRST_PAUSE_S, 1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_PAUSE_S, LONGEST_PAUSE_S, 30.0]


def test_a_worker_that_lived_is_replaced_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next pause is the first one again."""
    kernel = Kernel(monkeypatch, [0.1, 0.1, YOUNG_S, 0.1])
    kernel.supervisor.run()
    assert (kernel.pauses_s, kernel.forked) == ([FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, FIRST_PAUSE_S], 5)


def test_a_worker_that_is_gone_already_does_not_stop_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It died of something else in the same moment; the exit is an ordinary one."""
    assert Kernel(monkeypatch, []).supervisor.run() == 0


def test_both_signals_are_handled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal's and a service manager's."""
    kernel = Kernel(monkeypatch, [])
    kernel.supervisor.run()
    assert set(kernel.handlers) == {signal.SIGTERM, signal.SIGINT}
