"""The path of a call, top to bottom. README repeats this order, and a test compares the two.

Failure behavior: whatever happens, the hold is released once and a call that may have reached a provider leaves
exactly one usage row, written before the client sees the end of its answer.
"""

import asyncio
import logging
from functools import partial

import msgspec

from gateway.accounts.directory import KeyRecord
from gateway.backends.arrived import Arrived
from gateway.backends.failure import as_fault, as_stream_fault
from gateway.backends.interface import Client
from gateway.caching.auditing.audits import SilentClient
from gateway.caching.flights import Flight, Follower
from gateway.caching.semantic.interface import Check
from gateway.errors import Fault, own_failure, refuse_unrecorded
from gateway.ledger.recording.journal import JournalFull
from gateway.ledger.row import UsageRow
from gateway.limits.passage import Passage
from gateway.pipeline import auth, budget, limits, lookup, meter, record, reply, route, send
from gateway.pipeline.auth import Credentials
from gateway.pipeline.ends import together
from gateway.pipeline.ends.leaving import leave
from gateway.pipeline.flow import Inbound, Outcome, Route, Target, tells_limits
from gateway.pipeline.meter import Produced
from gateway.pipeline.record import CLIENT_GONE, OK
from gateway.pipeline.route import RouteTable
from gateway.pipeline.services import Services
from gateway.pipeline.tries.journey import Journey, SendFailed, Shortened, TargetSpared, Upstream
from providers.chat import Usage
from providers.wire import Headers

SERVER_ERROR = 500
Looked = tuple[Route, lookup.Found]
log = logging.getLogger("gateway.pipeline")


def admit(credentials: Credentials, services: Services) -> KeyRecord:
    """Know the caller before anything else of a request is read; raises Fault, KeyUnknown as pipeline.auth says."""
    return auth.authenticate(credentials, services.directory, services.now_ns())


async def meet(credentials: Credentials, services: Services) -> KeyRecord:
    """Know the caller where there is time to ask for keys that were just made; raises Fault."""
    return await auth.authenticate_anyhow(credentials, services.directory, services.now_ns)


async def run(inbound: Inbound, client: Client, services: Services) -> None:
    """Answer one call. What it took of the limits that govern it is given back once, before its answer ends."""
    await go_on(begin(inbound, client, services))


def begin(inbound: Inbound, client: Client, services: Services) -> Journey:
    """Begin a call, which ``go_on`` ends, whatever happens."""
    services.metrics.requests_in_flight += 1
    return Journey(inbound, client, services)


def enter(journey: Journey) -> bool:
    """Let a call in where its limits have nobody to wait for; raises Fault. False: nothing was taken."""
    inbound = journey.inbound
    passage = inbound.passage
    if passage is not None and not passage.enter_at_once(limits.bound_tokens(inbound.call)):
        return False
    limits.admit(journey)
    return True


def hold(journey: Journey) -> bool:
    """Hold what a call that was let in may cost, where that needs no waiting; False: nothing is held."""
    inbound, services = journey.inbound, journey.services
    if not budget.may_govern(inbound, services):
        return True
    journey.funds = budget.hold_at_once(inbound, services.routes_of(inbound.caller), services)
    return journey.funds is not None


def look(journey: Journey, body: bytes, table: RouteTable) -> Looked:
    """Choose the route, and look in memory for an answer to ``body``, the caller's as it came; raises Fault."""
    inbound = journey.inbound
    path = route.choose(table, inbound.call.model, inbound.caller)
    return path, lookup.find(inbound, body, path, journey.services)


async def go_on(journey: Journey, path: Route | None = None, found: lookup.Found = lookup.NOT_ASKED) -> None:
    """Take a call to its end from where it is: just begun, let in, held for, or looked for as ``look`` tells."""
    inbound, services = journey.inbound, journey.services
    passage, limited, fault = inbound.passage, None, None
    try:
        journey.check()
        if not journey.is_admitted and not enter(journey) and passage is not None:
            journey.asker = journey.client = limited = limits.LimitedClient(journey.client, passage)
            await _enter(inbound, passage, services)
            limits.admit(journey)
        if path is None:
            path, found = await _look(journey)
        if found.waits:
            found = await lookup.ask(found, journey.inbound, services)
        if not found.is_known:
            await _call(journey, path, found)
        elif not await _spare(journey, found):
            await _call(journey, path, found)
    except (Fault, JournalFull) as refusal:
        fault = refusal if isinstance(refusal, Fault) else refuse_unrecorded()
        _refuse(journey, fault)
    except (asyncio.CancelledError, Exception) as error:
        fault = await (_fail(journey, error) if isinstance(error, SendFailed) else _stop(journey, error))
    finally:
        if not journey.is_ended:
            leave(journey, found, fault)
        if limited is not None:
            await limited.settle()


