"""Databases for tests: empty ones, and unused ones whose schema is up to date without any migration being run anew."""

import asyncio
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import msgspec

from gateway.db import SQLITE_FILE, Database

# Tables with a page where nobody has written: the unused database has rows there.
_WRITTEN = (
    "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
    "AND pg_relation_size(oid) > 0"
)
_RELATIONS = (
    "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = $1 ORDER BY oid"
)
# What is another number once a table or an index was made or dropped, or a column. PostgreSQL's own have lower numbers.
_SHAPE = (
    "((SELECT sum(oid::bigint) FROM pg_class WHERE oid >= 16384) + "
    "(SELECT count(*) FROM pg_attribute WHERE attrelid >= 16384 AND NOT attisdropped))"
)
# The locks wait for whoever is still ending. One function: its statements are planned once for all tests. It tells
# which tables have pages that nothing lives in any more, and nothing where the database has another shape.
_CLEAN = """
CREATE FUNCTION seed.clean(shape numeric) RETURNS text[] LANGUAGE plpgsql SET session_replication_role = replica AS $$
DECLARE
    left_over text[] := ARRAY[]::text[];
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_get_activity(NULL)
    WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid();
    IF {shape} <> shape THEN RETURN NULL; END IF;
    LOCK TABLE {tables} IN EXCLUSIVE MODE;
    {empty}
    {restore}
    {restart}
    RETURN left_over;
END $$
"""
_EMPTY = """
    IF pg_relation_size('{0}') > 0 THEN
        DELETE FROM {0};
        left_over := array_append(left_over, '{0}');
    END IF;
"""
# To delete and to give the pages back is four times as fast as TRUNCATE, which makes new files for a table and for each
# of its indexes. Afterwards rows stand in a table in the order in which they come, as in one that was never used.
_SWEEP = "VACUUM (INDEX_CLEANUP ON, TRUNCATE ON, SKIP_DATABASE_STATS) "
# A table that has rows from the start, which are kept in the schema "seed". A number that the database gave once is the
# same one again.
_RESTORE = """
    IF EXISTS ((TABLE {0} EXCEPT ALL TABLE seed.{1}) UNION ALL (TABLE seed.{1} EXCEPT ALL TABLE {0})) THEN
        DELETE FROM {0};
        left_over := array_append(left_over, '{0}');
        INSERT INTO {0} OVERRIDING SYSTEM VALUE TABLE seed.{1};
    END IF;
"""
_RESTART = "PERFORM setval('{0}', 1, false);\n"
_migrated: list[bytes] = []


def place_sqlite(path: Path) -> None:
    """Put an unused database there, its schema up to date, unless there is a file already."""
    if path.exists():
        return
    if not _migrated:
        # On a loop of its own: this one may be running.
        with ThreadPoolExecutor(1) as thread:
            _migrated.append(thread.submit(asyncio.run, _migrate()).result())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_migrated[0])
    path.chmod(0o600)


async def _migrate() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        database = await Database.open(None, Path(folder))
        await database.close()
        return (Path(folder) / SQLITE_FILE).read_bytes()


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A database that goes from test to test, and what brings it back to how it began."""

    url: str
    connection: asyncpg.Connection
    shape: int


class PostgresDatabases:
    """The databases of one PostgreSQL server; its postgres database is left alone."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._made = 0
        self._free: list[_Kept] = []

    def close(self) -> None:
        """Leave every database."""
        for kept in self._free:
            self._loop.run_until_complete(kept.connection.close())
        self._loop.close()

    def make_empty(self) -> str:
        """Give the address of a database with nothing in it."""
        return self._loop.run_until_complete(self._create())

    @contextmanager
    def lend(self) -> Iterator[str]:
        """Lend a database whose schema is up to date and in which nobody has written anything."""
        kept = self._loop.run_until_complete(self._take())
        try:
            yield kept.url
        finally:
            self._free.append(kept)

    async def _create(self) -> str:
        self._made += 1
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(f"CREATE DATABASE t_{self._made} STRATEGY file_copy")
        finally:
            await connection.close()
        return self._url.replace("/postgres?", f"/t_{self._made}?", 1)

    async def _take(self) -> _Kept:
        while self._free:
            kept = self._free.pop()
            if await self._clean(kept):
                return kept
            await kept.connection.close()
        url = await self._create()
        database = await Database.open(url, Path())
        await database.close()
        connection = await asyncpg.connect(url)
        return _Kept(url=url, connection=connection, shape=await _prepare(connection))

    async def _clean(self, kept: _Kept) -> bool:
        """Bring a database back to how it began; False where its tables are others now."""
        left_over: list[str] | None = await kept.connection.fetchval("SELECT seed.clean($1)", kept.shape)
        if left_over:
            await kept.connection.execute(_SWEEP + ", ".join(left_over))
        return left_over is not None


async def _prepare(connection: asyncpg.Connection) -> int:
    """Keep what an unused database has, with what brings it back; give its shape."""
    await connection.execute("CREATE SCHEMA seed")
    seeded: list[str] = [row[0] for row in await connection.fetch(_WRITTEN)]
    tables: list[str] = [row[0] for row in await connection.fetch(_RELATIONS, b"r")]
    sequences: list[str] = [row[0] for row in await connection.fetch(_RELATIONS, b"S")]
    for table in seeded:
        await connection.execute(f"CREATE TABLE seed.{table} AS TABLE public.{table}")
    for table in tables:
        # What the planner knows of a table does not change in the middle of a test.
        await connection.execute(f"ALTER TABLE public.{table} SET (autovacuum_enabled = off)")
    clean = _CLEAN.format(
        shape=_SHAPE,
        tables=", ".join(f"public.{table}" for table in tables),
        empty="".join(_EMPTY.format(f"public.{table}") for table in tables if table not in seeded),
        restore="".join(_RESTORE.format(f"public.{table}", table) for table in seeded),
        restart="".join(_RESTART.format(f"public.{sequence}") for sequence in sequences),
    )
    await connection.execute(clean)
    # From the first test on the planner knows of a table what it knows after a sweep.
    await connection.execute(_SWEEP + ", ".join(f"public.{table}" for table in tables))
    return int(await connection.fetchval(f"SELECT {_SHAPE}"))
