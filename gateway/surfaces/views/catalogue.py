"""Models and prices with dates and sources, and what the caller's traffic would have cost with another model.

Failure behavior: while the database is away, what needs it is answered 503.
"""

import msgspec
from litestar import get
from litestar.di import NamedDependency

from gateway.analytics.models.simulation import INTERVAL, Group, simulate
from gateway.analytics.models.unpriced import MAX_DAYS, Unpriced, read_unpriced
from gateway.analytics.moments import NS_PER_DAY, day_text, moment_text
from gateway.db import Database
from gateway.errors import Fault, shown
from gateway.pipeline.services import Services
from gateway.surfaces.access import caller_of, may_in_own
from gateway.surfaces.parameters import Parameter, asked, count_of, takes
from gateway.surfaces.views.reach import PROJECT, AnyRequest, find_projects, period, period_of
from gateway.surfaces.views.usage import SCOPE, usd_number, wait_for_rows
from providers.catalogue import ModelCard
from providers.pricing.prices import Price, PriceTable, Rates, format_usd
from providers.registry import PROVIDERS

TAG = "Models"
DEFAULT_LIMIT = 100
MAX_LIMIT = 2_000


class PriceTierView(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of a whole call whose input is longer."""

    above_input_tokens: int
    usd_per_million_tokens: dict[str, str]


class PriceListing(msgspec.Struct, frozen=True, kw_only=True):
    """A price from a day on; exact decimals of dollars."""

    id: str
    effective_from: str
    # Where it was read and when; null for the operator's own.
    source: str | None
    as_of: str | None
    # "bundled" or "operator".
    authority: str
    free: bool
    usd_per_million_tokens: dict[str, str]
    usd_per_request: str
    tiers: list[PriceTierView]


class CatalogueModel(msgspec.Struct, frozen=True, kw_only=True):
    """A name that callers use, who answers for it, and what that costs now and cost before."""

    name: str
    provider: str
    model: str
    kind: str
    max_input_tokens: int | None
    max_output_tokens: int | None
    deprecated: bool
    # The day on which the provider ends it.
    shutdown: str | None
    # By the configured providers; a project's own credentials may make more callable.
    callable: bool
    # Null: its calls are told as unpriced, and refused where a budget governs them.
    price: PriceListing | None
    price_history: list[PriceListing]


class CatalogueView(msgspec.Struct, frozen=True, kw_only=True):
    """Sorted by name; ``next`` is the ``after`` of the next page."""

    total: int
    models: list[CatalogueModel]
    next: str | None


class SimulatedModel(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of one model, as they were and as they would have been."""

    model: str
    provider: str
    upstream_model: str
    requests: int
    actual_usd: msgspec.Raw
    simulated_usd: msgspec.Raw
    low_usd: msgspec.Raw
    high_usd: msgspec.Raw


class SimulationView(msgspec.Struct, frozen=True, kw_only=True):
    """All calls that a provider answered, audits among them; ``interval`` says what low and high cover."""

    model: str
    provider: str
    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")
    price: PriceListing
    requests: int
    actual_usd: msgspec.Raw
    simulated_usd: msgspec.Raw
    low_usd: msgspec.Raw
    high_usd: msgspec.Raw
    interval: str
    by_model: list[SimulatedModel]


class UnpricedView(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one name that were answered and that nobody could price: they count as 0 until somebody does."""

    provider: str
    # What the provider calls it, which is what ``[[prices]]`` names.
    upstream_model: str
    # What callers call it.
    model: str
    requests: int
    tokens: int
    first_at: str
    last_at: str
    # By now the configuration has a price for their time: ``watchllm ledger rerate`` charges them.
    price_known: bool


class UnpricedList(msgspec.Struct, frozen=True, kw_only=True):
    """Whole days in UTC; those with the most tokens first."""

    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")
    requests: int
    # False: there are too many to look at each; counts and moments are then those of whole days, and at the least.
    exact: bool
    models: list[UnpricedView]


@get(
    "/api/catalogue",
    summary="List models and their prices",
    tags=[TAG],
    opt=takes(
        Parameter(name="search", meaning="Models with this in their names"),
        Parameter(name="provider", meaning="Models of this provider"),
        Parameter(name="callable", meaning="Only models that can be called here", choices=("true", "false")),
        Parameter(name="limit", meaning="The most models", most=MAX_LIMIT, default=DEFAULT_LIMIT),
        Parameter(name="after", meaning="The name that the page before ended with"),
    ),
    guards=[may_in_own("usage:read", scope=SCOPE)],
)
async def list_catalogue(request: AnyRequest, services: NamedDependency[Services]) -> CatalogueView:
    """By their names; `next` is where the next page begins."""
    given, limit = asked(request), count_of(request, "limit")
    own = {card.id: card for card in services.routes.cards()}
    cards = {card.id: card for card in services.routes.catalogue.names(frozenset(PROVIDERS))} | own
    search, provider = (given.get("search") or "").lower(), given.get("provider")
    matching = [
        card
        for name, card in sorted(cards.items())
        if search in name.lower()
        and (not provider or card.provider == provider)
        and (given.get("callable") != "true" or name in own)
    ]
    page = [card for card in matching if card.id > (given.get("after") or "")]
    return CatalogueView(
        total=len(matching),
        models=[_model(card, services, is_callable=card.id in own) for card in page[:limit]],
        next=page[limit - 1].id if len(page) > limit else None,
    )


@get(
    "/api/catalogue/unpriced",
    summary="List calls without a price",
    tags=[TAG],
    opt=takes(*period(), PROJECT),
    guards=[may_in_own("usage:read", scope=SCOPE)],
)
async def list_unpriced(
    request: AnyRequest, services: NamedDependency[Services], database: NamedDependency[Database]
) -> UnpricedList:
    """By model, of whole days, at most 92."""
    meant = period_of(request, services.now_ns()).in_buckets(NS_PER_DAY)
    if meant.to_ns - meant.from_ns > MAX_DAYS * NS_PER_DAY:
        raise Fault(
            "invalid_request",
            f"The period from {moment_text(meant.from_ns)} to {moment_text(meant.to_ns)} is longer than {MAX_DAYS} "
            "days; ask for less.",
            param="range" if "range" in asked(request) else "from",
        )
    project_ids = await find_projects(request, caller_of(request), database)
    await wait_for_rows(services)
    found = await read_unpriced(database, services.prices, project_ids, meant.from_ns, meant.to_ns)
    return UnpricedList(
        since=moment_text(meant.from_ns),
        until=moment_text(meant.to_ns),
        requests=sum(each.calls for each in found.groups),
        exact=found.is_exact,
        models=[_unpriced(each, services.prices) for each in found.groups],
    )


@get(
    "/api/simulation",
    summary="What traffic would have cost with another model",
    tags=[TAG],
    opt=takes(Parameter(name="model", meaning="A name of the catalogue", is_required=True), *period(), PROJECT),
    guards=[may_in_own("usage:read", scope=SCOPE)],
)
async def show_simulation(
    request: AnyRequest, services: NamedDependency[Services], database: NamedDependency[Database]
) -> SimulationView:
    """By the tokens of each call."""
    name = asked(request)["model"]
    meant = period_of(request, services.now_ns())
    card, price = _find_price(services, name)
    project_ids = await find_projects(request, caller_of(request), database)
    await wait_for_rows(services)
    groups = await simulate(database, project_ids, meant, price)
    return SimulationView(
        model=name,
        provider=card.provider,
        since=moment_text(meant.from_ns),
        until=moment_text(meant.to_ns),
        price=_listing(services.prices, price),
        requests=sum(group.requests for group in groups),
        actual_usd=usd_number(sum(group.actual_pusd for group in groups)),
        simulated_usd=usd_number(sum(group.simulated_pusd for group in groups)),
        low_usd=usd_number(sum(group.low_pusd for group in groups)),
        high_usd=usd_number(sum(group.high_pusd for group in groups)),
        interval=INTERVAL,
        by_model=list(map(_simulated, groups)),
    )


def _find_price(services: Services, name: str) -> tuple[ModelCard, Price]:
    own = {card.id: card for card in services.routes.cards()}
    known = {card.id: card for card in services.routes.catalogue.names(frozenset(PROVIDERS))} | own
    card = known.get(name)
    if card is None:
        raise Fault("invalid_request", f"model={shown(name)} is no name of GET /api/catalogue.", param="model")
    price = services.prices.lookup(card.provider, card.model, services.now_ns())
    if price is None:
        raise Fault("invalid_request", f"model={shown(name)} has no price; [[prices]] gives it one.", param="model")
    return card, price


def _model(card: ModelCard, services: Services, *, is_callable: bool) -> CatalogueModel:
    prices, row = services.prices, services.routes.catalogue.row(card.provider, card.model)
    now = prices.lookup(card.provider, card.model, services.now_ns())
    return CatalogueModel(
        name=card.id,
        provider=card.provider,
        model=card.model,
        kind=card.kind,
        max_input_tokens=None if row is None else row.max_input_tokens,
        max_output_tokens=None if row is None else row.max_output_tokens,
        deprecated=card.deprecated,
        shutdown=(row.shutdown or None) if row is not None else None,
        callable=is_callable,
        price=None if now is None else _listing(prices, now),
        price_history=[_listing(prices, each) for each in prices.list_prices(card.provider, card.model)],
    )


def _listing(prices: PriceTable, price: Price) -> PriceListing:
    row = prices.row_of(price)
    return PriceListing(
        id=price.price_id,
        effective_from=day_text(price.effective_from_ns),
        source=None if row is None else row.source or None,
        as_of=None if row is None else row.as_of or None,
        authority="operator" if price.is_operator else "bundled",
        free=price.is_free,
        usd_per_million_tokens=_rates(price.rates),
        usd_per_request=format_usd(price.per_request_pusd),
        tiers=[
            PriceTierView(above_input_tokens=tier.above_input_tokens, usd_per_million_tokens=_rates(tier.rates))
            for tier in price.tiers
        ],
    )


def _rates(rates: Rates) -> dict[str, str]:
    # An attodollar a token is a picodollar a million.
    atto: dict[str, int] = msgspec.structs.asdict(rates)
    return {name.removesuffix("_atto"): format_usd(value) for name, value in atto.items()}


def _simulated(group: Group) -> SimulatedModel:
    return SimulatedModel(
        model=group.model,
        provider=group.provider,
        upstream_model=group.upstream_model,
        requests=group.requests,
        actual_usd=usd_number(group.actual_pusd),
        simulated_usd=usd_number(group.simulated_pusd),
        low_usd=usd_number(group.low_pusd),
        high_usd=usd_number(group.high_pusd),
    )


def _unpriced(each: Unpriced, prices: PriceTable) -> UnpricedView:
    return UnpricedView(
        provider=each.provider,
        upstream_model=each.upstream_model,
        model=each.model,
        requests=each.calls,
        tokens=each.tokens,
        first_at=moment_text(each.first_ns),
        last_at=moment_text(each.last_ns),
        price_known=prices.lookup(each.provider, each.upstream_model, each.last_ns) is not None,
    )


CATALOGUE_ROUTES = (list_catalogue, list_unpriced, show_simulation)
