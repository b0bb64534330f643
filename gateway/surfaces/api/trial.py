"""A test call: the smallest real call to one provider, sent as a project would send it and metered like any other.

Failure behavior: what comes of the call is told in the view with status 200, a budget that has nothing left included;
refused is what cannot become a call, for want of such a project, provider or model.
"""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gateway.accounts.directory import KeyRecord
from gateway.errors import Fault, shown
from gateway.pipeline.flow import Inbound
from gateway.pipeline.route import RouteTable
from gateway.pipeline.services import Services
from gateway.surfaces.access import caller_of, may_in_project
from gateway.surfaces.api.projects import MANAGING, project_of
from gateway.surfaces.proxy import bodies
from gateway.surfaces.proxy.own_calls import TIMED_OUT, Listener, call, stand_in
from providers.catalogue import ModelCard
from providers.chat import Usage
from providers.pricing.prices import PriceTable, cost_pusd

AnyRequest = Request[Any, Any, Any]
# Longer than a provider takes for a few tokens.
LONGEST_S = 30
MAX_TOKENS = 16
QUESTION = "Reply with OK."
# About what the question and its answer use, to find the cheapest model.
USUAL = Usage(input_tokens=12, output_tokens=MAX_TOKENS)
OK = 200


class TrialBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model to call; null: the provider's cheapest."""

    model: str | None = None


class TrialView(msgspec.Struct, frozen=True, kw_only=True):
    """How it went; ``error_code`` and ``message`` are those that a caller would have got."""

    ok: bool
    provider: str
    model: str
    http_status: int
    error_code: str | None
    message: str
    latency_ms: int
    cost_usd: str
    request_id: str


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    code: str | None = None


class _Refusal(msgspec.Struct, frozen=True):
    error: _Error = _Error()


@post(
    "/api/projects/{project_id:str}/providers/{provider:str}/test",
    summary="Make a test call to a provider",
    tags=["Provider keys"],
    status_code=200,
    guards=[may_in_project("credentials", scope=MANAGING)],
)
async def try_provider(
    request: AnyRequest,
    project_id: FromPath[str],
    provider: FromPath[str],
    data: JSONBody[TrialBody],
    services: NamedDependency[Services],
) -> TrialView:
    """A few tokens with the key that the project's calls are sent with, charged to the project."""
    asking = caller_of(request)
    caller = stand_in(asking, project_of(asking))
    table = services.routes_of(caller)
    if provider not in table.providers:
        raise Fault("not_found", f"There is no provider {shown(provider)} that this project can call.")
    model, is_embedding = _find_model(table, services.prices, provider, data.model, services.now_ns())
    inbound = _ask(caller, model, services, is_embedding=is_embedding)
    listener = await call(inbound, services, LONGEST_S)
    return _tell(listener, inbound, provider, services.ticks_ns())


def _find_model(
    table: RouteTable, prices: PriceTable, provider: str, wanted: str | None, now_ns: int
) -> tuple[str, bool]:
    """The name by which exactly this provider is called, and whether it makes embeddings; raises Fault."""
    model = wanted or _find_cheapest(table, prices, provider, now_ns)
    for name in (f"{provider}/{model}", model):
        route = table.find(name)
        if route is not None and {target.backend.name for target in route.targets} == {provider}:
            row = table.catalogue.row(provider, route.targets[0].model)
            return name, row is not None and row.kind == "embeddings"
    raise Fault(
        "invalid_model", f"{shown(provider)} alone answers no model {shown(model)}. GET /api/catalogue lists models.",
        param="model",
    )  # fmt: skip


def _find_cheapest(table: RouteTable, prices: PriceTable, provider: str, now_ns: int) -> str:
    """What a chat of a few tokens costs least with; without a price only where there is none with one."""
    cards = [card for card in table.cards() if card.provider == provider and not card.deprecated]
    if not cards:
        raise Fault("invalid_model", f"No model of {shown(provider)} is known by name: give one.", param="model")

    def rank(card: ModelCard) -> tuple[bool, bool, int, str]:
        price = prices.lookup(provider, card.model, now_ns)
        return card.kind != "chat", price is None, 0 if price is None else cost_pusd(price, USUAL), card.model

    return min(cards, key=rank).model


def _ask(caller: KeyRecord, model: str, services: Services, *, is_embedding: bool) -> Inbound:
    endpoint = "embeddings" if is_embedding else "chat/completions"
    chat = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": MAX_TOKENS}
    body = {"model": model, **({"input": QUESTION} if is_embedding else chat)}
    now_ns = services.now_ns()
    return Inbound(
        request_id=services.ids.new(now_ns),
        call=bodies.decode(endpoint, msgspec.json.encode(body)),
        caller=caller,
        created_ns=now_ns,
        started_ns=services.ticks_ns(),
        cache="off",
        tags="test-call",
    )


def _tell(listener: Listener, inbound: Inbound, provider: str, ended_ns: int) -> TrialView:
    status, error = listener.status, _Error()
    if status == TIMED_OUT and not listener.body:
        error = _Error(f"There was no answer within {LONGEST_S} s.", "upstream_timeout")
    elif status != OK:
        error = msgspec.json.decode(listener.body, type=_Refusal).error
    return TrialView(
        ok=status == OK,
        provider=provider,
        model=listener.headers.get(b"x-watchllm-model", inbound.call.model.encode()).decode(),
        http_status=status,
        error_code=error.code,
        message=error.message,
        latency_ms=(ended_ns - inbound.started_ns) // 1_000_000,
        cost_usd=listener.headers.get(b"x-watchllm-cost-usd", b"0").decode(),
        request_id=inbound.request_id,
    )
