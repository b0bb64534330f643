"""Whose calls a caller sees, and the parameters that views share.

Failure behavior: a project that is somebody else's is not found. While the database is away the answer is 503.
"""

from typing import Any

from litestar import Request

from gateway.analytics.overview.periods import RANGES, Period, read_period
from gateway.analytics.store import list_project_ids
from gateway.analytics.usage import InvalidUsageQuery
from gateway.db import Database
from gateway.errors import Fault, shown
from gateway.ids import parse_id
from gateway.surfaces.access import Caller
from gateway.surfaces.parameters import Parameter, asked

AnyRequest = Request[Any, Any, Any]
DEFAULT_RANGE = "30d"
PROJECT = Parameter(name="project_id", meaning="One of the caller's projects; all of them where it is left out")
FROM = Parameter(name="from", meaning="The first moment, as a date (UTC) or in RFC 3339; by default 30 days ago")
TO = Parameter(
    name="to", meaning="The moment at which it ends, as a date, which is included, or in RFC 3339; by default now"
)


def period(default: str = DEFAULT_RANGE) -> tuple[Parameter, ...]:
    """What ``period_of`` reads."""
    meaning = "The time until now, in place of from and to"
    return Parameter(name="range", meaning=meaning, choices=tuple(RANGES), default=default), FROM, TO


def is_operator(caller: Caller) -> bool:
    """Whether the caller runs the installation, and so sees the projects that have no account."""
    return caller.account_id is None or (caller.person is not None and caller.person.is_operator)


async def find_projects(request: AnyRequest, caller: Caller, database: Database) -> tuple[str, ...]:
    """The projects whose calls are meant: the one that ``project_id`` names, or all of the caller's."""
    given = asked(request).get(PROJECT.name)
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


def period_of(request: AnyRequest, now_ns: int, default: str = DEFAULT_RANGE) -> Period:
    """Read ``range``, or ``from`` and ``to``; raises Fault."""
    try:
        return read_period(now_ns, asked(request), default)
    except InvalidUsageQuery as invalid:
        raise Fault("invalid_request", f"{invalid}.", param=invalid.param) from invalid
