"""Figures are proved by their rows, and whatever is wrong is found."""

import pytest
from sqlalchemy import text

from gateway.analytics.verify_figures import FigureDifference, find_differences
from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.figures import facts
from gateway.ledger.rollups import DAY_NS, HOUR_NS
from tests.gateway.usage_rows import NOW_NS, make_row


async def check(database: Database, *statements: str) -> list[FigureDifference]:
    """Store rows of several days, spoil something, and compare."""
    rows = [make_row(NOW_NS + number * DAY_NS // 3, cost_pusd=2**62, tags="a,b") for number in range(7)]
    async with database.write() as connection:
        await store.insert_rows(connection, [*rows, make_row(project_id="other", is_cached=True, tags="c")])
        for statement in statements:
            await connection.execute(text(statement), {"id": rows[0].request_id} if ":id" in statement else {})
    return [difference async for difference in find_differences(database)]


async def test_figures_that_are_right_are_found_right(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of an empty database too, and of more rows than a page has."""
    assert [difference async for difference in find_differences(database)] == []
    monkeypatch.setattr(facts, "PAGE_ROWS", 2)
    monkeypatch.setattr("gateway.analytics.verify_figures.PAGE_ROWS", 2)
    assert await check(database) == []


@pytest.mark.parametrize("span_ns", [HOUR_NS, DAY_NS])
async def test_a_call_too_much_in_a_bucket_is_found(database: Database, span_ns: int) -> None:
    """In the figures of every span, by name."""
    spoil = f"UPDATE usage_figures SET overhead_3 = 1 WHERE project_id = 'other' AND span_ns = {span_ns}"  # noqa: S608 - constants
    (found,) = await check(database, spoil)
    assert (found.project_id, found.tag, found.span_ns) == ("other", None, span_ns)
    assert found.measures == {"overhead_3": (0, 1)}


async def test_rows_without_figures_and_figures_without_rows_are_found(database: Database) -> None:
    """Of the project and of its tag, two spans each."""
    found = await check(database, "DELETE FROM usage WHERE project_id = 'other'")
    assert {(each.tag, each.measures["requests"]) for each in found} == {(None, (0, 1)), ("c", (0, 1))}
    assert len(found) == 4
    found = await check(database, "DELETE FROM usage_tags WHERE tag = 'b'")
    assert {each.tag for each in found} == {None, "b", "c"}


async def test_corrections_belong_to_the_figures(database: Database) -> None:
    """One that was not added to them is found: in the project's and in each tag's, of both spans."""
    found = await check(database, "INSERT INTO corrections VALUES (:id, 0, 5, 'operator', 'p', 1, 0)")
    assert [each.measures["cost_pusd"][0] - each.measures["cost_pusd"][1] for each in found] == [5] * 6


async def test_what_prompt_caches_saved_is_corrected_in_the_figures(database: Database) -> None:
    """Of the project alone: tags do not tell it."""
    found = await check(database, "INSERT INTO corrections VALUES (:id, 0, 0, 'operator', 'p', 1, 5)")
    told = [each.measures["prompt_saved_pusd"] for each in found]
    assert [(each.tag, made - kept) for each, (made, kept) in zip(found, told, strict=True)] == [(None, 5)] * 2
