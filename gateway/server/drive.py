"""Runs the path of a call as a task would, without a task's round trips through the event loop.

It begins at once, inside the call that makes it, and goes on inside the call that brings what it waits for, where that
is a Handoff; everything else it awaits as a task does. Inside, it is the current task: timeouts and task groups work.

Failure behavior: an exception of the coroutine is kept, as a task keeps it; who waits for the drive gets it. A drive
that is resumed while a task or another drive is running goes on at the loop's next turn.
"""

import asyncio
from asyncio.tasks import _enter_task, _leave_task  # pyright: ignore[reportPrivateUsage] - documented for this
from collections.abc import Coroutine
from typing import Any

from providers.handoff import Handoff

_ENDED = object()


class Runner:
    """Runs the paths of calls on the running loop; ``running`` has all that is under way, and ends it by ``cancel``."""

    __slots__ = ("running",)

    def __init__(self, running: "set[asyncio.Task[None]]") -> None:
        # What a task of the loop is to others: they ask for nothing but what a drive has.
        self.running: set[Any] = running

    def drive(self, path: Coroutine[Any, Any, None]) -> "Drive":
        """Run a path to where it waits for something."""
        return Drive(path, asyncio.get_running_loop(), self.running)


class Drive(asyncio.Future[None]):
    """A running coroutine; see https://docs.python.org/3/library/asyncio-extending.html (2026-11-22)."""

    __slots__ = ("_awaited", "_cancels", "_coroutine", "_must_cancel", "_running", "_steps")

    def __init__(
        self, coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, running: "set[asyncio.Task[None]]"
    ) -> None:
        """Begin; ``running`` holds the drive until it has ended."""
        super().__init__(loop=loop)
        self._coroutine = coroutine
        # Asked by ``next``, which tells the end without an exception: a traceback at each call's end costs a hundredth.
        self._steps = coroutine.__await__()
        self._awaited: asyncio.Future[Any] | None = None
        self._cancels = 0
        self._must_cancel = False
        # What a task of the loop is to others: they ask for nothing but what a drive has.
        tasks: Any = running
        self._running: set[Any] = tasks
        self._running.add(self)
        self._go_on()

    def cancel(self, msg: Any = None) -> bool:
        """Raise CancelledError inside, at the latest at the next turn of the loop; False when it has ended."""
        if self.done():
            return False
        self._cancels += 1
        if self._awaited is None or not self._awaited.cancel(msg):
            self._must_cancel = True
        return True

    def cancelling(self) -> int:
        """How often it was cancelled and not taken back; asyncio.timeout asks."""
        return self._cancels

    def uncancel(self) -> int:
        """Take one cancellation back."""
        self._cancels = max(0, self._cancels - 1)
        return self._cancels

    def _go_on(self, _: "asyncio.Future[Any] | None" = None) -> None:
        """Run to the next wait; what was awaited tells its outcome itself."""
        loop = self._loop
        try:
            _enter_task(loop, self)  # type: ignore[arg-type]
        except RuntimeError:
            # Something else is running: a task that ended what this drive waits for, or another drive.
            loop.call_soon(self._go_on)
            return
        self._awaited = None
        try:
            awaited = next(self._steps, _ENDED) if not self._must_cancel else self._cancel_inside()
            if type(awaited) is Handoff and awaited.taker is None and not self._must_cancel:
                awaited._asyncio_future_blocking = False
                awaited.taker = self._go_on
                self._awaited = awaited
            elif awaited is _ENDED:
                self._end()
            else:
                self._wait_for(awaited)
        except StopIteration:
            self._end()
        except asyncio.CancelledError:
            self._running.discard(self)
            super().cancel()
        except BaseException as error:
            self._running.discard(self)
            self.set_exception(error)
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
        finally:
            _leave_task(loop, self)  # type: ignore[arg-type]

    def _end(self) -> None:
        """The coroutine has returned."""
        self._running.discard(self)
        if self._must_cancel:
            super().cancel()
        else:
            self.set_result(None)

    def _cancel_inside(self) -> Any:
        self._must_cancel = False
        return self._coroutine.throw(asyncio.CancelledError())

    def _wait_for(self, awaited: Any) -> None:
        """Be woken by whatever is awaited; what cannot be awaited is told to the coroutine."""
        if awaited is None:
            # A bare yield, as asyncio.sleep(0) makes.
            self._loop.call_soon(self._go_on)
            return
        if not getattr(awaited, "_asyncio_future_blocking", False) or awaited is self:
            self._wait_for(self._coroutine.throw(RuntimeError(f"a drive cannot wait for {awaited!r}")))
            return
        waiting: asyncio.Future[Any] = awaited
        waiting._asyncio_future_blocking = False
        self._awaited = waiting
        # Also what is a Handoff: only one can take that, others are told as of any future.
        waiting.add_done_callback(self._go_on)
        if self._must_cancel and waiting.cancel():
            self._must_cancel = False
