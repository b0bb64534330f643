"""Room 3: money. What a call may cost at most is held on every budget that governs it, before it is sent.

Where its longest reply does not fit, the call goes out with a smaller limit on the reply, spliced into its bytes; where
not even a short one fits, it is refused with 402. Each further try after one that may have been billed is held as well.

What only the call's own cap refuses goes on to the cache, whose answer is free, and no further; what a budget stops
reads nothing.

Where all budgets only alert, nothing is refused and no byte is changed: what can be bounded is held, so that it shows,
and the rest is only counted once it is settled.

Failure behavior: where what was spent cannot be asked there is a 503, where the bound of a call cannot be known a 402,
unless all budgets only alert; nothing is sent while the journal takes no hold.
"""

from collections.abc import Callable
from functools import partial

import msgspec

from gateway.budgets import refusal
from gateway.budgets.bound import (
    PREAMBLE_TOKENS,
    UNBOUNDED,
    Bound,
    Reach,
    Tariff,
    Worst,
    bound_call,
    bound_plainly,
    bound_target,
    from_count,
    join_worsts,
)
from gateway.budgets.directory import Standing
from gateway.budgets.exclusions import PLAIN, Shape, read_shape
from gateway.budgets.keeping.funds import Funds, only_alert
from gateway.budgets.keeping.keeper import Tighten, Wish
from gateway.budgets.keeping.terms import Terms
from gateway.budgets.reply_limit import has_both_limits, limit_reply
from gateway.budgets.spending import cost_of
from gateway.errors import Fault
from gateway.ledger.recording.doubt import Doubt
from gateway.ledger.row import UsageRow
from gateway.ledger.settle import settle_call
from gateway.pipeline import meter
from gateway.pipeline.flow import Doubtful, Inbound, Route, Target
from gateway.pipeline.meter import Produced
from gateway.pipeline.route import RouteTable
from gateway.pipeline.services import Services
from providers.chat import Usage
from providers.errors import ProviderError, Refused
from providers.pricing.prices import FOREVER_NS, MAX_COST_PUSD, Price
from providers.wire import Call, StreamReader

# A tier of its own price that the caller may ask for.
_TIERS, _TIER = ("priority",), b'"service_tier"'


class Assessment(msgspec.Struct, frozen=True):
    """What is known of a call's cost before it is made. Not keyword-only, as Bound."""

    bound: Bound
    shape: Shape
    # Targets whose model has no price, as provider/model.
    unpriced: tuple[str, ...] = ()


def may_govern(inbound: Inbound, services: Services) -> bool:
    """Whether the room has anything to ask; one test where there is no budget at all."""
    return not services.budgets.books.directory.is_empty or inbound.max_cost_pusd is not None


def hold_at_once(inbound: Inbound, table: RouteTable, services: Services) -> Funds | None:
    """Hold for a plain call like others before it, of which all fits, as most are; None: ``hold`` has to be asked."""
    call, caller, keeper = inbound.call, inbound.caller, services.budgets
    if not call.is_plain:
        return None
    if inbound.tags and keeper.books.directory.has_tags:
        terms = _agree(inbound, table, services)
    else:
        alike = caller.key_id, call.endpoint, call.model, call.max_tokens
        terms = keeper.remembered.find(alike, caller, table, inbound.created_ns)
        if terms is None and (terms := _agree(inbound, table, services)) is not None:
            keeper.remembered.keep(alike, terms)
    if terms is None:
        return None
    tariff, input_tokens, n = terms.tariff, len(call.body) + PREAMBLE_TOKENS, call.n * call.prompts
    # As bound_plainly does.
    bound = Bound(tariff.targets, input_tokens, tariff.output_tokens, n)
    doubt = _doubt(inbound, terms.provider, terms.upstream_model, tariff.cost_pusd(input_tokens, n))
    return keeper.hold_at_once(terms, bound, inbound.max_cost_pusd, doubt)


def _agree(inbound: Inbound, table: RouteTable, services: Services) -> Terms | None:
    """On what terms money is held for a plain call; None where ``hold`` has to find out."""
    caller, call, at_ns = inbound.caller, inbound.call, inbound.created_ns
    route = table.find(call.model)
    if caller.kind == "test" or route is None:
        return None
    if caller.allowed_models is not None and call.model not in caller.allowed_models:
        return None
    standings = services.budgets.books.directory.find(caller, inbound.tags)
    tariff = route.tariffs.find(call, at_ns)
    if not standings or tariff is None or tariff.needs_limit or not tariff.targets:
        return None
    first = route.targets[0]
    way = first.backend.name, first.model
    return services.budgets.remembered.make(caller, standings, table, way, tariff, at_ns)


