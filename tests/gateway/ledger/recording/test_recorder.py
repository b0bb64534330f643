"""The recorder: each row is stored exactly once, whatever happens to the database, the disk or the process."""

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from budget_world import doubt_of
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db import Database, DatabaseUnavailable
from gateway.ledger import store
from gateway.ledger.recording.journal import REFUSED_FILE, Journal, JournalFull
from gateway.ledger.recording.recorder import NOTE_INTERVAL_NS, Recorder, RecorderSettings
from gateway.ledger.row import UsageRow
from tests.gateway.usage_rows import NOW_NS, make_row

QUICK = RecorderSettings(fold_interval_ms=1, sync_interval_ms=5, drain_ms=5_000)


class Outage:
    """A database that can be taken away."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.dialect = database.dialect
        self.is_away = False

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Lend the connection while the database is there."""
        if self.is_away:
            raise DatabaseUnavailable("taken away")
        async with self.database.write() as connection:
            yield connection


class Notes:
    """Remembers which keys were noted as used."""

    def __init__(self) -> None:
        self.noted: list[dict[str, int]] = []

    async def note(self, _connection: AsyncConnection, last_used_ns: Mapping[str, int]) -> None:
        """Stand in for accounts.store.note_used."""
        self.noted.append(dict(last_used_ns))


@asynccontextmanager
async def recording(
    database: object,
    folder: Path,
    settings: RecorderSettings = QUICK,
    notes: Notes | None = None,
    segment_bytes: int = 1 << 20,
) -> AsyncIterator[Recorder]:
    """Lend a running recorder and close it."""
    journal = Journal(folder / "journal", NOW_NS, segment_bytes=segment_bytes)
    recorder = Recorder(database, journal, (notes or Notes()).note, lambda: NOW_NS, settings)  # type: ignore[arg-type]
    recorder.start()
    try:
        yield recorder
    finally:
        await recorder.close()


async def stored_ids(database: Database) -> list[str]:
    """Read the ids of all stored rows."""
    async with database.read() as connection:
        return [row[0] for row in await connection.execute(text("SELECT request_id FROM usage ORDER BY request_id"))]


def make_rows(count: int) -> list[UsageRow]:
    """Make rows with distinct ids."""
    return [make_row(request_id=f"{number:026d}") for number in range(count)]


def ids_of(rows: list[UsageRow]) -> list[str]:
    """Name rows."""
    return [row.request_id for row in rows]


def leave_behind(folder: Path, rows: list[UsageRow]) -> None:
    """Leave a journal as a killed process does: written, unlocked, not folded."""
    journal = Journal(folder / "journal", NOW_NS)
    for row in rows:
        journal.append(row)
    os.close(journal.active.descriptor)


async def test_what_was_recorded_is_stored(database: Database, tmp_path: Path) -> None:
    """A flush ends when the database has everything."""
    rows = make_rows(1_234)
    async with recording(database, tmp_path) as recorder:
        for row in rows:
            recorder.record(row)
        await recorder.flush()
        assert await stored_ids(database) == ids_of(rows)
        assert recorder.pending == 0


async def test_rows_are_stored_without_being_asked_for(database: Database, tmp_path: Path) -> None:
    """The interval alone brings a row into the database."""
    rows = make_rows(1)
    async with recording(database, tmp_path) as recorder:
        recorder.record(rows[0])
        async with asyncio.timeout(5):
            while await stored_ids(database) != ids_of(rows):
                await asyncio.sleep(0.005)


async def test_closing_stores_everything_and_leaves_no_journal(database: Database, tmp_path: Path) -> None:
    """A drained process leaves nothing behind."""
    rows = make_rows(700)
    async with recording(database, tmp_path) as recorder:
        for row in rows:
            recorder.record(row)
    assert await stored_ids(database) == ids_of(rows)
    assert list((tmp_path / "journal").iterdir()) == []


async def test_a_row_recorded_twice_is_stored_once(database: Database, tmp_path: Path) -> None:
    """One charge per request id, within a batch and after it."""
    row = make_row()
    async with recording(database, tmp_path) as recorder:
        recorder.record(row)
        recorder.record(row)
        await recorder.flush()
        recorder.record(row)
    assert await stored_ids(database) == [row.request_id]


