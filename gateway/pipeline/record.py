"""Room 8: the call becomes its usage row, which is its charge, durable before the client sees the answer's end."""

import logging

from gateway.ledger.journal import JournalFull
from gateway.ledger.row import UsageRow
from gateway.ledger.settle import FREE, settle_call
from gateway.pipeline.flow import Inbound, Outcome
from gateway.pipeline.services import Services
from providers.chat import NO_USAGE

log = logging.getLogger("gateway.pipeline.record")


def compose(inbound: Inbound, outcome: Outcome, services: Services) -> UsageRow:
    """The row of one call; pricing it is ledger.settle's work."""
    call, caller, target = inbound.call, inbound.caller, outcome.target
    usage = outcome.usage
    provider = "" if target is None else target.backend.name
    if target is not None and target.backend.is_free:
        cost = FREE
    else:
        model = "" if target is None else target.model
        cost = settle_call(services.prices, provider, model, inbound.created_ns, usage)
    counted = usage or NO_USAGE
    ended_ns = services.ticks_ns()
    latency_ns = ended_ns - inbound.started_ns
    return UsageRow(
        request_id=inbound.request_id,
        created_ns=inbound.created_ns,
        project_id=caller.project_id,
        key_id=caller.key_id,
        endpoint=call.endpoint,
        model=call.model,
        provider=provider,
        upstream_model="" if target is None else target.model,
        upstream_request_id=outcome.upstream_request_id,
        status=outcome.status,
        http_status=outcome.http_status,
        error_code=outcome.error_code,
        is_stream=call.stream,
        input_tokens=counted.input_tokens,
        cache_read_tokens=counted.cache_read_tokens,
        cache_write_tokens=counted.cache_write_tokens,
        cache_write_1h_tokens=counted.cache_write_1h_tokens,
        audio_input_tokens=counted.audio_input_tokens,
        image_input_tokens=counted.image_input_tokens,
        output_tokens=counted.output_tokens,
        audio_output_tokens=counted.audio_output_tokens,
        image_output_tokens=counted.image_output_tokens,
        reasoning_tokens=counted.reasoning_tokens,
        is_estimated=counted.estimated,
        is_anomalous=counted.anomalous,
        cost_pusd=cost.pusd,
        cost_basis=cost.basis,
        price_id=cost.price_id,
        latency_ms=latency_ns // 1_000_000,
        first_byte_ms=max(0, outcome.first_byte_ns - inbound.started_ns) // 1_000_000 if outcome.first_byte_ns else 0,
        overhead_us=max(0, latency_ns - outcome.waited_ns) // 1_000,
        attempts=outcome.attempts,
        service_tier=counted.service_tier,
        tags=inbound.tags,
        session=inbound.session,
    )


async def write(row: UsageRow, services: Services) -> None:
    """Make the row durable and count it.

    A journal that takes no more keeps the row in memory and admits no further call; the answer that the row is for
    has been paid, so the client still gets it.
    """
    try:
        await services.recorder.commit(row)
        if services.settings.ledger.sync == "strict":
            await services.recorder.synced()
    except JournalFull as full:
        log.error("usage of request %s waits in memory: %s", row.request_id, full)
    services.metrics.observe_call(row)
