"""The journal: a row that was appended is there after anything, and the disk is never used without bound."""

import asyncio
import errno
import logging
import os
from pathlib import Path

import pytest

from gateway.ledger.recording import journal
from gateway.ledger.recording.journal import REFUSED_FILE, Journal, JournalFull
from gateway.ledger.recording.records import read_records
from gateway.ledger.row import UsageRow
from tests.gateway.usage_rows import NOW_NS, make_row

ROWS = [make_row(request_id=f"{number:026d}") for number in range(6)]


def read_orphans(opened: Journal) -> list[UsageRow]:
    """Read all rows that were taken over."""
    return [row for orphan in opened.orphans for rows in orphan.read(2) for row in rows]


def names(folder: Path) -> list[str]:
    """List the endings of the files in a folder."""
    return sorted(path.suffix for path in folder.iterdir())


async def test_rows_left_behind_are_taken_over(tmp_path: Path) -> None:
    """What a process did not fold is read by the next."""
    journal = Journal(tmp_path, NOW_NS)
    for row in ROWS:
        journal.append(row)
    await journal.close(is_folded=False)
    after = Journal(tmp_path, NOW_NS)
    assert read_orphans(after) == ROWS
    await after.close(is_folded=True)


async def test_a_row_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    """Nothing waits in a buffer of this process."""
    journal = Journal(tmp_path, NOW_NS)
    journal.append(ROWS[0])
    assert read_records(journal.active.path.read_bytes(), 0, 10).rows == ROWS[:1]
    await journal.close(is_folded=True)


async def test_a_journal_in_use_is_left_alone(tmp_path: Path) -> None:
    """Only what nobody holds is taken over."""
    first = Journal(tmp_path, NOW_NS)
    first.append(ROWS[0])
    second = Journal(tmp_path, NOW_NS)
    assert second.orphans == []
    await first.close(is_folded=True)
    await second.close(is_folded=True)


async def test_a_folded_journal_leaves_nothing(tmp_path: Path) -> None:
    """The database has the rows; the files go."""
    journal = Journal(tmp_path, NOW_NS)
    journal.append(ROWS[0])
    await journal.close(is_folded=True)
    assert names(tmp_path) == []


async def test_a_sealed_segment_is_dropped_alone(tmp_path: Path) -> None:
    """Each segment goes when its own rows are stored."""
    journal = Journal(tmp_path, NOW_NS, segment_bytes=100)
    journal.append(ROWS[0])
    assert journal.has_outgrown_segment
    sealed = journal.seal(NOW_NS + 1)
    journal.append(ROWS[1])
    journal.drop(sealed)
    assert [path for path in tmp_path.iterdir()] == [journal.active.path]
    await journal.close(is_folded=False)


async def test_the_journal_has_an_end(tmp_path: Path) -> None:
    """A database that stays away does not fill the disk."""
    journal = Journal(tmp_path, NOW_NS, max_bytes=700)
    with pytest.raises(JournalFull, match="700 bytes"):
        for row in ROWS:
            journal.append(row)
    assert 0 < journal.active.size <= 700
    await journal.close(is_folded=True)


async def test_orphans_count_towards_the_end(tmp_path: Path) -> None:
    """Restarting does not make room."""
    first = Journal(tmp_path, NOW_NS)
    for row in ROWS:
        first.append(row)
    await first.close(is_folded=False)
    second = Journal(tmp_path, NOW_NS, max_bytes=700)
    with pytest.raises(JournalFull):
        second.append(ROWS[0])
    second.drop(second.orphans[0])
    second.append(ROWS[0])
    await second.close(is_folded=True)


@pytest.mark.parametrize("written", [-1, 0, 1, 100])
async def test_a_full_disk_is_told_and_leaves_a_readable_journal(
    written: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error or a short write: the row is refused, those before and after it are there."""
    journal = Journal(tmp_path, NOW_NS)
    journal.append(ROWS[0])
    write = os.write

    def write_little(descriptor: int, data: bytes) -> int:
        if written < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:written])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write_little)
        with pytest.raises(JournalFull, match="make room"):
            journal.append(ROWS[1])
    journal.append(ROWS[2])
    assert journal.active.size == journal.active.path.stat().st_size
    assert read_records(journal.active.path.read_bytes(), 0, 10).rows == [ROWS[0], ROWS[2]]
    await journal.close(is_folded=True)


async def test_a_half_written_row_that_cannot_be_cut_off_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full and broken: the rows around the fragment are still read."""
    journal = Journal(tmp_path, NOW_NS)
    write = os.write

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:50]))
        patched.setattr(os, "ftruncate", refuse)
        with pytest.raises(JournalFull):
            journal.append(ROWS[1])
    journal.append(ROWS[2])
    assert read_records(journal.active.path.read_bytes(), 0, 10).rows == [ROWS[2]]
    await journal.close(is_folded=True)


