"""The store and the memory of a process are the same after whatever happened between them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from questions import (
    CAPITAL,
    OTHER,
    SAME,
    SCOPE,
    FakeEmbedder,
    leave_nothing_to_chance,
    make_asked,
    make_fresh,
    make_layer,
    prove,
)
from sqlalchemy import text

from gateway.caching.policy import Allowed
from gateway.caching.semantic import keeper as module
from gateway.caching.semantic import pending
from gateway.caching.semantic.interface import Check
from gateway.caching.semantic.layer import SemanticLayer
from gateway.db import Database, DatabaseUnavailable, Revisions

TENTH = Allowed(max_wrong_rate=0.1)


class Flaky:
    """A database that can be away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.revisions = Revisions(cast("Database", self))
        self.is_away = False

    def read(self) -> Any:
        return self._lend(self._database.read)

    def write(self) -> Any:
        return self._lend(self._database.write)

    @asynccontextmanager
    async def _lend(self, door: Any) -> AsyncIterator[Any]:
        if self.is_away:
            raise DatabaseUnavailable("away")
        async with door() as connection:
            yield connection


@pytest.fixture(autouse=True)
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written or followed but when a test says so."""
    monkeypatch.setattr(module, "WRITE_INTERVAL_S", 60.0)
    monkeypatch.setattr("gateway.accounts.follower.POLL_INTERVAL_MS", 60_000)


async def opened(database: Any, **options: Any) -> SemanticLayer:
    """A process's layer."""
    layer = make_layer(cast("Database", database), FakeEmbedder(), **options)
    leave_nothing_to_chance(layer.memory)
    await layer.open()
    return layer


async def teach(layer: SemanticLayer, asked: str = CAPITAL, said: str = "Paris.", number: int = 1) -> None:
    """One question, stored."""
    layer.learn(make_fresh(make_asked(asked), said, number))
    await layer.settle()


async def die(layer: SemanticLayer) -> None:
    """End a process without a word: what waits is lost."""
    await layer.learner.close()
    layer.keeper.is_whole = False
    layer.memory.pending.take()
    await layer.keeper.close()


async def test_a_restart_finds_everything(database: Database) -> None:
    """Questions, answers and what was learnt, be the end orderly or not."""
    layer = await opened(database)
    await teach(layer)
    await teach(layer, OTHER, "Flour.", 2)
    prove(layer.memory)
    await layer.close()
    again = await opened(database)
    assert (len(again), again.is_whole, again.memory.engine.count_requests(SCOPE)) == (2, True, 602)
    look = await again.look(make_asked(SAME), TENTH, "semantic")
    assert look.is_hit and look.entry is not None
    answer = await again.find_answer(look.entry, 10**9)
    assert answer is not None and answer.entry_id == "ce_r1"
    await die(again)


async def test_what_was_seen_after_the_last_save_is_seen_again(database: Database) -> None:
    """A crash loses what was not written, half a second at most."""
    layer = await opened(database)
    await teach(layer)
    await layer.keeper.save()
    await teach(layer, SAME, "Paris.", 2)
    await die(layer)
    again = await opened(database)
    assert len(again) == 2
    assert again.memory.engine.count_requests(SCOPE) == 2
    assert again.memory.engine._open(SCOPE).lessons.seen == 1
    await die(again)


