"""What a project's semantic cache saw and did, over HTTP: the report.

Failure behavior: the report is of this process's memory; while the database is away it is given all the same without
the figures of the ledger.
"""

from typing import Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import UNSET, UnsetType

from gateway.analytics.moments import NS_PER_DAY
from gateway.caching.policy import Allowed, Policy
from gateway.caching.semantic import store
from gateway.caching.semantic.interface import Point, Seen
from gateway.db import Database, DatabaseUnavailable
from gateway.pipeline.services import Services
from gateway.surfaces.access import caller_of, may_in_project
from gateway.surfaces.api.cache import PATH, SCOPE, TAG, AnyRequest
from gateway.surfaces.api.projects import project_of
from gateway.surfaces.parameters import Parameter, asked_in_full, takes
from gateway.surfaces.views.usage import usd_number, wait_for_rows

# What the curve is drawn at, besides the project's own bounds.
RATES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
HIT_RATES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
DAYS = 30
LayerName = Literal["exact", "semantic", "audit"]
LAYERS: tuple[LayerName, ...] = ("exact", "semantic", "audit")


class PointView(msgspec.Struct, frozen=True, kw_only=True):
    """What a bound would give on the latest requests: one of the two bounds is there, or both."""

    # Allowed: wrong answers of all requests; of the semantic hits.
    max_wrong_rate: float | UnsetType = UNSET
    max_wrong_hit_rate: float | UnsetType = UNSET
    # Semantic hits of all requests, 0 to 1.
    hit_rate: float
    # Wrong answers of the semantic hits where `max_wrong_hit_rate` is there, else of all requests; with its interval
    # at two standard deviations.
    wrong_rate: float
    wrong_rate_low: float
    wrong_rate_high: float
    # What these hits cost or would have cost at their providers.
    saved_usd: msgspec.Raw
    # The lowest score served, 0 to 1; null: the bound lets nothing through.
    threshold: float | None


class LiveView(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds in force, and what they did so far: an estimate where not every answer was checked."""

    max_wrong_rate: float | None
    max_wrong_hit_rate: float | None
    # Mode is semantic and the bound can be proven: answers are given.
    serving: bool
    threshold: float | None
    hits: int
    # Wrong answers of the hits, and of all requests, with their intervals at two standard deviations.
    wrong_hit_rate: float
    wrong_hit_rate_low: float
    wrong_hit_rate_high: float
    wrong_rate: float
    wrong_rate_low: float
    wrong_rate_high: float


class LayerView(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of the last 30 days that a layer answered, or that checked answers, by the ledger."""

    layer: LayerName
    calls: int
    saved_usd: msgspec.Raw
    cost_usd: msgspec.Raw


class ReportView(msgspec.Struct, frozen=True, kw_only=True):
    """What the semantic layer saw of a project, whether or not it serves."""

    mode: Literal["off", "exact", "shadow", "semantic"]
    # All so far, and the latest of them that the curve is about.
    requests: int
    window: int
    # Too few for any bound to be proven.
    young: bool
    curve: list[PointView]
    live: LiveView
    layers: list[LayerView]
    # What was stored and learnt is still being read, as after a start: the figures are not whole yet.
    loading: bool
    # In all projects of this process: stored questions, and fresh answers that are still to be learnt from.
    indexed: int
    waiting: int


@get(
    f"{PATH}/report",
    summary="What the semantic cache would give and gives",
    tags=[TAG],
    opt=takes(Parameter(name="keys", meaning="Whose traffic is meant", choices=("live", "test"), default="live")),
    guards=[may_in_project("usage:read", scope=SCOPE)],
)
async def show_report(
    request: AnyRequest,
    project_id: FromPath[str],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> ReportView:
    """Hits, savings and wrong answers by bound, on the project's own traffic, or on that of its test keys."""
    own = project_of(caller_of(request))
    policy = services.caching.policy_of(own)
    scope = f"{own}/test" if asked_in_full(request).get("keys") == "test" else own
    bounds = [Allowed(max_wrong_rate=rate) for rate in RATES] + [Allowed(max_wrong_hit_rate=rate) for rate in HIT_RATES]
    layer = services.caching.semantics.want() if policy.is_semantic else services.caching.semantics.layer
    seen = _EMPTY if layer is None else await layer.report(scope, bounds, policy.allowed)
    return ReportView(
        mode=policy.mode,
        requests=seen.requests,
        window=seen.window,
        young=seen.is_young,
        curve=[_point(point) for point in seen.points] or [_point(_empty_point(each)) for each in bounds],
        live=_live(policy, seen),
        layers=await _layers(database, services, own),
        loading=not services.caching.semantics.is_ready,
        indexed=services.caching.semantics.count_indexed(),
        waiting=0 if layer is None else layer.waiting,
    )


async def _layers(database: Database, services: Services, project_id: str) -> list[LayerView]:
    await wait_for_rows(services)
    try:
        async with database.read() as connection:
            roles = await store.read_roles(connection, project_id, services.now_ns() - DAYS * NS_PER_DAY)
    except DatabaseUnavailable:
        return []
    return [_layer(name, *roles.get(name, (0, 0, 0))) for name in LAYERS]


def _layer(name: LayerName, calls: int, saved_pusd: int, cost_pusd: int) -> LayerView:
    return LayerView(layer=name, calls=calls, saved_usd=usd_number(saved_pusd), cost_usd=usd_number(cost_pusd))


def _live(policy: Policy, seen: Seen) -> LiveView:
    hits, requests = max(1, seen.hits), max(1, seen.live_requests)
    high = seen.wrong_high if seen.hits else 0.0
    threshold = _threshold(seen.live.threshold)
    return LiveView(
        max_wrong_rate=policy.max_wrong_rate,
        max_wrong_hit_rate=policy.max_wrong_hit_rate,
        serving=policy.mode == "semantic" and threshold is not None,
        threshold=threshold,
        hits=seen.hits,
        wrong_hit_rate=min(1.0, seen.wrong / hits),
        wrong_hit_rate_low=min(1.0, seen.wrong_low / hits),
        wrong_hit_rate_high=min(1.0, high / hits),
        wrong_rate=min(1.0, seen.wrong / requests),
        wrong_rate_low=min(1.0, seen.wrong_low / requests),
        wrong_rate_high=min(1.0, high / requests),
    )


def _point(point: Point) -> PointView:
    allowed = point.allowed
    return PointView(
        max_wrong_rate=UNSET if allowed.max_wrong_rate is None else allowed.max_wrong_rate,
        max_wrong_hit_rate=UNSET if allowed.max_wrong_hit_rate is None else allowed.max_wrong_hit_rate,
        hit_rate=point.hit_rate,
        wrong_rate=point.wrong_rate,
        wrong_rate_low=point.wrong_rate_low,
        wrong_rate_high=point.wrong_rate_high,
        saved_usd=usd_number(point.saved_pusd),
        threshold=_threshold(point.threshold),
    )


def _threshold(score: float) -> float | None:
    return score if score <= 1 else None


def _empty_point(allowed: Allowed) -> Point:
    return Point(
        allowed=allowed, hit_rate=0.0, wrong_rate=0.0, wrong_rate_low=0.0, wrong_rate_high=1.0, saved_pusd=0,
        threshold=2.0,
    )  # fmt: skip


_EMPTY = Seen(
    requests=0, live_requests=0, window=0, is_young=True, points=[], live=_empty_point(Allowed()), hits=0, wrong=0.0,
    wrong_low=0.0, wrong_high=0.0, answer_threshold=0.0,
)  # fmt: skip
