"""The starts of calls that came in one turn of the loop: they pass the rooms before the provider together.

As at their ends (see gateway.pipeline.ends.together): where a step is done for many calls, one after the other, the
processor still knows it. What cannot be done at once each call's own path does, in its turn.

Failure behavior: a step that fails for one call is left to that call's path, which meets the fault again and tells it.
"""

import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from gateway.backends.interface import Client
from gateway.pipeline import run
from gateway.pipeline.flow import Inbound
from gateway.pipeline.lookup import NOT_ASKED
from gateway.pipeline.send import Journey
from gateway.pipeline.services import Services

T = TypeVar("T")
log = logging.getLogger("gateway.pipeline.starts.together")

# Runs a call's path to where it waits for something.
Drive = Callable[[Coroutine[Any, Any, None]], object]
Asked = tuple[Inbound, Client]


class Starter:
    """Begins the calls of one process; ``drive`` runs their paths."""

    __slots__ = ("_begin_all", "_services")

    def __init__(self, services: Services, drive: Drive) -> None:
        self._services = services
        self._begin_all = partial(_begin_all, services, drive)

    def takes(self, inbound: Inbound, client: Client) -> bool:
        """Begin a call at the end of this turn of the loop; False: nobody is there to share the steps with."""
        services = self._services
        if not services.metrics.requests_in_flight or not client.takes_late:
            return False
        services.recorder.turn.put_off(self._begin_all, (inbound, client), is_last=True)
        return True


def _begin_all(services: Services, drive: Drive, calls: Sequence[Asked]) -> None:
    """Begin calls, each step for all of them before the next."""
    journeys = [run.begin(inbound, client, services) for inbound, client in calls]
    looked: dict[Journey, run.Looked | None] = {}
    # Nobody is let in twice: what the ledger takes no rows for is refused before.
    if services.recorder.is_accepting:
        looked = _take(_look, _take(run.hold, _take(run.enter, journeys)))
    for journey in journeys:
        path, found = looked.get(journey) or (None, NOT_ASKED)
        drive(run.go_on(journey, path, found))


def _take(step: Callable[[Journey], T], journeys: Iterable[Journey]) -> dict[Journey, T]:
    """Take a step for each of the calls; what it told of those that got through."""
    taken: dict[Journey, T] = {}
    for journey in journeys:
        try:
            if told := step(journey):
                taken[journey] = told
        except Exception as error:
            log.debug("request %s could not be begun with others: %r", journey.inbound.request_id, error)
    return taken


def _look(journey: Journey) -> run.Looked | None:
    inbound = journey.inbound
    looked = run.look(journey, inbound.call.body, journey.services.routes_of(inbound.caller))
    # A call that it could join may be over when its own path begins.
    return None if looked[1].joined is not None else looked