async def hold(inbound: Inbound, table: RouteTable, services: Services) -> tuple[Inbound, Funds | None]:
    """Hold what a call may cost; the call comes back as it may go out. Raises Fault.

    What has a ``refusal`` may not go out: the cache alone may answer it.
    """
    caller, call, cap = inbound.caller, inbound.call, inbound.max_cost_pusd
    standings = services.budgets.books.directory.find(caller, inbound.tags)
    if caller.kind == "test" or (not standings and cap is None):
        return inbound, None
    route = table.find(call.model)
    if route is None or (caller.allowed_models is not None and call.model not in caller.allowed_models):
        # Refused in the room that routes.
        return inbound, None
    limit, has_both = call.max_tokens, has_both_limits(call)
    if limit is not None and has_both and not only_alert(standings, cap):
        # Which of two that differ a provider believes is its own choice: it gets the one that is held for.
        call = limit_reply(call, limit)
        inbound = msgspec.structs.replace(inbound, call=call)
    found = assess(call, route, services, inbound.created_ns)
    if has_both or found.unpriced or found.shape.excluded or found.bound.needs_limit:
        if only_alert(standings, cap):
            return inbound, await _watch(inbound, route.targets[0], standings, services)
        fault = _find_unbounded(found, standings, cap, services)
        if fault is not None:
            return inbound, _refuse_or_look(fault, inbound, route.targets[0], standings, services)
    if not found.bound.targets:
        return inbound, None
    doubt = _doubt_at(inbound, route.targets[0], found.bound.pusd)
    funds = services.budgets.reserve_at_once(standings, found.bound, cap, doubt)
    if funds is None:
        # Calls that have ended in this turn make room.
        services.recorder.turn.finish()
        wish = Wish(standings, found.bound, cap, doubt)
        tighten = partial(_tighten, call, route.targets[0].model, found, services)
        funds = await _reserve(wish, tighten, services)
    return _limit(inbound, funds), funds


async def _reserve(wish: Wish, tighten: Tighten, services: Services) -> Funds | None:
    """Hold what somebody has to be asked for; None: it cannot be, and nothing that governs the call minds."""
    try:
        return await services.budgets.reserve(wish, tighten)
    except Fault:
        if only_alert(wish.standings, wish.cap_pusd):
            return None
        raise


async def _watch(inbound: Inbound, target: Target, standings: tuple[Standing, ...], services: Services) -> Funds | None:
    """Let a call out as it is whose cost nobody can bound; its budgets, which only alert, count it as it settles."""
    doubt = _doubt_at(inbound, target, 0)
    funds = services.budgets.reserve_at_once(standings, UNBOUNDED, None, doubt)
    if funds is not None:
        return funds

    async def tighten() -> Bound:
        return UNBOUNDED

    return await _reserve(Wish(standings, UNBOUNDED, None, doubt), tighten, services)


def _limit(inbound: Inbound, funds: Funds | None) -> Inbound:
    """Splice the limit on the reply into a call that is held for with a smaller one than its own."""
    call = inbound.call
    if funds is None or funds.max_tokens is None or call.max_tokens == funds.max_tokens:
        return inbound
    if call.endpoint == "embeddings" or funds.only_alerts:
        return inbound
    limited = limit_reply(call, funds.max_tokens)
    return msgspec.structs.replace(inbound, call=limited, limited_tokens=funds.max_tokens)


def _find_unbounded(
    found: Assessment, standings: tuple[Standing, ...], cap: int | None, services: Services
) -> Fault | None:
    """Why nobody can say what a call costs at most, None where somebody can."""
    if found.unpriced and services.settings.budgets.unpriced == "refuse":
        why = f"{found.unpriced[0]} has no price; [[prices]] gives it one"
    elif found.shape.excluded and found.bound.targets:
        why = f"{found.shape.excluded[0].name}, {found.shape.excluded[0].reason}"
    else:
        return None
    return refusal.refuse_unbounded(standings[0].budget if standings else None, cap, why)


