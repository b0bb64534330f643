"""Beside the calls: holds of the dead become charges, counters are set to the ledger, thresholds become events."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest
from budget_world import Treasure, doubt_of, row_of, treasure
from sqlalchemy import text

from gateway.budgets.keeping.books import Books
from gateway.budgets.keeping.peers import Peers
from gateway.budgets.keeping.watch import LATE_NS, Watch
from gateway.budgets.rerating import Wanted, rerate
from gateway.counters.interface import LineCount, LineName
from gateway.counters.shared import SharedCounters
from gateway.db import Database
from gateway.ids import new_id
from gateway.ledger.recording.journal import Journal
from gateway.ledger.recording.recorder import Recorder
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import PriceTable
from tests.gateway.usage_rows import NOW_NS


@asynccontextmanager
async def sharing(database: Database, folder: Path, redis_url: str, namespace: str) -> AsyncIterator[Treasure]:
    """One of several processes on one Redis and one database."""
    counters = SharedCounters.open(redis_url, namespace=namespace)
    async with treasure(database, folder, counters) as house:
        peers = Peers(database, house.recorder, house.books, str(folder), lambda: NOW_NS)
        yield Treasure(msgspec.structs.replace(house.treasury, peers=peers))
    await counters.close()


@asynccontextmanager
async def killed(alive: Treasure, folder: Path) -> AsyncIterator[Treasure]:
    """Another process, which ends as by kill -9: nothing is stored or told, and the kernel closes its files."""
    journal = Journal(folder / "journal", NOW_NS)
    recorder = Recorder(alive.database, journal, note_nothing, lambda: NOW_NS)
    recorder.journal.sign()
    books = Books(alive.books.counters, alive.books.directory, lambda: NOW_NS)
    yield Treasure(msgspec.structs.replace(alive.treasury, recorder=recorder, books=books))
    os.close(journal.active.descriptor)
    os.close(journal._tenure)


async def note_nothing(*_: object) -> None:
    """Stand in for accounts.store.note_used."""


async def look(house: Treasure) -> tuple[int, int]:
    """Spent and held."""
    line = house.books.directory.all()[0].line_at(NOW_NS)
    (count,) = await house.books.counters.look([LineName(budget_key=line.budget_key, window_key=line.window_key)])
    assert count is not None
    return count.spent_pusd, count.held_pusd


async def test_a_dead_process_is_charged_by_another(database: Database, tmp_path: Path, redis_url: str) -> None:
    """Its hold becomes a row at its maximum, in doubt, once its lease is over; a second sweep changes nothing."""
    namespace = new_id(NOW_NS)
    async with (
        sharing(database, tmp_path / "a", redis_url, namespace) as dead,
        sharing(database, tmp_path / "b", redis_url, namespace) as alive,
    ):
        await dead.add(limit_pusd=1_000, thresholds=(0.1,))
        await alive.books.directory.refresh()
        request_id = await dead.hold(100)
        watch = Watch(alive.treasury)
        await watch.sweep()
        assert await look(alive) == (0, 100)
        alive.books.now_ns = lambda: NOW_NS + 2 * alive.treasury.lease_ns
        for _ in range(2):
            await watch.sweep()
        assert await look(alive) == (100, 0)
        assert len(alive.books.unsure) == 1
        await alive.recorder.flush()
        async with database.read() as connection:
            asked = text("SELECT request_id, status, cost_pusd, cost_basis FROM usage")
            assert [tuple(row) for row in await connection.execute(asked)] == [(request_id, "in_doubt", 100, "bound")]


async def test_a_call_that_ended_is_charged_what_its_row_says(
    database: Database, tmp_path: Path, redis_url: str
) -> None:
    """Its process died before Redis knew: whoever sweeps finds the row, stored or its own, and books no other."""
    namespace = new_id(NOW_NS)
    async with (
        sharing(database, tmp_path / "a", redis_url, namespace) as dead,
        sharing(database, tmp_path / "b", redis_url, namespace) as alive,
    ):
        await dead.add(limit_pusd=1_000)
        await alive.books.directory.refresh()
        stored, own = await dead.hold(100), await dead.hold(200)
        dead.recorder.record(row_of(request_id=stored, cost_pusd=7))
        await dead.recorder.flush()
        alive.recorder.record(row_of(request_id=own, cost_pusd=5))
        alive.books.now_ns = lambda: NOW_NS + 2 * alive.treasury.lease_ns
        await Watch(alive.treasury).sweep()
        assert await look(alive) == (12, 0)
        await alive.recorder.flush()
        async with database.read() as connection:
            assert await connection.scalar(text("SELECT SUM(cost_pusd) FROM usage")) == 12


async def test_what_a_dead_process_never_sent_is_free_at_its_next_start(
    database: Database, tmp_path: Path, redis_url: str
) -> None:
    """Its journal proves it: what went out is charged, what ended is settled, and the rest is room again at once."""
    namespace = new_id(NOW_NS)
    folder = tmp_path / "journal"
    async with sharing(database, tmp_path / "alive", redis_url, namespace) as alive:
        await alive.add(limit_pusd=1_000)
        await alive.hold(1)
        async with killed(alive, tmp_path) as dead:
            never_sent, sent, ended = [await dead.hold(amount) for amount in (500, 100, 30)]
            dead.recorder.hold(doubt_of(row_of(request_id=sent, cost_pusd=100)))
            dead.recorder.record(row_of(request_id=ended, cost_pusd=7))
            owner = dead.recorder.journal.owner
        assert await look(alive) == (0, 631)
        async with sharing(database, tmp_path, redis_url, namespace) as heir:
            assert heir.recorder.journal.heirs_of == (owner,)
            watch = Watch(heir.treasury)
            await watch.reclaim(owner)
            assert await look(alive) == (107, 1)
            # What it did not know of is not touched, and a second time changes nothing.
            await watch.reclaim(owner)
            assert await look(alive) == (107, 1)
            heir.recorder.journal.bury(owner)
        assert never_sent
        assert not list(folder.glob(f"{owner}*"))


async def test_a_counter_is_set_to_the_ledger(database: Database, tmp_path: Path, redis_url: str) -> None:
    """Where nothing moved meanwhile; a hold may be what is missing, and keeps it from falling."""
    async with sharing(database, tmp_path, redis_url, new_id(NOW_NS)) as house:
        await house.add(limit_pusd=1_000)
        await house.hold(100)
        watch = Watch(house.treasury)
        house.recorder.record(row_of(cost_pusd=100))
        await watch.audit()
        assert await look(house) == (0, 100)
        house.recorder.record(row_of(cost_pusd=7))
        await watch.audit()
        assert await look(house) == (7, 100)
        line = house.books.directory.all()[0].line_at(NOW_NS)
        name = LineName(budget_key=line.budget_key, window_key=line.window_key)
        await house.books.counters.adjust(name, 50)
        await watch.audit()
        assert await look(house) == (57, 100)
        await house.books.settle(next(iter(house.books.open)), 0)
        await watch.audit()
        assert await look(house) == (107, 0)
        await house.books.counters.adjust(name, 50)
        await watch.audit()
        assert await look(house) == (107, 0)


async def test_what_a_busy_counter_lacks_is_added(database: Database, tmp_path: Path, redis_url: str) -> None:
    """A call that no budget governed as it began may end beside the counter; calls that go on hide it no longer."""
    async with sharing(database, tmp_path, redis_url, new_id(NOW_NS)) as house:
        await house.add(limit_pusd=1_000)
        await house.hold(100)
        watch = Watch(house.treasury)
        house.recorder.record(row_of(cost_pusd=307))
        counters, look_at = house.books.counters, house.books.counters.look
        line = house.books.directory.all()[0].line_at(NOW_NS)
        name = LineName(budget_key=line.budget_key, window_key=line.window_key)

        async def look_while_it_moves(names: Sequence[LineName]) -> tuple[LineCount | None, ...]:
            found = await look_at(names)
            if not moved:
                moved.append(name)
                await counters.adjust(name, 5)
            return found

        moved: list[LineName] = []
        with patch.object(counters, "look", look_while_it_moves):
            await watch.audit()
        assert await look(house) == (207, 100)


async def test_a_reservation_that_comes_after_its_release_holds_nothing(
    database: Database, tmp_path: Path, redis_url: str
) -> None:
    """A busy Redis may take it up when its call has long been refused; the sweep releases it once more."""
    async with sharing(database, tmp_path, redis_url, new_id(NOW_NS)) as house:
        await house.add(limit_pusd=1_000)
        watch = Watch(house.treasury)
        await house.hold(100)
        (late,) = house.books.open
        house.books.open.clear()
        for age_ns, held_pusd in ((0, 100), (2 * LATE_NS, 0)):
            house.books.forgotten = deque([(house.books.now_ns() - age_ns, late)])
            await watch.sweep()
            assert await look(house) == (0, held_pusd)
        assert not house.books.forgotten


async def test_every_counter_is_set_to_the_ledger(
    database: Database, tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many budgets there are; here one is looked at after the other."""
    monkeypatch.setattr("gateway.budgets.keeping.watch.MAX_AUDITED", 1)
    async with sharing(database, tmp_path, redis_url, new_id(NOW_NS)) as house:
        for _ in range(3):
            await house.add(limit_pusd=1_000)
        await house.hold(100)
        await house.books.settle(next(iter(house.books.open)), 0)
        house.recorder.record(row_of(cost_pusd=7))
        await Watch(house.treasury).audit()
        lines = [standing.line_at(NOW_NS) for standing in house.books.directory.all()]
        names = [LineName(budget_key=line.budget_key, window_key=line.window_key) for line in lines]
        counts = await house.books.counters.look(names)
        assert [count and count.spent_pusd for count in counts] == [7, 7, 7]


