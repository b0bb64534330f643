"""Periods in parts: nothing twice, nothing missing, few parts; the hours of a model."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.rollups import DAY_NS, HOUR_NS, SPANS, STRETCH_NS
from gateway.ledger.spans import MAX_EDGES, MAX_PIECES, cut, find_windows
from tests.gateway.usage_rows import PROJECT_ID, make_row

MOST_NS = 2**63 - 1
_MOMENT = st.one_of(
    st.integers(0, MOST_NS), st.integers(0, 100_000).map(lambda n: n * HOUR_NS), st.integers(0, 9_000 * DAY_NS)
)


@given(begin=_MOMENT, end=_MOMENT, longest_ns=st.sampled_from(SPANS), is_rolled=st.booleans())
def test_the_parts_are_the_period(begin: int, end: int, longest_ns: int, is_rolled: bool) -> None:
    """Side by side, in whole spans, and never more than a statement has places for."""
    parts = cut((begin, end), longest_ns=longest_ns, is_rolled=is_rolled)
    assert (len(parts.pieces) <= MAX_PIECES, len(parts.edges) <= MAX_EDGES) == (True, True)
    ranges = sorted([*parts.edges, *((first, last) for _, first, last in parts.pieces)])
    assert all(first < last for first, last in ranges)
    if begin < end:
        assert (ranges[0][0], ranges[-1][1]) == (begin, end)
        assert all(left[1] == right[0] for left, right in pairwise(ranges))
    else:
        assert ranges == []
    assert all(span <= longest_ns and first % span == last % span == 0 for span, first, last in parts.pieces)
    if is_rolled:
        assert all(last - first < 2 * HOUR_NS for first, last in parts.edges)


def test_a_year_is_a_few_parts() -> None:
    """The longest spans in the middle."""
    begin, end = 600 * STRETCH_NS - DAY_NS - 1, 612 * STRETCH_NS + HOUR_NS
    assert cut((begin, end)).pieces == [
        (DAY_NS, 600 * STRETCH_NS - DAY_NS, 600 * STRETCH_NS),
        (STRETCH_NS, 600 * STRETCH_NS, 612 * STRETCH_NS),
        (HOUR_NS, 612 * STRETCH_NS, 612 * STRETCH_NS + HOUR_NS),
    ]
    assert cut((begin, end)).edges == [(begin, begin + 1)]


@pytest.mark.parametrize(
    ("limit", "hours"), [(1, [(30, 31)]), (2, [(30, 31), (10, 11)]), (9, [(30, 31), (10, 11), (2, 5)])]
)
async def test_windows_are_the_hours_of_the_newest_calls(
    database: Database, limit: int, hours: list[tuple[int, int]]
) -> None:
    """Hours with at most one between them are read together."""
    rows = [make_row(hour * HOUR_NS + 5, model="rare") for hour in (2, 4, 10, 30)]
    async with database.write() as connection:
        await store.insert_rows(connection, [*rows, make_row(11 * HOUR_NS), make_row(5, model="rare", project_id="o")])
    async with database.read() as connection:
        found = await find_windows(connection, PROJECT_ID, "rare", (0, 40 * HOUR_NS), limit)
    # One hour more than needed may be named: the newest may lie half outside.
    assert found[: len(hours)] == [(first * HOUR_NS, last * HOUR_NS) for first, last in hours]
    assert len(found) <= len(hours) + 1


async def test_windows_keep_to_the_period(database: Database) -> None:
    """To the nanosecond."""
    async with database.write() as connection:
        await store.insert_rows(connection, [make_row(hour * HOUR_NS, model="rare") for hour in range(10)])
    async with database.read() as connection:
        found = await find_windows(connection, PROJECT_ID, "rare", (2 * HOUR_NS + 7, 8 * HOUR_NS + 7), 1_000)
        assert found == [(2 * HOUR_NS + 7, 8 * HOUR_NS + 7)]
        assert await find_windows(connection, PROJECT_ID, "nobodys", (0, MOST_NS), 9) == []
