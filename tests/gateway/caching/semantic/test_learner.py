"""Fresh answers are learnt from away from the calls, within bounds, and what fails is passed over."""

import asyncio
import logging

import msgspec
import pytest
from questions import CAPITAL, OTHER, SAME, FakeEmbedder, draw, make_asked, make_fresh

from gateway.caching.answers import Purge
from gateway.caching.semantic import learner as module
from gateway.caching.semantic.learner import Learner
from gateway.caching.semantic.memory import Memory
from providers.errors import Unreachable
from tests.gateway.caching.semantic.test_memory import AT_NS


def make_learner(embedder: FakeEmbedder) -> Learner:
    """One with a memory of its own."""

    async def embed(texts: list[str]) -> object:
        return (await embedder.embed(texts)).vectors

    return Learner(Memory(embed, 100, lambda: AT_NS), embedder.embed)  # type: ignore[arg-type]


async def test_an_answer_is_embedded_with_its_question_and_stored() -> None:
    """One batch for all that wait."""
    embedder = FakeEmbedder()
    learner = make_learner(embedder)
    learner.put(make_fresh(make_asked(), "Paris.", 1))
    learner.put(make_fresh(make_asked(OTHER), "Flour.", 2))
    assert len(learner) == 2
    learner.start()
    await learner.settle()
    assert sorted(embedder.texts) == sorted(["Paris.", "Flour.", CAPITAL, OTHER])
    assert [kept.entry_id for kept in learner._memory.shelf] == ["ce_r1", "ce_r2"]
    await learner.close()


async def test_what_was_not_looked_up_is_looked_up_then() -> None:
    """As in the shadow: it counts as a request, and its label is learnt."""
    learner = make_learner(FakeEmbedder())
    learner.start()
    for number, text in enumerate((CAPITAL, SAME)):
        learner.put(make_fresh(make_asked(text), "Paris.", number))
        await learner.settle()
    engine = learner._memory.engine
    assert engine.count_requests("p") == 2
    assert engine._open("p").lessons.seen == 1
    await learner.close()


async def test_who_would_take_no_stored_answer_is_no_request() -> None:
    """What was asked anew is stored, in place of its like; no hit is seen that there could not have been."""
    learner = make_learner(FakeEmbedder())
    learner.start()
    learner.put(make_fresh(make_asked(), "Paris.", 1))
    await learner.settle()
    memory = learner._memory
    memory.pending.take()
    for number in (2, 3):
        learner.put(make_fresh(make_asked(), "Paris.", number, takes_stored=False))
        await learner.settle()
    learner.put(make_fresh(make_asked(SAME), "Rome.", 4, takes_stored=False))
    await learner.settle()
    engine, (first, *others) = memory.engine, [kept.number for kept in memory.shelf]
    assert engine.count_requests("p") == 1
    assert engine._open("p").lessons.seen == 0
    assert not memory.pending.decisions and not memory.pending.seen and not memory.pending.unmatched
    assert [engine._entries[number].group for number in others] == [first, first, others[-1]]
    await learner.close()


async def test_too_many_are_not_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted."""
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    learner = make_learner(FakeEmbedder())
    for number in range(5):
        learner.put(make_fresh(make_asked(f"Who is {number}?"), "X.", number))
    assert (len(learner), learner.dropped) == (2, 3)


async def test_an_embedder_that_fails_costs_its_answers_only(caplog: pytest.LogCaptureFixture) -> None:
    """The log tells once; what comes later is learnt from again."""
    embedder = FakeEmbedder()
    learner = make_learner(embedder)
    learner.start()
    embedder.error = Unreachable("the weights are missing", sent=False)
    with caplog.at_level(logging.WARNING):
        for number in range(2):
            learner.put(make_fresh(make_asked(), "Paris.", number))
            await learner.settle()
    assert caplog.text.count("the weights are missing") == 1
    embedder.error = None
    learner.put(make_fresh(make_asked(), "Paris.", 3))
    await learner.settle()
    assert len(learner._memory.shelf) == 1
    await learner.close()


@pytest.mark.parametrize("vector", ["nan", "zero", "infinite"])
async def test_a_vector_that_is_none_is_not_stored(vector: str) -> None:
    """It finds nothing and is found by nobody."""
    embedder = FakeEmbedder()
    broken = draw(CAPITAL) * 0
    embedder.replaced[CAPITAL] = broken if vector == "zero" else broken + float("nan" if vector == "nan" else "inf")
    learner = make_learner(embedder)
    learner.start()
    for number, text in enumerate((CAPITAL, SAME, CAPITAL)):
        learner.put(make_fresh(make_asked(text), "Paris.", number))
        await learner.settle()
    assert [kept.entry_id for kept in learner._memory.shelf] == ["ce_r1"]
    await learner.close()


async def test_a_question_longer_than_the_embedder_reads_is_not_compared() -> None:
    """Only its beginning would be."""
    embedder = FakeEmbedder()
    embedder.pieces = 256
    learner = make_learner(embedder)
    learner.start()
    learner.put(make_fresh(make_asked(), "Paris.", 1))
    await learner.settle()
    assert len(learner._memory.shelf) == 0
    await learner.close()


async def test_what_is_purged_meanwhile_is_not_stored() -> None:
    """Be it waiting or just being embedded; what comes later is."""
    embedder = FakeEmbedder()
    learner = make_learner(embedder)
    learner.start()
    embedder.open.clear()
    learner.put(make_fresh(make_asked(), "Paris.", 1))
    await asyncio.sleep(0.01)
    learner.put(make_fresh(make_asked(OTHER), "Flour.", 2))
    assert learner.purge(Purge(project_id="p")) == {"ce_r2"}
    learner.put(make_fresh(make_asked(SAME), "Paris.", 3))
    embedder.open.set()
    await learner.settle()
    assert [kept.entry_id for kept in learner._memory.shelf] == ["ce_r3"]
    await learner.close()


async def test_the_score_is_trained_when_enough_was_learnt() -> None:
    """In a thread; the next question is scored by what it gave."""
    learner = make_learner(FakeEmbedder())
    engine = learner._memory.engine
    engine.settings = msgspec.structs.replace(engine.settings, first_lesson_rows=2)
    learner.start()
    for number, text in enumerate((CAPITAL, SAME, "What is the big capital of France?")):
        learner.put(make_fresh(make_asked(text), "Paris.", number))
        await learner.settle()
    assert engine._open("p").version == 1
    await learner.close()
