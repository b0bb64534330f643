"""Several processes behind one listening socket: a parent that forks, watches and ends them.

Failure behavior: a worker that dies is replaced after a pause that grows while workers keep dying young; a worker
that cannot start at all ends the whole, with its exit code. SIGTERM and SIGINT are passed on, and the parent leaves
when the last worker has drained. Where the parent is gone without a word (kill -9), each worker ends by itself as if
SIGTERM had come, so that the address is free for the next start.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
# A worker that lived this long had started well.
YOUNG_S = 5.0
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)
log = logging.getLogger("gateway.server.workers")


class Supervisor:
    """Keeps ``count`` workers alive; ``work`` runs one to its end and returns its exit code.

    Each is given a number below ``count``, which is that of the one that it replaces.
    """

    def __init__(self, count: int, work: Callable[[int], int]) -> None:
        self._count = count
        self._work = work
        # Process id -> its number, and monotonic start in seconds.
        self._running: dict[int, tuple[int, float]] = {}
        self._is_ending = False
        self._pause_s = FIRST_PAUSE_S
        # Nobody writes: only the parent holds the second end, so the first one ends with the parent.
        self._ends = os.pipe()

    def run(self) -> int:
        """Fork the workers, replace those that die, and return the exit code once all have ended."""
        for ending in ENDING_SIGNALS:
            signal.signal(ending, self._end)
        for number in range(self._count):
            self._fork(number)
        exit_code = 0
        while self._running:
            try:
                process_id, status = os.wait()
            except InterruptedError:
                continue
            code = os.waitstatus_to_exitcode(status)
            number, started_s = self._running.pop(process_id)
            lived_s = time.monotonic() - started_s
            if self._is_ending:
                exit_code = exit_code or max(code, 0)
            elif 0 < code and lived_s < YOUNG_S:
                # It said why on stderr; another would say the same.
                exit_code = code
                self._end(signal.SIGTERM, None)
            else:
                log.error("worker %d ended with code %d after %.0f s; a new one is started", process_id, code, lived_s)
                self._replace(number, lived_s)
        return exit_code

    def _replace(self, number: int, lived_s: float) -> None:
        if lived_s < YOUNG_S:
            time.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        else:
            self._pause_s = FIRST_PAUSE_S
        self._fork(number)

    def _fork(self, number: int) -> None:
        # A signal has to wait until the parent knows the new worker and the worker is rid of the parent's handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
        process_id = None if self._is_ending else os.fork()
        if process_id:
            self._running[process_id] = number, time.monotonic()
        elif process_id is not None:
            # The child: it has its own signal handling once its loop runs.
            for ending in ENDING_SIGNALS:
                signal.signal(ending, signal.SIG_DFL)
            os.close(self._ends[1])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
        if process_id == 0:
            self._run_child(number)

    def _run_child(self, number: int) -> NoReturn:
        # Ctrl-C in a terminal reaches its whole process group: the parent passes it on, once.
        os.setpgrp()
        threading.Thread(target=self._outlive_nobody, name="parent", daemon=True).start()
        code = 1
        try:
            code = self._work(number)
        except Exception:
            log.exception("the worker cannot go on")
        finally:
            # Without the parent's own clean-up, which is not the child's.
            logging.shutdown()
            os._exit(code)

    def _outlive_nobody(self) -> None:
        """Wait in a worker until its parent is gone, however it went, and end as the parent would have had it."""
        os.read(self._ends[0], 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self._is_ending = True
        for process_id in self._running:
            try:
                os.kill(process_id, signal.SIGTERM)
            except ProcessLookupError:
                continue