async def test_damage_is_logged_and_the_file_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What could not be read is there for whoever can."""
    journal = Journal(tmp_path, NOW_NS)
    for row in ROWS:
        journal.append(row)
    await journal.close(is_folded=False)
    path = journal.active.path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    after = Journal(tmp_path, NOW_NS)
    with caplog.at_level(logging.ERROR):
        assert len(read_orphans(after)) == len(ROWS) - 1
    assert "passed over" in caplog.text
    after.drop(after.orphans[0])
    await after.close(is_folded=True)
    assert names(tmp_path) == [".damaged"]


async def test_syncs_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred who wait cost a few syncs, and each waits for its own row."""
    syncs: list[int] = []
    monkeypatch.setattr(os, "fsync", syncs.append)
    journal = Journal(tmp_path, NOW_NS)

    async def append(number: int) -> None:
        journal.append(make_row(request_id=f"{number:026d}"))
        await journal.sync()
        assert journal.appended > 0

    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(append(number))
    assert journal.is_synced
    assert 1 <= len(syncs) <= 8
    await journal.close(is_folded=True)


async def test_one_who_gives_up_waiting_leaves_the_others_their_sync(tmp_path: Path) -> None:
    """A client that left does not cancel what another waits for."""
    journal = Journal(tmp_path, NOW_NS)
    journal.append(ROWS[0])
    async with asyncio.TaskGroup() as group:
        leaving, staying = group.create_task(journal.sync()), group.create_task(journal.sync())
        await asyncio.sleep(0)
        leaving.cancel()
    assert leaving.cancelled()
    assert staying.done()
    assert journal.is_synced
    await journal.close(is_folded=True)


async def test_a_sync_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the strict setting no call is answered on a disk that refuses."""
    journal = Journal(tmp_path, NOW_NS)
    journal.append(ROWS[0])

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(JournalFull, match="refused a sync"):
            await journal.sync()
    assert not journal.is_synced
    await journal.close(is_folded=True)


async def test_a_sealed_segment_is_synced_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were written before the seal are covered by the next sync."""
    journal = Journal(tmp_path, NOW_NS)
    journal.append(ROWS[0])
    sealed = journal.seal(NOW_NS + 1)
    inodes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: inodes.append(os.fstat(descriptor).st_ino))
    await journal.sync()
    assert {sealed.path.stat().st_ino, journal.active.path.stat().st_ino, tmp_path.stat().st_ino} <= set(inodes)
    await journal.close(is_folded=True)


async def test_a_refused_row_is_kept(tmp_path: Path) -> None:
    """A row that no database takes can still be looked at."""
    journal = Journal(tmp_path, NOW_NS)
    journal.keep_refused(ROWS[0])
    await journal.close(is_folded=True)
    assert read_records((tmp_path / REFUSED_FILE).read_bytes(), 0, 1).rows == ROWS[:1]


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """Before the first call, not after it."""
    (tmp_path / "journal").write_text("")
    with pytest.raises(JournalFull, match="make it writable"):
        Journal(tmp_path / "journal", NOW_NS)


def test_who_is_alone_in_a_folder_is_the_heir_of_the_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One beside another is not; what was there before the machine was started anew is nobody's."""

    def die(one: Journal) -> None:
        for descriptor in (one.active.descriptor, one._tenure, *(orphan.descriptor for orphan in one.orphans)):
            os.close(descriptor)

    first = Journal(tmp_path, 1)
    first.sign()
    second = Journal(tmp_path, 2_000_000)
    second.sign()
    assert (first.heirs_of, second.heirs_of) == ((), ())
    die(first)
    third = Journal(tmp_path, 3_000_000)
    assert third.heirs_of == ()
    die(second)
    die(third)
    fourth = Journal(tmp_path, 4_000_000)
    assert fourth.heirs_of == (first.owner, second.owner)
    fourth.bury(first.owner)
    die(fourth)
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("another")
    monkeypatch.setattr(journal, "_BOOT_ID", boot_id)
    fifth = Journal(tmp_path, 5)
    assert fifth.heirs_of == ()
    die(fifth)
    assert not list(tmp_path.glob("*.owner"))
