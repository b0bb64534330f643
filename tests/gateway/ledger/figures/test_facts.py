"""What a row adds to the figures: from the row at hand as from the one that is stored."""

import pytest
from sqlalchemy import text

from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.figures import facts
from gateway.ledger.figures.facts import Fact, fact_of, read_history, read_period
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_row

ROWS = [
    make_row(NOW_NS, tags="a,b", overhead_us=300, prompt_saved_pusd=9),
    make_row(NOW_NS + 1, is_cached=True, cache_layer="semantic", saved_pusd=7),
    make_row(NOW_NS + 2, is_cached=True),
    make_row(NOW_NS + 3, error_code="upstream_error"),
    make_row(NOW_NS + 4, cache_layer="audit"),
]


async def insert(database: Database) -> None:
    """Store the rows."""
    async with database.write() as connection:
        await store.insert_rows(connection, ROWS)


async def test_stored_rows_tell_what_rows_at_hand_tell(database: Database) -> None:
    """By their ids, or by a project's time in pages."""
    await insert(database)
    async with database.read() as connection:
        assert sorted(await read_history(connection, "", None)) == sorted(map(fact_of, ROWS))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(facts, "PAGE_ROWS", 3)
            first = await read_period(connection, PROJECT_ID, NOW_NS, NOW_NS + 5)
            rest = await read_period(connection, PROJECT_ID, NOW_NS, NOW_NS + 5, first[-1])
    assert [*first, *rest] == list(map(fact_of, ROWS))


async def test_corrections_belong_to_the_cost_and_to_the_savings(database: Database) -> None:
    """Those of a stored row."""
    await insert(database)
    async with database.write() as connection:
        book = text("INSERT INTO corrections VALUES (:id, 0, 5, 'operator', 'p', 1, -4)")
        await connection.execute(book, {"id": ROWS[0].request_id})
    async with database.read() as connection:
        found = await read_period(connection, PROJECT_ID, NOW_NS, NOW_NS + 1)
    assert [(fact.cost_pusd, fact.prompt_saved_pusd) for fact in found] == [(ROWS[0].cost_pusd + 5, 9 - 4)]


def test_the_cache_costs_nothing() -> None:
    """And what it found by its meaning is told apart; a row without a layer was exact."""
    semantic, exact = fact_of(ROWS[1]), fact_of(ROWS[2])
    assert isinstance(semantic, Fact)
    assert (semantic.cost_pusd, semantic.tokens, semantic.is_semantic, exact.is_semantic) == (0, 0, True, False)
    assert [fact_of(row).is_audit for row in ROWS] == [row.is_audit for row in ROWS] == [False] * 4 + [True]