def _refuse_or_look(
    fault: Fault, inbound: Inbound, target: Target, standings: tuple[Standing, ...], services: Services
) -> Funds:
    """Refuse a call without a bound where a budget blocks; its own cap alone leaves it an answer that is free."""
    if any(standing.budget.action == "block" for standing in standings):
        raise fault
    doubt = _doubt_at(inbound, target, 0)
    funds = Funds(services.budgets.books, (), UNBOUNDED, doubt, inbound.max_cost_pusd, None)
    funds.refusal = fault
    return funds


def assess(call: Call, route: Route, services: Services, at_ns: int) -> Assessment:
    """Bound what a call may cost, whichever of its targets answers."""
    shape = read_shape(call)
    bound = _bound_plainly(call, route, services, at_ns) if shape is PLAIN else None
    if bound is not None:
        return Assessment(bound, shape)
    reaches: list[Reach] = []
    unpriced: list[str] = []
    for target in route.targets:
        if target.backend.is_free:
            continue
        prices = _find_prices(call, target, services, at_ns, hides_words=shape.hides_words)
        if prices:
            longest = services.routes.max_output_tokens(target.backend.name, target.model)
            reaches.append(Reach(prices=prices, max_output_tokens=longest))
        else:
            unpriced.append(f"{target.backend.name}/{target.model}")
    default = services.settings.budgets.default_max_tokens
    return Assessment(bound_call(call, reaches, default, shape), shape, tuple(unpriced))


def _bound_plainly(call: Call, route: Route, services: Services, at_ns: int) -> Bound | None:
    """The bound of a call that can cause no rare rate, by targets of one price each; None: look more closely."""
    if call.body.find(_TIER) >= 0:
        return None
    tariff = route.tariffs.find(call, at_ns) or _find_tariff(call, route, services, at_ns)
    return None if tariff is None else bound_plainly(call, tariff)


def _find_tariff(call: Call, route: Route, services: Services, at_ns: int) -> Tariff | None:
    """What a route charges for plain calls like this one, kept with it as long as its prices are in force."""
    worsts: list[Worst] = []
    from_ns, until_ns = 0, FOREVER_NS
    for target in route.targets:
        if target.backend.is_free:
            continue
        begins_ns, ends_ns, price = services.prices.lookup_span(target.backend.name, target.model, at_ns)
        if price is None or price.tiers:
            return None
        longest = services.routes.max_output_tokens(target.backend.name, target.model)
        worsts.append(bound_target(call, price, longest, services.settings.budgets.default_max_tokens))
        from_ns, until_ns = max(from_ns, begins_ns), min(until_ns, ends_ns)
    tariff = join_worsts(worsts, from_ns, until_ns)
    route.tariffs.keep(call, tariff)
    return tariff


def send_off(funds: Funds, services: Services) -> None:
    """Note what is held, so that it survives this process before the call goes out; see gateway.upstreams."""
    if funds.hold_ids and funds.bound.targets:
        services.recorder.hold(funds.doubt)


def may_be_billed(error: ProviderError, funds: Funds | None) -> bool:
    """Whether a try that failed has to be accounted for: it went out, and no answer says that nothing was made.

    Where a budget governs, whatever may be billed is; else only what was made for certain: an answer that broke off or
    cannot be read, or that says what it used.
    """
    if funds is None or not funds.bound.targets:
        return error.was_made
    return error.was_made or (error.sent and not isinstance(error, Refused))


async def cover(
    inbound: Inbound, funds: Funds | None, doubtful: Doubtful, attempts: int, services: Services
) -> int | None:
    """Account for a try that may be billed, before another is made; None: there is no money for another."""
    usage = doubtful.usage
    if funds is not None and funds.bound.targets:
        services.recorder.turn.finish()
        if not await services.budgets.reserve_more(funds, attempts + 1) and not funds.only_alerts:
            return None
        lost_pusd = funds.bound.pusd if usage is None else _price(inbound, doubtful.target, usage, services)
        funds.doubt = msgspec.structs.replace(
            funds.doubt, cost_pusd=funds.doubt.cost_pusd + lost_pusd, attempts=attempts + 1
        )
        send_off(funds, services)
        return lost_pusd
    if usage is None and not doubtful.target.backend.is_free:
        usage = await meter.measure(inbound.call, doubtful.target.model, Produced(reported=None), services)
    return 0 if usage is None else _price(inbound, doubtful.target, usage, services)


