"""What a turn of the loop records: holds and rows, written together before anything leaves that they are for."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from budget_world import doubt_of

from gateway.db import Database
from gateway.ledger.recording.journal import Journal, JournalFull
from gateway.ledger.recording.recorder import Recorder
from gateway.ledger.row import UsageRow
from tests.gateway.ledger.recording.test_recorder import Notes, ids_of, make_rows, recording, stored_ids
from tests.gateway.usage_rows import NOW_NS, make_row


async def test_a_hold_is_written_before_its_call_leaves_or_with_its_row(database: Database, tmp_path: Path) -> None:
    """What a dead process left is open only where no row of its own followed, in whatever order they were written."""
    sent, ended, refused = [doubt_of(make_row(request_id=name * 26)) for name in "678"]
    journal = Journal(tmp_path / "journal", NOW_NS)
    recorder = Recorder(database, journal, Notes().note, lambda: NOW_NS)
    recorder.hold(sent)
    assert recorder.write_noted() is None
    written = journal.active.size
    assert recorder.write_noted() is None
    assert journal.active.size == written
    # Never sent: noted, and written with the row that ends it, so that it does not come to stay after it.
    recorder.hold(ended)
    recorder.record(make_row(request_id=ended.request_id))
    assert recorder.write_noted() is None
    assert list(recorder._holds) == [sent.request_id]
    journal._max_bytes = 0
    recorder.hold(refused)
    assert [type(recorder.write_noted()) for _ in range(2)] == [JournalFull] * 2
    # As the end of the process would.
    os.close(journal.active.descriptor)
    heir = Journal(tmp_path / "journal", NOW_NS + 1)
    assert [hold.request_id for hold in heir.find_open_holds()] == [sent.request_id]
    await heir.close(is_folded=False)


async def test_rows_of_one_turn_share_a_write(database: Database, tmp_path: Path) -> None:
    """At its end, or before where somebody asks for it; until then they are told as not stored."""
    rows, appended = make_rows(5), list[int]()
    async with recording(database, tmp_path) as recorder:
        append = recorder.journal.append

        def count(*rows: UsageRow, **more: Any) -> int:
            appended.append(len(rows))
            return append(*rows, **more)

        recorder.journal.append = count  # type: ignore[method-assign]
        for row in rows[:3]:
            recorder.take(row)
        assert list(recorder.unfolded()) == rows[:3]
        await asyncio.sleep(0)
        recorder.take(rows[3])
        recorder.take(rows[4])
        recorder.write_noted()
        await asyncio.sleep(0)
        assert appended == [3, 2]
    assert await stored_ids(database) == ids_of(rows)


async def test_rows_that_cannot_be_written_together_are_kept_and_told(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are stored as soon as there is room."""
    rows = make_rows(3)
    async with recording(database, tmp_path) as recorder:
        most, recorder.journal._max_bytes = recorder.journal._max_bytes, 0
        for row in rows:
            recorder.take(row)
        await asyncio.sleep(0)
        assert not recorder.is_accepting
        with pytest.raises(JournalFull):
            recorder.take(rows[0])
            await recorder.synced()
        recorder.journal._max_bytes = most
    assert all(row.request_id in caplog.text for row in rows)
    assert await stored_ids(database) == ids_of(rows)
