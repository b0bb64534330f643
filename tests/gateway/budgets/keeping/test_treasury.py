"""The parts as they are handed around."""

from pathlib import Path

from budget_world import treasure

from gateway.db import Database


async def test_one_process_has_no_peers(database: Database, tmp_path: Path) -> None:
    """Its counters are in its memory, and its keeper has the same books."""
    async with treasure(database, tmp_path) as house:
        assert house.treasury.peers is None
        assert house.keeper.treasury is house.treasury
        assert house.keeper.books is house.treasury.books
