"""Room 5: what was answered already is answered again; of requests that say the same at once only one is sent on.

Failure behavior: whatever is wrong with what is kept is a miss, never an error; what cannot be kept is not kept.
"""

import asyncio
import logging
import re

import msgspec

from gateway.caching.answers import NS_PER_S, StoredAnswer, entry_id_of, hit_lines, is_old, prove
from gateway.caching.batch import Batch
from gateway.caching.caching import EMBEDDINGS, Caching
from gateway.caching.flights import Begun, Flight
from gateway.caching.policy import Policy
from gateway.caching.semantic.interface import Check, Fresh, Layer, Look, find_asker
from gateway.caching.semantic.question import Asked, Limits
from gateway.db import DatabaseUnavailable
from gateway.errors import Fault
from gateway.ledger.figures.tags import split_tags
from gateway.ledger.row import UsageRow
from gateway.pipeline.flow import Inbound, Outcome, Route, Target
from gateway.pipeline.services import Services
from gateway.pipeline.tries.journey import Journey, Upstream
from providers.errors import InvalidAnswer, ProviderError
from providers.openai.recorded import Recorded, record_body, record_stream, seems_whole

_LOOKS = frozenset({"default", "read", "only"})
_KEEPS = frozenset({"default", "write", "refresh"})
# What others keep is not looked at either, so it may be there.
_REPLACES = frozenset({"write", "refresh"})
# The provider is asked to keep the answer; where it is asked not to, or said nothing, there is nothing to be done.
_STORES = re.compile(rb'"store"\s*:\s*(?!false\b|null\b|\s)')
_BYPASS = b"x-watchllm-cached: false\r\nx-watchllm-cache: bypass\r\n"
_MISS = b"x-watchllm-cached: false\r\nx-watchllm-cache: miss\r\n"
log = logging.getLogger("gateway.pipeline.lookup")


class Given(msgspec.Struct, frozen=True):
    """An answer under a name of its own: ``body``, or a stream's events, its held chunk and its usage's chunk."""

    answer: StoredAnswer
    body: bytes = b""
    events: bytes = b""
    held: bytes = b""
    usage_chunk: bytes | None = None


class Found(msgspec.Struct, kw_only=True):
    """What the cache says to a call."""

    # The header lines that tell.
    lines: bytes
    # What was kept, ready to be given.
    given: Given | None = None
    # Somebody else's call that asks the same.
    joined: Flight | None = None
    # This call's own: others may join it, and a stream's pieces are kept there.
    flight: Flight | None = None
    # Under which the answer is kept; None: it is not.
    key: bytes | None = None
    policy: Policy | None = None
    # Whose answer it would be.
    target: Target | None = None
    # Of the request, whether or not its answer is kept.
    own_key: bytes | None = None
    # The inputs of an embeddings call.
    batch: Batch | None = None
    # What it asks the semantic layer, and what that said.
    asked: Asked | None = None
    look: Look | None = None
    # Which layer gave the answer.
    layer: str = "exact"
    # What other processes share may have it.
    is_shared: bool = False

    @property
    def waits(self) -> bool:
        """Whether there is more to ask than the answers in memory."""
        return (self.asked is not None or self.is_shared) and not self.is_known

    @property
    def is_known(self) -> bool:
        """Whether the answer is here, or on its way to somebody else."""
        return self.given is not None or self.joined is not None

    def land(self, fault: Fault | None) -> None:
        """The call has ended: those who wait for it have its answer, or why there is none."""
        if self.flight is not None:
            self.flight.land(fault)


# Before the room was entered.
NOT_ASKED = Found(lines=b"")


def looks(inbound: Inbound) -> bool:
    """Whether a caller wants what is kept."""
    return inbound.cache in _LOOKS


def find(inbound: Inbound, body: bytes, route: Route, services: Services) -> Found:
    """Look for an answer to what the caller asked (``body``, as it came); raises Fault where only one would do."""
    found = find_kept(inbound, body, route, services)
    return found if found.is_known or found.waits else join(found, inbound, services)


