"""What a chat would cost at most, told without making it.

Failure behavior: a body that the chat endpoint would refuse is refused the same way, by the same fault.
"""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency

from gateway.errors import Fault
from gateway.pipeline import budget, route, send
from gateway.pipeline.flow import Route
from gateway.pipeline.services import Services
from gateway.surfaces.guards import key_of, with_key
from gateway.surfaces.parameters import BODY
from gateway.surfaces.proxy import bodies
from providers.pricing.prices import format_usd

AnyRequest = Request[Any, Any, Any]
ENDPOINT = "chat/completions"


class QuotedTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One place that may answer."""

    provider: str
    model: str
    # Of one try there; None: its price is not known.
    max_cost_usd: str | None


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a call may cost, and what that is made of."""

    # Of the call, whose tries that fail may be billed too; None where no bound can be known: ``unbounded`` says why.
    max_cost_usd: str | None
    # Of one try, which is what budgets hold as it goes out, and how many there may be.
    max_cost_per_try_usd: str | None
    max_billed_tries: int
    model: str
    max_input_tokens: int
    max_output_tokens: int
    n: int
    targets: list[QuotedTarget]
    unbounded: list[str]


@post(
    "/v1/quote",
    summary="Ask what a chat would cost at most",
    tags=["Proxy"],
    status_code=200,
    opt={BODY: "ChatRequest"},
    guards=[with_key],
)
async def quote_chat(request: AnyRequest, services: NamedDependency[Services]) -> Quote:
    """Takes a chat's body and calls nobody. The bound holds for every target, and every try that may be billed."""
    body = await request.body()
    if not body:
        raise Fault("invalid_request", "The body is empty; this endpoint takes a JSON object.")
    call = bodies.decode(ENDPOINT, body)
    caller = key_of(request)
    path = route.choose(services.routes_of(caller), call.model, caller)
    now_ns = services.now_ns()
    found = budget.assess(call, path, services, now_ns)
    unbounded = [f"{exclusion.name}: {exclusion.reason}" for exclusion in found.shape.excluded]
    unbounded += [f"unpriced: {name} has no price" for name in found.unpriced]
    targets: list[QuotedTarget] = []
    for target in path.targets:
        alone = budget.assess(call, Route(targets=(target,), reason=""), services, now_ns)
        cost = None if alone.unpriced else format_usd(alone.bound.pusd)
        targets.append(QuotedTarget(provider=target.backend.name, model=target.model, max_cost_usd=cost))
    tries = send.count_billable(path, call, services.settings.retries)
    return Quote(
        max_cost_usd=None if unbounded else format_usd(found.bound.pusd * tries),
        max_cost_per_try_usd=None if unbounded else format_usd(found.bound.pusd),
        max_billed_tries=tries,
        model=call.model,
        max_input_tokens=found.bound.input_tokens,
        max_output_tokens=found.bound.output_tokens,
        n=call.n,
        targets=targets,
        unbounded=unbounded,
    )
