"""Periods in buckets of equal length: the last hour, week or year, or from one moment to another.

A period begins and ends with a bucket, so the last one may not be over yet. Buckets begin at multiples of their length
since the epoch, in UTC.
"""

from collections.abc import Mapping

import msgspec

from gateway.analytics.moments import NS_PER_DAY, NS_PER_S
from gateway.analytics.usage import InvalidUsageQuery, read_span

MINUTE_NS = 60 * NS_PER_S
HOUR_NS = 60 * MINUTE_NS
# By name: how long, and the length of its buckets.
RANGES: dict[str, tuple[int, int]] = {
    "1h": (HOUR_NS, MINUTE_NS),
    "6h": (6 * HOUR_NS, 5 * MINUTE_NS),
    "24h": (NS_PER_DAY, HOUR_NS),
    "7d": (7 * NS_PER_DAY, 6 * HOUR_NS),
    "30d": (30 * NS_PER_DAY, NS_PER_DAY),
    "90d": (90 * NS_PER_DAY, NS_PER_DAY),
    "1y": (365 * NS_PER_DAY, NS_PER_DAY),
}
# A period up to so long has buckets of this length.
_STEPS = (
    (2 * HOUR_NS, MINUTE_NS),
    (12 * HOUR_NS, 5 * MINUTE_NS),
    (3 * NS_PER_DAY, HOUR_NS),
    (14 * NS_PER_DAY, 6 * HOUR_NS),
    (400 * NS_PER_DAY, NS_PER_DAY),
    (2_800 * NS_PER_DAY, 7 * NS_PER_DAY),
)
MAX_NS = 11_200 * NS_PER_DAY
_LONGEST_STEP_NS = 28 * NS_PER_DAY


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """From a moment on and before another, in whole buckets."""

    from_ns: int
    to_ns: int
    bucket_ns: int

    @property
    def previous(self) -> "Period":
        """The same length just before."""
        from_ns = self.from_ns - (self.to_ns - self.from_ns)
        return Period(from_ns=from_ns, to_ns=self.from_ns, bucket_ns=self.bucket_ns)

    @property
    def starts(self) -> range:
        """The first moment of each bucket, the oldest first."""
        return range(self.from_ns, self.to_ns, self.bucket_ns)

    def in_buckets(self, bucket_ns: int) -> "Period":
        """The same with buckets of another length, as much longer as these need."""
        return align(self.from_ns, self.to_ns, bucket_ns)


def align(from_ns: int, to_ns: int, bucket_ns: int) -> Period:
    """Extend a stretch of time to whole buckets, at least one."""
    first, last = from_ns // bucket_ns, -(-to_ns // bucket_ns)
    return Period(from_ns=first * bucket_ns, to_ns=max(last, first + 1) * bucket_ns, bucket_ns=bucket_ns)


def read_period(now_ns: int, params: Mapping[str, str], default: str = "30d") -> Period:
    """Read ``range``, or ``from`` and ``to``; each alone as for the usage. Raises InvalidUsageQuery.

    A plain date as ``to`` includes its day.
    """
    named = params.get("range")
    given_from, given_to = params.get("from"), params.get("to")
    if named and (given_from or given_to):
        raise InvalidUsageQuery("'range' cannot be given together with 'from' or 'to': leave one out", "range")
    if not given_from and not given_to:
        return _named(named or default, now_ns)
    from_ns, to_ns = read_span(now_ns, params)
    if to_ns - from_ns > MAX_NS:
        raise InvalidUsageQuery(f"from={given_from!r} lies more than 30 years before 'to': ask for less", "from")
    length_ns = to_ns - from_ns
    bucket_ns = next((bucket_ns for longest_ns, bucket_ns in _STEPS if length_ns <= longest_ns), _LONGEST_STEP_NS)
    return align(from_ns, to_ns, bucket_ns)


def _named(name: str, now_ns: int) -> Period:
    if name not in RANGES:
        raise InvalidUsageQuery(f"range={name[:64]!r} is none of {', '.join(RANGES)}", "range")
    length_ns, bucket_ns = RANGES[name]
    to_ns = (now_ns // bucket_ns + 1) * bucket_ns
    return Period(from_ns=max(to_ns - length_ns, 0), to_ns=to_ns, bucket_ns=bucket_ns)