def find_kept(inbound: Inbound, body: bytes, route: Route, services: Services) -> Found:
    """Look for an answer in memory."""
    wish, call, target = inbound.cache, inbound.call, route.targets[0]
    caching = services.caching
    policy = caching.policy_of(inbound.caller.project_id)
    key: bytes | None = None
    asked: Asked | None = None
    place = (call.endpoint, target.backend.name, target.model)
    if policy.mode != "off" and wish != "off" and (body.find(b'"store"') < 0 or not _STORES.search(body)):
        if call.endpoint == EMBEDDINGS:
            return _find_inputs(caching.split(inbound.caller, policy, place, body), inbound, policy, target, services)
        key = caching.key_of(inbound.caller, policy, place, body)
    if key is not None and policy.is_semantic:
        limits = Limits(services.settings.cache.semantic_max_temperature, policy.tool_calls)
        asked = caching.ask(inbound.caller, policy, place, body, limits)
    if key is not None and wish in _LOOKS:
        answer = caching.answers.find(key, inbound.created_ns)
        if answer is not None:
            given = _give_again(answer, inbound, policy)
            if given is not None:
                _count(caching, asked)
                caching.answers.repeats.keep(inbound.caller.key_id, body, call)
                return Found(lines=hit_lines(answer, inbound.created_ns), given=given)
            if inbound.max_age_s is None:
                caching.answers.forget(key)
    # What the semantic layer stores is in the database for all.
    is_shared = caching.shared is not None and key is not None and asked is None
    return Found(lines=_MISS, key=key if wish in _KEEPS else None, policy=policy, target=target, own_key=key,
                 asked=asked, is_shared=is_shared and wish in _LOOKS)  # fmt: skip


def _find_inputs(batch: Batch | None, inbound: Inbound, policy: Policy, target: Target, services: Services) -> Found:
    """Look for what answers each input of an embeddings call."""
    key = None if batch is None else batch.key
    if batch is not None and inbound.cache in _LOOKS:
        batch.look(services.caching.answers, inbound.created_ns, policy.ttl_s, inbound.max_age_s)
        if batch.is_whole:
            answer = batch.give()
            lines = hit_lines(answer, inbound.created_ns) + batch.lines
            return Found(lines=lines, given=Given(answer, answer.recorded.body or b""), batch=batch)
    return Found(lines=_MISS, key=key if inbound.cache in _KEEPS else None, policy=policy, target=target, own_key=key,
                 batch=batch)  # fmt: skip


def join(found: Found, inbound: Inbound, services: Services) -> Found:
    """Nothing is kept: join a call that asks the same, or lead; raises Fault where only a stored answer would do."""
    wish, body, key, caching = inbound.cache, inbound.call.body, found.own_key, services.caching
    if wish == "only":
        raise Fault(
            "cache_miss",
            "There is no stored answer for this request, and x-watchllm-cache: only forbids to call the provider.",
            should_retry=False,
        )
    if key is None or found.policy is None:
        return Found(lines=_BYPASS)
    if inbound.check is not None:
        found.look = inbound.check.look
    since_ns = 0 if inbound.max_age_s is None else inbound.created_ns - inbound.max_age_s * NS_PER_S
    shares = found.policy.tool_calls or body.find(b'"tools"') < 0
    found.joined = caching.flights.find(key, since_ns) if shares and wish in _LOOKS else None
    if found.joined is not None:
        if wish in _KEEPS:
            found.joined.want(inbound.ttl_s or 0, inbound.tags)
        return found
    # A reply that the gateway limits may be cut where those who ask the same had no limit.
    if shares and inbound.limited_tokens is None and inbound.check is None:
        found.flight = caching.flights.open(key, _begin(inbound))
        return found
    if wish in _REPLACES and inbound.check is None:
        caching.flights.forget(key)
    if wish in _KEEPS and inbound.call.stream:
        found.flight = Flight(caching.flights, key, _begin(inbound))
    return found


def _begin(inbound: Inbound) -> Begun:
    return Begun(
        entry_id=entry_id_of(inbound.request_id), project_id=inbound.caller.project_id, model=inbound.call.model,
        tag_text=inbound.tags, created_ns=inbound.created_ns,
    )  # fmt: skip


async def ask(found: Found, inbound: Inbound, services: Services) -> Found:
    """Ask what is shared, or the store and the semantic layer, for what memory has not, as long as a call may wait."""
    if found.is_shared:
        await _ask_shared(found, inbound, services)
        return found if found.given is not None else join(found, inbound, services)
    layer = services.caching.semantics.want()
    if layer is not None and inbound.cache in _LOOKS:
        try:
            async with asyncio.timeout(services.settings.cache.semantic_max_wait_ms / 1_000):
                await _ask(found, layer, inbound)
        except (TimeoutError, ProviderError, DatabaseUnavailable, msgspec.MsgspecError) as error:
            # The call goes on as if nothing were stored; the layer learns from its answer all the same.
            log.debug("request %s was not looked up: %s", inbound.request_id, error)
        except Exception:
            log.exception("request %s could not be looked up", inbound.request_id)
    if layer is not None and found.given is None and found.look is not None and found.look.is_hit:
        found.look = layer.withdraw(found.look)
    return found if found.given is not None else join(found, inbound, services)


