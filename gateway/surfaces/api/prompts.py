"""Whether a project keeps what is asked and answered, over HTTP; the content itself is in a request's detail.

Failure behavior: what is somebody else's is not found. While the database is away the answer is 503, and what was in
force stays so.
"""

from typing import Annotated

import msgspec
from litestar import get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from gateway.analytics.moments import moment_text
from gateway.db import Database
from gateway.errors import Fault
from gateway.pipeline.services import Services
from gateway.prompts import administration, store
from gateway.prompts.administration import DEFAULT_RETENTION_DAYS, MAX_RETENTION_DAYS
from gateway.prompts.store import Setting
from gateway.surfaces.access import caller_of, may_in_project
from gateway.surfaces.api.cache import SCOPE, AnyRequest
from gateway.surfaces.api.projects import TAG, occasion_of, project_of

PATH = "/api/projects/{project_id:str}/prompts"


class PromptsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether prompts are kept, and for how many days; 30 unless another number is given."""

    keep: bool
    retention_days: Annotated[int, Meta(ge=1, le=MAX_RETENTION_DAYS)] | None = None


class PromptsView(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force; both are null where nothing is kept."""

    keep: bool
    retention_days: int | None
    # Calls from then on are kept.
    since: str | None


@get(
    PATH, summary="Tell whether a project keeps prompts", tags=[TAG], guards=[may_in_project("usage:read", scope=SCOPE)]
)
async def show_prompts(
    request: AnyRequest, project_id: FromPath[str], database: NamedDependency[Database]
) -> PromptsView:
    """Off unless the project opted in."""
    async with database.read() as connection:
        return _view(await store.read_setting(connection, project_of(caller_of(request))))


@patch(
    PATH,
    summary="Have a project's prompts kept, or not any more",
    tags=[TAG],
    guards=[may_in_project("projects", scope=SCOPE, is_managing=True)],
)
async def change_prompts(
    request: AnyRequest,
    project_id: FromPath[str],
    data: JSONBody[PromptsBody],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> PromptsView:
    """`keep: false` deletes at once what was kept; a shorter `retention_days` what is older."""
    if not data.keep and data.retention_days is not None:
        raise Fault(
            "rule_broken",
            f"retention_days is {data.retention_days!r} and keep is false: leave one of them out.",
            param="retention_days",
        )
    days = (data.retention_days or DEFAULT_RETENTION_DAYS) if data.keep else None
    own = project_of(caller_of(request))
    return _view(await administration.change(database, services.prompts, own, days, occasion_of(request)))


def _view(setting: Setting) -> PromptsView:
    is_kept = setting.retention_days is not None
    since = moment_text(setting.since_ns) if is_kept else None
    return PromptsView(keep=is_kept, retention_days=setting.retention_days, since=since)


PROMPT_ROUTES = (show_prompts, change_prompts)