async def test_what_a_killed_process_left_is_stored(database: Database, tmp_path: Path) -> None:
    """The next start finds the journal and folds it, without being told."""
    rows = make_rows(1_100)
    leave_behind(tmp_path, rows)
    async with recording(database, tmp_path) as recorder:
        await recorder.flush()
        assert await stored_ids(database) == ids_of(rows)
    assert list((tmp_path / "journal").iterdir()) == []


async def test_what_was_stored_before_the_kill_is_not_stored_again(database: Database, tmp_path: Path) -> None:
    """A journal may hold rows that the database has already."""
    rows = make_rows(10)
    leave_behind(tmp_path, rows)
    async with recording(database, tmp_path) as recorder:
        for row in rows:
            recorder.record(row)
    assert await stored_ids(database) == ids_of(rows)


async def test_rows_wait_while_the_database_is_away(database: Database, tmp_path: Path) -> None:
    """Nothing is lost, and nothing needs a restart."""
    outage, rows = Outage(database), make_rows(20)
    async with recording(outage, tmp_path) as recorder:
        outage.is_away = True
        for row in rows:
            recorder.record(row)
        await asyncio.sleep(0.02)
        assert recorder.pending == 20
        assert recorder.is_accepting
        outage.is_away = False
        await recorder.flush()
    assert await stored_ids(database) == ids_of(rows)


async def test_memory_is_bounded_while_the_database_is_away(database: Database, tmp_path: Path) -> None:
    """Rows beyond the queue's end stay on the disk and are read from there, over several segments."""
    outage, rows = Outage(database), make_rows(1_500)
    settings = RecorderSettings(fold_interval_ms=1, max_queued_rows=100)
    async with recording(outage, tmp_path, settings, segment_bytes=50_000) as recorder:
        outage.is_away = True
        for row in rows:
            recorder.record(row)
        assert len(recorder._queue) == 100
        assert recorder.pending == 1_500
        outage.is_away = False
        await recorder.flush()
        assert recorder.pending == 0
        assert await stored_ids(database) == ids_of(rows)
    assert list((tmp_path / "journal").iterdir()) == []


