"""The last step of every call: what it has open ends, once, whatever became of it."""

import contextlib
import logging

from gateway.budgets.keeping.funds import Funds
from gateway.errors import Fault
from gateway.ledger.recording.journal import JournalFull
from gateway.pipeline.lookup import Found
from gateway.pipeline.tries.journey import Journey

log = logging.getLogger("gateway.pipeline.ends.leaving")


def leave(journey: Journey, found: Found, fault: Fault | None) -> None:
    """End what a call has open; ``fault``: what it ended with, for those who wait for its answer as well."""
    metrics = journey.services.metrics
    metrics.requests_in_flight -= 1
    if journey.is_admitted:
        metrics.holds_open -= 1
    found.land(fault)
    if journey.is_recorded:
        # What it has taken has ended with its row.
        return
    funds, passage = journey.funds, journey.inbound.passage
    if funds is not None and funds.hold_ids:
        if journey.attempts:
            _doubt(journey, funds)
        funds.release()
    if passage is not None:
        passage.settle_at_once()


def _doubt(journey: Journey, funds: Funds) -> None:
    """Charge the most to a call that went out and could not be settled: what is held must not be free in silence."""
    row = funds.doubt.row()
    log.error("request %s went out and could not be settled: it is charged what was held", row.request_id)
    funds.release(row.cost_pusd)
    with contextlib.suppress(JournalFull):
        journey.services.recorder.record(row)
    journey.services.metrics.observe_call(row)
