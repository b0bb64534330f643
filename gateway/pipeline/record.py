"""Room 9: the call becomes its usage row, which is its charge, durable before the client sees the answer's end."""

import logging

import msgspec

from gateway.backends.interface import Client
from gateway.ledger.recording.journal import JournalFull
from gateway.ledger.row import AUDIT, UsageRow
from gateway.ledger.settle import FREE, GIVEN, Cost, settle_call
from gateway.pipeline import budget
from gateway.pipeline.flow import Inbound, Outcome
from gateway.pipeline.lookup import Given
from gateway.pipeline.meter import Produced
from gateway.pipeline.services import Services
from gateway.pipeline.tries.journey import Journey, Upstream
from gateway.prompts.content import Streamed
from gateway.prompts.keeper import Answer
from providers.chat import NO_USAGE, Usage
from providers.pricing.prices import MAX_COST_PUSD, cost_pusd

CLIENT_GONE, OK = 499, 200
log = logging.getLogger("gateway.pipeline.record")


def give(given: Given, layer: str = "exact", waited_ns: int = 0) -> Outcome:
    """How a call ended that was given an answer which was kept."""
    answer = given.answer
    return Outcome(
        status="complete", http_status=OK, usage=answer.usage, stored=answer, layer=layer, waited_ns=waited_ns
    )


def end(upstream: Upstream, usage: Usage, client: Client, *, error_code: str, is_left: bool = False) -> Outcome:
    """How a call ended that was answered; ``is_left``: its client was gone before the end."""
    is_left = is_left or client.is_gone
    return Outcome(
        status="cancelled" if is_left else "incomplete" if error_code else "complete",
        http_status=CLIENT_GONE if is_left else OK,
        error_code=error_code,
        target=upstream.target,
        usage=usage,
        attempts=upstream.attempts,
        upstream_request_id=upstream.gist.request_id,
        first_byte_ns=upstream.first_byte_ns,
        waited_ns=upstream.waited_ns,
        spared_tokens=upstream.spared_tokens,
    )


def find_produced(upstream: Upstream | None) -> Produced:
    """What a stream brought so far; nothing where none has begun."""
    if upstream is None or upstream.relay is None:
        return Produced(reported=None)
    reader = upstream.relay.reader
    delivered = reader.delivered()
    return Produced(reported=reader.usage, text=delivered.text(), unkept_chars=delivered.unkept_chars)


def compose(inbound: Inbound, outcome: Outcome, services: Services, trail: str = "") -> UsageRow:
    """The row of one call; pricing it is ledger.settle's work."""
    call, caller = inbound.call, inbound.caller
    usage = outcome.usage
    provider, model, is_free = _who_answered(outcome)
    cost = FREE if is_free else settle_call(services.prices, provider, model, inbound.created_ns, usage)
    stored, tokens_saved, saved_pusd = outcome.stored, 0, 0
    if usage is not None and (stored is not None or outcome.spared_tokens):
        tokens_saved, saved_pusd, cost = _save(inbound, outcome, services, usage, cost)
    counted = usage or NO_USAGE
    latency_ns = services.ticks_ns() - inbound.started_ns
    first_byte_ns = outcome.first_byte_ns - inbound.started_ns if outcome.first_byte_ns else 0
    # By position: see UsageRow.
    return UsageRow(
        inbound.request_id,
        inbound.created_ns,
        caller.project_id,
        caller.key_id,
        call.endpoint,
        call.model,
        provider,
        model,
        outcome.upstream_request_id,
        outcome.status,
        outcome.http_status,
        outcome.error_code,
        call.stream,
        stored is not None,
        counted.input_tokens,
        counted.cache_read_tokens,
        counted.cache_write_tokens,
        counted.cache_write_1h_tokens,
        counted.audio_input_tokens,
        counted.image_input_tokens,
        counted.output_tokens,
        counted.audio_output_tokens,
        counted.image_output_tokens,
        counted.reasoning_tokens,
        counted.estimated,
        counted.anomalous or cost.pusd >= MAX_COST_PUSD,
        tokens_saved,
        cost.pusd,
        saved_pusd,
        cost.basis,
        cost.price_id,
        latency_ns // 1_000_000,
        max(0, first_byte_ns) // 1_000_000,
        max(0, latency_ns - outcome.waited_ns) // 1_000,
        outcome.attempts,
        counted.service_tier,
        inbound.tags,
        inbound.session,
        trail=trail,
        cache_entry="" if stored is None else stored.entry_id,
        cache_layer=outcome.layer if inbound.check is None else AUDIT,
        prompt_saved_pusd=cost.prompt_saved_pusd,
    )


