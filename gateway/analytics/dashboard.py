"""The overview of several projects together, and a calendar month of them.

Failure behavior: raises DatabaseUnavailable as gateway.db does.
"""

import re
from typing import Literal

import msgspec

from gateway.analytics.moments import NS_PER_DAY, day_start_ns, month_start_ns, next_month_start_ns, parse_moment
from gateway.analytics.store import list_project_ids
from gateway.db import Database
from gateway.ledger.sums import NOTHING, Sums, Wanted, read_sums, read_total

Period = Literal["7d", "30d", "all"]
DAYS: dict[Period, int] = {"7d": 7, "30d": 30}
TOP_MODELS = 10
# Days that a chart may have; of more, the newest are shown.
MAX_CHART_DAYS = 3_660
_MONTH = re.compile(r"(?!0000)\d{4}-(?:0[1-9]|1[0-2])", re.ASCII)


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What was used in a period of whole days in UTC that ends with today."""

    total: Sums
    today: Sums
    this_month: Sums
    # What costs most first.
    models: list[tuple[str, Sums]]
    # Each day's first moment, the oldest first, without a gap.
    days: list[tuple[int, Sums]]


async def read_overview(database: Database, project_ids: tuple[str, ...], period: Period, now_ns: int) -> Overview:
    """Read all figures of one state of the data."""
    today_ns, days = day_start_ns(now_ns), DAYS.get(period)
    from_ns = 0 if days is None else max(today_ns - (days - 1) * NS_PER_DAY, 0)
    wanted = Wanted(project_ids=project_ids, from_ns=from_ns, to_ns=now_ns + 1)
    today = msgspec.structs.replace(wanted, from_ns=today_ns)
    this_month = msgspec.structs.replace(wanted, from_ns=month_start_ns(now_ns))
    async with database.read() as connection:
        by_day = {key[0]: sums for key, sums in (await read_sums(connection, wanted, ("day",))).items()}
        models = await read_sums(connection, wanted, ("model",), TOP_MODELS)
        total = await read_total(connection, wanted)
        last = today_ns // NS_PER_DAY
        first = last - days + 1 if days is not None else min(by_day, default=last)
        first = max(first, last - MAX_CHART_DAYS + 1, 0)
        return Overview(
            total=total,
            today=await read_total(connection, today),
            this_month=await read_total(connection, this_month),
            models=[(str(key[0]), sums) for key, sums in models.items()],
            days=[(day * NS_PER_DAY, by_day.get(day, NOTHING)) for day in range(first, last + 1)],
        )


def read_month(text: str | None, now_ns: int) -> tuple[int, int]:
    """Read ``2025-01`` into its first moment and the next month's; None is the current one. Raises ValueError."""
    if text is None:
        from_ns = month_start_ns(now_ns)
    elif _MONTH.fullmatch(text):
        from_ns = parse_moment(f"{text}-01")
    else:
        raise ValueError(f"{text[:64]!r} is no month: write it as 2025-01")
    return from_ns, next_month_start_ns(from_ns)


async def read_span(database: Database, project_ids: tuple[str, ...], from_ns: int, to_ns: int) -> Sums:
    """Sum up everything from a moment on and before another."""
    wanted = Wanted(project_ids=project_ids, from_ns=from_ns, to_ns=to_ns)
    async with database.read() as connection:
        return await read_total(connection, wanted)


async def count_calls(database: Database, account_id: str | None, now_ns: int) -> int:
    """Count the calls that an account ever made."""
    async with database.read() as connection:
        project_ids = await list_project_ids(connection, account_id)
        return (await read_total(connection, Wanted(project_ids=project_ids, from_ns=0, to_ns=now_ns + 1))).requests
