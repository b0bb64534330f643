"""Schema 17: counters that were begun before keep their names."""

from sqlalchemy import text

from gateway.db import Database
from gateway.migrations.apply import WORDS
from gateway.migrations.tens.v0017_zones import STATEMENTS


async def test_no_zone_counts_as_changed(database: Database) -> None:
    """Nor does a process that is there hold anything by another counter."""
    async with database.write() as connection:
        for table, column in (("accounts", "zone_changes"), ("spenders", "moved")):
            await connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        account = "INSERT INTO accounts (account_id, name, created_ns, zone) VALUES ('acct_1', 'a', 0, 'Asia/Tokyo')"
        await connection.execute(text(account))
        process = "INSERT INTO spenders (process_id, journal, beat, seen_ns, held) VALUES ('p', 'j', 1, 1, '{}')"
        await connection.execute(text(process))
        for statement in STATEMENTS:
            await connection.exec_driver_sql(statement.format_map(WORDS[database.dialect]))
        assert (await connection.execute(text("SELECT zone_changes FROM accounts"))).scalars().all() == [0]
        assert (await connection.execute(text("SELECT moved FROM spenders"))).scalars().all() == ["{}"]
