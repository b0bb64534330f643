"""Room 7: the answer goes to the client. A stream flows first and gets its end here; a whole one goes at once.

The provider's bytes stay as they are: the gateway's figures are spliced into the body of a whole answer, or into the
chunk with the finish_reason of a stream.
"""

from gateway.backends.arrived import Arrived
from gateway.backends.failure import as_stream_fault
from gateway.backends.interface import Client
from gateway.backends.relay import Relay
from gateway.caching.flights import Flight
from gateway.envelope import envelope, fault_headers
from gateway.errors import Fault
from gateway.ledger.row import UsageRow
from gateway.pipeline import meter
from gateway.pipeline.flow import PASSED, Inbound, Target, header_text, keep_one_name
from gateway.pipeline.lookup import Given
from gateway.pipeline.services import Services
from gateway.pipeline.tries.journey import Journey, Upstream
from providers import splice
from providers.pricing.prices import format_usd
from providers.wire import Headers, StreamReader

JSON_TYPE = b"content-type: application/json\r\n"
STREAM_TYPE = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
# Official clients read it; where the provider has a name for the request, that stands there.
NAME = b"x-request-id: %b\r\n"
DONE = b"data: [DONE]\n\n"


def _headers(kind: bytes, inbound: Inbound, upstream: Upstream, told: bytes, figures: bytes) -> bytes:
    """Identity, cache, target and figures; the caller's wishes that the dialect left out; the provider's that pass."""
    dropped = b""
    if upstream.dropped:
        dropped = b"x-watchllm-dropped-params: %s\r\n" % header_text(", ".join(upstream.dropped))
    if inbound.limited_tokens is not None:
        dropped += b"x-watchllm-max-tokens: %d\r\n" % inbound.limited_tokens
    gist, request_id, limits = upstream.gist, inbound.request_id.encode(), inbound.limit_lines
    return b"%bx-watchllm-request-id: %b\r\n%b%b%b%b%b%b%b" % (
        kind,
        request_id,
        b"" if gist.is_named else NAME % request_id,
        told,
        upstream.target.lines,
        figures,
        dropped,
        # The provider's limits give way to the gateway's own: two of one name would contradict each other.
        gist.unlimited if limits else gist.passed,
        limits,
    )


def _figures(cost: bytes, latency_ms: int, cached: bytes = b"false") -> bytes:
    """The documents' three members, with hyphens and with underscores."""
    return (
        b'"x-WatchLLM-cached":%b,"x-WatchLLM-cost-usd":"%b","x-WatchLLM-latency-ms":%d,'
        b'"x_WatchLLM_cached":%b,"x_WatchLLM_cost_usd":"%b","x_WatchLLM_latency_ms":%d'
        % (cached, cost, latency_ms, cached, cost, latency_ms)
    )


def _begin(journey: Journey, upstream: Upstream, told: bytes, latency_ms: int, overhead_ms: float) -> None:
    """Begin a stream: what is known of it, and what it may cost."""
    inbound = journey.inbound
    estimate = meter.estimate_pusd(inbound.call, upstream.target, journey.services)
    figures = b"x-watchllm-latency-ms: %d\r\nx-watchllm-overhead-ms: %.3f\r\n" % (latency_ms, overhead_ms)
    if estimate is not None:
        cost = format_usd(estimate).encode()
        figures = b"x-watchllm-cost-usd: %s\r\nx-watchllm-cost-basis: estimate\r\n%s" % (cost, figures)
    journey.client.start(_headers(STREAM_TYPE, inbound, upstream, told, figures))


