"""The ends of calls that were answered whole: those of one turn of the loop are booked, answered and kept together.

Between the steps of one call and the next of another the processor has forgotten both; where the same step is done for
many it has not. With 64 connections that took 9 % off a call (2026-11-28).

Failure behavior: what fails for one call ends that call as any mistake of ours does, and none of the others.
"""

import logging
from collections.abc import Sequence

from gateway.errors import Fault, own_failure
from gateway.ledger.row import UsageRow
from gateway.pipeline import lookup, record, reply
from gateway.pipeline.ends.leaving import leave
from gateway.pipeline.flow import Outcome
from gateway.pipeline.lookup import Found
from gateway.pipeline.services import Services
from gateway.pipeline.tries.journey import Journey, Upstream
from providers.chat import Usage

log = logging.getLogger("gateway.pipeline.ends.together")


# A call whose answer is here, whole, with what it used; and the same with its row.
Answered = tuple[Journey, Upstream, Usage, Found]
Booked = tuple[Journey, Upstream, Found, Outcome, UsageRow]


def takes(services: Services) -> bool:
    """Whether nothing has to be waited for when a call ends."""
    return services.budgets.books.local is not None and services.settings.ledger.sync != "strict"


def end(journey: Journey, upstream: Upstream, usage: Usage, found: Found) -> None:
    """End a call and what it has open, by the end of this turn of the loop at the latest; asked where ``takes``."""
    services = journey.services
    answered = journey, upstream, usage, found
    if services.metrics.requests_in_flight > 1 and journey.asker.takes_late:
        services.recorder.turn.put_off(_end_all, answered)
    else:
        # Nobody is there to share the steps with.
        _end_all((answered,))
    journey.is_ended = True


def _end_all(calls: Sequence[Answered]) -> None:
    """End calls, each step for all of them before the next begins: all rows are recorded before anything is sent."""
    booked: list[Booked] = []
    for call in calls:
        journey, upstream, usage, found = call
        try:
            outcome = record.end(upstream, usage, journey.asker, error_code="")
            booked.append((journey, upstream, found, outcome, record.price(journey, outcome)))
        except Exception:
            # What is held for it becomes its charge.
            _tell(journey)
            _leave(journey, found, own_failure())
            _break_off(journey)
    for journey, _, _, outcome, row in booked:
        try:
            record.settle(journey, outcome, row)
        except Exception:
            _tell(journey)
    for journey, upstream, found, _, row in booked:
        try:
            reply.finish(journey, upstream, found.lines + upstream.told, row)
        except Exception:
            _tell(journey)
            _break_off(journey)
    for journey, _, found, outcome, row in booked:
        try:
            if found.policy is not None:
                lookup.keep(found, journey, outcome, row)
        except Exception:
            _tell(journey)
        _leave(journey, found, None)


def _leave(journey: Journey, found: Found, fault: Fault | None) -> None:
    try:
        leave(journey, found, fault)
    except Exception:
        _tell(journey)


def _break_off(journey: Journey) -> None:
    """Tell a client that we failed, which does nothing where its answer has left."""
    try:
        reply.break_off(journey.inbound, journey.asker, own_failure(), has_begun=False)
    except Exception:
        _tell(journey)


def _tell(journey: Journey) -> None:
    log.exception("request %s failed at its end", journey.inbound.request_id)