async def _enter(inbound: Inbound, passage: Passage, services: Services) -> None:
    """Wait to be let in by the limits; raises Fault. Who is stopped here has made no call yet."""
    # Calls that have ended in this turn make room.
    services.recorder.turn.finish()
    try:
        await limits.enter(inbound, passage, services)
    except asyncio.CancelledError as stopped:
        raise _stopping() from stopped


async def _look(journey: Journey) -> Looked:
    """Hold what a call may cost, and look for its answer in memory; raises Fault."""
    inbound, services = journey.inbound, journey.services
    body, table = inbound.call.body, services.routes_of(inbound.caller)
    if journey.funds is None and not hold(journey):
        journey.inbound, journey.funds = await budget.hold(inbound, table, services)
    refusal = None if journey.funds is None else journey.funds.refusal
    return look(journey, body, table) if refusal is None else await _look_only(journey, body, table, refusal)


async def _look_only(journey: Journey, body: bytes, table: RouteTable, refusal: Fault) -> Looked:
    """Look for an answer to a call that may not be made; raises the refusal where there is none."""
    inbound, services = journey.inbound, journey.services
    path = route.choose(table, inbound.call.model, inbound.caller)
    if not lookup.looks(inbound):
        raise refusal
    asked = msgspec.structs.replace(inbound, cache="only")
    try:
        found = lookup.find(asked, body, path, services)
        return path, (await lookup.ask(found, asked, services) if found.waits else found)
    except Fault as miss:
        raise (miss if inbound.cache == "only" else refusal) from miss


async def _call(journey: Journey, path: Route, found: lookup.Found) -> None:
    """Make the call, and keep its answer where that is wanted."""
    if found.flight is not None and (journey.inbound.call.stream or path.is_stoppable):
        journey.share(found.flight)
    if found.batch is not None and found.batch.is_partial:
        journey.short = Shortened(path.targets[0], found.batch.shorten(journey.inbound.call), found.batch)
    upstream = await send.send(journey, path)
    if found.flight is not None:
        journey.show(found.flight)
    if upstream.answer is None:
        usage = await _flow(journey, upstream, found)
    else:
        usage = meter.believe_whole(upstream.answer)
    if usage is not None and together.takes(journey.services):
        together.end(journey, upstream, usage, found)
        return
    if usage is None:
        outcome = await _outcome(journey, upstream)
    else:
        outcome = record.end(upstream, usage, journey.asker, error_code="")
    if found.flight is not None and outcome.error_code:
        found.flight.broken = _broken(upstream)
    row = await record.book(journey, outcome)
    reply.finish(journey, upstream, found.lines + upstream.told, row)
    if found.policy is not None:
        lookup.keep(found, journey, outcome, row)


async def _flow(journey: Journey, upstream: Upstream, found: lookup.Found) -> Usage | None:
    """Let a stream run to its end; tells its usage where all of it was here before."""
    if not isinstance(upstream.relay, Arrived):
        await reply.flow(journey, upstream, found.lines)
        return None
    return upstream.relay.usage


async def _spare(journey: Journey, found: lookup.Found) -> bool:
    """Answer without a call of its own; False where that cannot be."""
    if found.given is not None:
        row = await _give(journey, found.given, found.lines, found.layer)
        check = lookup.note(found, journey.inbound, row, journey.services) if found.layer == "semantic" else None
        if check is not None:
            _order(journey, check, row)
        lookup.note_parts(found, journey.inbound, journey.services)
        return True
    return found.joined is not None and await _join(journey, found, found.joined)


