"""One call in every detail: who answered after which tries, its times, tokens, price and cache; and its content.

What was asked and answered is there only where the call's project keeps that, and for those who may see it.

Failure behavior: an id that is unknown or somebody else's is not found. While the database is away the answer is 503.
"""

import asyncio
import contextlib
from typing import Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from gateway.analytics.moments import moment_text
from gateway.analytics.store import Call, find_call
from gateway.db import Database
from gateway.errors import Fault, shown
from gateway.ids import parse_id
from gateway.ledger.figures.tags import split_tags
from gateway.ledger.row import UsageRow, read_trail
from gateway.pipeline.services import Services
from gateway.prompts.content import Content
from gateway.surfaces.access import Caller, caller_of, may_in_own, may_read_prompts
from gateway.surfaces.views.usage import FRESHNESS_S, SCOPE, TAG, usd_number, wait_for_rows
from providers.pricing.prices import Price, PriceTable, format_usd

AnyRequest = Request[Any, Any, Any]


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One try at a provider."""

    provider: str
    model: str
    # "ok", the public code of what went wrong, or "in_doubt" where nobody knows how it ended.
    outcome: str
    # How long the gateway waited for it.
    waited_ms: int


class TimingView(msgspec.Struct, frozen=True, kw_only=True):
    """In ms; ``first_byte_ms`` is null where nothing came back."""

    latency_ms: int
    first_byte_ms: int | None
    overhead_ms: float


class TokensView(msgspec.Struct, frozen=True, kw_only=True):
    """Disjoint buckets; reasoning is a part of the output."""

    input: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    audio_input: int
    image_input: int
    output: int
    audio_output: int
    image_output: int
    reasoning: int
    total: int
    # Counted by a tokenizer, because the provider reported nothing; its figures contradicted each other, or tell of
    # more than tokens.
    estimated: bool
    anomalous: bool


class CorrectionView(msgspec.Struct, frozen=True, kw_only=True):
    """What the call was charged too little, or too much where it is negative."""

    cost_usd: msgspec.Raw
    basis: str
    price_id: str
    created_at: str


class PriceView(msgspec.Struct, frozen=True, kw_only=True):
    """What it cost and by which authority; ``usd_per_million_tokens`` is null where the table lacks the price now."""

    id: str
    basis: str
    # With the corrections.
    cost_usd: msgspec.Raw
    usd_per_million_tokens: dict[str, str] | None
    usd_per_request: str | None
    corrections: list[CorrectionView]


class CacheView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the gateway's cache answered, with which entry, and what that saved."""

    cached: bool
    # "exact" or "semantic"; null where the call was made.
    layer: str | None
    entry: str | None
    tokens_saved: int
    saved_usd: msgspec.Raw


class MessageView(msgspec.Struct, frozen=True, kw_only=True):
    """One message; a part that is no text is named in brackets."""

    role: str
    text: str


