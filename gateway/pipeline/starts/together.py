"""The starts of calls that came in one turn of the loop: they pass the rooms before the provider together.

As at their ends (see gateway.pipeline.ends.together): where a step is done for many calls, one after the other, the
processor still knows it. What cannot be done at once each call's own path does, in its turn.

Failure behavior: a step that fails for one call is left to that call's path, which meets the fault again and tells it.
"""

import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from gateway.backends.interface import Client
from gateway.pipeline import run
from gateway.pipeline.flow import Inbound, Route
from gateway.pipeline.lookup import NOT_ASKED, Found
from gateway.pipeline.send import Journey
from gateway.pipeline.services import Services

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
    looked: dict[Journey, tuple[Route, Found]] = {}
    # Nobody is let in twice: what the ledger takes no rows for is refused before.
    if services.recorder.is_accepting:
        entered = _each(run.enter, journeys)
        looked = _look(_each(run.hold, entered), services)
    for journey in journeys:
        path, found = looked.get(journey, (None, NOT_ASKED))
        drive(run.go_on(journey, path, found))


def _each(step: Callable[[Journey], bool], journeys: Sequence[Journey]) -> list[Journey]:
    """Those of the calls that took a step."""
    taken: list[Journey] = []
    for journey in journeys:
        try:
            if step(journey):
                taken.append(journey)
        except Exception as error:
            _leave_to_path(journey, error)
    return taken


def _look(journeys: Sequence[Journey], services: Services) -> dict[Journey, tuple[Route, Found]]:
    looked: dict[Journey, tuple[Route, Found]] = {}
    for journey in journeys:
        inbound = journey.inbound
        try:
            path, found = run.look(journey, inbound.call.body, services.routes_of(inbound.caller))
        except Exception as error:
            _leave_to_path(journey, error)
            continue
        # A call that it could join may be over when its own path begins.
        if found.joined is None:
            looked[journey] = path, found
    return looked


def _leave_to_path(journey: Journey, error: Exception) -> None:
    log.debug("request %s could not be begun with others: %r", journey.inbound.request_id, error)
