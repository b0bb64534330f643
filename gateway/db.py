"""The database: SQLite in the data directory, or PostgreSQL, behind one door for reading and one for writing.

    async with db.read() as connection:   a snapshot; any number at once
    async with db.write() as connection:  a transaction; one at a time in this process

Failure behavior: what cannot be reached, is locked by another process, is full or answers too slowly raises
DatabaseUnavailable, within the timeouts, and rolls back; the next use tries again, nothing needs a restart. Mistakes
in the data or the statements raise SQLAlchemy's own errors. A file that is no database, or one of a newer version,
refuses the start.
"""

import asyncio
import fcntl
import os
import sqlite3
import time
import weakref
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import event, exc, text
from sqlalchemy.engine import URL, Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.migrations.apply import Dialect, migrate

SQLITE_FILE = "watchllm.db"
_SQLITE_SCHEMES = ("sqlite", "sqlite+aiosqlite")
_POSTGRES_SCHEMES = ("postgres", "postgresql", "postgresql+asyncpg")
_SQLITE_READERS = 4
_POSTGRES_CONNECTIONS = 8
# SQLSTATE classes that blame the statement or its values: data, integrity, syntax or access, unsupported.
# Source: https://www.postgresql.org/docs/18/errcodes-appendix.html (2026-11-21).
_REFUSED_CLASSES = ("22", "23", "42", "0A")
_PING = text("SELECT 1")
_READ_REVISIONS = text("SELECT name, value FROM revisions")
# The revisions of so little time ago will do: who follows several tables asks for all of them in one moment.
_FRESH_REVISIONS_S = 0.1


class DatabaseUnavailable(Exception):
    """The database cannot be used at this moment; trying again later may help."""


class DatabaseInvalid(Exception):
    """The address or the file can never be used; the message says what to do."""


class DatabaseTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long anything may take, in ms."""

    connect_ms: int = 5_000
    # One statement; also the wait for another process's lock.
    statement_ms: int = 5_000
    # From the first statement of a transaction to its commit.
    transaction_ms: int = 15_000


class Revisions:
    """How far each table has come that others follow; read at once for everybody who asks within a moment."""

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._reading = asyncio.Lock()
        self._known: dict[str, int] = {}
        self._asked_s = float("-inf")

    async def read(self, name: str) -> int:
        """Return a revision as it was a moment ago or is now. Raises DatabaseUnavailable."""
        async with self._reading:
            # Of the time before they are read, so that they are never older than they seem.
            now_s = time.monotonic()
            if now_s - self._asked_s >= _FRESH_REVISIONS_S:
                async with self._database.read() as connection:
                    found = (await connection.execute(_READ_REVISIONS)).all()
                self._known, self._asked_s = {row[0]: row[1] for row in found}, now_s
        return self._known[name]


class Database:
    """An open database, its schema up to date. ``dialect`` tells which of the two it is."""

    def __init__(self, dialect: Dialect, writer: AsyncEngine, reader: AsyncEngine, timeouts: DatabaseTimeouts) -> None:
        self.dialect: Dialect = dialect
        self._writer = writer
        self._reader = reader
        self._timeouts = timeouts
        self._writing = asyncio.Lock()
        self.revisions = Revisions(self)

    @classmethod
    async def open(cls, url: str | None, data_dir: Path, timeouts: DatabaseTimeouts | None = None) -> Self:
        """Open the database at ``url``, or the SQLite file in ``data_dir``, and bring its schema up to date.

        Raises DatabaseInvalid, DatabaseUnavailable or DatabaseTooNew.
        """
        timeouts = timeouts or DatabaseTimeouts()
        scheme = "sqlite" if url is None else url.partition(":")[0].lower()
        if scheme in _POSTGRES_SCHEMES and url is not None:
            engine = _postgres_engine(url, timeouts)
            # The same connections; a transaction that reads sees one snapshot, as SQLite's does.
            reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            database = cls("postgresql", engine, reader, timeouts)
            await database._prepare()
        elif scheme in _SQLITE_SCHEMES:
            path = data_dir / SQLITE_FILE if url is None else _sqlite_path(url)
            with _sqlite_file(path):
                database = cls(
                    "sqlite", _sqlite_engine(path, timeouts, is_writer=True), _sqlite_engine(path, timeouts), timeouts
                )
                async with _locked(path, timeouts):
                    await database._prepare()
        else:
            raise DatabaseInvalid(
                f"{scheme!r} is no database of WatchLLM: DATABASE_URL begins postgresql:// or sqlite:///"
            )
        return database

    @staticmethod
    def is_missing(url: str | None, data_dir: Path) -> Path | None:
        """The file that would be made by opening; None where it is there, or where a server is asked."""
        scheme = "sqlite" if url is None else url.partition(":")[0].lower()
        if scheme not in _SQLITE_SCHEMES:
            return None
        path = data_dir / SQLITE_FILE if url is None else _sqlite_path(url)
        return None if path.exists() else path

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection, None]:
        """Lend a connection for reading; all its statements see one state of the data."""
        async with self._transaction(self._reader) as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection, None]:
        """Lend the writing connection in a transaction, which commits at the end and rolls back on any error."""
        async with self._writing, self._transaction(self._writer) as connection:
            yield connection

    async def ping(self) -> float:
        """Ask the database for an answer and tell how long it took, in ms. Raises DatabaseUnavailable."""
        started = time.perf_counter()
        async with self.read() as connection:
            await connection.execute(_PING)
        return (time.perf_counter() - started) * 1_000

    async def close(self) -> None:
        """Close every connection."""
        await self._writer.dispose()
        await self._reader.dispose()

    async def _prepare(self) -> None:
        try:
            async with self.write() as connection:
                await migrate(connection, self.dialect)
        except BaseException:
            await self.close()
            raise

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncGenerator[AsyncConnection, None]:
        limit_s = self._timeouts.transaction_ms / 1_000
        with _translated():
            if self.dialect == "postgresql":
                async with asyncio.timeout(limit_s), engine.begin() as connection:
                    yield connection
            else:
                async with engine.begin() as connection, _interrupted(connection, limit_s):
                    yield connection


async def run_sqlite(connection: AsyncConnection, statement: str, values: Sequence[Any] = ()) -> list[Any]:
    """Run a statement on SQLite past SQLAlchemy, which asks the driver's thread three times for each; give its rows.

    Raises SQLAlchemy's errors.
    """
    with _as_sqlalchemys(statement):
        return list(await _sqlite_driver(connection).execute_fetchall(statement, values))


async def run_sqlite_often(connection: AsyncConnection, statement: str, values: Sequence[Sequence[Any]]) -> None:
    """Run a statement that changes rows once for each of the values, as ``run_sqlite``: the thread is asked once."""
    with _as_sqlalchemys(statement):
        await _sqlite_driver(connection).executemany(statement, values)


def count_sqlite_changes(connection: AsyncConnection) -> int:
    """How many rows were changed since the connection was opened."""
    changes: int = _sqlite_driver(connection).total_changes
    return changes


@contextmanager
def _as_sqlalchemys(statement: str) -> Generator[None, None, None]:
    try:
        yield
    except sqlite3.Error as error:
        raise exc.DBAPIError.instance(statement, None, error, sqlite3.Error, hide_parameters=True) from error


def facts_of(connection: AsyncConnection) -> dict[Any, Any]:
    """What was found out and can never change, kept as long as the connection under this one is open."""
    return _open(connection).info


def _sqlite_driver(connection: AsyncConnection) -> Any:
    return _open(connection).connection.driver_connection


def _open(connection: AsyncConnection) -> Connection:
    assert connection.sync_connection is not None, "it was begun"  # noqa: S101 - for the type checkers
    return connection.sync_connection


@contextmanager
def _translated() -> Generator[None, None, None]:
    """Turn every way in which a database can be absent into DatabaseUnavailable."""
    try:
        yield
    except exc.DBAPIError as error:
        if _is_refusal(error):
            raise
        raise DatabaseUnavailable(f"the database does not answer as it should: {error.orig}") from error
    except (exc.TimeoutError, OSError) as error:
        # asyncio.TimeoutError is an OSError too.
        raise DatabaseUnavailable(
            f"the database cannot be reached or is too slow: {str(error) or 'timed out'}"
        ) from error


def _is_refusal(error: exc.DBAPIError) -> bool:
    """Tell whether the statement or its values are at fault, so that a retry would fail the same way."""
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_REFUSED_CLASSES)
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH)
    return isinstance(error, exc.DataError | exc.ProgrammingError) and not error.connection_invalidated


def _postgres_engine(url: str, timeouts: DatabaseTimeouts) -> AsyncEngine:
    # asyncpg reads the address itself: it knows sslmode, search_path and libpq's other words, SQLAlchemy does not.
    address = "postgresql:" + url.partition(":")[2]
    try:
        urlsplit(address).port  # noqa: B018 - reading it checks it
    except ValueError as error:
        raise DatabaseInvalid("DATABASE_URL has no usable port: postgresql://USER:PASSWORD@HOST:PORT/NAME") from error
    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "dsn": address,
            "timeout": timeouts.connect_ms / 1_000,
            "command_timeout": timeouts.statement_ms / 1_000,
        },
        pool_size=_POSTGRES_CONNECTIONS,
        max_overflow=0,
        pool_timeout=timeouts.connect_ms / 1_000,
        pool_pre_ping=True,
        hide_parameters=True,
    )


def _sqlite_path(url: str) -> Path:
    path = url.partition(":")[2].removeprefix("///")
    if not path or path.startswith((":memory:", "file:", "//")) or "?" in path:
        raise DatabaseInvalid(f"{url!r} names no file: write sqlite:///relative/path or sqlite:////absolute/path")
    return Path(path)


@contextmanager
def _sqlite_file(path: Path) -> Generator[None, None, None]:
    """Make the file with its folder, private to its owner, and say clearly what cannot be a database."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise DatabaseInvalid(f"{path} cannot be opened ({error.strerror}): make its folder writable") from error
    try:
        yield
    except DatabaseUnavailable as error:
        code = getattr(getattr(error.__cause__, "orig", None), "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise DatabaseInvalid(
                f"{path} is no SQLite database or is damaged: restore a backup, or move it away"
            ) from error
        raise