async def test_a_process_waits_for_what_others_recorded(database: Database, tmp_path: Path, redis_url: str) -> None:
    """A new line is not begun before every living process has stored its rows."""
    namespace = new_id(NOW_NS)
    async with (
        sharing(database, tmp_path / "a", redis_url, namespace) as one,
        sharing(database, tmp_path / "b", redis_url, namespace) as two,
    ):
        assert one.treasury.peers is not None
        assert two.treasury.peers is not None
        await two.treasury.peers.beat()
        await one.add(limit_pusd=1_000)
        two.recorder.record(row_of(cost_pusd=42))
        holding = asyncio.ensure_future(one.hold(100))
        await asyncio.sleep(0.04)
        assert not holding.done()
        for _ in range(3):
            await two.treasury.peers.beat()
            await asyncio.sleep(0.06)
        await holding
        assert await look(one) == (42, 100)
        assert len(two.books.directory) == 1


@pytest.mark.parametrize("is_shared", [True, False])
async def test_it_starts_and_stops(database: Database, tmp_path: Path, redis_url: str, is_shared: bool) -> None:
    """And leaves no process behind in the table of those who spend."""
    async with sharing(database, tmp_path, redis_url, new_id(NOW_NS)) as house:
        parts = house.treasury if is_shared else msgspec.structs.replace(house.treasury, peers=None)
        watch = Watch(parts)
        watch.start()
        await asyncio.sleep(0.1)
        await watch.close()
        async with database.read() as connection:
            assert (await connection.execute(text("SELECT COUNT(*) FROM spenders"))).scalar_one() == 0


