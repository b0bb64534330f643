"""Histograms of times: buckets that grow by a fixed factor, so that sums of them tell quantiles of any period.

A quantile is exact to the bucket that it lies in: within 9 % of a latency from 16 ms to 2 minutes, within 19 % of the
gateway's own time from 64 µs to 65 ms. What is shorter counts in the first bucket, what is longer in the last.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial


def make_bounds(first: int, octaves: int, per_octave: int) -> tuple[int, ...]:
    """Make the lower bounds of buckets, included: 0, ``first``, and so on to ``first`` doubled ``octaves`` times."""
    steps = range(octaves * per_octave + 1)
    return (0, *(math.ceil(first * 2 ** (step / per_octave)) for step in steps))


# In ms.
LATENCY_BOUNDS = make_bounds(16, 13, 8)
# In µs.
OVERHEAD_BOUNDS = make_bounds(64, 10, 4)


def find_bucket(bounds: Sequence[int], value: int) -> int:
    """Tell in which bucket a value is, counted from 0."""
    return bisect_right(bounds, value) - 1


def count_buckets(bounds: Sequence[int], values: Iterable[int]) -> Counter[int]:
    """Tell how many of the values are in each bucket."""
    counted = Counter(map(partial(bisect_right, bounds), values))
    return Counter({following - 1: count for following, count in counted.items()})


def read_quantile(counts: Sequence[int], bounds: Sequence[int], share: float) -> float | None:
    """The value that ``share`` of the counted values do not exceed; None where none was counted.

    Inside its bucket it lies where it would if the values grew by equal factors; in the last one it is the bound.
    """
    wanted = share * sum(counts)
    passed = 0
    for number, count in enumerate(counts):
        if count and passed + count >= wanted:
            if number == len(bounds) - 1:
                return float(bounds[number])
            lower, upper = bounds[number], bounds[number + 1]
            part = (wanted - passed) / count
            return float(lower * (upper / lower) ** part if lower else upper * part)
        passed += count
    return None
