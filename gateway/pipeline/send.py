"""Room 6: the call goes out; tries and fallbacks happen here, all of them before the first byte to the client.

Failure behavior: a fault of the provider (429, 5xx, no connection, no answer, a broken answer) moves on to the next
target that can say the call, and on the last of those is tried again with growing, jittered waits that honour Retry-
After, within a number of tries and a time. A refusal of the caller's own request (other 4xx) ends the call. What may
have been executed already (the connection broke after the request was out, no byte came in time, or what came cannot be
read) is not sent to the same target twice, but for a stream that ended before it said anything, and, where no money
governs the call, what met a kept connection that was reset at once.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from gateway.backends.answer import is_success, read_answer
from gateway.backends.arrived import Arrived
from gateway.backends.breaker import LastFailure
from gateway.backends.failure import as_fault, describe, is_callers, is_well
from gateway.backends.interface import Backend, Client, Exchange, Posted, WholeReply
from gateway.backends.leaving import ignore_leaving, pause, stop_by, stop_on_leaving
from gateway.backends.relay import Guard, Relay
from gateway.backends.retries import find_wait_ms
from gateway.config.settings import Retries
from gateway.ledger.row import Try, add_try
from gateway.pipeline import budget, meter
from gateway.pipeline.flow import Doubtful, Route, Target
from gateway.pipeline.tries.journey import Journey, SendFailed, Shortened, TargetSpared, Upstream
from providers.chat import Answer
from providers.errors import InvalidAnswer, ProviderError, Refused, Unsupported
from providers.openai.misframed import WholeReader
from providers.wire import Call, WireRequest

MAX_ERROR_BYTES = 262_144

T = TypeVar("T")


async def send(journey: Journey, route: Route) -> Upstream:
    """Return the first answer that a target gives; raises SendFailed where none does."""
    services = journey.services
    error: ProviderError | None = None
    failed_at = route.targets[0]
    unable: Unsupported | None = None
    for position, target in enumerate(route.targets):
        if journey.doubtful is not None and not _can_say(journey.inbound.call, target):
            # Not asked, so that nothing has to be held for asking it.
            continue
        if journey.begun is None and not target.breaker.admits(services.ticks_ns()):
            error = error or TargetSpared(f"{target.backend.name} failed repeatedly and is spared for a while")
            continue
        if journey.doubtful is not None and (not await _cover(journey) or journey.client.is_gone):
            break
        try:
            return await _try_target(journey, target, route.targets[position + 1 :])
        except Unsupported as failure:
            # Another may be able to say it: it is the caller's mistake where none is.
            target.breaker.gave_up()
            unable = unable or failure
        except ProviderError as failure:
            error, failed_at = failure, target
            if journey.client.is_gone or is_callers(failure):
                break
            if journey.attempts >= services.settings.retries.max_tries:
                break
        except asyncio.CancelledError:
            target.breaker.gave_up()
            raise
    error = error or unable
    assert error is not None, "a route has at least one target"  # noqa: S101 - for the type checkers
    raise SendFailed(error, failed_at, journey.attempts, journey.waited_ns)


def count_billable(route: Route, call: Call, retries: Retries) -> int:
    """The most tries of a call that may be billed: but for streams that end unsaid, no target is asked for another."""
    able = [target for target in route.targets if _can_say(call, target)]
    is_repeated = call.stream and bool(able) and not able[-1].backend.is_free
    return retries.max_tries if is_repeated else min(len(able), retries.max_tries)


def _can_say(call: Call, target: Target) -> bool:
    """Whether a call can be put into the words of a target."""
    try:
        target.backend.dialect.encode(call, target.model)
    except Unsupported:
        return False
    return True


def set_out(journey: Journey, target: Target) -> WireRequest:
    """Make ready for the tries of a target; raises Unsupported."""
    journey.target = target
    request = target.backend.dialect.encode(journey.sent.call, target.model)
    if journey.funds is not None and not journey.attempts:
        budget.send_off(journey.funds, journey.services)
    return request


def read_whole(journey: Journey, target: Target, request: WireRequest, reply: WholeReply) -> Upstream:
    """Read the whole answer of a try; raises ProviderError where it is none."""
    answer = read_answer(target.backend.dialect, journey.sent.call, reply, reply.body)
    return _make_upstream(journey, target, request, reply, answer)


def find_guard(journey: Journey, target: Target) -> Guard | None:
    """What keeps a stream within its money."""
    return None if journey.funds is None else budget.make_guard(journey.funds, target, journey.services)


def read_arrived(
    journey: Journey, target: Target, request: WireRequest, exchange: Exchange, arrived: Arrived
) -> Upstream:
    """Take the answer of a stream that was here to its end."""
    exchange.release()
    return _make_upstream(journey, target, request, exchange, arrived)


def _make_upstream(
    journey: Journey, target: Target, request: WireRequest, head: WholeReply | Exchange, came: Answer | Relay | Arrived
) -> Upstream:
    return Upstream(
        target=target,
        gist=head.gist(target.read_gist),
        answer=came if isinstance(came, Answer) else None,
        relay=None if isinstance(came, Answer) else came,
        attempts=journey.attempts,
        dropped=request.dropped,
        first_byte_ns=journey.services.ticks_ns(),
        waited_ns=0,
    )


def note_answer(journey: Journey, upstream: Upstream, started_ns: int) -> None:
    """A try that was started then has been answered."""
    target = upstream.target
    journey.doubtful = None
    upstream.waited_ns = journey.waited_ns + upstream.first_byte_ns - started_ns
    journey.upstream = upstream
    target.breaker.succeeded()
    journey.services.metrics.observe_attempt(target.backend.name, "ok")


async def _try_target(journey: Journey, target: Target, others: tuple[Target, ...]) -> Upstream:
    services = journey.services
    backend, ticks_ns = target.backend, services.ticks_ns
    request = set_out(journey, target) if journey.begun is None else journey.begun.request
    call = journey.sent.call
    while True:
        journey.attempts += 1
        started_ns = ticks_ns() if journey.begun is None else journey.begun.started_ns
        try:
            if call.stream:
                upstream = await _wait(journey, _open_stream(journey, target, request))
            else:
                reply = await _fetch(journey, backend, request)
                upstream = read_whole(journey, target, request, reply)
        except ProviderError as error:
            waited_ns = ticks_ns() - started_ns
            journey.waited_ns += waited_ns
            code = _note_failure(journey, target, error)
            tried = Try(backend.name, target.model, code, waited_ns // 1_000_000)
            journey.trail = add_try(journey.trail, tried)
            billed = budget.may_be_billed(error, journey.funds)
            journey.doubtful = Doubtful(target, meter.believe(error.usage)) if billed else None
            wait_ms = _find_wait_ms(error, journey, target, others)
            if wait_ms is None or journey.client.is_gone:
                raise
            await pause(journey.client, wait_ms)
            if journey.client.is_gone or not target.breaker.admits(ticks_ns()):
                raise
            if journey.doubtful is not None and (not await _cover(journey) or journey.client.is_gone):
                raise
        else:
            note_answer(journey, upstream, started_ns)
            if call is journey.inbound.call or _complete(upstream, journey.short):
                return upstream
            await _lengthen(journey, upstream)
            call = journey.inbound.call
            request = backend.dialect.encode(call, target.model)


def _complete(upstream: Upstream, short: Shortened | None) -> bool:
    """Put the answer of a shortened call together with what is kept; False where it does not fit."""
    answer = None if short is None or upstream.answer is None else short.batch.complete(upstream.answer)
    if short is None or answer is None:
        return False
    upstream.answer, upstream.spared_tokens = answer, short.batch.saved_tokens
    upstream.told = b"%bx-watchllm-tokens-saved: %d\r\n" % (short.batch.lines, upstream.spared_tokens)
    return True


async def _lengthen(journey: Journey, upstream: Upstream) -> None:
    """Have all of a call sent whose shortened form was answered with what does not fit; raises InvalidAnswer."""
    short, services = journey.short, journey.services
    assert short is not None, "asked for a shortened call only"  # noqa: S101 - for the type checkers
    short.batch.forget(services.caching.answers)
    journey.waited_ns, journey.upstream = upstream.waited_ns, None
    # It was made, and is paid.
    reported = None if upstream.answer is None else upstream.answer.usage
    journey.doubtful = Doubtful(short.target, meter.believe(reported))
    is_covered = await _cover(journey)
    journey.short = None
    if not is_covered or journey.client.is_gone:
        unfit = InvalidAnswer("the provider's answer has other inputs than it was sent")
        # What it cost is accounted for already.
        unfit.has_begun = False
        raise unfit


async def _cover(journey: Journey) -> bool:
    """Account for a try that may be billed before another is made; False: there is no money for another."""
    doubtful, services = journey.doubtful, journey.services
    assert doubtful is not None, "asked for such a try only"  # noqa: S101 - for the type checkers
    lost_pusd = await budget.cover(journey.sent, journey.funds, doubtful, journey.attempts, services)
    if lost_pusd is None:
        return False
    journey.lost_pusd += lost_pusd
    journey.doubtful = None
    return True


def _fetch(journey: Journey, backend: Backend, request: WireRequest) -> Awaitable[WholeReply]:
    """Get a whole answer, that of the try which has begun already where there is one."""
    begun = _take_begun(journey)
    if begun is not None:
        return begun
    if backend.cancel_stops_whole_calls:
        return _fetch_for(journey, backend, request)
    return backend.fetch(journey.sent.call, request)


def _take_begun(journey: Journey) -> Awaitable[Posted] | None:
    """What came of the try that went out before the path, once; None: it is to be sent."""
    begun, journey.begun = journey.begun, None
    return None if begun is None else begun.answer


async def _fetch_for(journey: Journey, backend: Backend, request: WireRequest) -> WholeReply:
    """Get a whole answer for as long as somebody waits for it."""
    client = journey.client
    try:
        if client.is_gone:
            # Nothing went out.
            journey.attempts -= 1
            raise asyncio.CancelledError
        stop_on_leaving(client, journey.services.loop)
        return await _wait(journey, backend.fetch(journey.sent.call, request))
    finally:
        # A client that left is told of here as well: nobody joins its call any more.
        ignore_leaving(client)


async def _wait(journey: Journey, answer: Awaitable[T]) -> T:
    """Wait for a provider; also where the wait is stopped, its time is the provider's."""
    started_ns = journey.services.ticks_ns()
    try:
        return await answer
    except asyncio.CancelledError:
        journey.waited_ns += journey.services.ticks_ns() - started_ns
        raise