async def _give(journey: Journey, given: lookup.Given, told: bytes, layer: str = "exact") -> UsageRow:
    """Give an answer that was kept."""
    row = await record.book(journey, record.give(given, layer, journey.waited_ns))
    reply.give(journey.inbound, given, told, journey.client, row)
    return row


def _order(journey: Journey, check: Check, row: UsageRow) -> None:
    """Have the call made whose answer tells whether the one that was given is right."""
    services, inbound, layer = journey.services, journey.inbound, journey.services.caching.semantics.layer
    if layer is None:
        return
    decline = partial(layer.decline, check)
    if inbound.cache == "only":
        # It forbids to call the provider.
        decline()
        return

    async def make() -> None:
        now_ns = services.now_ns()
        asked = msgspec.structs.replace(
            inbound, request_id=services.ids.new(now_ns), created_ns=now_ns, started_ns=services.ticks_ns(),
            cache="refresh", passage=None, check=check,
        )  # fmt: skip
        await run(asked, SilentClient(), services)

    services.caching.audits.order(inbound.caller.project_id, row.saved_pusd, make, decline)


async def _join(journey: Journey, found: lookup.Found, flight: Flight) -> bool:
    """Wait for somebody else's call that asks the same; False where it brought nothing that this one can have."""
    inbound, client, services = journey.inbound, journey.client, journey.services
    joined_ns = services.ticks_ns()
    begin = partial(reply.begin_joined, inbound, flight, joined_ns, client, services) if inbound.call.stream else None
    follower = flight.follow(client, begin, services.loop)
    try:
        await follower.ended
    except asyncio.CancelledError:
        follower.leave()
        if follower.has_begun:
            reply.break_off(inbound, client, _stopping(), has_begun=True)
        raise
    finally:
        # It was a provider that it waited for.
        journey.waited_ns += services.ticks_ns() - joined_ns
    fault, waited_ns = follower.fault or flight.fault, journey.waited_ns
    if follower.is_gone:
        await record.book(journey, Outcome(status="cancelled", http_status=CLIENT_GONE, waited_ns=waited_ns))
    elif follower.has_begun:
        await _end_joined(journey, flight, follower, fault)
    elif fault is not None:
        failed = Outcome(status="failed", http_status=fault.status, error_code=fault.code, waited_ns=waited_ns)
        await record.book(journey, failed)
        _refuse(journey, fault)
    else:
        given = None if flight.answer is None else lookup.give(flight.answer, inbound)
        if given is None or not flight.is_shared:
            return False
        await _give(journey, given, flight.told)
        lookup.note_parts(found, inbound, services)
    return True


async def _end_joined(journey: Journey, flight: Flight, follower: Follower, fault: Fault | None) -> None:
    """End a stream that came as another call's did: under that one's name to its last chunk."""
    inbound, client = journey.inbound, journey.client
    if fault is None and flight.answer is not None and flight.ends is not None:
        given = lookup.Given(flight.answer, b"", b"", *flight.ends)
        row = await record.book(journey, record.give(given, waited_ns=journey.waited_ns))
        reply.end_joined(inbound, given, follower.rest, client, row)
        return
    fault = fault or flight.broken or Fault("upstream_truncated", "The answer that this call shared was broken off.")
    broken = Outcome(status="incomplete", http_status=OK, error_code=fault.code, waited_ns=journey.waited_ns)
    await record.book(journey, broken)
    reply.break_off(inbound, client, fault, has_begun=True)


def _broken(upstream: Upstream) -> Fault | None:
    """What broke a stream off; the limit of the caller's own is none for others."""
    failure = None if upstream.relay is None else upstream.relay.reader.failure
    if failure is None or isinstance(failure, meter.Overrun):
        return None
    return as_stream_fault(failure, upstream.target.backend)


async def _outcome(journey: Journey, upstream: Upstream) -> Outcome:
    """How an answer ended whose usage has to be counted, or that was a stream."""
    call, model = journey.sent.call, upstream.target.model
    services, asker = journey.services, journey.asker
    if upstream.answer is not None:
        whole = Produced(reported=upstream.answer.usage, text=upstream.answer.text)
        usage = await meter.measure(call, model, whole, services)
        return record.end(upstream, usage, asker, error_code="")
    relay = upstream.relay
    assert relay is not None, "an answer is whole or flows"  # noqa: S101 - for the type checkers
    reader = relay.reader
    usage = await meter.measure(call, model, record.find_produced(upstream), services)
    error_code = ""
    if reader.failure is not None:
        error_code = as_stream_fault(reader.failure, upstream.target.backend).code
        send.note_last_failure(journey, upstream.target, reader.failure, error_code)
    is_left = relay.is_abandoned and not reader.finished
    return record.end(upstream, usage, asker, error_code=error_code, is_left=is_left)


