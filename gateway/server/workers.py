"""Several processes behind one listening socket: a parent that forks, watches and ends them.

Failure behavior: a worker that dies is replaced after a pause that grows while workers keep dying young; a worker
that cannot start at all ends the whole, with its exit code. SIGTERM and SIGINT are passed on, and the parent leaves
when the last worker has drained.
"""

import logging
import os
import signal
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
    """Keeps ``count`` workers alive; ``work`` runs one to its end and returns its exit code."""

    def __init__(self, count: int, work: Callable[[], int]) -> None:
        self._count = count
        self._work = work
        # Process id -> monotonic start in seconds.
        self._started_s: dict[int, float] = {}
        self._is_ending = False
        self._pause_s = FIRST_PAUSE_S

    def run(self) -> int:
        """Fork the workers, replace those that die, and return the exit code once all have ended."""
        for number in ENDING_SIGNALS:
            signal.signal(number, self._end)
        for _ in range(self._count):
            self._fork()
        exit_code = 0
        while self._started_s:
            try:
                process_id, status = os.wait()
            except InterruptedError:
                continue
            code = os.waitstatus_to_exitcode(status)
            lived_s = time.monotonic() - self._started_s.pop(process_id)
            if self._is_ending:
                exit_code = exit_code or max(code, 0)
            elif 0 < code and lived_s < YOUNG_S:
                # It said why on stderr; another would say the same.
                exit_code = code
                self._end(signal.SIGTERM, None)
            else:
                self._replace(process_id, code, lived_s)
        return exit_code

    def _replace(self, process_id: int, code: int, lived_s: float) -> None:
        log.error("worker %d ended with code %d after %.0f s; a new one is started", process_id, code, lived_s)
        if lived_s < YOUNG_S:
            time.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        else:
            self._pause_s = FIRST_PAUSE_S
        self._fork()

    def _fork(self) -> None:
        # A signal has to wait until the parent knows the new worker and the worker is rid of the parent's handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
        process_id = None if self._is_ending else os.fork()
        if process_id:
            self._started_s[process_id] = time.monotonic()
        elif process_id is not None:
            # The child: it has its own signal handling once its loop runs.
            for number in ENDING_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
        if process_id == 0:
            self._run_child()

    def _run_child(self) -> NoReturn:
        # Ctrl-C in a terminal reaches its whole process group: the parent passes it on, once.
        os.setpgrp()
        code = 1
        try:
            code = self._work()
        except Exception:
            log.exception("the worker cannot go on")
        finally:
            # Without the parent's own clean-up, which is not the child's.
            logging.shutdown()
            os._exit(code)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        self._is_ending = True
        for process_id in self._started_s:
            try:
                os.kill(process_id, signal.SIGTERM)
            except ProcessLookupError:
                continue