async def _open_stream(journey: Journey, target: Target, request: WireRequest) -> Upstream:
    services, client, call = journey.services, journey.client, journey.inbound.call
    backend = target.backend
    cancels = backend.cancel_stops_billing(target.model)
    begun = _take_begun(journey)
    exchange = await (_open(journey, backend, request, cancels=cancels) if begun is None else begun)
    if not is_success(exchange.status):
        ignore_leaving(client)
        body = await exchange.read(MAX_ERROR_BYTES)
        read_answer(backend.dialect, call, exchange, body)
        raise Refused(f"the provider answered a stream with status {exchange.status}", upstream_status=exchange.status)
    guard = find_guard(journey, target)
    # What went out before the path was read to no avail where it could be.
    whole = None if begun is not None or services.settings.ledger.sync == "strict" else exchange.whole
    arrived = None
    if whole is not None:
        # It is over: whoever leaves now stops nothing.
        ignore_leaving(client)
        arrived = Arrived.read(backend.dialect.open_stream(call), whole, guard)
    if arrived is not None:
        return read_arrived(journey, target, request, exchange, arrived)
    gist = exchange.gist(target.read_gist)
    reader = WholeReader(backend.dialect, call) if gist.is_json else backend.dialect.open_stream(call)
    relay = Relay(reader, exchange, services.loop, cancels=cancels, guard=guard)
    await _begin(relay, exchange, client)
    return _make_upstream(journey, target, request, exchange, relay)


