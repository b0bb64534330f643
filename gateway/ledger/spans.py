"""How a period is put together from sums of days and hours and from single rows, and in which hours a model was called.

Failure behavior: raises DatabaseUnavailable as gateway.db does.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.rollups import HOUR_NS, SPANS, read_rolled

# A period needs at most one piece of the longest span and two of each shorter one, and two edges.
MAX_PIECES = 5
MAX_EDGES = 2
_FIND_HOURS = text(
    f"SELECT start_ns, SUM(requests) AS requests FROM usage_rollups "  # noqa: S608 - made of constants
    f"WHERE project_id = :project_id AND span_ns = {HOUR_NS} AND model = :model AND start_ns >= :from_ns "
    "AND start_ns < :to_ns GROUP BY start_ns ORDER BY start_ns DESC LIMIT :limit"
)

# From a moment on, and before another.
Range = tuple[int, int]


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A period in disjoint parts."""

    # A span's length, and the stretch of time whose sums of that span count.
    pieces: list[tuple[int, int, int]]
    # What is shorter than any span: here the rows themselves count.
    edges: list[Range]


def cut(period: Range, *, longest_ns: int = SPANS[0], is_rolled: bool = True) -> Cut:
    """Cut a period into as few parts as can be; where not every row is summed up yet, it is one edge."""
    parts = Cut(pieces=[], edges=[])
    _cut(period, [span_ns for span_ns in SPANS if span_ns <= longest_ns] if is_rolled else [], parts)
    return parts


def _cut(period: Range, spans: Sequence[int], parts: Cut) -> None:
    from_ns, to_ns = period
    if from_ns >= to_ns:
        return
    if not spans:
        parts.edges.append(period)
        return
    span_ns, *shorter = spans
    first_ns, last_ns = -(-from_ns // span_ns) * span_ns, to_ns // span_ns * span_ns
    if first_ns >= last_ns:
        _cut(period, shorter, parts)
        return
    _cut((from_ns, first_ns), shorter, parts)
    parts.pieces.append((span_ns, first_ns, last_ns))
    _cut((last_ns, to_ns), shorter, parts)


async def find_windows(
    connection: AsyncConnection, project_id: str, model: str, period: Range, limit: int
) -> list[Range]:
    """Tell where in a period the newest ``limit`` calls of a model are: parts of it, newest first."""
    from_ns, to_ns = period
    if await read_rolled(connection, locks=False) != "":
        return [period]
    wanted = {
        "project_id": project_id,
        "model": model,
        "from_ns": from_ns // HOUR_NS * HOUR_NS,
        "to_ns": to_ns,
        "limit": limit + 1,
    }
    found = (await connection.execute(_FIND_HOURS, wanted)).all()
    windows: list[Range] = []
    # Of the newest hour some calls may lie after the period.
    left = limit + (int(found[0].requests) if found else 0)
    for start_ns, requests in found:
        if windows and windows[-1][0] <= start_ns + 2 * HOUR_NS:
            # To read an hour for nothing costs less than to ask once more.
            windows[-1] = (max(start_ns, from_ns), windows[-1][1])
        else:
            windows.append((max(start_ns, from_ns), min(start_ns + HOUR_NS, to_ns)))
        left -= int(requests)
        if left <= 0:
            break
    return windows
