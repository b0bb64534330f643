"""Buckets of times: where a value lies, and what their counts tell of quantiles."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.figures.histogram import (
    LATENCY_BOUNDS,
    OVERHEAD_BOUNDS,
    count_buckets,
    find_bucket,
    make_bounds,
    read_quantile,
)


def test_buckets_grow_by_a_factor() -> None:
    """From 0 and the first bound on, to the last."""
    assert make_bounds(16, 2, 2) == (0, 16, 23, 32, 46, 64)
    assert (LATENCY_BOUNDS[:2], LATENCY_BOUNDS[-1]) == ((0, 16), 131_072)
    assert (OVERHEAD_BOUNDS[:2], OVERHEAD_BOUNDS[-1]) == ((0, 64), 65_536)


@given(value=st.integers(0, 2**53))
def test_a_value_lies_in_one_bucket(value: int) -> None:
    """Its lower bound is included; the last has no upper one."""
    bucket = find_bucket(LATENCY_BOUNDS, value)
    assert LATENCY_BOUNDS[bucket] <= value
    assert bucket == len(LATENCY_BOUNDS) - 1 or value < LATENCY_BOUNDS[bucket + 1]


@given(values=st.lists(st.integers(0, 2**53) | st.sampled_from(OVERHEAD_BOUNDS)))
def test_many_values_lie_where_each_does(values: list[int]) -> None:
    """And there are as many of them."""
    counted = count_buckets(OVERHEAD_BOUNDS, values)
    assert sorted(counted.elements()) == sorted(find_bucket(OVERHEAD_BOUNDS, value) for value in values)


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_quantiles_are_within_a_bucket(share: float) -> None:
    """Of latencies as providers have them: within 9 %."""
    drawn = random.Random(5)  # noqa: S311 - the same values each time
    values = sorted(int(drawn.lognormvariate(7, 0.9)) + 16 for _ in range(2_000))
    counts = [0] * len(LATENCY_BOUNDS)
    for value in values:
        counts[find_bucket(LATENCY_BOUNDS, value)] += 1
    told = read_quantile(counts, LATENCY_BOUNDS, share)
    assert told == pytest.approx(values[int(share * len(values)) - 1], rel=0.095)


def test_the_ends_are_told_as_they_are() -> None:
    """Nothing counted has no quantile; the first bucket is divided evenly, the last is its bound."""
    assert read_quantile([0] * 4, (0, 10, 20, 40), 0.5) is None
    assert read_quantile([2, 0, 0, 0], (0, 10, 20, 40), 0.5) == 5.0
    assert read_quantile([0, 0, 0, 9], (0, 10, 20, 40), 0.5) == 40.0