class ContentView(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked and answered: the newest messages within 64 KiB, and the answer's first 64 KiB."""

    messages: list[MessageView]
    # Older ones that were not kept.
    omitted_messages: int
    # With reasoning and tool calls; null: there was none, or it was no text.
    answer: str | None
    # A message or the answer is not there to its end.
    cut: bool


class RequestView(msgspec.Struct, frozen=True, kw_only=True):
    """A call."""

    id: str
    created_at: str
    project_id: str
    key_id: str
    endpoint: str
    # The name that the caller used; who answered, and the name it was asked for.
    model: str
    provider: str
    upstream_model: str
    upstream_request_id: str
    service_tier: str
    stream: bool
    status: str
    http_status: int
    error_code: str | None
    tags: list[str]
    session: str
    attempts: list[AttemptView]
    timing: TimingView
    tokens: TokensView
    price: PriceView
    cache: CacheView
    # Null: the project keeps none, its time is over, or the caller may not see it.
    content: ContentView | None


@get(
    "/api/requests/{request_id:str}",
    summary="Show one call",
    tags=[TAG],
    guards=[may_in_own("usage:read", scope=SCOPE)],
)
async def show_request(
    request: AnyRequest,
    request_id: FromPath[str],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> RequestView:
    """The id is the reply's `x-watchllm-request-id`.

    What was asked and answered is in `content`, where the project keeps it (`/api/projects/{id}/prompts`): for the
    account's owners, admins and members, and for keys that manage the project.
    """
    call, caller = await _find(request_id, services, database), caller_of(request)
    if call is None or not _is_own(call, caller):
        raise Fault("foreign", f"There is no request {shown(request_id)} of yours.", param="request_id")
    content = await _find_content(call, services) if may_read_prompts(caller) else None
    return _view(call, services.prices, content)


async def _find_content(call: Call, services: Services) -> Content | None:
    row, prompts = call.row, services.prompts
    if row.project_id not in prompts.projects:
        return None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FRESHNESS_S):
            await prompts.flush()
    return await prompts.find(row.project_id, row.request_id)


async def _find(request_id: str, services: Services, database: Database) -> Call | None:
    try:
        bare = parse_id(request_id)
    except ValueError:
        return None
    await wait_for_rows(services)
    async with database.read() as connection:
        return await find_call(connection, bare)


def _is_own(call: Call, caller: Caller) -> bool:
    if caller.project_id is not None:
        return call.row.project_id == caller.project_id
    is_operator = caller.person is not None and caller.person.is_operator
    return call.account_id == caller.account_id or (is_operator and call.account_id is None)


def _view(call: Call, prices: PriceTable, content: Content | None) -> RequestView:
    row = call.row
    return RequestView(
        id=row.request_id,
        created_at=moment_text(row.created_ns),
        project_id=row.project_id,
        key_id=row.key_id,
        endpoint=row.endpoint,
        model=row.model,
        provider=row.provider,
        upstream_model=row.upstream_model,
        upstream_request_id=row.upstream_request_id,
        service_tier=row.service_tier,
        stream=row.is_stream,
        status=row.status,
        http_status=row.http_status,
        error_code=row.error_code or None,
        tags=split_tags(row.tags),
        session=row.session,
        attempts=_attempts(row),
        timing=TimingView(
            latency_ms=row.latency_ms,
            first_byte_ms=row.first_byte_ms or None,
            overhead_ms=row.overhead_us / 1_000,
        ),
        tokens=_tokens(row),
        price=_price(call, prices.find(row.price_id) if row.price_id else None),
        cache=CacheView(
            cached=row.is_cached,
            layer=(row.cache_layer or "exact") if row.is_cached else None,
            entry=row.cache_entry or None,
            tokens_saved=row.tokens_saved,
            saved_usd=usd_number(row.saved_pusd),
        ),
        content=None if content is None else _content(content),
    )


def _content(content: Content) -> ContentView:
    return ContentView(
        messages=[MessageView(role=said.role, text=said.text) for said in content.messages],
        omitted_messages=content.omitted_messages,
        answer=content.answer,
        cut=content.is_cut,
    )


def _attempts(row: UsageRow) -> list[AttemptView]:
    """The tries that failed, and behind them the one that answered."""
    attempts = [
        AttemptView(provider=tried.provider, model=tried.model, outcome=tried.outcome, waited_ms=tried.waited_ms)
        for tried in read_trail(row.trail)
    ]
    if row.attempts > len(attempts):
        waited_ms = max(row.latency_ms - row.overhead_us // 1_000 - sum(each.waited_ms for each in attempts), 0)
        attempts.append(
            AttemptView(
                provider=row.provider,
                model=row.upstream_model,
                outcome=row.error_code or ("in_doubt" if row.status == "in_doubt" else "ok"),
                waited_ms=waited_ms,
            )
        )
    return attempts


def _tokens(row: UsageRow) -> TokensView:
    return TokensView(
        input=row.input_tokens,
        cache_read=row.cache_read_tokens,
        cache_write=row.cache_write_tokens,
        cache_write_1h=row.cache_write_1h_tokens,
        audio_input=row.audio_input_tokens,
        image_input=row.image_input_tokens,
        output=row.output_tokens,
        audio_output=row.audio_output_tokens,
        image_output=row.image_output_tokens,
        reasoning=row.reasoning_tokens,
        total=row.total_tokens,
        estimated=row.is_estimated,
        anomalous=row.is_anomalous,
    )


def _price(call: Call, price: Price | None) -> PriceView:
    row, rates = call.row, None
    if price is not None:
        # An attodollar a token is a picodollar a million.
        atto: dict[str, int] = msgspec.structs.asdict(price.rates)
        rates = {name.removesuffix("_atto"): format_usd(value) for name, value in atto.items()}
    return PriceView(
        id=row.price_id,
        basis=row.cost_basis,
        cost_usd=usd_number(call.cost_pusd),
        usd_per_million_tokens=rates,
        usd_per_request=None if price is None else format_usd(price.per_request_pusd),
        corrections=[
            CorrectionView(
                cost_usd=usd_number(each.delta_pusd),
                basis=each.cost_basis,
                price_id=each.price_id,
                created_at=moment_text(each.created_ns),
            )
            for each in call.corrections
        ],
    )
