"""Corrections are added to a row, never changed, and each is in the sums of usage."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.db import Database, DatabaseUnavailable
from gateway.ledger import store as rows_store
from gateway.ledger.correcting import store
from gateway.ledger.correcting.store import Booked, Place, compare
from gateway.ledger.settle import Cost
from gateway.ledger.sums import Wanted, read_total
from tests.gateway.ledger.correcting.test_rating import rated
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_history, make_row

MILLION = Cost(pusd=10**6, basis="operator", price_id="p")


async def insert(database: Database, *fields: dict[str, object]) -> list[str]:
    """Store rows of one moment; their ids, sorted."""
    rows = [make_row(**each) for each in fields]
    async with database.write() as connection:
        await rows_store.insert_rows(connection, rows)
    return sorted(row.request_id for row in rows)


async def correct(database: Database, cost: Cost) -> None:
    """Correct every row of the project to this cost."""
    async with database.write() as connection:
        await store.lock(connection)
        rows = await store.read_rows(connection, PROJECT_ID, Place(0, ""), 2**63 - 1, 100)
        booked = await store.read_booked(connection, [row.request_id for row in rows])
        lacking = [compare(row, cost, booked.get(row.request_id, Booked())) for row in rows]
        await store.insert(connection, [each for each in lacking if each is not None], NOW_NS)


async def test_pages_are_whole(database: Database) -> None:
    """Rows of one moment on the edge of a page come once each; the end of the period is not in it."""
    ids = await insert(database, {}, {}, {}, {"project_id": "other"})
    found: list[str] = []
    async with database.read() as connection:
        assert await store.list_projects(connection) == sorted(["other", PROJECT_ID])
        place = Place(NOW_NS, "")
        while page := await store.read_rows(connection, PROJECT_ID, place, NOW_NS + 1, 2):
            found += [row.request_id for row in page]
            place = Place(page[-1].created_ns, page[-1].request_id)
        assert await store.read_rows(connection, PROJECT_ID, Place(0, ""), NOW_NS, 2) == []
        assert await store.read_booked(connection, []) == {}
    assert len(found) == len(set(found)) == 3
    assert set(found) < set(ids)


async def test_corrections_add_up(database: Database) -> None:
    """Up, and down again: the views and the sums say what the last one did."""
    await insert(database, {"cost_pusd": 10, "lost_pusd": 3})
    wanted = Wanted(project_ids=(PROJECT_ID,), from_ns=0, to_ns=2**63 - 1)
    for pusd in (10**6, 5, 2 * 10**12 + 7):
        await correct(database, Cost(pusd=pusd, basis="operator", price_id="p"))
        async with database.read() as connection:
            assert (await read_total(connection, wanted)).cost_pusd == pusd + 3
    async with database.read() as connection:
        found = await connection.execute(text("SELECT number, delta_pusd FROM corrections ORDER BY number"))
        assert [tuple(row) for row in found] == [(0, 10**6 - 7), (1, 5 - 10**6), (2, 2 * 10**12 + 2)]
        assert (await connection.execute(text("SELECT value FROM revisions WHERE name = 'corrections'"))).scalar() == 3


async def test_what_is_not_summed_up_cannot_be_corrected(database: Database, tmp_path: Path) -> None:
    """The sums would never get the correction."""
    await insert(database, {})
    await make_history(database)
    with pytest.raises(DatabaseUnavailable, match="not summed up"):
        await correct(database, MILLION)


# What a row was charged or saved, by how much that was corrected, and what it is now.
AMOUNTS = st.tuples(st.integers(0, 10**15), st.integers(), st.integers(0, 10**15))


@given(cost=AMOUNTS, lost=st.integers(0, 10**15), saved=AMOUNTS)
def test_a_row_that_was_corrected_lacks_nothing(
    cost: tuple[int, int, int], lost: int, saved: tuple[int, int, int]
) -> None:
    """Once what it lacks is booked, of what it cost and of what the provider's prompt cache saved."""
    row = rated(make_row(cost_pusd=cost[0] + lost, lost_pusd=lost, prompt_saved_pusd=saved[0]))
    wanted = Cost(pusd=cost[2], basis="bundled", price_id="p", prompt_saved_pusd=saved[2])
    lacking = compare(row, wanted, Booked(cost[1], 1, "bundled", saved[1]))
    if lacking is None:
        assert (sum(cost[:2]), sum(saved[:2])) == (cost[2], saved[2])
    else:
        after = Booked(cost[1] + lacking.delta_pusd, 2, "bundled", saved[1] + lacking.prompt_saved_delta_pusd)
        assert compare(row, wanted, after) is None


def test_savings_alone_are_a_correction() -> None:
    """Rows of before there was this figure cost what they did and say that nothing was saved."""
    row = rated(make_row(cost_pusd=7, prompt_saved_pusd=0))
    lacking = compare(row, Cost(pusd=7, basis="bundled", price_id="p", prompt_saved_pusd=3), Booked())
    assert lacking is not None
    assert (lacking.delta_pusd, lacking.prompt_saved_delta_pusd) == (0, 3)


def test_a_row_without_a_price_gets_one_even_where_it_costs_nothing() -> None:
    """Once."""
    row = rated(make_row(cost_basis="unpriced", cost_pusd=0))
    free = Cost(pusd=0, basis="operator", price_id="p")
    lacking = compare(row, free, Booked())
    assert lacking is not None
    assert lacking.delta_pusd == 0
    assert compare(row, free, Booked(0, 1, "operator")) is None
