"""Moments as people write them in queries, and as replies show them."""

import re
from datetime import UTC, date, datetime, timedelta

NS_PER_S = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_S
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The last moment that is read, the beginning of 2262. The database's 64 bits end some hundred days later, so whoever
# rounds up to a day, a week or a month stays within them.
MAX_NS = int(datetime(2262, 1, 1, tzinfo=UTC).timestamp()) * NS_PER_S
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?([Zz]|[+-]\d{2}:?\d{2})?", re.ASCII)
# A plus sign that nobody escaped in a query arrives as a space.
_LOST_PLUS = re.compile(r" (\d{2}:?\d{2})$", re.ASCII)


def parse_moment(text: str, *, is_end: bool = False) -> int:
    """Read a date (UTC) or an RFC 3339 moment (UTC where it names no offset) into ns since the epoch.

    A date stands for its first moment, or with ``is_end`` for the first one after it. What lies before 1970 or after
    MAX_NS is moved there: of a period nothing is lost, and whoever means the moment itself refuses MAX_NS. Raises
    ValueError with the text.
    """
    try:
        if _DATE.fullmatch(text):
            day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            return _clamp(_to_ns(day) + (NS_PER_DAY if is_end else 0))
        spelled = _LOST_PLUS.sub(r"+\1", text) if "T" in text.upper() else text
        if _MOMENT.fullmatch(spelled):
            moment = datetime.fromisoformat(spelled.upper())
            return _clamp(_to_ns(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))
    except ValueError:
        # The form is right and the numbers are not: month 13, hour 25.
        pass
    raise ValueError(f"{text[:64]!r} is no date or time: write 2024-12-12 or 2024-12-12T10:30:00Z")


def moment_text(moment_ns: int) -> str:
    """Write a moment as the documents do, in UTC and whole seconds: ``2024-12-12T10:30:00Z``."""
    return f"{_EPOCH + timedelta(seconds=moment_ns // NS_PER_S):%Y-%m-%dT%H:%M:%S}Z"


def day_start_ns(moment_ns: int) -> int:
    """The first moment of the day, in UTC."""
    return moment_ns - moment_ns % NS_PER_DAY


def month_start_ns(moment_ns: int) -> int:
    """The first moment of the calendar month, in UTC."""
    moment = _EPOCH + timedelta(seconds=moment_ns // NS_PER_S)
    return _to_ns(datetime(moment.year, moment.month, 1, tzinfo=UTC))


def next_month_start_ns(moment_ns: int) -> int:
    """The first moment after the calendar month, in UTC."""
    return month_start_ns(month_start_ns(moment_ns) + 32 * NS_PER_DAY)


def month_text(moment_ns: int) -> str:
    """Write the calendar month of a moment: ``2025-01``."""
    return moment_text(moment_ns)[:7]


def day_text(moment_ns: int) -> str:
    """Write the day of a moment: ``2025-01-31``."""
    return moment_text(moment_ns)[:10]


def _to_ns(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


def _clamp(moment_ns: int) -> int:
    return min(max(moment_ns, 0), MAX_NS)
