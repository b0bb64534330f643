"""What calls ask of the layer: a question's answer, or nothing."""

import logging

import pytest
from caches import AT_NS
from questions import CAPITAL, SAME, SCOPE, FakeEmbedder, make_asked, make_fresh, make_layer, make_shelf, prove
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.caching.answers import Purge
from gateway.caching.policy import Allowed
from gateway.caching.semantic import store
from gateway.db import Database
from providers.errors import Unreachable, Unsupported
from tests.gateway.caching.semantic.test_keeper import TENTH, die, opened, slow, teach

__all__ = ["slow"]


async def test_an_answer_that_memory_lost_is_read_from_the_store(database: Database) -> None:
    """And is in memory from then on; what is not written yet is at hand too."""
    answers = make_shelf()
    layer = await opened(database, answers=answers)
    layer.learn(make_fresh(make_asked(), "Paris.", 1))
    await layer.learner.settle()
    (kept,) = layer.memory.shelf
    assert layer.count_beside() == 1
    for _ in range(2):
        found = await layer.find_answer(kept, 10**9)
        assert found is not None and found.entry_id == "ce_r1"
        assert answers.has(kept.key)
        assert layer.count_beside() == 0
        answers.forget(kept.key)
        await layer.write()
    assert layer.find_exact(kept.key, AT_NS) == kept
    assert layer.find_exact(kept.key, kept.expires_ns) is None
    assert layer.find_exact(b"other", AT_NS) is None
    await die(layer)


@pytest.mark.parametrize("damage", ["DELETE FROM cache_answers", "UPDATE cache_answers SET answer = :data"])
async def test_an_answer_that_is_gone_or_damaged_is_forgotten(
    database: Database, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its question is asked anew; what was edited is never given."""
    layer = await opened(database)
    await teach(layer)
    (kept,) = layer.memory.shelf
    async with database.write() as connection:
        await connection.execute(text(damage), {"data": b'{"bad": "json"}'} if ":data" in damage else {})
    with caplog.at_level(logging.WARNING):
        assert await layer.find_answer(kept, 10**9) is None
    assert ("is damaged" in caplog.text) is (":data" in damage)
    assert len(layer) == 0
    await layer.write()
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT COUNT(*) FROM cache_entries"))).scalar_one() == 0
    await die(layer)


@pytest.mark.parametrize("is_in_memory", [True, False])
async def test_an_answer_that_is_replaced_or_too_old_now_is_forgotten(database: Database, is_in_memory: bool) -> None:
    """By what the project wants now, and by what another process answered anew."""
    for ttl_s, refreshed_ns in ((10**9, AT_NS + 10), (0, 0)):
        answers = make_shelf()
        layer = await opened(database, answers=answers)
        await teach(layer)
        (kept,) = layer.memory.shelf
        if is_in_memory:
            assert await layer.find_answer(kept, 10**9) is not None
        answers.refresh(kept.key, refreshed_ns)
        assert await layer.find_answer(kept, ttl_s) is None
        assert len(layer) == 0
        await layer.write()
        await die(layer)


async def test_what_is_purged_while_it_is_read_is_not_given(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it in memory afterwards."""
    answers = make_shelf()
    layer = await opened(database, answers=answers)
    await teach(layer)
    (kept,) = layer.memory.shelf
    read = store.read_answer

    async def read_slowly(connection: AsyncConnection, number: int) -> bytes | None:
        found = await read(connection, number)
        layer.purge(Purge(project_id="p"))
        return found

    monkeypatch.setattr(store, "read_answer", read_slowly)
    assert await layer.find_answer(kept, 10**9) is None
    assert len(answers) == 0
    await die(layer)


async def test_a_question_that_is_too_long_is_not_compared(database: Database) -> None:
    """Whoever asks is told, to go on without."""
    embedder = FakeEmbedder()
    layer = make_layer(database, embedder)
    embedder.pieces = 256
    with pytest.raises(Unsupported):
        await layer.look(make_asked(), TENTH, "semantic")


async def test_a_layer_without_an_embedder_opens(database: Database) -> None:
    """Missing weights are each call's miss, not the start's end."""
    embedder = FakeEmbedder()
    embedder.error = Unreachable("no weights", sent=False)
    layer = make_layer(database, embedder)
    await layer.open()
    with pytest.raises(Unreachable):
        await layer.look(make_asked(), TENTH, "semantic")
    await die(layer)


async def test_purge_and_recall_reach_what_waits(database: Database) -> None:
    """Both the index and the answers that are not learnt from yet."""
    layer = make_layer(database, FakeEmbedder())
    layer.learn(make_fresh(make_asked(), "Paris.", 1))
    assert layer.purge(Purge(project_id="p")) == {"ce_r1"}
    layer.learner.start()
    await layer.learner.settle()
    assert len(layer) == 0
    layer.learn(make_fresh(make_asked(), "Paris.", 2))
    await layer.learner.settle()
    assert layer.recall("ce_r2", "r2") == ["ce_r2"]
    assert (len(layer), layer.fallbacks, layer.dropped) == (0, 0, 0)
    await layer.learner.close()


async def test_the_report_has_a_point_for_each_bound(database: Database) -> None:
    """And one for the bound in force."""
    layer = await opened(database)
    await teach(layer, CAPITAL, "Paris.", 1)
    await teach(layer, SAME, "Paris.", 2)
    layer.count(SCOPE)
    prove(layer.memory)
    bounds = [Allowed(max_wrong_rate=0.01), Allowed(max_wrong_hit_rate=0.1)]
    seen = await layer.report(SCOPE, bounds, TENTH)
    assert [point.allowed for point in seen.points] == bounds
    assert seen.live.allowed == TENTH
    assert seen.requests == 603
    await die(layer)
