"""How the providers are that a caller's calls go to: whose key is used, what is spared, how often they failed.

Breakers belong to keys that many tenants share. A caller is told of the targets that its own calls go to and of its own
failures: which models others call, and how they fare, is theirs.

Failure behavior: while the database is away the answer is 503. Breakers are this process's; those of several processes
follow each other within half a second, see gateway.backends.board. The last error is of this process alone, which
forgets it where many projects failed at the same target since.
"""

from collections.abc import Collection, Iterable
from typing import Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency

from gateway.analytics.moments import moment_text
from gateway.analytics.overview.periods import Period
from gateway.backends.breaker import BreakerState
from gateway.db import Database
from gateway.ledger.rollups import HOUR_NS
from gateway.ledger.sums import Wanted, read_sums
from gateway.pipeline.flow import Target
from gateway.pipeline.route import SANDBOX, RouteTable
from gateway.pipeline.services import Services
from gateway.surfaces.access import caller_of, may_in_own
from gateway.surfaces.parameters import takes
from gateway.surfaces.views.reach import PROJECT, AnyRequest, find_projects, period, period_of
from gateway.surfaces.views.usage import SCOPE, wait_for_rows
from providers.registry import PROVIDERS

TAG = "Providers"
DEFAULT_RANGE = "1h"
# Callers can invent names of models; the worst are told first.
MAX_TARGETS = 50
NS_PER_MS = 1_000_000
# The worst first.
STATES: tuple[BreakerState, ...] = ("open", "half-open", "closed")
# They run in the gateway's own process, with no key.
BUNDLED = frozenset(name for name, row in PROVIDERS.items() if row.dialect == "local")
Source = Literal["project", "operator", "configuration", "bundled"]


class TargetHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A model that the caller's own calls of the period could go to; nothing is sent to it for ``rest_ms``."""

    model: str
    state: BreakerState
    rest_ms: int


class LastErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """The last try of the caller's own calls that failed by no mistake of theirs; of this process, since it began."""

    at: str
    model: str
    # The public error code, as in the answers to callers.
    code: str
    # In the gateway's own words: nothing of the prompt, of the provider's prose or of a credential.
    message: str


class ProviderHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A provider; ``breaker`` is the worst state of the targets that are told."""

    provider: str
    # Whose key it is called with; "project" where one of the projects that are meant has its own.
    source: Source
    breaker: BreakerState
    targets: list[TargetHealth]
    # Of the period, in whole hours; an answer from the cache is none, nor is a call that the gateway made by itself.
    requests: int
    errors: int
    error_rate: float | None
    # Null: none failed.
    last_error: LastErrorView | None


class HealthView(msgspec.Struct, frozen=True, kw_only=True):
    """Every provider that can be called, by name."""

    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")
    providers: list[ProviderHealth]


@get(
    "/api/providers/health",
    summary="Tell how the providers are",
    tags=[TAG],
    opt=takes(*period(DEFAULT_RANGE), PROJECT),
    guards=[may_in_own("usage:read", scope=SCOPE)],
)
async def show_health(
    request: AnyRequest, services: NamedDependency[Services], database: NamedDependency[Database]
) -> HealthView:
    """By what the caller's own calls met."""
    meant = period_of(request, services.now_ns(), DEFAULT_RANGE)
    project_ids = await find_projects(request, caller_of(request), database)
    await wait_for_rows(services)
    counts, models = await _count(database, project_ids, meant)
    sources = _find_sources(services, project_ids)
    own = _find_own(_find_tables(services, project_ids), models, project_ids)
    targets, failures = _find_targets(own, services.ticks_ns()), _find_failures(own, project_ids)
    return HealthView(
        since=moment_text(meant.from_ns),
        until=moment_text(meant.to_ns),
        providers=[
            _describe(name, sources[name], targets.get(name, []), counts.get(name, (0, 0)), failures.get(name))
            for name in sorted(sources)
        ],
    )


