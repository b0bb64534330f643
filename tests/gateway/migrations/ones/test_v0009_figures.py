"""Schema 9: rows that were there wait to be summed up; those that come count at once."""

import pytest
from sqlalchemy import text

from gateway.db import Database
from gateway.ledger.figures.sums import FIGURES, FIGURES_KEY
from gateway.migrations.apply import WORDS
from gateway.migrations.ones import v0009_figures
from tests.gateway.usage_rows import make_row


@pytest.mark.parametrize("has_rows", [True, False])
async def test_rows_of_an_older_version_wait(database: Database, has_rows: bool) -> None:
    """And an installation without any is complete."""
    async with database.write() as connection:
        for table in ("usage_figures", "usage_tags", "usage_feed", "figures_state"):
            await connection.execute(text(f"DROP TABLE {table}"))
        if has_rows:
            columns = {name: getattr(make_row(), name) for name in make_row().__struct_fields__}
            names = ", ".join(columns)
            values = ", ".join(f":{name}" for name in columns)
            await connection.execute(text(f"INSERT INTO usage ({names}) VALUES ({values})"), columns)  # noqa: S608 - constants
        for statement in v0009_figures.STATEMENTS[2:]:
            await connection.execute(text(statement.format(**WORDS[connection.dialect.name])))  # type: ignore[index]
        state = (await connection.execute(text("SELECT rolled_from FROM figures_state"))).scalar_one()
    assert state == (None if has_rows else "")


async def test_there_is_a_column_for_every_figure(database: Database) -> None:
    """The buckets too."""
    async with database.read() as connection:
        found = await connection.execute(text("SELECT * FROM usage_figures"))
        assert tuple(found.keys()) == (*FIGURES_KEY, *FIGURES)


async def test_entries_are_numbered(database: Database) -> None:
    """By the database itself, and not from the beginning once old ones are gone."""
    add = text("INSERT INTO usage_feed (request_ids) VALUES ('a') RETURNING number")
    async with database.write() as connection:
        assert (await connection.execute(text("SELECT * FROM usage_feed"))).all() == []
        first = (await connection.execute(add)).scalar_one()
        await connection.execute(text("DELETE FROM usage_feed"))
        assert (await connection.execute(add)).scalar_one() == first + 1
