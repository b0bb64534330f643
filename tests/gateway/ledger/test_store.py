"""Usage rows in the database: inserted once, read newest first, summed exactly."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import fields, replace
from sqlalchemy import text

from gateway.db import Database
from gateway.ids import new_id
from gateway.ledger import store
from gateway.ledger.alike import COLUMNS
from gateway.ledger.rollups import HOUR_NS
from gateway.ledger.row import UsageRow
from gateway.ledger.store import UsageFilter, UsageLog
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, any_row, make_history, make_row

EVERYTHING = UsageFilter(project_id=PROJECT_ID, from_ns=0, to_ns=2**63 - 1)


async def insert(database: Database, *rows: UsageRow) -> None:
    """Store rows."""
    async with database.write() as connection:
        await store.insert_rows(connection, rows)


async def read_rows(database: Database) -> dict[str, UsageRow]:
    """Read every stored row back whole."""
    async with database.read() as connection:
        found = await connection.execute(text(f"SELECT {', '.join(COLUMNS)} FROM usage"))  # noqa: S608 - constants
        rows = [UsageRow(**{name: _as_stored(name, value) for name, value in row.items()}) for row in found.mappings()]
    return {row.request_id: row for row in rows}


def _as_stored(name: str, value: Any) -> Any:
    return bool(value) if name.startswith("is_") else value


async def read_logs(database: Database, wanted: UsageFilter = EVERYTHING, limit: int = 1_000) -> list[UsageLog]:
    """Read the rows that are meant."""
    async with database.read() as connection:
        return await store.read_logs(connection, wanted, limit)


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
async def test_every_row_is_stored(count: int, database: Database) -> None:
    """However many come at once."""
    rows = [make_row(NOW_NS + number) for number in range(count)]
    await insert(database, *rows)
    assert await read_rows(database) == {row.request_id: row for row in rows}


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(any_row(), min_size=1, max_size=4))
async def test_every_field_comes_back(rows: list[UsageRow], database: Database) -> None:
    """Whatever a caller could make a row hold; only NUL, which PostgreSQL cannot store, may be replaced."""
    await insert(database, *rows)
    stored = await read_rows(database)
    for row in rows:
        kept = stored[row.request_id]
        values = {name: getattr(row, name) for name in COLUMNS}
        if database.dialect == "postgresql":
            values = {
                name: value.replace("\0", "\ufffd") if isinstance(value, str) else value
                for name, value in values.items()
            }
        assert kept == UsageRow(**values)


async def test_what_most_rows_have_alike_is_stored_as_what_others_have(database: Database) -> None:
    """Each field alone is something else, among rows in which all is as usual."""
    usual = [make_row(NOW_NS + number) for number in range(len(COLUMNS) * 2)]
    usual = [replace(row, status="complete", http_status=200, attempts=1, is_estimated=False) for row in usual]
    rows = usual.copy()
    for position, field in enumerate(fields(UsageRow)[6:]):
        value = {str: "it's", int: 7, bool: True}[field.type]
        rows[position * 2] = replace(rows[position * 2], **{field.name: value})
    await insert(database, *rows)
    assert await read_rows(database) == {row.request_id: row for row in rows}


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(any_row(), min_size=1, max_size=3), count=st.sampled_from((19, 20, 45, 121)))
async def test_rows_that_are_stored_together_come_back_as_they_were(
    rows: list[UsageRow], count: int, database: Database
) -> None:
    """Of each kind many, mixed; then again with some that are new."""
    many = [
        replace(row, request_id=new_id(NOW_NS + number), output_tokens=number, tags=f"t:{number % 3}")
        for number in range(count)
        for row in rows
    ]
    await insert(database, *many[: -len(rows)])
    await insert(database, *many)
    stored = await read_rows(database)
    for row in many:
        kept = stored[row.request_id]
        if database.dialect == "sqlite":
            assert kept == row
        assert (kept.output_tokens, kept.tags, kept.cost_pusd) == (row.output_tokens, row.tags, row.cost_pusd)


async def test_a_row_is_stored_once(database: Database) -> None:
    """A replay changes nothing: the first row of an id stays."""
    row = make_row()
    await insert(database, row, row)
    await insert(database, make_row(request_id=row.request_id, model="another"))
    assert await read_rows(database) == {row.request_id: row}


async def test_logs_come_newest_first(database: Database) -> None:
    """And no more than asked for."""
    rows = [make_row(NOW_NS + 1_000_000 * number) for number in range(5)]
    await insert(database, *rows)
    assert [log.request_id for log in await read_logs(database, limit=3)] == [row.request_id for row in rows[:1:-1]]


async def test_logs_go_on_where_a_page_ended(database: Database) -> None:
    """Rows of one moment are neither repeated nor skipped."""
    rows = [make_row(NOW_NS) for _ in range(7)]
    await insert(database, *rows)
    seen: list[str] = []
    last: UsageLog | None = None
    async with database.read() as connection:
        while page := await store.read_logs(connection, EVERYTHING, 3, last):
            seen += [log.request_id for log in page]
            last = page[-1]
    assert seen == sorted((row.request_id for row in rows), reverse=True)


async def test_only_what_is_meant_is_found(database: Database) -> None:
    """From inclusive, to exclusive, the model's name literally, and no other project's."""
    rows = [make_row(NOW_NS), make_row(NOW_NS + 1), make_row(NOW_NS + 2, model="gpt-5")]
    await insert(database, *rows, make_row(project_id="proj_other"))
    counts: list[tuple[dict[str, Any], int]] = [
        ({}, 3),
        ({"from_ns": NOW_NS + 1}, 2),
        ({"to_ns": NOW_NS + 2}, 2),
        ({"from_ns": NOW_NS + 1, "to_ns": NOW_NS + 2}, 1),
        ({"model": "gpt-4"}, 2),
        ({"model": "%"}, 0),
        ({"project_id": "proj_another"}, 0),
    ]
    for wanted, count in counts:
        values: dict[str, Any] = {"project_id": PROJECT_ID, "from_ns": 0, "to_ns": 2**63 - 1, **wanted}
        assert (wanted, len(await read_logs(database, UsageFilter(**values)))) == (wanted, count)


async def test_an_answer_from_the_cache_used_and_cost_nothing(database: Database) -> None:
    """Whatever counts its row carries, the views show 0, and what was saved beside it."""
    await insert(database, make_row(), make_row(is_cached=True, tokens_saved=150, saved_pusd=4_500_000_000))
    cached = next(log for log in await read_logs(database) if log.is_cached)
    assert (cached.tokens_used, cached.cost_pusd, cached.tokens_saved) == (0, 0, 150)


async def test_tokens_used_count_every_bucket(database: Database) -> None:
    """As UsageRow.total_tokens does."""
    buckets = [name for name in COLUMNS if name.endswith("_tokens") and name != "reasoning_tokens"]
    row = make_row(**{name: 10**number for number, name in enumerate(buckets)}, reasoning_tokens=5)
    await insert(database, row)
    assert (await read_logs(database))[0].tokens_used == row.total_tokens == 111_111_111


async def test_what_was_inserted_is_told(database: Database) -> None:
    """In a batch with rows that are there, or twice in the batch, only the new ones, the first of each id."""
    old, new = make_row(), make_row()
    async with database.write() as connection:
        assert list(await store.insert_rows(connection, [old])) == [old]
        twin = make_row(request_id=new.request_id, model="twin")
        assert list(await store.insert_rows(connection, [old, new, twin])) == [new]
        assert list(await store.insert_rows(connection, [old, new])) == []
    assert await read_rows(database) == {row.request_id: row for row in (old, new)}


@pytest.mark.parametrize("is_rolled", [True, False])
async def test_the_calls_of_a_rare_model_are_found(database: Database, is_rolled: bool) -> None:
    """Over hours far apart and hours side by side, page after page, with sums of all hours or without."""
    hours = [0, 1, 2, 5, 9, 200, *range(300, 480, 3)]
    rows = [make_row(NOW_NS + hour * HOUR_NS, model="rare") for hour in hours]
    await insert(database, *rows, *(make_row(NOW_NS + hour * HOUR_NS) for hour in range(300)))
    if not is_rolled:
        await make_history(database)
    wanted = UsageFilter(project_id=PROJECT_ID, from_ns=NOW_NS, to_ns=rows[-1].created_ns, model="rare")
    seen: list[str] = []
    last: UsageLog | None = None
    async with database.read() as connection:
        for _ in range(3):
            page = await store.read_logs(connection, wanted, 30, last)
            seen += [log.request_id for log in page]
            last = page[-1]
    assert seen == [row.request_id for row in reversed(rows[:-1])]
