"""The windows of budgets: hours, days, weeks from Monday and months of the calendar, in a zone of the IANA database.

A day begins at the zone's midnight and has 23 or 25 hours where the clocks change; a midnight that does not exist is
the moment at which the clocks jump. An hour ends where they move by a part of an hour, so that no two overlap.

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
_HOUR_S, _SLOT_S, _DAY_S = 3_600, SLOT_NS // NS_PER_S, 86_400
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
    if span == "hour":
        return _hour_of(where, now_s)
    local = datetime.fromtimestamp(now_s, where)
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


def name_window(span: Span, zone: str, window: Window) -> str:
    """Name a window of the calendar, whichever zone it is reckoned in: a day, week or month by the date it begins on.

    In UTC it is the window's key.
    """
    if span in ("hour", "total"):
        return window.key
    start_s = window.start_ns // NS_PER_S
    return str((start_s + _offset_s(find_zone(zone), start_s)) // _DAY_S * _DAY_S)


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


def _hour_of(where: tzinfo, now_s: int) -> Window:
    """By the offset, not by the wall clock: an hour that the clocks repeat is two hours."""
    offset_s = _offset_s(where, now_s)
    start_s = (now_s + offset_s) // _HOUR_S * _HOUR_S - offset_s
    slots = range(start_s, start_s + _HOUR_S, _SLOT_S)
    # Where the hours before or after begin at another minute, those of now begin or end with the clocks' change.
    of_now = [slot_s for slot_s in slots if not (_offset_s(where, slot_s) - offset_s) % _HOUR_S]
    return Window(of_now[0] * NS_PER_S, (of_now[-1] + _SLOT_S) * NS_PER_S)


def _offset_s(where: tzinfo, moment_s: int) -> int:
    return int((datetime.fromtimestamp(moment_s, where).utcoffset() or timedelta()).total_seconds())


def _to_ns(midnight: datetime, where: tzinfo) -> int:
    return int(midnight.replace(tzinfo=where).timestamp()) * NS_PER_S