async def test_a_damaged_state_is_told_and_begins_anew(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """Of that scope alone; its questions are still found."""
    layer = await opened(database)
    await teach(layer)
    await layer.close()
    async with database.write() as connection:
        await connection.execute(text("UPDATE cache_scopes SET state = :data"), {"data": b"damaged"})
    with caplog.at_level(logging.WARNING):
        again = await opened(database)
    assert f"what {SCOPE} had learnt is damaged" in caplog.text
    assert (len(again), again.memory.engine.count_requests(SCOPE)) == (1, 0)
    await die(again)


async def reborn(database: Database, layer: SemanticLayer) -> SemanticLayer:
    """A process that begins where another was killed."""
    await die(layer)
    return await opened(database)


async def test_what_waited_as_a_state_was_saved_is_counted_once(database: Database) -> None:
    """The state has it already: what the process wrote with it or before is not seen again after a crash."""
    layer = await opened(database)
    await teach(layer)
    prove(layer.memory)
    look = await layer.look(make_asked(SAME), TENTH, "semantic")
    layer.note(Check(request_id="r9", asked=make_asked(SAME), look=look), "p", 5, prompts=False)
    await layer.look(make_asked(OTHER), TENTH, "semantic")
    before = layer.memory.engine.count_served(SCOPE)
    assert (before.requests, before.hits) == (603, 1)
    await layer.keeper.save()
    await layer.keeper.flush()
    again = await reborn(database, layer)
    after = again.memory.engine.count_served(SCOPE)
    assert (after.requests, after.hits) == (603, 1)
    await die(again)


async def test_what_was_under_way_as_a_state_was_saved_is_counted_once(database: Database) -> None:
    """A look counts at once, and what came of it is told later: of that a crash leaves what it teaches."""
    layer = await opened(database)
    await teach(layer)
    look = await layer.look(make_asked(SAME), TENTH, "semantic")
    await layer.keeper.save()
    layer.learn(make_fresh(make_asked(SAME), "Paris.", 2, look))
    await layer.settle()
    before = layer.memory.engine
    again = await reborn(database, layer)
    after = again.memory.engine
    assert after.count_requests(SCOPE) == before.count_requests(SCOPE) == 2
    assert after._open(SCOPE).lessons.seen == before._open(SCOPE).lessons.seen == 1
    await die(again)


async def test_a_state_is_saved_with_all_that_it_has_or_not_at_all(database: Database) -> None:
    """While the database is away both wait on."""
    flaky = Flaky(database)
    layer = await opened(flaky)
    await layer.keeper.refresh()
    await layer.look(make_asked(), TENTH, "semantic")
    flaky.is_away = True
    await layer.keeper.save()
    assert (layer.memory.changed, layer.memory.pending.unmatched) == ({SCOPE}, {SCOPE: 1})
    with pytest.raises(DatabaseUnavailable):
        await layer.keeper._save(SCOPE)
    assert layer.memory.pending.unmatched == {SCOPE: 1}
    flaky.is_away = False
    await layer.keeper.save()
    again = await reborn(database, layer)
    assert again.memory.engine.count_requests(SCOPE) == 1
    await die(again)


async def test_a_crash_between_store_and_index_heals(database: Database) -> None:
    """A question that was written and is in no index is found at the next start."""
    layer = await opened(database)
    layer.learn(make_fresh(make_asked(), "Paris.", 1))
    await layer.learner.settle()
    taken = layer.memory.pending.take()
    async with database.write() as connection:
        await taken.write(connection, 1)
    layer.memory.forget(list(taken.entries), deletes=False)
    assert len(layer) == 0
    await die(layer)
    again = await opened(database)
    assert len(again) == 1
    await die(again)


async def test_a_crash_before_the_store_loses_the_question_only(database: Database) -> None:
    """It is asked anew."""
    layer = await opened(database)
    layer.learn(make_fresh(make_asked(), "Paris.", 1))
    await layer.learner.settle()
    await die(layer)
    again = await opened(database)
    assert len(again) == 0
    await die(again)


async def test_two_processes_follow_each_other(database: Database) -> None:
    """Questions and what was seen, each once; neither takes its own for another's."""
    mine, yours = await opened(database), await opened(database)
    await teach(mine)
    await teach(yours, OTHER, "Flour.", 2)
    for _ in range(2):
        await mine.keeper.refresh()
        await yours.keeper.refresh()
    assert len(mine) == len(yours) == 2
    assert mine.memory.engine.count_requests(SCOPE) == yours.memory.engine.count_requests(SCOPE) == 2
    prove(yours.memory)
    look = await yours.look(make_asked(SAME), TENTH, "semantic")
    assert look.entry is not None
    answer = await yours.find_answer(look.entry, 10**9)
    assert answer is not None and answer.entry_id == "ce_r1"
    await die(mine)
    await die(yours)


async def test_two_processes_that_learn_the_same_keep_one(database: Database) -> None:
    """The later answer to the request; the other is forgotten where it is."""
    mine, yours = await opened(database), await opened(database)
    await teach(mine)
    await teach(yours)
    await mine.keeper.refresh()
    assert len(mine) == 1
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT COUNT(*) FROM cache_entries"))).scalar_one() == 1
        number = (await connection.execute(text("SELECT number FROM cache_entries"))).scalar_one()
    assert [kept.number for kept in mine.memory.shelf] == [number]
    await die(mine)
    await die(yours)


async def test_while_the_database_is_away_what_is_new_waits(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """It can be found here meanwhile, and is written later; the log tells once."""
    flaky = Flaky(database)
    layer = await opened(flaky)
    flaky.is_away = True
    with caplog.at_level(logging.WARNING):
        await teach(layer)
        await teach(layer, OTHER, "Flour.", 2)
        await layer.keeper.save()
    assert caplog.text.count("wait for the database") == 1
    assert len(layer) == len(layer.memory.pending.entries) == 2
    look = await layer.look(make_asked(SAME), TENTH, "semantic")
    assert look.entry is not None and await layer.find_answer(look.entry, 10**9) is not None
    flaky.is_away = False
    await layer.keeper.flush()
    assert layer.memory.pending.entries == {}
    await layer.close()
    again = await opened(database)
    assert len(again) == 2
    await die(again)


async def test_what_is_too_much_to_wait_is_forgotten(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the index would have what no store has."""
    monkeypatch.setattr(pending, "MAX_ENTRIES", 1)
    flaky = Flaky(database)
    layer = await opened(flaky)
    flaky.is_away = True
    await teach(layer)
    await teach(layer, OTHER, "Flour.", 2)
    assert [kept.entry_id for kept in layer.memory.shelf] == ["ce_r2"]
    await die(layer)


async def test_what_cannot_be_written_is_not_served(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that the database refuses for good is given up whole."""

    async def refuse(*_: Any) -> None:
        raise ValueError("never")

    layer = await opened(database)
    monkeypatch.setattr("gateway.caching.semantic.store.write_entries", refuse)
    layer.learn(make_fresh(make_asked(), "Paris.", 1))
    await layer.learner.settle()
    with pytest.raises(ValueError, match="never"):
        await layer.keeper.flush()
    assert len(layer) == 0
    await die(layer)


async def test_damaged_rows_are_deleted(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever was edited by hand is a miss, and is gone from the table too."""
    layer = await opened(database)
    await teach(layer)
    await teach(layer, OTHER, "Flour.", 2)
    await layer.close()
    async with database.write() as connection:
        await connection.execute(
            text("UPDATE cache_entries SET packed = :data WHERE entry_id = 'ce_r1'"), {"data": b"{}"}
        )
    with caplog.at_level(logging.WARNING):
        again = await opened(database)
    assert "1 stored questions are damaged" in caplog.text
    assert [kept.entry_id for kept in again.memory.shelf] == ["ce_r2"]
    await again.close()
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT COUNT(*) FROM cache_entries"))).scalar_one() == 1


async def test_a_start_without_a_database_is_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Until it is there; meanwhile nothing is found and nothing breaks."""
    monkeypatch.setattr(module, "WRITE_INTERVAL_S", 0.01)
    flaky = Flaky(database)
    flaky.is_away = True
    layer = make_layer(cast("Database", flaky), FakeEmbedder())
    with caplog.at_level(logging.WARNING):
        opening = asyncio.get_running_loop().create_task(layer.open())
        await asyncio.sleep(0.03)
    assert "cannot be loaded yet" in caplog.text
    assert not layer.is_whole
    assert not (await layer.look(make_asked(), TENTH, "semantic")).is_hit
    flaky.is_away = False
    await opening
    assert layer.is_whole
    await layer.close()


async def test_the_writer_goes_on_by_itself(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes, saves what was learnt and deletes what is too old."""
    monkeypatch.setattr(module, "WRITE_INTERVAL_S", 0.01)
    monkeypatch.setattr(module, "SAVE_INTERVAL_S", 0.0)
    monkeypatch.setattr(module, "CLEAN_INTERVAL_S", 0.0)
    layer = await opened(database)
    layer.learn(make_fresh(make_asked(), "Paris.", 1))
    async with asyncio.timeout(10):
        while True:
            async with database.read() as connection:
                if (await connection.execute(text("SELECT COUNT(*) FROM cache_scopes"))).scalar_one():
                    break
            await asyncio.sleep(0.01)
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT COUNT(*) FROM cache_entries"))).scalar_one() == 1
    await layer.close()


async def test_a_database_replaced_by_an_older_copy_is_followed_anew(database: Database) -> None:
    """Its revisions begin again."""
    layer = await opened(database)
    layer.keeper._revision = 1_000
    await layer.keeper.refresh()
    assert layer.keeper._revision == 0
    await die(layer)