async def _open(journey: Journey, backend: Backend, request: WireRequest, *, cancels: bool) -> Exchange:
    """Get the head of a stream; where cancelling stops the billing, for as long as somebody waits for it."""
    if cancels:
        stop_on_leaving(journey.client, journey.services.loop)
    else:
        ignore_leaving(journey.client)
    return await backend.open(journey.inbound.call, request)


async def _begin(relay: Relay, exchange: Exchange, client: Client) -> None:
    """Wait until a stream has begun; raises ProviderError where it ends before it has said anything."""
    stop_by(client, relay.abandon)
    exchange.attach(relay)
    try:
        await relay.started
    except asyncio.CancelledError:
        relay.close()
        raise
    failure = relay.reader.failure
    # What went beyond its limit at once was said, and is counted as any stream that is cut.
    is_unsaid = relay.is_silent and not isinstance(failure, meter.Overrun)
    if failure is not None and is_unsaid and not relay.is_abandoned:
        failure.usage = failure.usage or relay.reader.usage
        # A stream that ended before it said anything has made nothing that anybody knows of.
        failure.has_begun = False
        raise failure


def _find_wait_ms(error: ProviderError, journey: Journey, target: Target, others: tuple[Target, ...]) -> float | None:
    """Milliseconds until the next try of the same target, None for no further try: it is another's turn, if any's."""
    if target.backend.is_free:
        # The sandbox fails because it was asked to.
        return None
    services = journey.services
    elapsed_ms = (services.ticks_ns() - journey.inbound.started_ns) / 1e6
    retries, is_charged = services.settings.retries, journey.doubtful is not None
    wait_ms = find_wait_ms(error, journey.attempts, elapsed_ms, retries, services.jitter.random, is_charged=is_charged)
    if wait_ms is None or any(_can_say(journey.inbound.call, other) for other in others):
        return None
    return wait_ms


def _note_failure(journey: Journey, target: Target, error: ProviderError) -> str:
    """Count a failed try, and tell its public code."""
    services = journey.services
    code = as_fault(error, target.backend).code
    services.metrics.observe_attempt(target.backend.name, code)
    if is_well(error):
        # The provider is well: it understood the request and refused it, or we have no room ourselves.
        if isinstance(error, Refused):
            target.breaker.succeeded()
        else:
            target.breaker.gave_up()
    else:
        target.breaker.failed(services.ticks_ns())
        note_last_failure(journey, target, error, code)
    return code


def note_last_failure(journey: Journey, target: Target, error: ProviderError, code: str) -> None:
    """Keep it for who asks in the call's own project how the provider is."""
    message = describe(error, target.backend)
    failure = LastFailure(at_ns=journey.services.now_ns(), code=code, message=message)
    target.breaker.note_failure(journey.inbound.caller.project_id, failure)
