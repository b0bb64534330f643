"""Whose calls a caller sees, and the parameters that views share.

Failure behavior: a project that is somebody else's is not found. While the database is away the answer is 503.
"""

from typing import Any

from litestar import Request

from gateway.analytics.overview.periods import Period, read_period
from gateway.analytics.store import list_project_ids
from gateway.analytics.usage import InvalidUsageQuery
from gateway.db import Database
from gateway.errors import Fault, shown
from gateway.ids import parse_id
from gateway.surfaces.access import Caller

AnyRequest = Request[Any, Any, Any]


def is_operator(caller: Caller) -> bool:
    """Whether the caller runs the installation, and so sees the projects that have no account."""
    return caller.account_id is None or (caller.person is not None and caller.person.is_operator)


async def find_projects(request: AnyRequest, caller: Caller, database: Database) -> tuple[str, ...]:
    """The projects whose calls are meant: the one that ``project_id`` names, or all of the caller's."""
    given = request.query_params.get("project_id")
    if caller.project_id is not None:
        own: tuple[str, ...] = (caller.project_id,)
    else:
        async with database.read() as connection:
            own = await list_project_ids(connection, caller.account_id)
            if caller.account_id is not None and is_operator(caller):
                own += await list_project_ids(connection, None)
    if not given:
        return own
    try:
        wanted = f"proj_{parse_id(given)}"
    except ValueError:
        wanted = ""
    if wanted not in own:
        raise Fault("foreign", f"There is no project {shown(given)} of yours.", param="project_id")
    return (wanted,)


def period_of(request: AnyRequest, now_ns: int, default: str = "30d") -> Period:
    """Read ``range``, or ``from`` and ``to``; raises Fault."""
    try:
        return read_period(now_ns, dict(request.query_params.items()), default)
    except InvalidUsageQuery as invalid:
        raise Fault("invalid_request", f"{invalid}.", param=invalid.param) from invalid


def read_count(request: AnyRequest, name: str, default: int, most: int) -> int:
    """Read a whole number from 1 on; raises Fault."""
    given = request.query_params.get(name)
    if not given:
        return default
    if given.isascii() and given.isdigit() and len(given) <= len(str(most)) and 1 <= int(given) <= most:
        return int(given)
    raise Fault("invalid_request", f"{name}={shown(given)} is not a whole number from 1 to {most}.", param=name)
