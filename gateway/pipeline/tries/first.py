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
from gateway.pipeline.tries.journey import Begun, Journey, Upstream
from providers.chat import Usage
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

    False: its path has to be run, and takes over what was begun of the try. Raises Unsupported, JournalFull.
    """
    call, target, services = journey.inbound.call, path.targets[0], journey.services
    if call.stream or path.is_stoppable or found.is_known or found.waits:
        return False
    if found.batch is not None and found.batch.is_partial:
        return False
    if target.breaker.opened_ns is not None or not together.takes(services):
        return False
    request = send.set_out(journey, target)
    first = _FirstTry(journey, path, found, runner, request)
    runner.running.add(first)
    posted = target.backend.post(call, request, first)
    if posted is None:
        runner.running.discard(first)
        journey.begun = Begun(request, target.backend.fetch(call, request))
        return False
    first.posted = posted
    return True


class _FirstTry:
    """A try that is on its way; see providers.handoff.Waiter."""

    __slots__ = ("_found", "_is_left", "_journey", "_path", "_request", "_runner", "_started_ns", "posted")

    posted: Posted

    def __init__(self, journey: Journey, path: Route, found: Found, runner: Runner, request: WireRequest) -> None:
        self._journey = journey
        self._path = path
        self._found = found
        self._runner = runner
        self._request = request
        self._started_ns = journey.services.ticks_ns()
        self._is_left = False

    def done(self) -> bool:
        """Whether nobody waits any more."""
        return self._is_left

    def hand(self, result: None) -> None:
        """The answer has arrived."""
        journey, found = self._journey, self._found
        read = self._read() if together.takes(journey.services) else None
        if read is None:
            self._run_path(_brought(self.posted))
            return
        self._runner.running.discard(self)
        upstream, usage = read
        send.note_answer(journey, upstream, self._started_ns)
        if found.flight is not None:
            found.flight.lines = upstream.target.lines
        together.end(journey, upstream, usage, found)

    def fail(self, error: BaseException) -> None:
        """There will be no answer."""
        if isinstance(error, Unreachable) and error.is_unread:
            self._run_path(self._path.targets[0].backend.fetch(self._journey.inbound.call, self._request))
        else:
            self._run_path(_failed(error))

    def cancel(self) -> None:
        """The process ends: nobody waits for the answer, and the path settles what may have been made."""
        self._is_left = True
        self.posted.abort()
        self._run_path(_failed(asyncio.CancelledError()))

    def _read(self) -> tuple[Upstream, Usage] | None:
        """The answer with what it used, None where it takes the path to read it."""
        journey = self._journey
        journey.attempts = 1
        try:
            upstream = send.read_whole(journey, self._path.targets[0], self._request, self.posted)
        except ProviderError:
            return None
        except Exception:
            log.exception("request %s could not be read without its path", journey.inbound.request_id)
            return None
        usage = None if upstream.answer is None else meter.believe_whole(upstream.answer)
        return None if usage is None else (upstream, usage)

    def _run_path(self, reply: Awaitable[WholeReply]) -> None:
        """Have the path take this try over."""
        journey = self._journey
        self._runner.running.discard(self)
        journey.attempts = 0
        journey.waited_ns = journey.services.ticks_ns() - self._started_ns
        journey.begun = Begun(self._request, reply)
        self._runner.drive(run.go_on(journey, self._path, self._found))


async def _brought(reply: WholeReply) -> WholeReply:
    return reply


async def _failed(error: BaseException) -> WholeReply:
    raise error
