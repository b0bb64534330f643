"""Forecasts: right on what is regular, wide on what is not, and honest about how often they hold."""

import random

import pytest

from gateway.analytics.overview.forecast import LEVEL, learn_pace, look_ahead

WEEK = (100, 100, 100, 100, 100, 20, 20)


def test_a_regular_week_is_foreseen() -> None:
    """Weekends cost less, and nearly nothing is uncertain."""
    pace = learn_pace(WEEK * 8, 6)
    outlook = look_ahead(pace, 1_000, [(weekday, 1.0) for weekday in range(7)])
    assert outlook.expected == pytest.approx(1_540, rel=0.03)
    assert outlook.high - outlook.low(1_000) < 200
    assert pace.is_sure


def test_without_a_history_nothing_is_sure() -> None:
    """A short one makes a wide interval, none makes no forecast beyond what is spent."""
    nothing = look_ahead(learn_pace([0] * 56, 6), 7, [(0, 1.0)])
    assert (nothing.expected, nothing.low(7), nothing.high) == (7, 7, 7)
    pace = learn_pace([0] * 53 + [100, 100, 100], 6)
    outlook = look_ahead(pace, 0, [(0, 1.0)] * 10)
    assert not pace.is_sure
    assert (outlook.expected, outlook.low(0)) == (1_000, pytest.approx(340, abs=30))


def test_the_interval_holds_as_often_as_it_says() -> None:
    """Of many months of random days around a weekly rhythm; whatever was spent is spent."""
    drawn = random.Random(3)  # noqa: S311 - the same months each time
    held, months = 0, 300
    for _ in range(months):
        days = [int(WEEK[day % 7] * drawn.lognormvariate(0, 0.3)) for day in range(76)]
        outlook = look_ahead(learn_pace(days[:56], 6), 0, [(day % 7, 1.0) for day in range(56, 76)])
        held += outlook.low(0) <= sum(days[56:]) <= outlook.high
    assert held / months == pytest.approx(LEVEL, abs=0.08)


def test_chances_are_between_never_and_surely() -> None:
    """By how far the limit is from what is expected."""
    outlook = look_ahead(learn_pace((90, 110) * 28, 6), 0, [(0, 1.0)] * 10)
    assert outlook.chance_above(outlook.expected) == pytest.approx(0.5)
    assert (outlook.chance_above(10_000), outlook.chance_above(100)) == pytest.approx((0, 1), abs=0.01)
    sure = look_ahead(learn_pace([0] * 56, 6), 7, [])
    assert (sure.chance_above(6), sure.chance_above(7)) == (1.0, 0.0)
