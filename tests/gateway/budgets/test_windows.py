"""Windows of the calendar: every moment lies in exactly one, whatever the clocks do."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.budgets.budget import Span
from gateway.budgets.windows import ALWAYS, NS_PER_S, SLOT_NS, is_zone, name_window, window_of

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Africa/Cairo", "Pacific/Apia", "Asia/Tokyo",
    "Australia/Lord_Howe", "Pacific/Chatham",
)  # fmt: skip
SPANS: tuple[Span, ...] = ("hour", "day", "week", "month")


def at(text: str) -> int:
    """A moment in ns."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


@pytest.mark.parametrize(
    ("span", "zone", "moment", "start", "end"),
    [
        ("hour", "UTC", "2026-11-26T10:59:59", "2026-11-26T10:00", "2026-11-26T11:00"),
        ("hour", "Asia/Kathmandu", "2026-11-26T10:20:00", "2026-11-26T10:15", "2026-11-26T11:15"),
        # The clocks go back by half an hour, and forward: hours begin at another minute from then on.
        ("hour", "Australia/Lord_Howe", "2026-04-04T14:59:59", "2026-04-04T14:00", "2026-04-04T15:00"),
        ("hour", "Australia/Lord_Howe", "2026-04-04T15:00:00", "2026-04-04T15:00", "2026-04-04T15:30"),
        ("hour", "Australia/Lord_Howe", "2026-10-03T15:29:59", "2026-10-03T14:30", "2026-10-03T15:30"),
        ("hour", "Australia/Lord_Howe", "2026-10-03T15:30:00", "2026-10-03T15:30", "2026-10-03T16:00"),
        ("day", "UTC", "2028-02-29T23:59:59", "2028-02-29T00:00", "2028-03-01T00:00"),
        ("day", "Europe/Berlin", "2026-11-26T23:30:00", "2026-11-26T23:00", "2026-11-27T23:00"),
        # The clocks jump forward: 23 hours; and back: 25.
        ("day", "Europe/Berlin", "2026-03-29T12:00:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("day", "Europe/Berlin", "2026-10-25T12:00:00", "2026-10-24T22:00", "2026-10-25T23:00"),
        # There is no midnight on this day: it begins as the clocks jump.
        ("day", "Africa/Cairo", "2026-04-24T12:00:00", "2026-04-23T22:00", "2026-04-24T21:00"),
        ("week", "UTC", "2026-11-29T23:59:59", "2026-11-23T00:00", "2026-11-30T00:00"),
        ("month", "UTC", "2026-12-31T23:59:59", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("month", "America/New_York", "2026-11-01T04:30:00", "2026-11-01T04:00", "2026-12-01T05:00"),
    ],
)
def test_windows_begin_at_the_zones_own_midnight(span: Span, zone: str, moment: str, start: str, end: str) -> None:
    """Days, Mondays, first of months; hours by the offset (clock-004)."""
    assert tuple(window_of(span, zone, at(moment))) == (at(start), at(end))


@given(st.sampled_from(SPANS), st.sampled_from(ZONES), st.integers(at("2015-01-01"), at("2035-01-01")))
def test_windows_follow_one_another(span: Span, zone: str, moment: int) -> None:
    """The window's bounds are slots' bounds, the moment lies inside, and the next begins where it ends."""
    window = window_of(span, zone, moment)
    assert window.holds(moment)
    assert window.start_ns % SLOT_NS == window.end_ns % SLOT_NS == 0
    assert window_of(span, zone, window.start_ns) == window
    assert window_of(span, zone, window.end_ns - 1) == window
    assert window_of(span, zone, window.end_ns).start_ns == window.end_ns


@pytest.mark.parametrize(
    ("span", "moment", "name"),
    [
        ("hour", "2026-11-28T03:20", "2026-11-28T03:00"),
        ("day", "2026-11-28T12:00", "2026-11-28"),
        ("week", "2026-11-28T12:00", "2026-11-23"),
        ("month", "2026-11-28T12:00", "2026-11-01"),
        # In Cairo this day begins at one o'clock.
        ("day", "2026-04-24T12:00", "2026-04-24"),
    ],
)
def test_a_window_has_one_name_in_all_zones(span: Span, moment: str, name: str) -> None:
    """The date that it begins on; an hour, which begins at the same moment in all of these, by that."""
    expected = str(at(name) // NS_PER_S)
    for zone in ("UTC", "Asia/Tokyo", "Africa/Cairo", "America/New_York"):
        window = window_of(span, zone, at(moment))
        assert name_window(span, zone, window) == expected
    assert name_window(span, "UTC", window_of(span, "UTC", at(moment))) == window_of(span, "UTC", at(moment)).key
    assert name_window("total", "Asia/Tokyo", ALWAYS) == "total"


def test_a_total_never_ends() -> None:
    """It has a name and no end."""
    window = window_of("total", "UTC", 5)
    assert window == ALWAYS
    assert (window.key, window.resets_ns) == ("total", None)


def test_an_unknown_zone_is_utc() -> None:
    """What this machine does not know is never an error on the way of a call."""
    assert window_of("day", "Mars/Base", at("2026-01-01")) == window_of("day", "UTC", at("2026-01-01"))
    assert [is_zone(name) for name in ("UTC", "Europe/Berlin", "Mars/Base", "../etc/passwd")] == [
        True,
        True,
        False,
        False,
    ]
