"""The backlog: a segment goes when the database has all of it, and nothing is read that was in memory."""

import os
from pathlib import Path

from gateway.ledger.recording.backlog import READ_ROWS, Backlog
from gateway.ledger.recording.journal import Journal
from gateway.ledger.row import UsageRow
from tests.gateway.usage_rows import NOW_NS, make_row

ROWS = [make_row(request_id=f"{number:026d}") for number in range(6)]


def read_all(backlog: Backlog) -> list[UsageRow]:
    """Read the segments that have rows on the disk alone to their ends."""
    found: list[UsageRow] = []
    while backlog.is_unread:
        found += backlog.read() or []
        backlog.done_reading()
    return found


def files(folder: Path) -> int:
    """Count the segments in a folder."""
    return len(list(folder.glob("*.journal")))


def fill_half(folder: Path) -> tuple[Journal, Backlog]:
    """A sealed segment: its first four rows are in memory too, the last two are on the disk alone."""
    journal = Journal(folder, NOW_NS)
    journal.append(*ROWS[:4])
    start = journal.append(*ROWS[4:])
    backlog = Backlog(journal)
    backlog.add(journal.seal(NOW_NS), queued=4, unread_from=start, unread=2)
    return journal, backlog


async def test_only_what_found_no_room_is_read(tmp_path: Path) -> None:
    """The rows before are in memory; a second time they would be found to be there already, which costs the most."""
    journal, backlog = fill_half(tmp_path)
    assert backlog.unread == 2
    assert read_all(backlog) == ROWS[4:]
    assert backlog.unread == 0
    await journal.close(is_folded=True)


async def test_a_segment_stays_until_both_parts_are_stored(tmp_path: Path) -> None:
    """What was read from the disk is stored, what was in memory is not yet: the process may still end."""
    journal, backlog = fill_half(tmp_path)
    backlog.drop(4)
    assert files(tmp_path) == 2
    read_all(backlog)
    backlog.drop(3)
    assert files(tmp_path) == 2
    backlog.drop(4)
    assert files(tmp_path) == 1
    assert not backlog
    await journal.close(is_folded=True)


async def test_segments_go_in_their_order(tmp_path: Path) -> None:
    """A later one stays behind an earlier one: a hold in the earlier may be ended by a row in the later."""
    journal = Journal(tmp_path, NOW_NS)
    backlog = Backlog(journal)
    for row in ROWS[:2]:
        journal.append(row)
        backlog.add(journal.seal(NOW_NS), queued=0, unread_from=0 if row is ROWS[0] else None, unread=1)
    backlog.drop(0)
    assert files(tmp_path) == 3
    read_all(backlog)
    backlog.drop(0)
    assert files(tmp_path) == 1
    await journal.close(is_folded=True)


async def test_rows_come_again_until_they_are_stored(tmp_path: Path) -> None:
    """The database may not take them at the first time."""
    journal = Journal(tmp_path, NOW_NS)
    rows = [make_row(request_id=f"{number:026d}") for number in range(READ_ROWS + 1)]
    journal.append(*rows)
    backlog = Backlog(journal)
    backlog.add(journal.seal(NOW_NS), queued=0, unread_from=0, unread=len(rows))
    assert backlog.read() == backlog.read() == rows[:READ_ROWS]
    backlog.done_reading()
    assert backlog.read() == rows[READ_ROWS:]
    backlog.done_reading()
    assert backlog.read() is None
    assert not backlog.is_unread
    await journal.close(is_folded=True)


async def test_what_a_dead_process_left_is_read_whole(tmp_path: Path) -> None:
    """Nobody knows how much of it the database has."""
    dead = Journal(tmp_path, NOW_NS)
    dead.append(*ROWS)
    os.close(dead.active.descriptor)
    journal = Journal(tmp_path, NOW_NS)
    backlog = Backlog(journal)
    assert backlog
    assert backlog.unread == 0
    assert read_all(backlog) == ROWS
    await journal.close(is_folded=False)
