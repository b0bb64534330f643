"""Projects over HTTP, in W's shapes (rows W24 to W27): list, make, show, rename, delete.

Failure behavior: as gateway.surfaces.access for who may, as gateway.accounts.keyring for what is refused.
"""

import asyncio
import contextlib
from typing import Any

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gateway.accounts.audit import Occasion
from gateway.accounts.keyring.keys_store import KeyDetail
from gateway.accounts.keyring.project_keys import Maker
from gateway.accounts.keyring.projects import Projects
from gateway.accounts.store import Project
from gateway.analytics.moments import moment_text
from gateway.analytics.stats import ProjectStats, read_project_stats
from gateway.db import Database
from gateway.pipeline.services import Services
from gateway.surfaces.access import Caller, caller_of, may_in_account, may_in_project
from gateway.surfaces.api.auth import Done
from gateway.surfaces.limits import address_of
from providers.pricing.prices import format_usd

AnyRequest = Request[Any, Any, Any]
TAG = "Projects"
# How long a reader waits for calls that were just recorded to reach the database.
FRESHNESS_S = 2.0
# The scopes that a key needs to look, and to change.
READING, MANAGING = "usage:read", "admin"


class ProjectBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """W25; ``provider`` is a note of what the project uses most."""

    name: str
    provider: str | None = None


class RenameBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be changed of a project."""

    name: str


class MonthView(msgspec.Struct, frozen=True, kw_only=True):
    """The figures in W24's list; the month is the calendar's, UTC."""

    requests_this_month: int
    cost_this_month: msgspec.Raw
    cache_hit_rate: float


class StatsView(msgspec.Struct, frozen=True, kw_only=True):
    """The figures beside one project, W26."""

    requests_total: int
    requests_this_month: int
    cost_total: msgspec.Raw
    cost_this_month: msgspec.Raw
    cache_hit_rate: float


class ListedProject(msgspec.Struct, frozen=True, kw_only=True):
    """A project in the list."""

    id: str
    name: str
    provider: str | None
    created_at: str
    stats: MonthView


class ProjectList(msgspec.Struct, frozen=True, kw_only=True):
    """W24."""

    projects: list[ListedProject]


class MadeProjectView(msgspec.Struct, frozen=True, kw_only=True):
    """W25's answer; the key is shown only here."""

    id: str
    name: str
    provider: str | None
    api_key: str
    created_at: str


class ShownKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as W26 shows it: never its text."""

    id: str
    name: str
    key: str
    last_used_at: str | None
    created_at: str


class ProjectView(msgspec.Struct, frozen=True, kw_only=True):
    """W26."""

    id: str
    name: str
    provider: str | None
    created_at: str
    api_keys: list[ShownKey]
    stats: StatsView


class RenamedView(msgspec.Struct, frozen=True, kw_only=True):
    """A project that was renamed."""

    id: str
    name: str
    provider: str | None
    created_at: str


@get("/api/projects", summary="List projects", tags=[TAG], guards=[may_in_account("account:read", scope=READING)])
async def list_projects(
    request: AnyRequest,
    projects: NamedDependency[Projects],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> ProjectList:
    """Those of the account; the operator's own as well, for the operator."""
    await _settle(services)
    caller = caller_of(request)
    is_operator = caller.person is not None and caller.person.is_operator
    found = await projects.list_projects(caller.account_id, has_operators=is_operator)
    stats = await read_project_stats(database, [project.project_id for project in found], services.now_ns())
    return ProjectList(projects=[_listed(project, stats[project.project_id]) for project in found])


@post(
    "/api/projects",
    summary="Make a project",
    tags=[TAG],
    status_code=200,
    guards=[may_in_account("projects", scope=MANAGING)],
)
async def make_project(
    request: AnyRequest,
    data: JSONBody[ProjectBody],
    projects: NamedDependency[Projects],
) -> MadeProjectView:
    """A project with its first key, which is shown only now."""
    caller = caller_of(request)
    made = await projects.create(maker_of(caller), data.name, data.provider, occasion_of(request))
    return MadeProjectView(
        id=made.project.project_id,
        name=made.project.name,
        provider=made.project.provider,
        api_key=made.key.key,
        created_at=moment_text(made.project.created_ns),
    )


