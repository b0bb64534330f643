"""The calendar's windows."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.counters.interface import Period, RateWindow, Slot
from gateway.counters.periods import bounds_of, make_entered, make_taken
from tests.gateway.counters.naive import name_window


def to_ns(text: str) -> int:
    """Read a moment in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("minute", "2028-02-29 23:59:00", "2028-03-01 00:00:00"),
        ("hour", "2028-02-29 23:00:00", "2028-03-01 00:00:00"),
        ("day", "2028-02-29 00:00:00", "2028-03-01 00:00:00"),
        ("month", "2028-02-01 00:00:00", "2028-03-01 00:00:00"),
    ],
)
def test_a_window_is_the_calendars(period: Period, start: str, end: str) -> None:
    """Its first nanosecond is in it, its end is in the next."""
    start_ns, end_ns = to_ns(start), to_ns(end)
    expected = (start_ns // 10**9, end_ns // 10**9)
    assert bounds_of(period, to_ns("2028-02-29 23:59:01")) == expected
    assert bounds_of(period, start_ns) == expected
    assert bounds_of(period, end_ns - 1) == expected
    assert bounds_of(period, end_ns).start_s == expected[1]


def test_a_year_ends_in_december() -> None:
    """The month after it is January."""
    december = (to_ns("2026-12-01") // 10**9, to_ns("2027-01-01") // 10**9)
    assert bounds_of("month", to_ns("2026-12-31 23:59:59")) == december


@given(period=st.sampled_from(["minute", "hour", "day", "month"]), now_ns=st.integers(0, 4 * 10**18))
def test_windows_follow_each_other_without_a_gap(period: Period, now_ns: int) -> None:
    """Every moment is in one window, and what ends there begins the next."""
    start_s, end_s = bounds_of(period, now_ns)
    assert start_s * 10**9 <= now_ns < end_s * 10**9
    assert bounds_of(period, end_s * 10**9).start_s == end_s
    assert bounds_of(period, start_s * 10**9 - 1).end_s == start_s
    assert name_window(period, now_ns)[1] == end_s


def test_answers_are_made_from_counts() -> None:
    """One refusal refuses all; what is over a lowered limit has 0 left, not less."""
    windows = [RateWindow(policy_key="p", period="day", limit=limit) for limit in (5, 2)]
    taken = make_taken(windows, [1, 0], [0, 3], [60, 120])
    assert not taken.is_admitted
    assert [(state.remaining, state.reset_s, state.is_refusing) for state in taken.windows] == [
        (5, 60, False),
        (0, 120, True),
    ]
    entered = make_entered([Slot(slot_key="a", limit=1), Slot(slot_key="b", limit=1)], [1, 0], [True, False])
    assert entered.is_admitted
    assert [state.inside for state in entered.slots] == [2, 1]
