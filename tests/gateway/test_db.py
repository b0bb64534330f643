"""The database: one set of rules for SQLite and PostgreSQL, and clear words when there is none."""

import asyncio
import gc
import itertools
import socket
import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Coroutine, Generator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import exc, text

from gateway.db import SQLITE_FILE, Database, DatabaseInvalid, DatabaseTimeouts, DatabaseUnavailable

COUNT = text("SELECT COUNT(*) FROM revisions WHERE name IN ('keys', 'bootstrap', 'a', 'late')")
INSERT = text("INSERT INTO revisions (name, value) VALUES (:name, :value)")
GROW = text("UPDATE revisions SET value = value + 1 RETURNING value")
LIST = text("SELECT name FROM revisions")
DELETE = text("DELETE FROM revisions WHERE name IN ('a', 'late')")
# Takes far longer than any limit here, on either database.
ENDLESS = text(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT COUNT(*) FROM n"
)
QUICK = DatabaseTimeouts(connect_ms=1_000, statement_ms=200, transaction_ms=1_000)


@asynccontextmanager
async def opened(url: str | None, folder: Path, timeouts: DatabaseTimeouts | None = None) -> AsyncIterator[Database]:
    """Lend an open database."""
    database = await Database.open(url, folder, timeouts)
    try:
        yield database
    finally:
        await database.close()


class Wire:
    """A TCP port in front of PostgreSQL's unix socket, which can be cut and mended."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def mend(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Refuse connections and end those that stand."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await self._server.wait_closed()
        await asyncio.sleep(0.01)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._socket_path)
        self._writers += [writer, back]
        await asyncio.gather(_pump(reader, back), _pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.close()


async def count(database: Database) -> int:
    """Count the revisions; of the first schema a fresh database has two."""
    async with database.read() as connection:
        found: int = (await connection.execute(COUNT)).scalar_one()
        return found


async def test_what_was_written_is_read(database: Database) -> None:
    """A transaction commits at its end."""
    async with database.write() as connection:
        await connection.execute(INSERT, {"name": "a", "value": 2**62})
    assert await count(database) == 3


async def test_a_reader_sees_one_state(database: Database) -> None:
    """What is committed between two of its statements is not there for it."""
    async with database.read() as connection:
        before = (await connection.execute(COUNT)).scalar_one()
        async with database.write() as writing:
            await writing.execute(INSERT, {"name": "late", "value": 1})
        assert (await connection.execute(COUNT)).scalar_one() == before
    async with database.read() as connection:
        assert (await connection.execute(COUNT)).scalar_one() == before + 1


async def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    """An error inside rolls everything back, and the connection is usable again."""
    with pytest.raises(RuntimeError):
        async with database.write() as connection:
            await connection.execute(INSERT, {"name": "a", "value": 1})
            raise RuntimeError
    assert await count(database) == 2


async def test_a_cancelled_transaction_leaves_nothing(database: Database) -> None:
    """A caller who gives up takes its half-done work along, and never leaves a dirty connection to the next."""
    begun = asyncio.Event()

    async def write() -> None:
        async with database.write() as connection:
            await connection.execute(INSERT, {"name": "a", "value": 1})
            begun.set()
            await asyncio.sleep(60)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(write())
        await begun.wait()
        task.cancel()
    assert await count(database) == 2
    async with database.write() as connection:
        await connection.execute(INSERT, {"name": "a", "value": 1})
    assert await count(database) == 3


async def test_giving_up_at_any_step_returns_the_connection(database: Database) -> None:
    """However far a cancelled reader or writer had come, the pool is whole and the lock is free."""

    async def use(is_writer: bool) -> None:
        async with database.write() if is_writer else database.read() as connection:
            await connection.execute(COUNT)

    for steps in range(60):
        task = asyncio.create_task(use(steps % 2 == 0))
        for _ in range(steps // 2):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
    assert [engine.pool.checkedout() for engine in (database._reader, database._writer)] == [0, 0]  # type: ignore[attr-defined]
    async with asyncio.timeout(5):
        assert await count(database) == 2
        await use(is_writer=True)


class CutShort:
    """Awaits a coroutine and cancels its task at one of its steps; ``steps`` counts them."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], cancel_at: int) -> None:
        self._coroutine = coroutine
        self._cancel_at = cancel_at
        self.steps = 0

    def __await__(self) -> Generator[Any, Any, None]:
        """Pass everything on between the coroutine and the loop."""
        inner = self._coroutine.__await__()
        error: BaseException | None = None
        while True:
            try:
                waiting = inner.send(None) if error is None else inner.throw(error)
            except StopIteration:
                return
            error = None
            self.steps += 1
            if self.steps == self._cancel_at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield waiting
            except BaseException as thrown:
                error = thrown