async def _ask_shared(found: Found, inbound: Inbound, services: Services) -> None:
    shared, key, policy = services.caching.shared, found.own_key, found.policy
    if shared is None or key is None or policy is None or services.caching.directory.is_stale:
        # Stale: what was purged elsewhere may not be known here.
        return
    try:
        async with asyncio.timeout(services.settings.cache.shared_max_wait_ms / 1_000):
            answer = await shared.find(key, inbound.caller.project_id)
    except TimeoutError:
        return
    except Exception:
        log.exception("request %s could not be looked up", inbound.request_id)
        return
    given = None if answer is None else _give_again(answer, inbound, policy)
    if answer is not None and given is not None:
        found.given, found.lines = given, hit_lines(answer, inbound.created_ns)


async def _ask(found: Found, layer: Layer, inbound: Inbound) -> None:
    policy, asked, key = found.policy, found.asked, found.own_key
    if policy is None or asked is None or key is None:
        return
    stored = layer.find_exact(key, inbound.created_ns)
    if stored is not None:
        answer = await layer.find_answer(stored, policy.ttl_s)
        given = None if answer is None else _give_again(answer, inbound, policy)
        if answer is not None and given is not None:
            layer.count(asked.scope)
            found.given, found.lines = given, hit_lines(answer, inbound.created_ns)
            return
    if policy.mode != "semantic":
        # The shadow takes its time when the answer is there.
        return
    allowed = policy.allowed.tighten(inbound.allowed)
    look = found.look = await layer.look(asked, allowed, "semantic", is_owners=allowed == policy.allowed)
    if look.entry is None or not look.is_hit:
        return
    answer = await layer.find_answer(look.entry, policy.ttl_s)
    given = None if answer is None else _give_again(answer, inbound, policy)
    if answer is not None and given is not None:
        found.given, found.layer = given, "semantic"
        found.lines = hit_lines(answer, inbound.created_ns, b"hit-semantic") + look.lines


def _count(caching: Caching, asked: Asked | None) -> None:
    """A bound on all requests is about those too that the exact layer answers."""
    layer = caching.semantics.layer
    if asked is not None and layer is not None:
        layer.count(asked.scope)


def note(found: Found, inbound: Inbound, row: UsageRow, services: Services) -> Check | None:
    """Tell the semantic layer what its answer saved; returns what is to be checked by a call of the gateway's own."""
    layer, look, asked, policy = services.caching.semantics.layer, found.look, found.asked, found.policy
    if layer is None or look is None or asked is None or policy is None:
        return None
    check = Check(request_id=inbound.request_id, asked=asked, look=look)
    layer.note(check, inbound.caller.project_id, row.saved_pusd, prompts=policy.prompts)
    return check if look.decision == "audit" else None


def note_parts(found: Found, inbound: Inbound, services: Services) -> None:
    """Note of which entries a call has its inputs' answers, beside the one that its row names."""
    if found.batch is None:
        return
    entries = found.batch.entries
    if found.given is not None:
        entries.discard(found.given.answer.entry_id)
    if entries:
        services.caching.directory.parts.note(
            inbound.caller.project_id, inbound.request_id, entries, inbound.created_ns
        )


def give(answer: StoredAnswer, inbound: Inbound) -> Given | None:
    """An answer in the form that a call wants; None where it cannot be made."""
    created_s = inbound.created_ns // NS_PER_S
    try:
        if inbound.call.stream:
            return Given(answer, b"", *answer.recorded.as_stream(inbound.request_id, created_s))
        return Given(answer, answer.recorded.as_body(inbound.request_id, created_s))
    except InvalidAnswer as invalid:
        log.warning("the answer %s cannot be given again: %s", answer.entry_id, invalid.message)
        return None


