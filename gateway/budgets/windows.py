"""The windows of budgets: hours, days, weeks from Monday and months of the calendar, in a zone of the IANA database.

A day begins at the zone's midnight and has 23 or 25 hours where the clocks change; a midnight that does not exist is
the moment at which the clocks jump.

Failure behavior: a zone that this machine's database does not have is taken as UTC.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.budgets.budget import Span

NS_PER_S = 1_000_000_000
# What is spent is kept by slots of this length: every zone's offset is a multiple of it.
SLOT_NS = 900 * NS_PER_S
FOREVER_NS = 1 << 63
_HOUR_S = 3_600
_MONTHS = 12


class Window(NamedTuple):
    """From a moment on and before another, ns since the epoch."""

    start_ns: int
    # FOREVER_NS: it never ends.
    end_ns: int

    @property
    def key(self) -> str:
        """Names the window within a budget."""
        return "total" if self.end_ns == FOREVER_NS else str(self.start_ns // NS_PER_S)

    @property
    def resets_ns(self) -> int | None:
        """The end, None where there is none."""
        return None if self.end_ns == FOREVER_NS else self.end_ns

    def holds(self, moment_ns: int) -> bool:
        """Whether a moment lies in it."""
        return self.start_ns <= moment_ns < self.end_ns


ALWAYS = Window(0, FOREVER_NS)


def window_of(span: Span, zone: str, now_ns: int) -> Window:
    """Find the window that a moment lies in."""
    if span == "total":
        return ALWAYS
    now_s = now_ns // NS_PER_S
    where = find_zone(zone)
    local = datetime.fromtimestamp(now_s, where)
    if span == "hour":
        # By the offset, not by the wall clock: an hour that the clocks repeat is two hours.
        offset_s = int((local.utcoffset() or timedelta()).total_seconds())
        start_s = (now_s + offset_s) // _HOUR_S * _HOUR_S - offset_s
        return Window(start_s * NS_PER_S, (start_s + _HOUR_S) * NS_PER_S)
    midnight = datetime(local.year, local.month, local.day)
    if span == "week":
        midnight -= timedelta(days=midnight.weekday())
        following = midnight + timedelta(days=7)
    elif span == "month":
        midnight = midnight.replace(day=1)
        years, month = divmod(midnight.month, _MONTHS)
        following = midnight.replace(year=midnight.year + years, month=month + 1)
    else:
        following = midnight + timedelta(days=1)
    return Window(_to_ns(midnight, where), _to_ns(following, where))


@lru_cache(maxsize=1_024)
def find_zone(name: str) -> tzinfo:
    """Find a zone by its name; UTC where there is none of it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def is_zone(name: str) -> bool:
    """Whether there is such a zone on this machine."""
    return name == "UTC" or find_zone(name) is not UTC


def _to_ns(midnight: datetime, where: tzinfo) -> int:
    return int(midnight.replace(tzinfo=where).timestamp()) * NS_PER_S