async def test_a_write_that_is_cancelled_at_any_await_frees_the_lock(database_url: str, tmp_path: Path) -> None:
    """Wherever a writer is cut off, another connection writes at once, and finds all of its work or none."""
    impatient = DatabaseTimeouts(statement_ms=2_000, transaction_ms=4_000)
    cancelled = 0
    async with opened(database_url, tmp_path) as database, opened(database_url, tmp_path, impatient) as other:

        async def write() -> None:
            async with database.write() as connection:
                await connection.execute(INSERT, {"name": "a", "value": 1})
                (await connection.execute(GROW)).all()
                (await connection.execute(LIST)).all()
                await connection.execute(INSERT, {"name": "late", "value": 1})

        # What only the garbage collector would free stays.
        gc.disable()
        try:
            for step in itertools.count(1):
                writing = CutShort(write(), step)
                task = asyncio.create_task(_await(writing))
                await asyncio.wait((task,))
                assert await count(other) in (2, 4)
                async with other.write() as connection:
                    await connection.execute(DELETE)
                if not task.cancelled():
                    break
                cancelled += 1
        finally:
            gc.enable()
    assert writing.steps < step
    assert cancelled == step - 1 > 10


async def _await(awaitable: Awaitable[None]) -> None:
    await awaitable


async def test_a_mistake_in_the_values_is_no_outage(database: Database) -> None:
    """A broken rule keeps SQLAlchemy's own error: trying again would not help."""
    with pytest.raises(exc.IntegrityError):
        async with database.write() as connection:
            await connection.execute(INSERT, {"name": "keys", "value": 1})


async def test_a_mistake_in_the_statement_is_no_outage(database: Database) -> None:
    """A bug is not retried for ever."""
    with pytest.raises(exc.DBAPIError):
        async with database.read() as connection:
            await connection.execute(text("SELECT * FROM nowhere"))


async def test_errors_do_not_show_values(database: Database) -> None:
    """Digests and names stay out of logs."""
    with pytest.raises(exc.IntegrityError) as caught:
        async with database.write() as connection:
            await connection.execute(INSERT, {"name": "keys", "value": 918273645})
    assert "918273645" not in str(caught.value)


async def test_writers_take_turns(database: Database) -> None:
    """Read-then-write in one transaction loses no update."""

    async def add() -> None:
        async with database.write() as connection:
            value = (await connection.execute(text("SELECT value FROM revisions WHERE name = 'keys'"))).scalar_one()
            await connection.execute(text("UPDATE revisions SET value = :v WHERE name = 'keys'"), {"v": value + 1})

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(add())
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT value FROM revisions WHERE name = 'keys'"))).scalar_one() == 20


async def test_an_endless_statement_is_ended(database_url: str, tmp_path: Path) -> None:
    """No statement outlives its timeout, and the database serves on."""
    # With time for the schema, which the short limits are not about.
    async with opened(database_url, tmp_path):
        pass
    async with opened(database_url, tmp_path, QUICK) as database:
        with pytest.raises(DatabaseUnavailable):
            async with database.read() as connection:
                await connection.execute(ENDLESS)
        assert await count(database) == 2


async def test_a_ping_tells_its_time(database: Database) -> None:
    """In milliseconds, for health and metrics."""
    assert 0 < await database.ping() < 5_000


async def test_two_can_open_an_empty_database_at_once(empty_url: str, tmp_path: Path) -> None:
    """One makes the tables, the others find them."""
    databases = await asyncio.gather(*(Database.open(empty_url, tmp_path) for _ in range(4)))
    assert [await count(database) for database in databases] == [2, 2, 2, 2]
    for database in databases:
        await database.close()