@asynccontextmanager
async def _locked(path: Path, timeouts: DatabaseTimeouts) -> AsyncGenerator[None, None]:
    """Let one process at a time open the file: the switch to WAL does not wait for locks as statements do."""
    with path.with_name(path.name + ".lock").open("w") as file:
        deadline = time.monotonic() + timeouts.transaction_ms / 1_000
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise DatabaseUnavailable(f"another process has been opening {path} for too long") from error
                await asyncio.sleep(0.01)
        yield


class _SqliteConnection(sqlite3.Connection):
    """A connection whose closing ends its transaction, whoever still holds one of its cursors.

    SQLite keeps a closed connection, with its locks, until its last statement is finalised. A task that was cancelled
    while it read rows leaves its cursor in the traceback of the cancellation: a cycle, which stays until the garbage
    collector comes by, and so would the lock that all writers wait for.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Make a cursor, and remember it as long as it lives."""
        cursor = super().cursor(*args, **kwargs)
        self._cursors.add(cursor)
        return cursor

    def close(self) -> None:
        """Finalise what is open and close, which rolls back what was not committed; twice does no harm."""
        while self._cursors:
            self._cursors.pop().close()
        super().close()


def _sqlite_engine(path: Path, timeouts: DatabaseTimeouts, *, is_writer: bool = False) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        connect_args={"timeout": timeouts.statement_ms / 1_000, "factory": _SqliteConnection},
        pool_size=1 if is_writer else _SQLITE_READERS,
        max_overflow=0,
        pool_timeout=timeouts.transaction_ms / 1_000,
        hide_parameters=True,
    )
    pragmas = ["PRAGMA foreign_keys = ON"]
    # FULL syncs the log at each commit: a journal is deleted only after its rows are on the disk.
    pragmas += ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"] if is_writer else ["PRAGMA query_only = ON"]

    def set_up(connection: Any, _record: object) -> None:
        # The driver would otherwise open transactions on its own, and late.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    def begin(connection: Connection) -> None:
        # A deferred transaction that turns to writing fails at once when another process wrote in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")

    event.listen(engine.sync_engine, "connect", set_up)
    event.listen(engine.sync_engine, "begin", begin)
    return engine


@asynccontextmanager
async def _interrupted(connection: AsyncConnection, limit_s: float) -> AsyncGenerator[None, None]:
    """Interrupt whatever SQLite still does after the limit: cancelling the waiter would not stop the thread."""
    driver = _sqlite_driver(connection)

    async def interrupt() -> None:
        await asyncio.sleep(limit_s)
        await driver.interrupt()

    watchdog = asyncio.create_task(interrupt())  # noqa: TID251 - kept here and awaited below
    try:
        yield
    finally:
        watchdog.cancel()
        await asyncio.wait((watchdog,))
