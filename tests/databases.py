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

# What is another number once a table or an index was made or dropped, or a column.
_SHAPE = (
    "SELECT (SELECT sum(oid::bigint) FROM pg_class WHERE relnamespace = 'public'::regnamespace) + "
    "(SELECT count(*) FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid "
    "WHERE relnamespace = 'public'::regnamespace AND NOT attisdropped)"
)
_LEAVE_ALONE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
# Tables with a page where the unused database has none: somebody has written there. Cheap, unlike comparing all rows.
_WRITTEN = (
    "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
    "AND pg_relation_size(oid) > 0"
)
# A table whose rows are not those of its twin in the schema "seed", where the unused database's rows are kept.
_DIFFERS = (
    "SELECT '{0}' WHERE EXISTS ((TABLE public.{0} EXCEPT ALL TABLE seed.{0}) UNION ALL "
    "(TABLE seed.{0} EXCEPT ALL TABLE public.{0}))"
)
# A number that the database gave once is the same one again.
_RESTORE = (
    "INSERT INTO public.{0} OVERRIDING SYSTEM VALUE SELECT * FROM seed.{0} WHERE NOT EXISTS (SELECT FROM public.{0});"
)
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
    """A database that goes from test to test, and what finds and undoes what a test did to it."""

    url: str
    connection: asyncpg.Connection
    shape: int
    # What finds out whether a table that has rows from the start has others now, by the table's name.
    differs: dict[str, str]


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
        await connection.execute("CREATE SCHEMA seed")
        seeded: list[str] = [row[0] for row in await connection.fetch(_WRITTEN)]
        for table in seeded:
            await connection.execute(f"CREATE TABLE seed.{table} AS TABLE public.{table}")
        return _Kept(
            url=url,
            connection=connection,
            shape=int(await connection.fetchval(_SHAPE)),
            differs={table: _DIFFERS.format(table) for table in seeded},
        )

    async def _clean(self, kept: _Kept) -> bool:
        """Bring a database back to how it began; False where its tables are others now."""
        connection = kept.connection
        await connection.execute(_LEAVE_ALONE)
        if int(await connection.fetchval(_SHAPE)) != kept.shape:
            return False
        written: set[str] = {row[0] for row in await connection.fetch(_WRITTEN)}
        dirty = written - kept.differs.keys()
        if kept.differs:
            dirty |= {row[0] for row in await connection.fetch(" UNION ALL ".join(kept.differs.values()))}
        if dirty:
            tables = ", ".join(f"public.{table}" for table in sorted(dirty))
            restore = "".join(_RESTORE.format(table) for table in sorted(kept.differs))
            await connection.execute(f"BEGIN; TRUNCATE {tables} RESTART IDENTITY CASCADE; {restore} COMMIT")
        return True