async def test_data_outlives_the_process(empty_url: str, tmp_path: Path) -> None:
    """Opening again changes nothing."""
    async with opened(empty_url, tmp_path) as database, database.write() as connection:
        await connection.execute(INSERT, {"name": "a", "value": 1})
    async with opened(empty_url, tmp_path) as database:
        assert await count(database) == 3


async def test_the_default_is_a_private_file_in_the_data_directory(tmp_path: Path) -> None:
    """No address: SQLite with a write-ahead log, readable by its owner only."""
    async with opened(None, tmp_path / "data") as database:
        path = tmp_path / "data" / SQLITE_FILE
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with database.write() as connection:
            found = [
                (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
        assert found == ["wal", 2, 1]


async def test_a_reader_cannot_write(database: Database) -> None:
    """The door for reading is for reading."""
    with pytest.raises((DatabaseUnavailable, exc.DBAPIError)):
        async with database.read() as connection:
            await connection.execute(INSERT, {"name": "a", "value": 1})


async def test_another_process_holding_the_lock_is_an_outage_that_ends(tmp_path: Path) -> None:
    """A locked SQLite file is waited for, then told, then used again."""
    async with opened(None, tmp_path, QUICK) as database:
        other = sqlite3.connect(tmp_path / SQLITE_FILE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable, match="locked"):
            async with database.write() as connection:
                await connection.execute(INSERT, {"name": "a", "value": 1})
        other.execute("ROLLBACK")
        other.close()
        async with database.write() as connection:
            await connection.execute(INSERT, {"name": "a", "value": 1})
        assert await count(database) == 3


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be looked at" * 50, b"SQLite format 3\x00" + b"\xff" * 5_000]
)
async def test_a_file_that_is_no_database_refuses_the_start(content: bytes, tmp_path: Path) -> None:
    """The message names the file and what to do."""
    (tmp_path / SQLITE_FILE).write_bytes(content)
    with pytest.raises(DatabaseInvalid, match="restore a backup"):
        await Database.open(None, tmp_path)


async def test_a_truncated_database_refuses_the_start(tmp_path: Path) -> None:
    """A file that lost its end is not opened as if nothing were missing."""
    async with opened(None, tmp_path):
        pass
    path = tmp_path / SQLITE_FILE
    path.write_bytes(path.read_bytes()[: 4096 + 100])
    with pytest.raises(DatabaseInvalid, match="restore a backup"):
        await Database.open(None, tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://localhost/x",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "postgresql://h:port/x",
        "nonsense",
    ],
)
async def test_an_address_that_cannot_be_used_is_refused(url: str, tmp_path: Path) -> None:
    """Before anything is made."""
    with pytest.raises(DatabaseInvalid):
        await Database.open(url, tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file stands where the data directory should."""
    (tmp_path / "data").write_text("")
    with pytest.raises(DatabaseInvalid, match="writable"):
        await Database.open(None, tmp_path / "data")


async def test_nobody_at_the_address_is_an_outage(unused_tcp_port: int, tmp_path: Path) -> None:
    """A refused connection, told without the password."""
    with pytest.raises(DatabaseUnavailable) as caught:
        await Database.open(f"postgresql://user:geheim@127.0.0.1:{unused_tcp_port}/x", tmp_path, QUICK)
    assert "geheim" not in str(caught.value)


async def test_a_server_that_never_answers_is_an_outage(tmp_path: Path) -> None:
    """Connecting has a timeout."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"postgresql://127.0.0.1:{server.getsockname()[1]}/x?sslmode=disable"
        with pytest.raises(DatabaseUnavailable):
            await Database.open(address, tmp_path, QUICK)


async def test_a_server_that_went_away_is_used_again_when_it_is_back(postgres_url: str, tmp_path: Path) -> None:
    """Connections that broke are told as an outage once, and replaced without a restart."""
    wire = Wire(parse_qs(urlsplit(postgres_url).query)["host"][0] + "/.s.PGSQL.5432")
    await wire.mend()
    address = f"postgresql://postgres@127.0.0.1:{wire.port}/postgres?sslmode=disable&search_path=pg_temp"
    async with opened(address, tmp_path, DatabaseTimeouts(connect_ms=500)) as database:
        await database.ping()
        await wire.cut()
        with pytest.raises(DatabaseUnavailable):
            await database.ping()
        await wire.mend()
        assert await database.ping() > 0
        await wire.cut()
