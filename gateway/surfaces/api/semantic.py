"""What a project's semantic cache saw and did, over HTTP: the report, the hits one by one, and everything as JSONL.

Failure behavior: what is somebody else's is not found. While the database is away the answer is 503; the report, which
is of this process's memory, is given all the same without the figures of the ledger.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream
from msgspec import UNSET, UnsetType

from gateway.analytics.moments import NS_PER_DAY, moment_text
from gateway.caching.policy import Allowed, Policy
from gateway.caching.semantic import store
from gateway.caching.semantic.interface import Point, Seen
from gateway.caching.semantic.packing import Damaged, read_answer, read_text, unpack_answer
from gateway.caching.semantic.store import Decision, OwnRow
from gateway.db import Database, DatabaseUnavailable
from gateway.errors import Fault, shown
from gateway.pipeline.services import Services
from gateway.surfaces.access import caller_of, may_in_project
from gateway.surfaces.api.cache import PATH, SCOPE, TAG, AnyRequest
from gateway.surfaces.api.projects import project_of
from gateway.surfaces.views.usage import usd_number, wait_for_rows

# What the curve is drawn at, besides the project's own bounds.
RATES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
HIT_RATES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
DAYS = 30
MAX_HITS, EXPORTED_AT_ONCE = 1_000, 500
LayerName = Literal["exact", "semantic", "audit"]
LAYERS: tuple[LayerName, ...] = ("exact", "semantic", "audit")
Decided = Literal["serve", "audit", "holdout", "shadow"]


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
    # In all projects of this process: stored questions, and fresh answers that are still to be learnt from.
    indexed: int
    waiting: int


class HitView(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided for one call."""

    request_id: str
    created_at: str
    # serve: given. audit: given, and found right or wrong by a call of the gateway's own. holdout: held back to learn.
    # shadow: would have been given.
    decision: Decided
    entry: str
    similarity: float
    score: float
    threshold: float
    # The guards that forbade the nearest question, which is then not the entry.
    guards: list[str]
    neighbours: list[str]
    # Whether the entry's answer was right; null: not known.
    right: bool | None
    # What was asked; null unless the project's `prompts` is on, and was on then.
    question: str | None


class HitsView(msgspec.Struct, frozen=True, kw_only=True):
    """The newest decisions; `next` is the `before` of the following page, null at the end."""

    hits: list[HitView]
    next: str | None


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """A stored question; texts are null unless the project's `prompts` is on."""

    entry: str
    model: str
    tags: list[str]
    created_at: str
    expires_at: str
    # How often its answer was found right and wrong for others' questions.
    right: int
    wrong: int
    question: str | None
    answer: str | None


class HitDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One decision with the entry and its neighbours, those that are still stored."""

    hit: HitView
    entry: EntryView | None
    neighbours: list[EntryView]


@get(
    f"{PATH}/report",
    summary="What the semantic cache would give and gives",
    tags=[TAG],
    guards=[may_in_project("usage:read", scope=SCOPE)],
)
async def show_report(
    request: AnyRequest,
    project_id: FromPath[str],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> ReportView:
    """Hits, savings and wrong answers by bound, on the project's own traffic; `keys=test`: that of its test keys."""
    own = project_of(caller_of(request))
    policy = services.caching.policy_of(own)
    scope = f"{own}/test" if request.query_params.get("keys") == "test" else own
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
        indexed=services.caching.semantics.count_indexed(),
        waiting=0 if layer is None else layer.waiting,
    )


