"""The first try of a call whose path could do nothing but wait for the answer: it goes out, and the path is not run.

A path through all rooms that is only left to be gone back on costs a tenth of a call. So the answer itself ends the
call, by the steps that the path would take. Whatever else comes of the try, the path is run and takes it over.

Failure behavior: a failure, an answer that is none or has to be counted, a mistake of ours and the end of the process
are the path's: it meets them as if it had waited itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any, Protocol

from gateway.backends.interface import Posted, WholeReply
from gateway.pipeline import meter, run, send
from gateway.pipeline.ends import together
from gateway.pipeline.flow import Route
from gateway.pipeline.lookup import Found
from gateway.pipeline.tries.journey import Begun, Journey
from providers.errors import ProviderError, Unreachable
from providers.wire import WireRequest

log = logging.getLogger("gateway.pipeline.tries.first")


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
    if call.stream or path.is_stoppable or found.is_known or found.waits:
        return False
    if found.batch is not None and found.batch.is_partial:
        return False
    if target.breaker.opened_ns is not None or not together.takes(services):
        return False
    first = _FirstTry(journey, path, found, runner, send.set_out(journey, target))
    return first.go()


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
        self._is_left = False

    def go(self) -> bool:
        """Go out; False: the path has to be run, and takes over what was begun."""
        journey, running, backend = self._journey, self._runner.running, self._path.targets[0].backend
        running.add(self)
        reply: Awaitable[WholeReply]
        try:
            posted = backend.post(journey.inbound.call, self._request, self)
            if posted is not None:
                self._posted = posted
                return True
            reply = self._fetch()
        except Exception as error:
            # A mistake of ours: who knows whether the request left?
            self._is_left = True
            reply = _failed(error)
        running.discard(self)
        self._hand_over(reply)
        return False

    def done(self) -> bool:
        """Whether nobody waits any more."""
        return self._is_left

    def hand(self, result: None) -> None:
        """The answer has arrived."""
        journey = self._journey
        self._runner.running.discard(self)
        journey.attempts = 1
        try:
            reply = None if self._end() else _brought(self._posted)
        except ProviderError as error:
            reply = _failed(error)
        except Exception as error:
            if journey.is_ended:
                log.exception("request %s failed behind its end", journey.inbound.request_id)
                return
            reply = _failed(error)
        if reply is not None:
            self._run_path(reply)

    def fail(self, error: BaseException) -> None:
        """There will be no answer."""
        self._runner.running.discard(self)
        is_unread = isinstance(error, Unreachable) and error.is_unread
        self._run_path(self._fetch() if is_unread else _failed(error))

    def cancel(self) -> None:
        """The process ends: nobody waits for the answer, and the path settles what may have been made."""
        if not self._is_left:
            self._is_left = True
            self._posted.abort()
            # Not from within the task that asks for it: there a path begins later, and could be cancelled before.
            self._journey.services.loop.call_soon(self._stop)

    def _stop(self) -> None:
        journey = self._journey
        self._runner.running.discard(self)
        journey.waited_ns = journey.services.ticks_ns() - self._started_ns
        self._run_path(_failed(asyncio.CancelledError()))

    def _end(self) -> bool:
        """End the call by the answer; False: the path has to. Raises ProviderError where it is none."""
        journey, found = self._journey, self._found
        if not together.takes(journey.services):
            return False
        upstream = send.read_whole(journey, self._path.targets[0], self._request, self._posted)
        usage = None if upstream.answer is None else meter.believe_whole(upstream.answer)
        if usage is None:
            return False
        send.note_answer(journey, upstream, self._started_ns)
        if found.flight is not None:
            found.flight.lines = upstream.target.lines
        together.end(journey, upstream, usage, found)
        return True

    def _run_path(self, reply: Awaitable[WholeReply]) -> None:
        """Have the path take this try over."""
        self._hand_over(reply)
        self._runner.drive(run.go_on(self._journey, self._path, self._found))

    def _hand_over(self, reply: Awaitable[WholeReply]) -> None:
        # It is the path that counts it.
        self._journey.attempts = 0
        self._journey.begun = Begun(self._request, reply, self._started_ns)

    async def _fetch(self) -> WholeReply:
        """Get the answer as the path would, over a fresh connection where none was kept."""
        return await self._path.targets[0].backend.fetch(self._journey.inbound.call, self._request)


async def _brought(reply: WholeReply) -> WholeReply:
    return reply


async def _failed(error: BaseException) -> WholeReply:
    raise error
