"""Fresh answers are learnt from away from the calls, within bounds, and what fails is passed over."""

import asyncio
import logging
from collections.abc import Callable

import msgspec
import pytest
from fakes import CALLER
from questions import CAPITAL, OTHER, SAME, FakeEmbedder, draw, judge_by_cosine, make_asked, make_fresh, prove

from gateway.caching.answers import Purge
from gateway.caching.policy import Allowed
from gateway.caching.semantic import learner as module
from gateway.caching.semantic.interface import Asker, Case, Kept
from gateway.caching.semantic.learner import Learner
from gateway.caching.semantic.memory import Memory, ask
from providers.errors import Unreachable
from tests.gateway.caching.semantic.test_memory import AT_NS

# Vectors and words leave it open whether these say the same; the threshold takes them for the same.
DOUBTFUL = ("Paris is large and old.", "Paris is large and modern.")
TENTH = Allowed(max_wrong_rate=0.1)
ASKER = Asker(model="judge-1", caller=CALLER)


class FakeJudge:
    """Says what it is told to say, when it is told to."""

    def __init__(self) -> None:
        self.cases: list[tuple[Case, Callable[[bool | None], None]]] = []

    def ask(self, case: Case, tell: Callable[[bool | None], None]) -> None:
        """Keep a case."""
        self.cases.append((case, tell))


def make_learner(embedder: FakeEmbedder, judge: FakeJudge | None = None, stored: str = DOUBTFUL[0]) -> Learner:
    """One with a memory of its own, where every stored answer says this."""

    async def read_said(kept: Kept) -> str:
        return stored

    async def embed(texts: list[str]) -> object:
        return (await embedder.embed(texts)).vectors

    return Learner(Memory(embed, 100, lambda: AT_NS), embedder.embed, judge, read_said)  # type: ignore[arg-type]


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


async def begin_judging() -> tuple[FakeJudge, Learner]:
    """A judge who was asked about one case and has not said a word yet."""
    judge = FakeJudge()
    learner = make_learner(FakeEmbedder(), judge)
    prove(learner._memory)
    await learn_two(learner)
    while not judge.cases:
        await asyncio.sleep(0)
    return judge, learner


async def learn_two(learner: Learner, said: tuple[str, str] = DOUBTFUL, **more: object) -> None:
    """Have a question and one like it learnt, of which the second may be judged."""
    learner._memory.engine.adopt("p", judge_by_cosine())
    learner.start()
    learner.put(make_fresh(make_asked(), said[0], 1))
    await learner.settle()
    learner.put(make_fresh(make_asked(SAME), said[1], 2, **{"asker": ASKER, "allowed": TENTH, **more}))


def label_of(learner: Learner, request_id: str = "r2") -> tuple[bool | None, str]:
    """Whether what a call would have got was right, and who says so."""
    pending = learner._memory.pending
    found = pending.decisions.get(request_id) or pending.labels[request_id]
    return found.is_right, found.judged_by


@pytest.mark.parametrize(
    ("ruling", "label"), [(True, (True, "llm")), (False, (False, "llm")), (None, (True, "embedding"))]
)
async def test_in_doubt_the_judge_is_asked_and_has_the_last_word(ruling: bool | None, label: object) -> None:
    """Others are learnt from meanwhile; without its word what the vectors say holds."""
    judge, learner = await begin_judging()
    learner.put(make_fresh(make_asked(OTHER), "Flour.", 3))
    while len(learner._memory.shelf) < 2:
        await asyncio.sleep(0)
    assert (len(learner), [kept.entry_id for kept in learner._memory.shelf]) == (1, ["ce_r1", "ce_r3"])
    ((case, tell),) = judge.cases
    assert (case.reference, case.other, case.asker, case.is_spare) == (DOUBTFUL[1], DOUBTFUL[0], ASKER, True)
    assert (case.check.request_id, case.check.asked.text) == ("r2", SAME)
    tell(ruling)
    await learner.settle()
    assert label_of(learner) == label
    assert [kept.entry_id for kept in learner._memory.shelf] == ["ce_r1", "ce_r3", "ce_r2"]
    await learner.close()


@pytest.mark.parametrize(
    ("said", "more", "judged_by"),
    [
        (("Paris.", " paris"), {}, "exact"),
        (("The 5 of them.", "The 6 of them."), {}, "embedding"),
        (("Paris.", "Bread is baked."), {}, "embedding"),
        (DOUBTFUL, {"asker": None}, "embedding"),
    ],
)
async def test_without_doubt_nobody_is_asked(said: tuple[str, str], more: dict[str, object], judged_by: str) -> None:
    """Of the same text, of what contradicts, of what nothing has in common, or where the project wants no judge."""
    judge = FakeJudge()
    learner = make_learner(FakeEmbedder(), judge)
    prove(learner._memory)
    await learn_two(learner, said, **more)
    await learner.settle()
    assert (judge.cases, label_of(learner)) == ([], (judged_by == "exact" or said == DOUBTFUL, judged_by))
    await learner.close()


@pytest.mark.parametrize(("score", "checks", "is_asked"), [(0.4, "", False), (0.6, "", True), (0.4, "r9", True)])
async def test_what_is_hardly_ever_served_is_judged_by_vectors(score: float, checks: str, is_asked: bool) -> None:
    """A miss of a low score is worth no call; a check of what was served always is, and has the whole sum."""
    judge = FakeJudge()
    learner = make_learner(FakeEmbedder(), judge)
    await learn_two(learner, (DOUBTFUL[0], DOUBTFUL[0]))
    await learner.settle()
    look = learner._memory.look(ask(make_asked(SAME), draw(SAME)), Allowed(), "shadow", is_owners=False)
    assert look.entry is not None
    look = msgspec.structs.replace(look, score=score)
    learner.put(make_fresh(make_asked(SAME), DOUBTFUL[1], 3, look, asker=ASKER, checks=checks))
    while learner._waiting or learner._learning:
        await asyncio.sleep(0)
    assert [case.is_spare for case, _ in judge.cases] == [not checks] * is_asked
    await learner.close()


async def test_what_is_purged_while_it_is_judged_is_not_learnt() -> None:
    """Nor does anybody wait for the judge then."""
    judge, learner = await begin_judging()
    assert learner.purge(Purge(project_id="p")) == {"ce_r2"}
    await asyncio.wait_for(learner.settle(), 1)
    judge.cases[0][1](True)
    await learner.settle()
    assert (len(learner), [kept.entry_id for kept in learner._memory.shelf]) == (0, ["ce_r1"])
    await learner.close()


async def test_without_the_stored_answer_there_is_nothing_to_judge() -> None:
    """It may be gone, or the database away."""
    judge = FakeJudge()
    learner = make_learner(FakeEmbedder(), judge, "")
    prove(learner._memory)
    await learn_two(learner)
    await learner.settle()
    assert (judge.cases, label_of(learner)) == ([], (True, "embedding"))
    await learner.close()


async def test_a_purge_takes_nothing_of_another_project() -> None:
    """Neither of what waits nor of what a judge is asked about."""
    judge, learner = await begin_judging()
    learner.put(make_fresh(make_asked(OTHER), "Flour.", 3))
    assert learner.purge(Purge(project_id="q")) == set()
    judge.cases[0][1](None)
    await learner.settle()
    assert sorted(kept.entry_id for kept in learner._memory.shelf) == ["ce_r1", "ce_r2", "ce_r3"]
    await learner.close()
