"""A process that records rows until it is killed, and says which ones it could rely on; run by the crash test."""

import asyncio
import os
import sys
import time
from pathlib import Path

from gateway.accounts.store import note_used
from gateway.db import Database
from gateway.ledger.recording.journal import Journal
from gateway.ledger.recording.recorder import Recorder, RecorderSettings
from tests.gateway.usage_rows import make_row


async def record_for_ever(folder: Path) -> None:
    """Record bursts of rows; each id is written out once its row was recorded."""
    database = await Database.open(None, folder)
    # Small segments and a short queue, so that kills hit seals, spills and replays too.
    journal = Journal(folder / "journal", time.time_ns(), segment_bytes=64 * 1024)
    settings = RecorderSettings(fold_interval_ms=2, max_queued_rows=200)
    recorder = Recorder(database, journal, note_used, time.time_ns, settings)
    recorder.start()
    while True:
        for _ in range(20):
            row = make_row(time.time_ns())
            recorder.record(row)
            os.write(sys.stdout.fileno(), f"{row.request_id}\n".encode())
        await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(record_for_ever(Path(sys.argv[1])))