def keep(found: Found, journey: Journey, outcome: Outcome, row: UsageRow) -> None:
    """Give a call's answer to those who wait for it, and keep it where it is whole and wanted again."""
    if outcome.spared_tokens:
        note_parts(found, journey.inbound, journey.services)
    flight, policy, upstream, usage = found.flight, found.policy, journey.upstream, outcome.usage
    if policy is None or (found.key is None and (flight is None or not flight.has_followers)):
        return
    inbound = journey.inbound
    recorded = None if upstream is None else _record(upstream, inbound.call.endpoint, flight)
    if upstream is None or recorded is None or usage is None or outcome.error_code:
        return
    if upstream.relay is not None and (journey.client.is_gone or not upstream.relay.reader.finished):
        # A stream that nobody waited for to its end; what came whole is whole, whoever left.
        return
    answer = StoredAnswer(
        entry_id=entry_id_of(inbound.request_id),
        project_id=inbound.caller.project_id,
        model=inbound.call.model,
        provider=row.provider,
        upstream_model=row.upstream_model,
        lines=upstream.target.lines,
        is_free=upstream.target.backend.is_free,
        tags=tuple(split_tags(inbound.tags)) if inbound.tags else (),
        created_ns=inbound.created_ns,
        usage=usage,
        recorded=recorded,
        ttl_s=inbound.ttl_s or 0,
    )
    if flight is not None:
        if flight.ttls_s:
            answer = flight.share(answer, policy.ttl_s, is_kept=found.key is not None)
            found.key = found.own_key
        flight.answer = answer if not outcome.spared_tokens else answer.with_spared(outcome.spared_tokens)
        if flight.has_followers:
            flight.ends = (recorded.held or b"", recorded.usage_chunk)
    # What was purged meanwhile was asked for before.
    is_wanted = found.key is not None and _is_wanted_again(found, upstream, recorded, policy)
    if is_wanted and not journey.services.caching.is_purged(answer):
        _store(found, journey, policy, answer, row.cost_pusd)


def _store(found: Found, journey: Journey, policy: Policy, answer: StoredAnswer, cost_pusd: int) -> None:
    """Keep an answer in memory, share it, and have it learnt."""
    inbound, caching, key = journey.inbound, journey.services.caching, found.key
    ttl_s = answer.ttl_s or policy.ttl_s
    if key is None:
        return
    if inbound.check is None and (inbound.cache in _REPLACES or inbound.max_age_s is not None):
        keys = (key,) if found.batch is None else found.batch.sent_keys
        caching.directory.refreshes.note(keys, answer.created_ns)
    if found.batch is not None:
        found.batch.keep(caching.answers, answer, ttl_s=ttl_s, cost_pusd=cost_pusd)
        return
    caching.answers.keep(key, answer, ttl_s=ttl_s, saved_pusd=cost_pusd)
    if caching.shared is not None and found.asked is None:
        caching.shared.put(key, answer, ttl_s=ttl_s, saved_pusd=cost_pusd)
    layer = caching.semantics.layer
    if (
        found.asked is not None
        and layer is not None
        and prove(answer.recorded, inbound.call.n, allows_calls=policy.tool_calls)
    ):
        fresh = Fresh(
            asked=found.asked, look=found.look, answer=answer, key=key,
            expires_ns=answer.created_ns + ttl_s * NS_PER_S, cost_pusd=cost_pusd,
            checks="" if inbound.check is None else inbound.check.request_id, prompts=policy.prompts,
            takes_stored=inbound.cache in _LOOKS, allowed=policy.allowed.tighten(inbound.allowed),
            asker=find_asker(policy, inbound.caller, inbound.tags, inbound.session),
        )  # fmt: skip
        layer.learn(fresh)


def _is_wanted_again(found: Found, upstream: Upstream, recorded: Recorded, policy: Policy) -> bool:
    if found.target is not upstream.target:
        # Another target's answer is not what was asked for, nor what the next one gets.
        return False
    relay = upstream.relay
    if relay is not None and not (
        found.flight is not None and found.flight.is_shared and relay.reader.delivered().has_any
    ):
        return False
    return seems_whole(recorded, allows_calls=policy.tool_calls)


def _give_again(answer: StoredAnswer, inbound: Inbound, policy: Policy) -> Given | None:
    """A kept answer in the form that a call wants; None where it may not be given again, or cannot be made."""
    if is_old(answer, inbound.created_ns, policy.ttl_s, inbound.max_age_s):
        return None
    return give(answer, inbound) if prove(answer.recorded, inbound.call.n, allows_calls=policy.tool_calls) else None


def _record(upstream: Upstream, endpoint: str, flight: Flight | None) -> Recorded | None:
    if upstream.answer is not None:
        return record_body(endpoint, upstream.answer.body)
    relay = upstream.relay
    if relay is None or flight is None or not relay.reader.finished:
        return None
    # A provider may end its answer with [DONE] alone.
    held = relay.reader.held or b""
    return record_stream(endpoint, b"".join(flight.pieces), held, relay.reader.usage_chunk)
