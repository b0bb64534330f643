"""The first try of a call whose path could do nothing but wait for the answer: it goes out, and the path is not run.

A path through all rooms that is only left to be gone back on costs a tenth of a call. So the answer itself ends the
call, by the steps that the path would take. Whatever else comes of the try, the path is run and takes it over.

Failure behavior: a failure, an answer that is none or has to be counted, a stream that goes on, a mistake of ours, a
client that leaves and the end of the process are the path's: it meets them as if it had waited itself.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from gateway.backends.answer import is_success
from gateway.backends.arrived import Arrived, read_all
from gateway.backends.interface import Posted
from gateway.backends.leaving import ignore_leaving, stop_by
from gateway.pipeline import meter, run, send
from gateway.pipeline.ends import together
from gateway.pipeline.flow import Route
from gateway.pipeline.lookup import Found
from gateway.pipeline.tries.journey import Begun, Journey, Upstream
from providers.chat import Usage
from providers.errors import Unreachable
from providers.wire import WireRequest

log = logging.getLogger("gateway.pipeline.tries.first")

# What came of a try: an answer, or why there is none; None: it has to be sent again.
Result = Posted | BaseException | None


class Runner(Protocol):
    """Runs the paths of calls to where they wait for something, and knows all that is under way."""

    @property
    def running(self) -> set[Any]:
        """What the process waits for when it ends, and has end by ``cancel``."""
        ...

    def drive(self, path: Coroutine[Any, Any, None]) -> object:
        """Run a path."""
        ...


def post(journey: Journey, path: Route, found: Found, runner: Runner) -> bool:
    """Send the first try of a call that the cache has no answer for, so that what comes ends the call.

    False: its path has to be run, and takes over what was begun of the try. Raises Unsupported.
    """
    call, target, services = journey.inbound.call, path.targets[0], journey.services
    if found.is_known or found.waits or (found.batch is not None and found.batch.is_partial):
        return False
    if target.breaker.opened_ns is not None or not together.takes(services):
        return False
    if call.stream:
        if journey.client.is_gone:
            return False
        return _FirstStream(journey, path, found, runner, send.set_out(journey, target)).go()
    if path.is_stoppable:
        return False
    return _FirstTry(journey, path, found, runner, send.set_out(journey, target)).go()


class _FirstTry:
    """A try that is on its way; see providers.handoff.Waiter."""

    __slots__ = ("_found", "_is_left", "_journey", "_path", "_posted", "_request", "_runner", "_started_ns")

    _posted: Posted

    def __init__(self, journey: Journey, path: Route, found: Found, runner: Runner, request: WireRequest) -> None:
        self._journey = journey
        self._path = path
        self._found = found
        self._runner = runner
        self._request = request
        self._started_ns = journey.services.ticks_ns()
        # It is the path's, or over.
        self._is_left = False

    def go(self) -> bool:
        """Go out; False: the path has to be run, and takes over what was begun."""
        mistake: Exception | None = None
        self._runner.running.add(self)
        try:
            posted = self._path.targets[0].backend.post(self._journey.inbound.call, self._request, self)
            if posted is not None:
                self._posted = posted
                return True
        except Exception as error:
            # Of ours: who knows whether the request left?
            mistake = error
        self._hand_over(mistake)
        return False

    def done(self) -> bool:
        """Whether nobody waits any more."""
        return self._is_left

    def hand(self, result: None) -> None:
        """The answer has arrived."""
        self._journey.attempts = 1
        self._take(self._read)

    def fail(self, error: BaseException) -> None:
        """There will be no answer."""
        is_unread = isinstance(error, Unreachable) and error.is_unread
        self._run_path(None if is_unread else error)

    def cancel(self) -> None:
        """The process ends, or nobody waits for a stream: the path settles what may have been made."""
        if not self._is_left:
            self._is_left = True
            self._posted.abort()
            # Not from within the task that asks for it: there a path begins later, and could be cancelled before.
            self._journey.services.loop.call_soon(self._stop)

    def _stop(self) -> None:
        journey = self._journey
        journey.waited_ns = journey.services.ticks_ns() - self._started_ns
        self._run_path(asyncio.CancelledError())

    def _read(self) -> bool:
        """End the call by the answer; False: the path has to. Raises ProviderError where it is none."""
        journey = self._journey
        if not together.takes(journey.services):
            return False
        upstream = send.read_whole(journey, self._path.targets[0], self._request, self._posted)
        usage = None if upstream.answer is None else meter.believe_whole(upstream.answer)
        return usage is not None and self._end(upstream, usage)

    def _end(self, upstream: Upstream, usage: Usage) -> bool:
        journey, flight = self._journey, self._found.flight
        send.note_answer(journey, upstream, self._started_ns)
        if flight is not None:
            journey.show(flight)
        together.end(journey, upstream, usage, self._found)
        self._leave()
        return True

    def _take(self, step: Callable[[], bool]) -> None:
        """Go on to the end of the call; where a step does not lead there, or fails, by the path."""
        try:
            if step():
                return
        except Exception as error:
            if self._journey.is_ended:
                log.exception("request %s failed behind its end", self._journey.inbound.request_id)
                self._leave()
            else:
                self._run_path(error)
        else:
            self._run_path(self._posted)

    def _run_path(self, result: Result) -> None:
        """Have the path take this try over."""
        loop = self._journey.services.loop
        if asyncio.current_task(loop) is not None:
            # The path would begin later, and could be cancelled before that. Until then it is this try that can be.
            loop.call_soon(self._run_later, result)
            return
        self._hand_over(result)
        self._runner.drive(run.go_on(self._journey, self._path, self._found))

    def _run_later(self, result: Result) -> None:
        if not self._is_left:
            self._run_path(result)

    def _hand_over(self, result: Result) -> None:
        self._leave()
        # It is the path that counts it.
        self._journey.attempts = 0
        answer = None if result is None else _tell(result)
        self._journey.begun = Begun(self._request, self._started_ns, answer)

    def _leave(self) -> None:
        self._is_left = True
        self._runner.running.discard(self)


class _FirstStream(_FirstTry):
    """A try whose answer is a stream: one that is here to its end ends the call, any other is the path's."""

    __slots__ = ()

    def go(self) -> bool:
        """Go out; a client that leaves stops it where that stops the billing."""
        journey, flight, target = self._journey, self._found.flight, self._path.targets[0]
        if flight is not None:
            journey.share(flight)
        if target.backend.cancel_stops_billing(target.model):
            stop_by(journey.client, self.cancel)
        else:
            ignore_leaving(journey.client)
        return super().go()

    def _read(self) -> bool:
        """Read a stream that is here to its end, with the others of this turn; False: it is the path's."""
        journey, target = self._journey, self._path.targets[0]
        services, posted = journey.services, self._posted
        whole = posted.whole if is_success(posted.status) and together.takes(services) else None
        if whole is None:
            return False
        # It is over: whoever leaves now stops nothing.
        ignore_leaving(journey.client)
        reader = target.backend.dialect.open_stream(journey.inbound.call)
        reading = self._told, reader, whole, send.find_guard(journey, target)
        if services.metrics.requests_in_flight > 1:
            services.recorder.turn.put_off(read_all, reading)
        else:
            read_all((reading,))
        return True

    def _told(self, found: Arrived | Exception | None) -> None:
        """It has been read, or could not be."""
        if self._is_left:
            # The process ends.
            return
        self._take(partial(self._end_read, found))

    def _end_read(self, arrived: Arrived | Exception | None) -> bool:
        if isinstance(arrived, Exception):
            raise arrived
        if arrived is None:
            return False
        upstream = send.read_arrived(self._journey, self._path.targets[0], self._request, self._posted, arrived)
        return self._end(upstream, arrived.usage)


async def _tell(result: Posted | BaseException) -> Posted:
    if isinstance(result, BaseException):
        raise result
    return result
