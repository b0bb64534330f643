"""Periods of whole buckets, as they are asked for."""

import pytest

from gateway.analytics.moments import NS_PER_DAY, moment_text
from gateway.analytics.overview.periods import HOUR_NS, MINUTE_NS, RANGES, Period, align, read_period
from gateway.analytics.usage import InvalidUsageQuery
from tests.gateway.usage_rows import NOW_NS


@pytest.mark.parametrize("name", RANGES)
def test_a_range_ends_with_the_bucket_that_is_under_way(name: str) -> None:
    """Its buckets are whole, and as many as its length has."""
    period = read_period(NOW_NS, {"range": name})
    length_ns, bucket_ns = RANGES[name]
    assert period.to_ns - bucket_ns <= NOW_NS < period.to_ns
    assert len(period.starts) == length_ns // bucket_ns
    assert period.from_ns % bucket_ns == 0
    assert period.previous.to_ns == period.from_ns
    assert len(period.previous.starts) == len(period.starts)


@pytest.mark.parametrize(
    ("days", "bucket_ns"),
    [
        (0.05, MINUTE_NS),
        (0.5, 5 * MINUTE_NS),
        (3, HOUR_NS),
        (14, 6 * HOUR_NS),
        (400, NS_PER_DAY),
        (5_000, 28 * NS_PER_DAY),
    ],
)
def test_buckets_are_as_long_as_the_period_needs(days: float, bucket_ns: int) -> None:
    """At most some 400 of them."""
    begin = moment_text(NOW_NS - int(days * NS_PER_DAY))
    period = read_period(NOW_NS, {"from": begin, "to": moment_text(NOW_NS)})
    assert period.bucket_ns == bucket_ns
    assert 0 < len(period.starts) <= 402


def test_a_date_as_an_end_includes_its_day() -> None:
    """And one moment alone is enough."""
    period = read_period(NOW_NS, {"from": "2026-09-01", "to": "2026-09-02"})
    assert (moment_text(period.from_ns), moment_text(period.to_ns)) == ("2026-09-01T00:00:00Z", "2026-09-03T00:00:00Z")
    assert read_period(NOW_NS, {}) == read_period(NOW_NS, {"range": "30d"})
    assert read_period(NOW_NS, {}, "24h") == read_period(NOW_NS, {"range": "24h"})
    assert read_period(NOW_NS, {"to": "2026-09-02"}).to_ns == period.to_ns


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"range": "2d"}, "range"),
        ({"range": "1h", "to": "2026-01-01"}, "range"),
        ({"from": "soon"}, "from"),
        ({"to": "2026-13-01"}, "to"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "from"),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "from"),
        ({"from": "1971-01-01"}, "from"),
    ],
)
def test_what_is_no_period_is_refused(params: dict[str, str], param: str) -> None:
    """By the parameter's name."""
    with pytest.raises(InvalidUsageQuery) as refused:
        read_period(NOW_NS, params)
    assert refused.value.param == param


def test_a_moment_is_a_bucket() -> None:
    """No period is empty."""
    assert align(5, 5, 10) == Period(from_ns=0, to_ns=10, bucket_ns=10)