@get(
    "/api/projects/{project_id:str}",
    summary="Show a project",
    tags=[TAG],
    guards=[may_in_project("account:read", scope=READING)],
)
async def show_project(
    request: AnyRequest,
    project_id: FromPath[str],
    projects: NamedDependency[Projects],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> ProjectView:
    """With its keys, their texts left out, and its figures."""
    await _settle(services)
    own = project_of(caller_of(request))
    detail = await projects.find_detail(own)
    stats = (await read_project_stats(database, [own], services.now_ns()))[own]
    project = detail.project
    return ProjectView(
        id=project.project_id,
        name=project.name,
        provider=project.provider,
        created_at=moment_text(project.created_ns),
        api_keys=[_shown(key) for key in detail.keys],
        stats=StatsView(
            requests_total=stats.requests_total,
            requests_this_month=stats.requests_this_month,
            cost_total=_usd(stats.cost_total_pusd),
            cost_this_month=_usd(stats.cost_this_month_pusd),
            cache_hit_rate=stats.cache_hit_rate,
        ),
    )


@patch(
    "/api/projects/{project_id:str}",
    summary="Rename a project",
    tags=[TAG],
    guards=[may_in_project("projects", scope=MANAGING)],
)
async def rename_project(
    request: AnyRequest,
    project_id: FromPath[str],
    data: JSONBody[RenameBody],
    projects: NamedDependency[Projects],
) -> RenamedView:
    """Its id, keys and usage stay."""
    project = await projects.rename(project_of(caller_of(request)), data.name, occasion_of(request))
    return RenamedView(
        id=project.project_id,
        name=project.name,
        provider=project.provider,
        created_at=moment_text(project.created_ns),
    )


@delete(
    "/api/projects/{project_id:str}",
    summary="Delete a project and its keys",
    tags=[TAG],
    status_code=200,
    guards=[may_in_project("projects", scope=MANAGING)],
)
async def delete_project(
    request: AnyRequest,
    project_id: FromPath[str],
    projects: NamedDependency[Projects],
    services: NamedDependency[Services],
) -> Done:
    """Its keys stop within a second and its providers' keys are deleted; its usage stays in the ledger."""
    await projects.delete(project_of(caller_of(request)), occasion_of(request))
    return Done(message="Project deleted")


def maker_of(caller: Caller) -> Maker:
    """Whose rights bound what is made."""
    return Maker(person=caller.person, key=caller.key)


def occasion_of(request: AnyRequest) -> Occasion:
    """Who acts in this request, on whose things and when."""
    caller = caller_of(request)
    services: Services = request.app.state.services
    return Occasion(actor=caller.actor(address_of(request)), account_id=caller.account_id, now_ns=services.now_ns())


def project_of(caller: Caller) -> str:
    """The project of the route's path, that the guard has looked up."""
    assert caller.project_id is not None, "the guard of a project's route"  # noqa: S101 - for the type checkers
    return caller.project_id


async def _settle(services: Services) -> None:
    """Wait for what was just recorded; while the database is away, the query that follows says so."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FRESHNESS_S):
            await services.recorder.flush()


def _listed(project: Project, stats: ProjectStats) -> ListedProject:
    return ListedProject(
        id=project.project_id,
        name=project.name,
        provider=project.provider,
        created_at=moment_text(project.created_ns),
        stats=MonthView(
            requests_this_month=stats.requests_this_month,
            cost_this_month=_usd(stats.cost_this_month_pusd),
            cache_hit_rate=stats.cache_hit_rate,
        ),
    )


def _shown(key: KeyDetail) -> ShownKey:
    return ShownKey(
        id=key.key_id,
        name=key.name,
        key=key.display,
        last_used_at=None if key.last_used_ns is None else moment_text(key.last_used_ns),
        created_at=moment_text(key.created_ns),
    )


def _usd(amount_pusd: int) -> msgspec.Raw:
    """An amount in dollars as a JSON number that no float has touched (row I5)."""
    return msgspec.Raw(format_usd(amount_pusd).encode())


PROJECT_ROUTES = (list_projects, make_project, show_project, rename_project, delete_project)
