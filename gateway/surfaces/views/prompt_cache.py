"""What the providers' own prompt caches did for a project's keys and models.

Failure behavior: while the database is away the answer is 503.
"""

from typing import Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from gateway.analytics.moments import moment_text
from gateway.analytics.prompt_cache import PromptCacheUse, read_period, read_prompt_cache
from gateway.analytics.usage import InvalidUsageQuery
from gateway.db import Database
from gateway.errors import Fault
from gateway.pipeline.services import Services
from gateway.surfaces.access import caller_of, may_in_project
from gateway.surfaces.parameters import asked, takes
from gateway.surfaces.views.reach import FROM, TO
from gateway.surfaces.views.usage import SCOPE, TAG, usd_number, wait_for_rows

AnyRequest = Request[Any, Any, Any]


class UseView(msgspec.Struct, frozen=True, kw_only=True):
    """Of one key and model; both are null for all together. README says how money saved and lost are found."""

    key_id: str | None
    model: str | None
    # Every token of the input, and the shares that were read from and written to the cache.
    input_tokens: int
    cache_read_tokens: int
    cached_share: float
    cache_write_tokens: int
    unread_write_tokens: int
    unpriced_tokens: int
    saved_usd: msgspec.Raw
    lost_usd: msgspec.Raw


class PromptCacheView(msgspec.Struct, frozen=True, kw_only=True):
    """The largest input first."""

    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")
    keys: list[UseView]
    total: UseView


@get(
    "/api/projects/{project_id:str}/prompt-cache",
    summary="What the providers' prompt caches saved and cost",
    tags=[TAG],
    opt=takes(FROM, TO),
    guards=[may_in_project("usage:read", scope=SCOPE)],
)
async def show_prompt_cache(
    request: AnyRequest,
    project_id: FromPath[str],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> PromptCacheView:
    """Of a time of at most 92 days."""
    own_id = caller_of(request).project_id
    assert own_id is not None, "the guard found the project"  # noqa: S101 - for the type checkers
    try:
        rows = read_period(own_id, services.now_ns(), asked(request))
    except InvalidUsageQuery as invalid:
        raise Fault("invalid_request", f"{invalid}.", param=invalid.param) from invalid
    await wait_for_rows(services)
    uses = await read_prompt_cache(database, services.prices, rows)
    return PromptCacheView(
        since=moment_text(rows.from_ns),
        until=moment_text(rows.to_ns),
        keys=[_view(use, key_id, model) for (key_id, model), use in uses.by_key.items()],
        total=_view(uses.total),
    )


def _view(use: PromptCacheUse, key_id: str | None = None, model: str | None = None) -> UseView:
    return UseView(
        key_id=key_id,
        model=model,
        input_tokens=use.input_tokens,
        cache_read_tokens=use.cache_read_tokens,
        cached_share=use.cached_share,
        cache_write_tokens=use.cache_write_tokens,
        unread_write_tokens=use.unread_tokens,
        unpriced_tokens=use.unpriced_tokens,
        saved_usd=usd_number(use.saved_pusd),
        lost_usd=usd_number(use.lost_pusd),
    )
