"""A project's cache over HTTP: what it does, what is purged, and the recall of an answer that was wrong.

Failure behavior: what is somebody else's is not found. While the database is away the answer is 500 ``cache_error``
(row W50), and what was in force stays so.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, UnsetType

from gateway.analytics.moments import parse_moment
from gateway.caching import administration
from gateway.caching.administration import Recalled
from gateway.caching.answers import Purge
from gateway.caching.policy import Policy
from gateway.config.checks import is_model_name
from gateway.config.settings import MAX_TTL_S, CacheMode, CacheScope, Rate
from gateway.db import Database, DatabaseUnavailable
from gateway.errors import Fault, shown
from gateway.ids import parse_id
from gateway.pipeline.route import RouteTable, explain_unknown
from gateway.pipeline.services import Services
from gateway.surfaces.access import caller_of, may_in_project
from gateway.surfaces.api.projects import occasion_of, project_of
from gateway.surfaces.parameters import Parameter, asked_in_full, takes
from gateway.surfaces.proxy.own_calls import stand_in
from gateway.surfaces.views.usage import wait_for_rows

AnyRequest = Request[Any, Any, Any]
TAG = "Cache"
# A key needs it besides having been made to manage its project.
SCOPE = "usage:read"
PATH = "/api/projects/{project_id:str}/cache"
_TtlS = Annotated[int, Meta(ge=1, le=MAX_TTL_S)]


class CacheBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change; null takes the project's own setting back."""

    mode: CacheMode | UnsetType | None = UNSET
    ttl_s: _TtlS | UnsetType | None = UNSET
    scope: CacheScope | UnsetType | None = UNSET
    tool_calls: bool | UnsetType | None = UNSET
    prompts: bool | UnsetType | None = UNSET
    max_wrong_rate: Rate | UnsetType | None = UNSET
    max_wrong_hit_rate: Rate | UnsetType | None = UNSET
    # Asked in checks whether two answers say the same, where vectors leave it open; empty: no model is.
    semantic_judge_model: str | UnsetType | None = UNSET


class RecallBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The call whose answer was wrong, by its x-watchllm-request-id."""

    request_id: str


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """How many answers went of those that this process and the database kept."""

    # Other processes' memories and Redis lose theirs within a second, uncounted: 0 does not say that there was nothing.
    purged: int


@get(PATH, summary="What the cache does for a project", tags=[TAG], guards=[may_in_project("usage:read", scope=SCOPE)])
async def show_cache(request: AnyRequest, project_id: FromPath[str], services: NamedDependency[Services]) -> Policy:
    """What is in force: the project's own settings, and the configuration's where it has none."""
    return services.caching.policy_of(project_of(caller_of(request)))


@patch(
    PATH,
    summary="Change what the cache does for a project",
    tags=[TAG],
    guards=[may_in_project("projects", scope=SCOPE, is_managing=True)],
)
async def change_cache(
    request: AnyRequest,
    project_id: FromPath[str],
    data: JSONBody[CacheBody],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> Policy:
    """Setting one of the two bounds replaces the configuration's; null takes the project's own setting away.

    `semantic_judge_model` is a model that the project can call: where vectors leave it open whether two answers say the
    same it is shown the question and both, at the project's cost; empty, none is asked.
    """
    changes = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    asking = caller_of(request)
    own = project_of(asking)
    if data.semantic_judge_model:
        _check_judge(services.routes_of(stand_in(asking, own)), data.semantic_judge_model)
    with _told():
        return await administration.change(database, services.caching, own, changes, occasion_of(request))


@delete(
    PATH,
    summary="Purge a project's answers",
    tags=[TAG],
    opt=takes(
        Parameter(name="tag", meaning="Answers of calls with this word among their tags"),
        Parameter(name="model", meaning="Answers of this model"),
        Parameter(name="before", meaning="Answers that were kept before this moment, in RFC 3339"),
        Parameter(name="entry", meaning="The answer of this x-watchllm-cache-entry"),
    ),
    status_code=200,
    guards=[may_in_project("projects", scope=SCOPE, is_managing=True)],
)
async def purge_cache(
    request: AnyRequest,
    project_id: FromPath[str],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> Purged:
    """What meets every term given; without one, everything."""
    # A term that is mistyped, or empty, would purge more than was meant.
    given = asked_in_full(request)
    wanted = Purge(
        project_id=project_of(caller_of(request)),
        entry_ids=frozenset((given["entry"],)) if "entry" in given else None,
        tag=given.get("tag"),
        model=given.get("model"),
        before_ns=_read_moment(given.get("before")),
    )
    with _told():
        return Purged(purged=await administration.purge(database, services.caching, wanted, occasion_of(request)))


@post(
    f"{PATH}/recall",
    summary="Recall an answer that was wrong",
    tags=[TAG],
    status_code=200,
    guards=[may_in_project("projects", scope=SCOPE, is_managing=True)],
)
async def recall_answer(
    request: AnyRequest,
    project_id: FromPath[str],
    data: JSONBody[RecallBody],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> Recalled:
    """The entry goes, of embeddings each that its inputs were answered with; every call that got one is named."""
    unknown = Fault("not_found", f"There is no request {shown(data.request_id)} in this project.", param="request_id")
    try:
        request_id = parse_id(data.request_id)
    except ValueError:
        raise unknown from None
    await wait_for_rows(services)
    own = project_of(caller_of(request))
    with _told():
        recalled = await administration.recall(database, services.caching, own, request_id, occasion_of(request))
    if recalled is None:
        raise unknown
    return recalled


@contextmanager
def _told() -> Generator[None]:
    """Whoever manages the cache is told that it failed; no call ever is."""
    try:
        yield
    except DatabaseUnavailable as away:
        raise Fault("cache_error", "The database is not there, so nothing was changed; ask again.") from away


def _check_judge(table: RouteTable, model: str) -> None:
    """Raise Fault for a model that could not be asked."""
    route = table.find(model) if is_model_name(model) else None
    if route is None:
        raise Fault("invalid_model", explain_unknown(table, model), param="semantic_judge_model")
    target = route.targets[0]
    row = table.catalogue.row(target.backend.name, target.model)
    if row is not None and row.kind != "chat":
        message = f"{shown(model)} is a model for {row.kind}; a judge has to be one that chats."
        raise Fault("invalid_model", message, param="semantic_judge_model")


def _read_moment(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_moment(text)
    except ValueError as invalid:
        raise Fault("invalid_request", f"'before': {invalid}.", param="before") from invalid


CACHE_ROUTES = [show_cache, change_cache, purge_cache, recall_answer]