@get(
    f"{PATH}/hits",
    summary="List what the semantic cache decided",
    tags=[TAG],
    guards=[may_in_project("usage:read", scope=SCOPE, is_managing=True)],
)
async def list_hits(
    request: AnyRequest,
    project_id: FromPath[str],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> HitsView:
    """The calls that got a stored answer, or would have, newest first; `limit` (100, at most 1,000), `before` an id."""
    own, limit = project_of(caller_of(request)), _read_limit(request.query_params.get("limit"))
    before = request.query_params.get("before") or store.NEWEST
    await _settle(services)
    async with database.read() as connection:
        found = await store.read_decisions(connection, own, before, limit)
    prompts = services.caching.policy_of(own).prompts
    following = found[-1].request_id if len(found) == limit else None
    return HitsView(hits=[_hit(each, prompts=prompts) for each in found], next=following)


@get(
    f"{PATH}/hits/{{request_id:str}}",
    summary="Inspect one decision of the semantic cache",
    tags=[TAG],
    guards=[may_in_project("usage:read", scope=SCOPE, is_managing=True)],
)
async def show_hit(
    request: AnyRequest,
    project_id: FromPath[str],
    request_id: FromPath[str],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> HitDetail:
    """The id is the reply's `x-watchllm-request-id`."""
    own = project_of(caller_of(request))
    await _settle(services)
    async with database.read() as connection:
        found = await store.read_decision(connection, own, request_id)
        if found is None:
            message = f"The semantic cache decided nothing for a request {shown(request_id)} of this project."
            raise Fault("not_found", message, param="request_id")
        names = [found.entry_id, *filter(None, found.neighbours.split(","))]
        entries = await store.read_named(connection, own, names)
    prompts = services.caching.policy_of(own).prompts
    shown_entries = {name: _entry(row, prompts=prompts) for name, row in entries.items()}
    return HitDetail(
        hit=_hit(found, prompts=prompts),
        entry=shown_entries.get(found.entry_id),
        neighbours=[shown_entries[name] for name in names[1:] if name in shown_entries and name != found.entry_id],
    )


@get(
    f"{PATH}/export",
    summary="Export the semantic cache's entries and labels",
    tags=[TAG],
    media_type="application/x-ndjson",
    guards=[may_in_project("usage:read", scope=SCOPE, is_managing=True)],
)
async def export_cache(
    request: AnyRequest,
    project_id: FromPath[str],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> Stream:
    """JSON Lines: `{"type": "entry", …}` of each stored question, then `{"type": "decision", …}` of each decision."""
    own = project_of(caller_of(request))
    await _settle(services)
    lines = _export(database, own, services.caching.policy_of(own))
    # Read before anything is said: a database that is away is told as such.
    first = await anext(lines)
    return Stream(
        _go_on(first, lines),
        media_type="application/x-ndjson",
        headers={"content-disposition": 'attachment; filename="cache.jsonl"', "cache-control": "no-store"},
    )


async def _go_on(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for lines in rest:
        yield lines


async def _export(database: Database, project_id: str, policy: Policy) -> AsyncIterator[bytes]:
    after = -1
    while True:
        async with database.read() as connection:
            rows = await store.read_own(connection, project_id, after, EXPORTED_AT_ONCE)
        yield b"".join(_line("entry", _entry(row, prompts=policy.prompts)) for row in rows)
        if len(rows) < EXPORTED_AT_ONCE:
            break
        after = rows[-1].number
    before = store.NEWEST
    while True:
        async with database.read() as connection:
            found = await store.read_decisions(connection, project_id, before, EXPORTED_AT_ONCE)
        yield b"".join(_line("decision", _hit(each, prompts=policy.prompts)) for each in found)
        if len(found) < EXPORTED_AT_ONCE:
            break
        before = found[-1].request_id


def _line(kind: str, value: EntryView | HitView) -> bytes:
    return msgspec.json.encode({"type": kind, **msgspec.structs.asdict(value)}) + b"\n"


async def _settle(services: Services) -> None:
    """Let what was just decided reach the database."""
    if (layer := services.caching.semantics.layer) is not None:
        await layer.write()


def _read_limit(text: str | None) -> int:
    if text is None:
        return 100
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_HITS):
        raise Fault("invalid_request", f"'limit' is {shown(text)}; it takes 1 to {MAX_HITS}.", param="limit")
    return int(text)


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


def _hit(found: Decision, *, prompts: bool) -> HitView:
    return HitView(
        request_id=found.request_id,
        created_at=moment_text(found.created_ns),
        decision=msgspec.convert(found.decision, Decided),
        entry=found.entry_id,
        similarity=found.similarity,
        score=found.score,
        threshold=found.threshold,
        guards=list(filter(None, found.guards.split(","))),
        neighbours=list(filter(None, found.neighbours.split(","))),
        right=found.is_right,
        question=(found.question or None) if prompts else None,
    )


def _entry(row: OwnRow, *, prompts: bool) -> EntryView:
    question = answer = None
    if prompts:
        with suppress(Damaged):
            question, answer = read_text(row.packed), read_answer(unpack_answer(row.answer))
    return EntryView(
        entry=row.entry_id,
        model=row.model,
        tags=list(filter(None, row.tags.split(","))),
        created_at=moment_text(row.created_ns),
        expires_at=moment_text(row.expires_ns),
        right=row.right_count,
        wrong=row.wrong_count,
        question=question,
        answer=answer,
    )


SEMANTIC_ROUTES = [show_report, list_hits, show_hit, export_cache]