def charge(row: UsageRow, funds: Funds | None, lost_pusd: int, *, is_in_doubt: bool = False) -> UsageRow:
    """Add to a row what earlier tries cost; what nobody knows is charged as held, and no estimate above that.

    A report that goes beyond the limit which the provider was given is believed, and marked: it will be billed, and a
    budget that counted less would let more such calls out.
    """
    if funds is not None and funds.bound.targets:
        if not (is_in_doubt or row.is_estimated):
            bound = funds.bound
            produced = row.output_tokens + row.audio_output_tokens + row.image_output_tokens
            if produced > bound.output_tokens * bound.n and not row.is_cached:
                row = msgspec.structs.replace(row, is_anomalous=True)
        elif is_in_doubt and funds.is_open:
            changes = {"status": "in_doubt", "cost_pusd": funds.bound.pusd, "cost_basis": "bound", "is_estimated": True}
            row = msgspec.structs.replace(row, **changes)
        elif row.cost_pusd > (most_pusd := funds.bound.pusd):
            row = msgspec.structs.replace(row, cost_pusd=most_pusd, cost_basis="bound")
    if lost_pusd:
        # What the database can count, see cost_pusd; nothing that was held comes near.
        cost = min(row.cost_pusd + lost_pusd, MAX_COST_PUSD)
        row = msgspec.structs.replace(row, cost_pusd=cost, lost_pusd=min(lost_pusd, cost))
    return row


def settle(row: UsageRow, inbound: Inbound, funds: Funds | None, revision: int, services: Services) -> None:
    """End what was held with what the call cost; the row is recorded in the same turn of the loop.

    ``revision`` is the budgets' as the call came: those that came since count it too, though nothing was held there.
    """
    cost = cost_of(row)
    if funds is not None:
        funds.settle(cost)
    books = services.budgets.books
    if cost and books.directory.revision != revision:
        known = () if funds is None else {standing.budget.budget_id for standing in funds.standings}
        governing = books.directory.find(inbound.caller, inbound.tags)
        late = [standing for standing in governing if standing.budget.budget_id not in known]
        books.adjust(late, inbound.created_ns, cost)


def make_guard(
    funds: Funds | None, target: Target, services: Services
) -> Callable[[StreamReader], ProviderError | None] | None:
    """What watches a stream for which money is held, None where none is."""
    if funds is None or not funds.bound.output_tokens or funds.only_alerts:
        return None
    return meter.Guard(services.tokenizers, target.model, funds.bound.output_tokens * funds.bound.n)


def _price(inbound: Inbound, target: Target, usage: Usage, services: Services) -> int:
    if target.backend.is_free:
        return 0
    return settle_call(services.prices, target.backend.name, target.model, inbound.created_ns, usage).pusd


def _find_prices(call: Call, target: Target, services: Services, at_ns: int, *, hides_words: bool) -> tuple[Price, ...]:
    lookup, provider = services.prices.lookup, target.backend.name
    standard = lookup(provider, target.model, at_ns)
    if standard is None:
        return ()
    if not hides_words and b'"service_tier"' not in call.body:
        return (standard,)
    dearer = [lookup(provider, target.model, at_ns, tier) for tier in _TIERS]
    return (standard, *(price for price in dearer if price is not None))


async def _tighten(call: Call, model: str, found: Assessment, services: Services) -> Bound:
    """The bound by counting what by its bytes did not fit."""
    counted = await services.loop.run_in_executor(None, services.tokenizers.count_prompt, model, call.body)
    return from_count(found.bound, model, counted, found.shape)


def _doubt_at(inbound: Inbound, target: Target, most_pusd: int) -> Doubt:
    return _doubt(inbound, target.backend.name, target.model, most_pusd)


def _doubt(inbound: Inbound, provider: str, upstream_model: str, most_pusd: int) -> Doubt:
    call, caller = inbound.call, inbound.caller
    return Doubt(
        inbound.request_id,
        inbound.created_ns,
        caller.project_id,
        caller.key_id,
        call.endpoint,
        call.model,
        provider,
        upstream_model,
        most_pusd,
        inbound.tags,
        inbound.session,
        call.stream,
    )
