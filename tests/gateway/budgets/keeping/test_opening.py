"""Opening: one process keeps its holds as long as it lives, several give up those of the dead in time."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from budget_world import treasure
from sqlalchemy import text

from gateway.budgets.directory import BudgetDirectory
from gateway.budgets.keeping.opening import open_keeper
from gateway.config.settings import Settings
from gateway.counters.memory import MemoryCounters
from gateway.counters.shared import SharedCounters
from gateway.db import Database

S = 10**9


@pytest.mark.parametrize("is_shared", [True, False])
async def test_the_lease_suits_the_counters(
    database: Database, tmp_path: Path, redis_url: str, is_shared: bool
) -> None:
    """Within 60 s after a call's total timeout a dead process's hold is swept."""
    counters = SharedCounters.open(redis_url) if is_shared else MemoryCounters()
    settings = Settings(data_dir=tmp_path)
    async with treasure(database, tmp_path) as house, AsyncExitStack() as stack:
        keeper = await open_keeper(settings, database, counters, house.recorder, stack)
        lease_s = keeper.treasury.lease_ns / S
        total_s = settings.timeouts.total_ms / 1_000
        assert (keeper.treasury.peers is not None) == is_shared
        assert total_s < lease_s <= total_s + 40 if is_shared else lease_s > 10**9
    await counters.close()


async def test_the_others_know_of_a_process_before_it_loads_the_budgets(
    database: Database, tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who makes a budget then waits for it; a process that loads first and is known later would miss that one."""
    load, known = BudgetDirectory.start, list[int]()

    async def look_and_load(directory: BudgetDirectory) -> None:
        async with database.read() as connection:
            known.append((await connection.execute(text("SELECT COUNT(*) FROM spenders"))).scalar_one())
        await load(directory)

    monkeypatch.setattr(BudgetDirectory, "start", look_and_load)
    counters = SharedCounters.open(redis_url)
    async with treasure(database, tmp_path) as house, AsyncExitStack() as stack:
        await open_keeper(Settings(data_dir=tmp_path), database, counters, house.recorder, stack)
    await counters.close()
    assert known == [1]
