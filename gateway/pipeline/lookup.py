"""Room 5: what was answered already is answered again; of requests that say the same at once only one is sent on.

Failure behavior: whatever is wrong with what is kept is a miss, never an error; what cannot be kept is not kept.
"""

import logging

import msgspec

from gateway.caching.answers import NS_PER_S, StoredAnswer, age_s, entry_id_of
from gateway.caching.flights import Flight
from gateway.caching.policy import Policy
from gateway.config.settings import MAX_TTL_S
from gateway.errors import Fault, shown
from gateway.ledger.row import UsageRow
from gateway.pipeline.flow import CacheWish, Inbound, Outcome, Route, Target
from gateway.pipeline.send import Journey, Upstream
from gateway.pipeline.services import Services
from providers.errors import InvalidAnswer
from providers.openai.recorded import Recorded, is_whole, record_body, record_stream, seems_whole

WISHES: dict[bytes, CacheWish] = {
    b"": "default",
    b"off": "off",
    b"read": "read",
    b"write": "write",
    b"refresh": "refresh",
    b"only": "only",
}
_LOOKS = frozenset({"default", "read", "only"})
_KEEPS = frozenset({"default", "write", "refresh"})
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


def read_wish(value: bytes) -> CacheWish:
    """Read ``x-watchllm-cache``; raises Fault for a word that it does not know."""
    wish = WISHES.get(value.strip().lower())
    if wish is None:
        known = ", ".join(word.decode() for word in WISHES if word)
        raise Fault(
            "invalid_request",
            f"The header x-watchllm-cache is {shown(value.decode('latin-1'))}; it takes one of {known}.",
            param="x-watchllm-cache",
        )
    return wish


def read_control(value: bytes, wish: CacheWish) -> CacheWish:
    """What ``Cache-Control`` adds to a wish: no-store is off, no-cache is refresh; the rest is for others' caches."""
    words = {word.strip() for word in value.lower().split(b",")}
    if b"no-store" in words:
        return "off"
    return "refresh" if b"no-cache" in words and wish == "default" else wish


def read_ttl(value: bytes) -> int:
    """Read ``x-watchllm-cache-ttl`` in seconds; raises Fault for anything but a whole number of them."""
    text = value.decode("latin-1").strip()
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:12]) <= MAX_TTL_S):
        raise Fault(
            "invalid_request",
            f"The header x-watchllm-cache-ttl is {shown(text)}; it takes seconds, 1 to {MAX_TTL_S}.",
            param="x-watchllm-cache-ttl",
        )
    return int(text)


def find(inbound: Inbound, body: bytes, route: Route, services: Services) -> Found:
    """Look for an answer to what the caller asked (``body``, as it came); raises Fault where only one would do."""
    wish, call, target = inbound.cache, inbound.call, route.targets[0]
    caching = services.caching
    policy = caching.policy_of(inbound.caller.project_id)
    key: bytes | None = None
    if policy.mode != "off" and wish != "off" and body.find(b'"store"') < 0:
        place = (call.endpoint, target.backend.name, target.model)
        key = caching.key_of(inbound.caller, policy, place, body)
    if key is not None and wish in _LOOKS:
        answer = caching.answers.find(key, inbound.created_ns)
        if answer is not None:
            given = give(answer, inbound) if _is_proven(answer.recorded, call.n, policy) else None
            if given is not None:
                return Found(lines=hit_lines(answer, inbound.created_ns), given=given)
            caching.answers.forget(key)
    if wish == "only":
        raise Fault(
            "cache_miss",
            "There is no stored answer for this request, and x-watchllm-cache: only forbids to call the provider.",
            should_retry=False,
        )
    if key is None:
        return Found(lines=_BYPASS)
    keeps, entry_id = wish in _KEEPS, entry_id_of(inbound.request_id)
    joined = flight = None
    if wish in _LOOKS and (policy.tool_calls or body.find(b'"tools"') < 0):
        joined = caching.flights.find(key)
        flight = caching.flights.open(key, entry_id) if joined is None else None
    elif keeps and call.stream:
        flight = Flight(caching.flights, key, entry_id)
    return Found(lines=_MISS, joined=joined, flight=flight, key=key if keeps else None, policy=policy, target=target)


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


def joined_lines(flight: Flight) -> bytes:
    """The header lines of an answer that is shared with the call which brings it."""
    return b"x-watchllm-cached: true\r\nx-watchllm-cache: hit-exact\r\nx-watchllm-cache-entry: %s\r\n" % (
        flight.entry_id.encode()
    )


def hit_lines(answer: StoredAnswer, now_ns: int) -> bytes:
    """The header lines of an answer that is given again."""
    return (
        b"x-watchllm-cached: true\r\nx-watchllm-cache: hit-exact\r\nx-watchllm-cache-entry: %s\r\n"
        b"x-watchllm-cache-age: %d\r\nx-watchllm-tokens-saved: %d\r\n"
        % (answer.entry_id.encode(), age_s(answer, now_ns), answer.usage.total_tokens)
    )


def keep(found: Found, journey: Journey, outcome: Outcome, row: UsageRow) -> None:
    """Give a call's answer to those who wait for it, and keep it where it is whole and wanted again."""
    flight, policy, upstream, usage = found.flight, found.policy, journey.upstream, outcome.usage
    if policy is None or (found.key is None and (flight is None or not flight.has_followers)):
        return
    inbound = journey.inbound
    recorded = None if upstream is None else _record(upstream, inbound.call.endpoint, flight)
    if upstream is None or recorded is None or usage is None or outcome.error_code:
        return
    if upstream.relay is not None and outcome.status != "complete":
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
        tags=tuple(filter(None, inbound.tags.split(","))) if inbound.tags else (),
        created_ns=inbound.created_ns,
        usage=usage,
        recorded=recorded,
    )
    if flight is not None:
        flight.answer = answer
    if found.key is not None and _is_wanted_again(found, upstream, recorded, policy):
        ttl_s = inbound.ttl_s or policy.ttl_s
        journey.services.caching.answers.keep(found.key, answer, ttl_s=ttl_s, saved_pusd=row.cost_pusd)


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


def _is_proven(recorded: Recorded, choices: int, policy: Policy) -> bool:
    """Whether an answer that is asked for again may be given again; it is read once."""
    if not recorded.is_proven:
        recorded.is_proven = is_whole(recorded, choices, allows_calls=policy.tool_calls)
    return recorded.is_proven


def _record(upstream: Upstream, endpoint: str, flight: Flight | None) -> Recorded | None:
    if upstream.answer is not None:
        return record_body(endpoint, upstream.answer.body)
    relay = upstream.relay
    if relay is None or flight is None or relay.reader.held is None:
        return None
    return record_stream(endpoint, b"".join(flight.pieces), relay.reader.held, relay.reader.usage_chunk)
