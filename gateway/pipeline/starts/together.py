"""The starts of calls that came in one turn of the loop: they pass the rooms before the provider together.

As at their ends (see gateway.pipeline.ends.together): where a step is done for many calls, one after the other, the
processor still knows it. What cannot be done at once each call's own path does, in its turn.

Failure behavior: what one call is refused for its own path tells; a step that fails by a mistake of ours is left to it,
and fails there again.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from gateway.backends.interface import Client
from gateway.errors import Fault
from gateway.pipeline import run
from gateway.pipeline.flow import Inbound, Route
from gateway.pipeline.lookup import NOT_ASKED, Found
from gateway.pipeline.services import Services
from gateway.pipeline.tries import first
from gateway.pipeline.tries.first import Runner
from gateway.pipeline.tries.journey import Journey

T = TypeVar("T")
log = logging.getLogger("gateway.pipeline.starts.together")

Asked = tuple[Inbound, Client]


class Starter:
    """Begins the calls of one process."""

    __slots__ = ("_begin_all", "_services")

    def __init__(self, services: Services, runner: Runner) -> None:
        self._services = services
        self._begin_all = partial(_begin_all, services, runner)

    def begin(self, inbound: Inbound, client: Client) -> None:
        """Begin a call, at once where nobody is there to share the steps with, else at the end of this turn."""
        services, call = self._services, (inbound, client)
        if services.metrics.requests_in_flight:
            services.recorder.turn.put_off(self._begin_all, call, is_last=True)
        else:
            self._begin_all((call,))


def _begin_all(services: Services, runner: Runner, calls: Sequence[Asked]) -> None:
    """Begin calls, each step for all of them before the next."""
    journeys = [run.begin(inbound, client, services) for inbound, client in calls]
    looked: dict[Journey, run.Looked | None] = {}
    # Nobody is let in twice: what the ledger takes no rows for is refused before.
    if services.recorder.is_accepting:
        looked = _take(_look, _take(run.hold, _take(run.enter, journeys)))
    for journey in journeys:
        path, found = looked.get(journey) or (None, NOT_ASKED)
        if path is None or not _post(journey, path, found, runner):
            runner.drive(run.go_on(journey, path, found))


def _take(step: Callable[[Journey], T], journeys: Iterable[Journey]) -> dict[Journey, T]:
    """Take a step for each of the calls; what it told of those that got through."""
    taken: dict[Journey, T] = {}
    for journey in journeys:
        try:
            if told := step(journey):
                taken[journey] = told
        except Fault as refusal:
            # Without the frames that hold the call: only the collector would free the circle.
            journey.refusal = refusal.with_traceback(None)
        except Exception as error:
            log.debug("request %s could not be begun with others: %r", journey.inbound.request_id, error)
    return taken


def _look(journey: Journey) -> run.Looked | None:
    inbound = journey.inbound
    looked = run.look(journey, inbound.call.body, journey.services.routes_of(inbound.caller))
    # A call that it could join may be over when its own path begins.
    return None if looked[1].joined is not None else looked


def _post(journey: Journey, path: Route, found: Found, runner: Runner) -> bool:
    try:
        return first.post(journey, path, found, runner)
    except Exception as error:
        log.debug("request %s could not be sent without its path: %r", journey.inbound.request_id, error)
    return False
