"""The figures of a period and of the one before it, over time and together.

Failure behavior: raises DatabaseUnavailable as gateway.db does, and while older rows are not summed up yet.
"""

from collections.abc import Sequence

import msgspec

from gateway.analytics.overview.periods import Period
from gateway.db import Database
from gateway.ledger.figures.reading import Figures, add_up, read_series
from gateway.ledger.rollups import HOUR_NS

NOTHING = Figures()
# More calls than this are not read one by one for buckets shorter than an hour.
MAX_CALLS = 50_000

Series = list[tuple[int, Figures]]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Each bucket's first moment and figures, without a gap, the oldest first; and all of them together."""

    period: Period
    total: Figures
    series: Series
    previous: Figures
    previous_series: Series


async def read_overview(database: Database, project_ids: Sequence[str], period: Period) -> Overview:
    """Read all of one state of the data. Where there are very many calls, buckets are of an hour at least."""
    async with database.read() as connection:
        if period.bucket_ns < HOUR_NS:
            hours = period.in_buckets(HOUR_NS)
            counted = await read_series(connection, project_ids, hours.previous.from_ns, hours.to_ns, HOUR_NS)
            if sum(each.rows for each in counted.values()) > MAX_CALLS:
                period = hours
        before = period.previous
        found = await read_series(connection, project_ids, before.from_ns, period.to_ns, period.bucket_ns)
    series = [(start_ns, found.get(start_ns, NOTHING)) for start_ns in period.starts]
    previous = [(start_ns, found.get(start_ns, NOTHING)) for start_ns in before.starts]
    return Overview(
        period=period,
        total=add_up(figures for _, figures in series),
        series=series,
        previous=add_up(figures for _, figures in previous),
        previous_series=previous,
    )