async def _count(
    database: Database, project_ids: tuple[str, ...], meant: Period
) -> tuple[dict[str, tuple[int, int]], set[str]]:
    """By provider, the calls that were sent and those that failed; and the names that real calls asked for."""
    hours = meant.in_buckets(HOUR_NS) if meant.bucket_ns < HOUR_NS else meant
    wanted = Wanted(project_ids=project_ids, from_ns=hours.from_ns, to_ns=hours.to_ns)
    async with database.read() as connection:
        groups = await read_sums(connection, wanted, ("provider", "model"))
    counts: dict[str, tuple[int, int]] = {}
    for (provider, _), sums in groups.items():
        requests, errors = counts.get(provider, (0, 0))
        counts[provider] = (requests + sums.requests - sums.cache_hits, errors + sums.errors)
    return counts, {model for provider, model in groups if provider != SANDBOX}


def _find_own(tables: Collection[RouteTable], models: Collection[str], project_ids: Collection[str]) -> list[Target]:
    """The targets of these names, and those at which a call of the projects failed."""
    routed = {(target.backend.name, target.model) for table in tables for target in table.routed(models)}
    return [
        target
        for table in tables
        for target in table.targets
        if (target.backend.name, target.model) in routed or target.breaker.last_failure(project_ids) is not None
    ]


def _find_tables(services: Services, project_ids: Iterable[str]) -> list[RouteTable]:
    """The common table, and those of the projects that call with stored credentials."""
    if services.purses.credentials.is_empty:
        return [services.routes]
    own = {id(table): table for table in map(services.routes.of, map(services.purses.of, project_ids))}
    return [services.routes, *(table for table in own.values() if table is not services.routes)]


def _find_sources(services: Services, project_ids: Iterable[str]) -> dict[str, Source]:
    """Whose key each provider that can be called is called with."""
    sources: dict[str, Source] = {
        name: "bundled" if name in BUNDLED else "configuration" for name in services.routes.providers
    }
    purses = services.purses
    if purses.credentials.is_empty:
        return sources
    # No project has this name: what is found for it is the operator's.
    operators = purses.of("").credential_ids
    sources |= dict.fromkeys(purses.of("").backends, "operator")
    for project_id in project_ids:
        purse = purses.of(project_id)
        sources |= {
            name: "project"
            for name in purse.backends
            if purse.credential_ids.get(name, "unreadable") != operators.get(name)
        }
    return sources


def _find_targets(targets: Iterable[Target], now_ns: int) -> dict[str, list[TargetHealth]]:
    """What was routed to, by provider; of a model that stands in several tables the worst."""
    worst: dict[tuple[str, str], TargetHealth] = {}
    for target in targets:
        name, breaker = (target.backend.name, target.model), target.breaker
        found = TargetHealth(
            model=target.model, state=breaker.state(now_ns), rest_ms=-(-breaker.rest_ns(now_ns) // NS_PER_MS)
        )
        if name not in worst or _rank(found) < _rank(worst[name]):
            worst[name] = found
    by_provider: dict[str, list[TargetHealth]] = {}
    for (provider, _), found in worst.items():
        by_provider.setdefault(provider, []).append(found)
    return {name: sorted(found, key=lambda each: (_rank(each), each.model)) for name, found in by_provider.items()}


def _rank(target: TargetHealth) -> int:
    return STATES.index(target.state)


def _find_failures(targets: Iterable[Target], project_ids: Collection[str]) -> dict[str, LastErrorView]:
    """The last failed try of these projects at each provider."""
    last: dict[str, tuple[int, LastErrorView]] = {}
    for target in targets:
        name, failure = target.backend.name, target.breaker.last_failure(project_ids)
        if failure is not None and (name not in last or last[name][0] < failure.at_ns):
            view = LastErrorView(
                at=moment_text(failure.at_ns), model=target.model, code=failure.code, message=failure.message
            )
            last[name] = (failure.at_ns, view)
    return {name: view for name, (_, view) in last.items()}


def _describe(
    name: str,
    source: Source,
    targets: list[TargetHealth],
    counts: tuple[int, int],
    last_error: LastErrorView | None,
) -> ProviderHealth:
    requests, errors = counts
    return ProviderHealth(
        provider=name,
        source=source,
        breaker=targets[0].state if targets else "closed",
        targets=targets[:MAX_TARGETS],
        requests=requests,
        errors=errors,
        error_rate=errors / requests if requests else None,
        last_error=last_error,
    )