async def flow(journey: Journey, upstream: Upstream, told: bytes) -> None:
    """Let a stream run until only its end is missing; ``told`` are the header lines of the cache."""
    services, relay = journey.services, upstream.relay
    assert isinstance(relay, Relay), "asked for streams on their way only"  # noqa: S101 - for the type checkers
    now_ns = services.ticks_ns()
    elapsed_ns = now_ns - journey.inbound.started_ns
    _begin(journey, upstream, told, elapsed_ns // 1_000_000, (elapsed_ns - upstream.waited_ns) / 1e6)
    services.relays.add(relay)
    try:
        relay.attach(journey.client)
        await relay.done
    finally:
        services.relays.discard(relay)
        relay.close()
    upstream.waited_ns += services.ticks_ns() - now_ns


def finish(journey: Journey, upstream: Upstream, told: bytes, row: UsageRow) -> None:
    """Send what was held back, now that the row is durable."""
    inbound, client, relay = journey.inbound, journey.client, upstream.relay
    cost = format_usd(row.cost_pusd).encode()
    members = _figures(cost, row.latency_ms)
    if upstream.answer is not None:
        figures = b"x-watchllm-cost-usd: %s\r\nx-watchllm-latency-ms: %d\r\nx-watchllm-overhead-ms: %.3f\r\n" % (
            cost,
            row.latency_ms,
            row.overhead_us / 1000,
        )
        head = _headers(JSON_TYPE, inbound, upstream, told, figures)
        client.send(200, head, *splice.append_apart(upstream.answer.body, members))
    elif isinstance(relay, Arrived):
        # All that could fail comes before its beginning.
        tail = _tail(inbound, upstream, relay.reader, members)
        _begin(journey, upstream, told, row.latency_ms, row.overhead_us / 1000)
        client.end(relay.events, tail)
    elif relay is not None:
        client.end(_tail(inbound, upstream, relay.reader, members))


def _tail(inbound: Inbound, upstream: Upstream, reader: StreamReader, figures: bytes) -> bytes:
    """The end of a stream: what was held back and [DONE]; or the error, and no [DONE]."""
    if reader.failure is not None:
        # Clients take a stream that merely stops for a success: only an error event tells them.
        return b"data: %s\n\n" % envelope(as_stream_fault(reader.failure, upstream.target.backend))
    return _last_events(inbound, reader.held, reader.usage_chunk, figures)


def _last_events(inbound: Inbound, held: bytes | None, usage_chunk: bytes | None, figures: bytes) -> bytes:
    tail = b""
    if held:
        tail = b"data: %s\n\n" % splice.append(held, figures)
    if inbound.call.wants_usage and usage_chunk is not None:
        tail += b"data: %s\n\n" % usage_chunk
    return tail + DONE


def give(inbound: Inbound, given: Given, told: bytes, client: Client, row: UsageRow) -> None:
    """Send an answer that was kept, now that the row of its being given is durable."""
    members = _figures(b"0", row.latency_ms, b"true")
    head = _given_head(inbound, given.answer.lines, told, row.latency_ms, row.overhead_us / 1000)
    if inbound.call.stream:
        client.start(head)
        client.end(given.events, _last_events(inbound, given.held, given.usage_chunk, members))
    else:
        client.send(200, head, *splice.append_apart(given.body, members))


def begin_joined(inbound: Inbound, flight: Flight, joined_ns: int, client: Client, services: Services) -> None:
    """Begin the stream of a call that has followed another one since ``joined_ns``, whose first piece is here."""
    latency_ms = (services.ticks_ns() - inbound.started_ns) // 1_000_000
    overhead_ms = (joined_ns - inbound.started_ns) / 1e6
    client.start(_given_head(inbound, flight.lines, flight.told, latency_ms, overhead_ms))


def end_joined(inbound: Inbound, given: Given, rest: bytes, client: Client, row: UsageRow) -> None:
    """End it with what it lacks yet."""
    members = _figures(b"0", row.latency_ms, b"true")
    client.end(rest, _last_events(inbound, given.held, given.usage_chunk, members))


def _given_head(inbound: Inbound, lines: bytes, told: bytes, latency_ms: int, overhead_ms: float) -> bytes:
    request_id = inbound.request_id.encode()
    return (
        b"%bx-watchllm-request-id: %b\r\nx-request-id: %b\r\n%b%bx-watchllm-cost-usd: 0\r\n"
        b"x-watchllm-latency-ms: %d\r\nx-watchllm-overhead-ms: %.3f\r\n%b"
        % (
            STREAM_TYPE if inbound.call.stream else JSON_TYPE,
            request_id,
            request_id,
            told,
            lines,
            latency_ms,
            overhead_ms,
            inbound.limit_lines,
        )
    )


def refuse(  # noqa: PLR0913 - two of them are the provider's
    request_id: str,
    client: Client,
    fault: Fault,
    target: Target | None = None,
    headers: Headers = (),
    *,
    limits: bytes = b"",
) -> None:
    """Answer with a fault; ``headers`` are the provider's where it is the provider's. The connection stays usable.

    ``limits`` are the header lines of what limits the caller.
    """
    # Retry-After is the fault's: what the provider asked of the gateway may not be what the client should do.
    passed = PASSED.findall(
        b"".join([b"\r\n%s: %s" % header for header in headers if not header[0].startswith(b"retry-after")])
    )
    own = request_id.encode()
    head = b"".join(
        [
            JSON_TYPE,
            b"x-watchllm-request-id: %s\r\n" % own,
            b"" if keep_one_name(passed) else NAME % own,
            b"" if target is None else target.lines,
            *(line + b"\r\n" for line in passed),
            *(b"%s: %s\r\n" % (name.encode(), value.encode()) for name, value in fault_headers(fault)),
            limits,
        ]
    )
    client.send(fault.status, head, envelope(fault))


def break_off(inbound: Inbound, client: Client, fault: Fault, *, has_begun: bool) -> None:
    """End an answer that cannot be finished: by an error event where a stream has begun, else by a refusal."""
    if has_begun:
        client.end(b"data: %s\n\n" % envelope(fault))
    else:
        refuse(inbound.request_id, client, fault, limits=inbound.limit_lines)
