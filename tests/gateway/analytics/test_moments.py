"""Moments: read in every form that people use, refused by name, written as the documents write them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.analytics.moments import (
    MAX_NS,
    day_start_ns,
    moment_text,
    month_start_ns,
    next_month_start_ns,
    parse_moment,
)

DAY_NS = 1_733_961_600_000_000_000  # 2024-12-12
CASES = (
    ("2024-12-12", 0),
    ("2024-12-12T00:00:00Z", 0),
    ("2024-12-12t10:30:00z", 37_800),
    ("2024-12-12T10:30Z", 37_800),
    ("2024-12-12 10:30:00", 37_800),
    ("2024-12-12T10:30:00+02:00", 30_600),
    ("2024-12-12T10:30:00 02:00", 30_600),
    ("2024-12-12T10:30:00-0230", 46_800),
)


@pytest.mark.parametrize(("text", "offset_s"), CASES)
def test_a_moment_is_read(text: str, offset_s: int) -> None:
    """Dates, RFC 3339, no offset, and a plus that was lost in a query."""
    assert parse_moment(text) == DAY_NS + offset_s * 1_000_000_000


def test_fractions_are_read_to_the_microsecond() -> None:
    """Finer digits are cut."""
    assert parse_moment("2024-12-12T00:00:00.123456789Z") == DAY_NS + 123_456_000


def test_a_date_as_an_end_includes_its_day() -> None:
    """``to=2024-12-12`` means until the day is over; a moment is meant as it stands."""
    assert parse_moment("2024-12-12", is_end=True) == DAY_NS + 86_400_000_000_000
    assert parse_moment("2024-12-12T00:00:00Z", is_end=True) == DAY_NS


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [("0001-01-01", 0), ("1969-12-31T23:59:59Z", 0), ("2261-12-31", MAX_NS), ("9999-12-31T23:59:59-12:00", MAX_NS)],
)
def test_what_no_row_can_have_is_moved_to_the_edge(text: str, expected_ns: int) -> None:
    """The far past and the far future are no errors, and whoever rounds up what is read stays within 64 bits."""
    assert parse_moment(text, is_end=True) == expected_ns
    assert next_month_start_ns(next_month_start_ns(MAX_NS)) < 2**63


NO_MOMENTS = (
    "",
    "yesterday",
    "2024-13-01",
    "2024-02-30",
    "2024-12-12T25:00:00Z",
    "20241212",
    "2024-W50-4",
    "12.12.2024",
    "2024-12-12T10:30:00+99:99",
    "1733961600",
    "2024-12-12T10:30:00Z'",
    "２０２４-12-12",  # noqa: RUF001 - digits, but not ASCII's
)


@pytest.mark.parametrize("text", NO_MOMENTS)
def test_what_is_no_moment_is_refused_by_its_text(text: str) -> None:
    """The message shows what was given and what to write."""
    with pytest.raises(ValueError, match="is no date or time: write 2024-12-12") as caught:
        parse_moment(text)
    assert repr(text) in str(caught.value)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)))
def test_what_is_written_is_read_again(moment: datetime) -> None:
    """To the second."""
    moment_ns = round(moment.replace(tzinfo=UTC, microsecond=0).timestamp()) * 1_000_000_000
    text = moment_text(moment_ns + moment.microsecond * 1_000)
    assert len(text) == len("2024-12-12T10:30:00Z")
    assert parse_moment(text) == moment_ns


@pytest.mark.parametrize(
    ("moment", "day", "month"),
    [
        ("2024-02-29T23:59:59.999Z", "2024-02-29", "2024-02-01"),
        ("2024-12-01", "2024-12-01", "2024-12-01"),
        ("1970-01-01", "1970-01-01", "1970-01-01"),
    ],
)
def test_days_and_months_begin_in_utc(moment: str, day: str, month: str) -> None:
    """With their first nanosecond."""
    moment_ns = parse_moment(moment)
    assert (day_start_ns(moment_ns), month_start_ns(moment_ns)) == (parse_moment(day), parse_moment(month))