def _save(inbound: Inbound, outcome: Outcome, services: Services, usage: Usage, cost: Cost) -> tuple[int, int, Cost]:
    """What the cache saved in tokens and in money, and what the call costs."""
    if outcome.stored is not None:
        return usage.total_tokens, cost.pusd, GIVEN
    provider, model, is_free = _who_answered(outcome)
    price = None if is_free else services.prices.lookup(provider, model, inbound.created_ns, usage.service_tier)
    if price is None:
        return outcome.spared_tokens, 0, cost
    # What it would have cost more with the inputs that were kept.
    whole = msgspec.structs.replace(usage, input_tokens=usage.input_tokens + outcome.spared_tokens)
    return outcome.spared_tokens, cost_pusd(price, whole) - cost_pusd(price, usage), cost


def _who_answered(outcome: Outcome) -> tuple[str, str, bool]:
    """The provider, its name for the model, and whether it is free; nothing where nobody was asked."""
    target, stored = outcome.target, outcome.stored
    if target is not None:
        return target.backend.name, target.model, target.backend.is_free
    return ("", "", False) if stored is None else (stored.provider, stored.upstream_model, stored.is_free)


def price(journey: Journey, outcome: Outcome, *, is_in_doubt: bool = False) -> UsageRow:
    """The row of a call with all that it is charged, for tries before its last one too."""
    row = compose(journey.inbound, outcome, journey.services, journey.trail)
    if journey.lost_pusd or journey.funds is not None:
        row = budget.charge(row, journey.funds, journey.lost_pusd, is_in_doubt=is_in_doubt)
    return row


def settle(journey: Journey, outcome: Outcome, row: UsageRow) -> None:
    """Record a call; what is held for it, and what it has taken of its limits, ends in the same step.

    Its answer leaves afterwards: who asks again at once finds the limits free.
    """
    inbound, services, funds, passage = journey.inbound, journey.services, journey.funds, journey.inbound.passage
    if inbound.check is not None:
        services.caching.audits.spend(inbound.caller.project_id, row.cost_pusd)
    if passage is not None:
        passage.used_tokens = 0 if row.is_cached else row.total_tokens
        passage.settle_at_once()
    if funds is not None or services.budgets.books.directory.revision != journey.budgets_revision:
        budget.settle(row, inbound, funds, journey.budgets_revision, services)
    journey.is_recorded = True
    write(row, services)
    if services.prompts.projects:
        keep_prompt(row, inbound, outcome, journey.upstream, services)


async def book(journey: Journey, outcome: Outcome, *, is_in_doubt: bool = False) -> UsageRow:
    """Price, settle and record a call, and wait where that has to be waited for."""
    services, funds = journey.services, journey.funds
    row = price(journey, outcome, is_in_doubt=is_in_doubt)
    settle(journey, outcome, row)
    if services.settings.ledger.sync == "strict":
        await sync(row, services)
    if funds is not None and funds.unsettled:
        await funds.finish()
    return row


def give_at_once(inbound: Inbound, given: Given, services: Services) -> UsageRow:
    """Record a call that is given what is in memory, within one turn of the loop."""
    outcome = give(given)
    row = compose(inbound, outcome, services)
    services.recorder.take(row)
    services.metrics.observe_call(row)
    if services.prompts.projects:
        keep_prompt(row, inbound, outcome, None, services)
    return row


def write(row: UsageRow, services: Services) -> None:
    """Record the row and count it; it is durable before the server lets the answer leave, see Recorder.take.

    A journal that takes no more keeps the row in memory and admits no further call; the answer that the row is for
    has been paid, so the client still gets it.
    """
    if services.metrics.requests_in_flight > 1:
        services.recorder.take(row)
    else:
        # Nobody is there to share a write with, so waiting for the end of the loop's turn would gain nothing.
        try:
            services.recorder.record(row)
        except JournalFull as full:
            log.error("usage of request %s waits in memory: %s", row.request_id, full)
    services.metrics.observe_call(row)


async def sync(row: UsageRow, services: Services) -> None:
    """Wait until the row survives a loss of power too."""
    try:
        await services.recorder.synced()
    except JournalFull as full:
        log.error("usage of request %s may not survive a loss of power: %s", row.request_id, full)


def keep_prompt(
    row: UsageRow, inbound: Inbound, outcome: Outcome, upstream: Upstream | None, services: Services
) -> None:
    """Have what was asked and answered kept, for a project that may want it."""
    services.prompts.take(row, inbound.call.body, _find_answer(outcome, upstream))


def _find_answer(outcome: Outcome, upstream: Upstream | None) -> Answer:
    if outcome.stored is not None:
        recorded = outcome.stored.recorded
        return recorded.body or Streamed(recorded.events or b"", recorded.held or b"")
    if upstream is None or upstream.answer is not None:
        return None if upstream is None or upstream.answer is None else upstream.answer.body
    return None if upstream.relay is None else upstream.relay.reader
