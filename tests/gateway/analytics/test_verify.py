"""Sums are proved by their rows, and whatever is wrong is found."""

import pytest
from sqlalchemy import text

from gateway.analytics.verify import Difference, find_differences
from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.rollups import DAY_NS, HOUR_NS, STRETCH_NS
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_history, make_row


async def check(database: Database, *statements: str) -> list[Difference]:
    """Store rows in several stretches, spoil something, and compare."""
    rows = [make_row(NOW_NS + number * STRETCH_NS // 3, cost_pusd=2**62) for number in range(7)]
    async with database.write() as connection:
        await store.insert_rows(connection, [*rows, make_row(project_id="other", is_cached=True)])
        for statement in statements:
            await connection.execute(text(statement), {"id": rows[0].request_id} if ":id" in statement else {})
    return [difference async for difference in find_differences(database)]


async def test_sums_that_are_right_are_found_right(database: Database) -> None:
    """Those of an empty database too."""
    assert [difference async for difference in find_differences(database)] == []
    assert await check(database) == []


async def test_a_history_is_summed_up_first(database: Database) -> None:
    """What waits is not wrong."""
    await make_history(database)
    assert await check(database, "DELETE FROM usage_rollups", "DELETE FROM usage_days") == []


@pytest.mark.parametrize("span_ns", [HOUR_NS, DAY_NS, STRETCH_NS])
async def test_a_picodollar_too_much_is_found(database: Database, span_ns: int) -> None:
    """In the sums of every span, by name."""
    spoil = f"UPDATE usage_rollups SET cost_low = cost_low + 1 WHERE project_id = 'other' AND span_ns = {span_ns}"  # noqa: S608 - constants
    (found,) = await check(database, spoil)
    assert (found.project_id, found.span_ns, found.measures) == ("other", span_ns, {"cost_pusd": (0, 1)})


async def test_an_audit_too_much_is_found(database: Database) -> None:
    """It is one of a caller's too few."""
    found = await check(database, "UPDATE usage_rollups SET audits = 1 WHERE project_id = 'other'")
    assert [each.measures for each in found] == [{"requests": (1, 0), "audits": (0, 1)}] * 3


async def test_a_row_without_sums_and_sums_without_a_row_are_found(database: Database) -> None:
    """Three spans each."""
    found = await check(database, "DELETE FROM usage WHERE project_id = 'other'")
    assert {each.measures["requests"] for each in found} == {(0, 1)}
    found = await check(database, f"DELETE FROM usage_rollups WHERE project_id = '{PROJECT_ID}'")  # noqa: S608 - constants
    assert {each.project_id for each in found} == {PROJECT_ID, "other"}


async def test_corrections_belong_to_the_sums(database: Database) -> None:
    """One that was not added to them is found."""
    found = await check(database, "INSERT INTO corrections VALUES (:id, 0, 5, 'operator', 'p', 1, 0)")
    assert [each.measures["cost_pusd"][0] - each.measures["cost_pusd"][1] for each in found] == [5, 5, 5, 5]
