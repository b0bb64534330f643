"""Brings a database to the schema that this version of the code knows, forwards only.

All missing steps run in one transaction, which the caller holds alone (SQLite's BEGIN IMMEDIATE, here an advisory lock
on PostgreSQL), so that of processes that start together one applies them and the others find them applied.

Failure behavior: a step that fails leaves the database as it was; a database of a newer version is refused untouched.
"""

from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.migrations.ones import (
    v0001_spine,
    v0002_people,
    v0003_credentials,
    v0004_control,
    v0005_budgets,
    v0006_rollups,
    v0007_money,
    v0008_cache,
    v0009_figures,
)
from gateway.migrations.tens import (
    v0010_semantic,
    v0011_prompts,
    v0012_prompt_savings,
    v0013_cache_parts,
    v0014_shared_limits,
    v0015_makers_budgets,
    v0016_audits,
    v0017_zones,
    v0018_cache_refreshes,
    v0019_judge,
)

Dialect = Literal["sqlite", "postgresql"]

# In order; the position of a step is the version that it makes.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    v0001_spine.STATEMENTS,
    v0002_people.STATEMENTS,
    v0003_credentials.STATEMENTS,
    v0004_control.STATEMENTS,
    v0005_budgets.STATEMENTS,
    v0006_rollups.STATEMENTS,
    v0007_money.STATEMENTS,
    v0008_cache.STATEMENTS,
    v0009_figures.STATEMENTS,
    v0010_semantic.STATEMENTS,
    v0011_prompts.STATEMENTS,
    v0012_prompt_savings.STATEMENTS,
    v0013_cache_parts.STATEMENTS,
    v0014_shared_limits.STATEMENTS,
    v0015_makers_budgets.STATEMENTS,
    v0016_audits.STATEMENTS,
    v0017_zones.STATEMENTS,
    v0018_cache_refreshes.STATEMENTS,
    v0019_judge.STATEMENTS,
)

# SQLite's rows live in the primary key's own tree: one tree less to write for each usage row.
WORDS: dict[Dialect, dict[str, str]] = {
    "sqlite": {
        "blob": "BLOB",
        "without_rowid": " WITHOUT ROWID",
        "numbered": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "find": "INSTR",
    },
    "postgresql": {
        "blob": "BYTEA",
        "without_rowid": "",
        "numbered": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "find": "STRPOS",
    },
}
# Any number that nothing else locks by; these are the letters "wllm".
_ADVISORY_LOCK = text("SELECT pg_advisory_xact_lock(2003594349)")
_CREATE_VERSION = text("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
_READ_VERSION = text("SELECT version FROM schema_version")
_FIRST_VERSION = text("INSERT INTO schema_version (version) VALUES (:version)")
_NEXT_VERSION = text("UPDATE schema_version SET version = :version")


class DatabaseTooNew(Exception):
    """The database was written by a newer version, whose tables this one does not know."""


async def migrate(
    connection: AsyncConnection, dialect: Dialect, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS
) -> None:
    """Apply the steps that the database lacks, inside the caller's transaction. Raises DatabaseTooNew."""
    if dialect == "postgresql":
        await connection.execute(_ADVISORY_LOCK)
    await connection.execute(_CREATE_VERSION)
    found: int | None = (await connection.execute(_READ_VERSION)).scalar_one_or_none()
    version = found or 0
    if version > len(migrations):
        raise DatabaseTooNew(
            f"the database has schema version {version}, this version of WatchLLM knows up to {len(migrations)}: "
            "start the newer version again, or restore the backup made before it first ran"
        )
    for statements in migrations[version:]:
        for statement in statements:
            await connection.exec_driver_sql(statement.format_map(WORDS[dialect]))
    if version < len(migrations):
        await connection.execute(_FIRST_VERSION if found is None else _NEXT_VERSION, {"version": len(migrations)})