async def _fail(journey: Journey, failed: SendFailed) -> Fault:
    """No target answered: the row says so, and what may have been produced unseen is not charged as known."""
    inbound = journey.inbound
    fault = as_fault(failed.error, failed.target.backend)
    if fault.status >= SERVER_ERROR:
        # Not the message: providers quote what they were sent.
        log.warning("%s failed for request %s: %s", failed.target.backend.name, inbound.request_id, fault.code)
    if failed.attempts:
        usage, doubtful = None, journey.doubtful
        known = None if doubtful is None else doubtful.usage
        if known is not None or failed.error.was_made:
            # It was made and will be billed, though nobody saw it.
            produced = Produced(reported=known)
            usage = await meter.measure(journey.sent.call, failed.target.model, produced, journey.services)
        is_left = journey.asker.is_gone
        await record.book(
            journey,
            Outcome(
                status="cancelled" if is_left else "failed",
                http_status=CLIENT_GONE if is_left else fault.status,
                error_code=fault.code,
                target=failed.target,
                usage=usage,
                attempts=failed.attempts,
                waited_ns=failed.waited_ns,
            ),
            is_in_doubt=doubtful is not None and known is None,
        )
    elif isinstance(failed.error, TargetSpared):
        failed.target.breaker.note_spared(inbound.caller.project_id, journey.services.now_ns())
    headers = failed.error.headers
    if inbound.limit_lines:
        headers = [header for header in headers if not tells_limits(header[0])]
    _refuse(journey, fault, failed.target, headers)
    return fault


def _refuse(journey: Journey, fault: Fault, target: Target | None = None, headers: Headers = ()) -> None:
    """Refuse a call, which has left its limits by then: who asks again at once finds them free."""
    inbound = journey.inbound
    if inbound.passage is not None:
        inbound.passage.settle_at_once()
    reply.refuse(inbound.request_id, journey.asker, fault, target, headers, limits=inbound.limit_lines)


def _stopping() -> Fault:
    return Fault("maintenance", "The gateway is shutting down; ask again.", retry_after_ms=1_000)


async def _stop(journey: Journey, error: BaseException) -> Fault:
    """The client left before the answer began, the process ends, or we failed: what was produced is estimated."""
    fault, upstream = _stopping(), journey.upstream
    if not isinstance(error, asyncio.CancelledError):
        log.error("request %s failed", journey.inbound.request_id, exc_info=error)
        fault = own_failure()
    has_begun = upstream is not None and upstream.relay is not None and upstream.relay.is_attached
    try:
        if not journey.is_recorded:
            await _record_stopped(journey, fault)
    finally:
        reply.break_off(journey.inbound, journey.client, fault, has_begun=has_begun)
    return fault


async def _record_stopped(journey: Journey, fault: Fault) -> None:
    usage = None
    # Without an attempt nothing was sent.
    call, target = journey.sent.call, journey.target if journey.attempts else None
    # Of a call that others wait for it is the process that ends.
    is_left = journey.client.is_gone
    if target is not None:
        produced = record.find_produced(journey.upstream)
        # A process that ends may have no thread left to count in.
        counts = is_left and not journey.services.loop.is_closed()
        usage = (
            await meter.measure(call, target.model, produced, journey.services)
            if counts
            else meter.guess(call, produced.text)
        )
    await record.book(
        journey,
        Outcome(
            status="cancelled" if is_left else "incomplete",
            http_status=CLIENT_GONE if is_left else fault.status,
            error_code="" if is_left else fault.code,
            target=target,
            usage=usage,
            attempts=journey.attempts,
            waited_ns=journey.waited_ns,
        ),
        # Without a client that left, what was on its way was not stopped for a reason that the provider knows.
        is_in_doubt=target is not None and not is_left and journey.upstream is None,
    )