async def test_no_row_is_stored_twice_after_a_flood(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood fills the memory again and again: each row is inserted from there or from the disk, never from both."""
    rows, inserted = make_rows(600), list[str]()
    insert = store.insert_rows

    async def note(connection: AsyncConnection, batch: Sequence[UsageRow]) -> Sequence[UsageRow]:
        inserted.extend(row.request_id for row in batch)
        return await insert(connection, batch)

    monkeypatch.setattr(store, "insert_rows", note)
    settings = RecorderSettings(fold_interval_ms=1, max_queued_rows=50)
    async with recording(database, tmp_path, settings) as recorder:
        for start in range(0, len(rows), 7):
            for row in rows[start : start + 7]:
                recorder.take(row)
            await asyncio.sleep(0)
        assert recorder.pending > 50
        await recorder.flush()
    assert await stored_ids(database) == ids_of(rows)
    assert sorted(inserted) == ids_of(rows)


async def test_rows_go_on_being_recorded_while_the_disk_is_read(database: Database, tmp_path: Path) -> None:
    """A backlog and fresh rows are folded side by side."""
    leave_behind(tmp_path, make_rows(1_200))
    rows = make_rows(1_600)
    async with recording(database, tmp_path, RecorderSettings(max_queued_rows=50)) as recorder:
        for row in rows[1_200:]:
            recorder.record(row)
            await asyncio.sleep(0)
    assert await stored_ids(database) == ids_of(rows)


async def test_a_close_without_a_database_keeps_the_journal(database: Database, tmp_path: Path) -> None:
    """The next start stores what this one could not."""
    outage, rows = Outage(database), make_rows(5)
    async with recording(outage, tmp_path, RecorderSettings(fold_interval_ms=1, drain_ms=20)) as recorder:
        outage.is_away = True
        for row in rows:
            recorder.record(row)
    assert await stored_ids(database) == []
    async with recording(database, tmp_path):
        pass
    assert await stored_ids(database) == ids_of(rows)


async def test_sealed_segments_go_as_their_rows_are_stored(database: Database, tmp_path: Path) -> None:
    """The journal does not grow with the life of the process."""
    async with recording(database, tmp_path, segment_bytes=10_000) as recorder:
        for row in make_rows(400):
            recorder.record(row)
            if row.request_id.endswith("99"):
                await recorder.flush()
        await recorder.flush()
        assert sum(path.stat().st_size for path in (tmp_path / "journal").iterdir()) < 50_000


async def test_a_full_journal_is_told_and_heals(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call learns that its row is not durable; when there is room again the row is stored all the same."""
    rows = make_rows(3)
    async with recording(database, tmp_path) as recorder:
        write = os.write

        def refuse(descriptor: int, data: bytes) -> int:
            if descriptor == recorder.journal.active.descriptor:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(descriptor, data)

        recorder.record(rows[0])
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", refuse)
            with pytest.raises(JournalFull, match="No space left"):
                recorder.record(rows[1])
            assert not recorder.is_accepting
        await recorder.flush()
        assert recorder.is_accepting
        recorder.record(rows[2])
    assert await stored_ids(database) == ids_of(rows)


@pytest.mark.parametrize("max_queued", [10, 1_000])
async def test_a_journal_that_filled_up_heals_when_the_database_is_back(
    database: Database, tmp_path: Path, max_queued: int
) -> None:
    """What waits for room in it must not keep the rows that fill it from being stored, nor an open hold."""
    rows, outage = make_rows(300), Outage(database)
    journal = Journal(tmp_path / "journal", NOW_NS, segment_bytes=8_000, max_bytes=40_000)
    settings = RecorderSettings(fold_interval_ms=1, max_queued_rows=max_queued)
    recorder = Recorder(outage, journal, Notes().note, lambda: NOW_NS, settings)  # type: ignore[arg-type]
    recorder.start()
    recorder.hold(doubt_of(make_row(request_id="8" * 26)))
    assert recorder.write_noted() is None
    outage.is_away = True
    for row in rows:
        with suppress(JournalFull):
            recorder.record(row)
        await asyncio.sleep(0)
    assert not recorder.is_accepting
    outage.is_away = False
    async with asyncio.timeout(20):
        await recorder.flush()
    assert recorder.is_accepting
    assert await stored_ids(database) == ids_of(rows)
    await recorder.close()


async def test_a_row_that_the_database_refuses_does_not_stop_the_others(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is set aside and logged by its id."""
    rows = make_rows(40)
    poison = make_row(request_id="9" * 26, cost_pusd=2**63)
    async with recording(database, tmp_path) as recorder:
        for row in [*rows[:20], poison, *rows[20:]]:
            recorder.record(row)
        with caplog.at_level(logging.ERROR):
            await recorder.flush()
    assert await stored_ids(database) == ids_of(rows)
    assert "9" * 26 in caplog.text
    assert [path.name for path in (tmp_path / "journal").iterdir()] == [REFUSED_FILE]


async def test_the_last_use_of_a_key_is_noted_once_a_minute(database: Database, tmp_path: Path) -> None:
    """Not at every row: a busy key would be a busy row."""
    notes = Notes()
    later_ns = NOW_NS + NOTE_INTERVAL_NS
    async with recording(database, tmp_path, notes=notes) as recorder:
        for created_ns in (NOW_NS, NOW_NS + 1, later_ns - 1, later_ns + 1):
            recorder.record(make_row(created_ns, key_id="key_a"))
            await recorder.flush()
    assert notes.noted == [{"key_a": NOW_NS}, {"key_a": later_ns + 1}]


async def test_a_synced_row_is_on_the_disk(database: Database, tmp_path: Path) -> None:
    """With the strict setting a loss of power takes nothing that was answered."""
    async with recording(database, tmp_path, RecorderSettings(sync_interval_ms=60_000)) as recorder:
        recorder.record(make_row())
        assert not recorder.journal.is_synced
        await recorder.synced()
        assert recorder.journal.is_synced


async def test_the_journal_is_synced_at_every_interval(database: Database, tmp_path: Path) -> None:
    """Without the strict setting a loss of power takes one interval at most."""
    async with recording(database, tmp_path) as recorder:
        recorder.record(make_row())
        async with asyncio.timeout(5):
            while not recorder.journal.is_synced:
                await asyncio.sleep(0.005)


async def test_the_last_use_is_the_latest_of_what_is_stored_together(database: Database, tmp_path: Path) -> None:
    """Rows come as calls end: one that came early may end last."""
    notes = Notes()
    moments = [NOW_NS, NOW_NS + 5 * NOTE_INTERVAL_NS, NOW_NS + 1]
    async with recording(database, tmp_path, notes=notes) as recorder:
        for moment in moments:
            recorder.take(make_row(moment, key_id="key_a"))
        await recorder.flush()
    assert notes.noted == [{"key_a": moments[1]}]