async def test_corrections_reach_the_counters_of_the_only_process(database: Database, tmp_path: Path) -> None:
    """Calls that a command re-rated beside it count at once, thresholds included; nothing is read where none was."""
    prices = PriceTable((), (PriceRow(provider="openai", model="m", effective_from="2020-01-01", input="1"),))
    async with treasure(database, tmp_path) as house:
        watch = Watch(house.treasury)
        await watch.take_corrections()
        await house.add(limit_pusd=200_000_000)
        house.recorder.record(row_of(cost_pusd=0, cost_basis="unpriced", upstream_model="m"))
        await house.recorder.flush()
        await house.hold(10)
        await watch.take_corrections()
        assert await look(house) == (0, 10)
        wanted = Wanted(from_ns=0, to_ns=2**63 - 1, books=True)
        assert [owed.calls async for owed in rerate(database, prices, wanted, NOW_NS)] == [1]
        # Stored by this process and not yet by the database, or settled: both are in the sum and in the counter.
        await watch.take_corrections()
        assert await look(house) == (150_000_000, 10)
        assert [crossing.threshold for crossing in house.books.crossings] == [0.5]
        async with database.write() as connection:
            await connection.execute(text("UPDATE spend SET pusd = 0"))
        await watch.take_corrections()
        assert await look(house) == (150_000_000, 10)
