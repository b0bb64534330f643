"""The engine serves what is proven, within its partition and scope, and learns by itself."""

import hashlib
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.semantic.bound import NOTHING, Bounds
from cache.semantic.engine import Engine
from cache.semantic.equivalence import Digest, digest
from cache.semantic.index import Vector
from cache.semantic.score import INPUTS, Lesson, open_network, train
from cache.semantic.values import Mode, Question, Settings, Verdict

QUICK = Settings(window=600, fewest_requests=60, choice_every=10, first_lesson_rows=50, lesson_rows=1_000)


@lru_cache
def embed_word(word: str) -> Vector:
    """Return a vector that is a word's own."""
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big")
    return np.random.default_rng(seed).normal(size=384).astype(np.float32)


def embed_words(text: str) -> Vector:
    """Return a vector made of a text's words: shared words, near vectors."""
    vector = np.zeros(384)
    for word in text.lower().replace("?", "").split():
        vector += embed_word(word)
    return (vector / (np.linalg.norm(vector) or 1)).astype(np.float32)


def ask(text: str, *, scope: str = "s", partition: bytes = b"p") -> Question:
    """Return a question with the vector of its words."""
    return Question(scope=scope, partition=partition, text=text, vector=embed_words(text))


def answer_of(text: str) -> Digest:
    """Return an answer that differs for each text."""
    return digest(text, None)


async def embed_never(texts: Sequence[str]) -> Vector:
    """Fail: the test gives vectors itself."""
    raise AssertionError(texts)


def make_engine(chosen: Settings = QUICK) -> Engine:
    """Return an engine whose vectors come with the questions."""
    return Engine(embed_never, chosen)


def settle(engine: Engine, question: Question, verdict: Verdict, answer: Digest, entry_id: int) -> None:
    """Do what the gateway does after the call upstream."""
    group = engine.compare(verdict, answer).group
    engine.add(question, entry_id, answer, group)
    lesson = engine.next_lesson(question.scope)
    if lesson is not None:
        engine.adopt(question.scope, train(lesson))


def settle_two(engine: Engine, first: str, second: str) -> None:
    """Ask two questions, each a miss that is learnt."""
    for number, text in enumerate((first, second), len(engine)):
        question = ask(text)
        verdict = engine.look(question, Bounds(max_wrong_rate=0.1), "shadow")
        settle(engine, question, verdict, answer_of(text), number)


def find_memories() -> list[Any]:
    """Return every function of the package that remembers its results."""
    modules = [module for name, module in sys.modules.items() if name.startswith("cache.")]
    return [each for module in modules for each in vars(module).values() if hasattr(each, "cache_info")]


def play(engine: Engine, count: int, mode: Mode = "semantic", bounds: Bounds | None = None) -> list[Verdict]:
    """Ask for topics in two wordings again and again; each topic has its answer."""
    verdicts = list[Verdict]()
    for number in range(count):
        topic = number // 2 % 40
        wording = f"How do I repair the topic{topic} gadget{topic}" + (" quickly please?" if number % 2 else "?")
        question = ask(wording)
        verdict = engine.look(question, bounds or Bounds(max_wrong_rate=0.05), mode)
        verdicts.append(verdict)
        if verdict.decision != "serve":
            settle(engine, question, verdict, answer_of(f"answer{topic}"), 10_000 + number)
    return verdicts


def test_a_fresh_scope_learns_from_its_misses_and_then_serves() -> None:
    """No shadow phase is ordered; what is served is right, and some of it is audited or held out."""
    engine = make_engine()
    verdicts = play(engine, 500)
    assert {verdict.decision for verdict in verdicts[:60]} <= {"miss"}
    served = [verdict for verdict in verdicts if verdict.decision in ("serve", "audit")]
    assert len(served) > 100
    assert any(verdict.decision == "audit" for verdict in served)


def test_what_could_not_be_given_is_not_served() -> None:
    """It counts as the miss that its caller had; of what was withdrawn already nothing is taken back twice."""
    engine = make_engine()
    verdict = [each for each in play(engine, 500) if each.decision in ("serve", "audit")][-1]
    before = engine.count_served("s")
    for _ in range(2):
        engine.withdraw(verdict)
        after = engine.count_served("s")
        assert (after.requests, after.hits) == (before.requests, before.hits - 1)


def test_shadow_serves_nothing_and_reports_what_it_would() -> None:
    """The report has the same curve in either mode."""
    engine = make_engine()
    verdicts = play(engine, 300, "shadow")
    assert {verdict.decision for verdict in verdicts} == {"miss", "shadow"}
    strict = engine.report("s", Bounds(max_wrong_rate=0.001))
    loose = engine.report("s", Bounds(max_wrong_hit_rate=0.1))
    assert strict.hit_rate <= loose.hit_rate
    assert loose.hit_rate > 0.3
    assert loose.wrong_rate_low <= loose.wrong_rate <= loose.wrong_rate_high


def test_without_a_bound_nothing_is_served() -> None:
    """There is no default that nobody chose."""
    assert {verdict.threshold for verdict in play(make_engine(), 200, bounds=Bounds())} == {NOTHING}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 5)), min_size=1, max_size=25))
def test_no_question_meets_another_partition(asked: list[tuple[str, str, int]]) -> None:
    """Whatever is stored, neighbours are of the question's own partition."""
    engine, homes = make_engine(), dict[int, bytes]()
    for entry_id, (scope, name, topic) in enumerate(asked):
        question = ask(f"What is topic {topic}?", scope=scope, partition=(scope + name).encode())
        verdict = engine.look(question, Bounds(max_wrong_rate=0.9), "semantic")
        assert all(homes[each] == question.partition for each in verdict.neighbours)
        if engine.add(question, entry_id, answer_of(str(topic))):
            homes[entry_id] = question.partition


def test_no_word_is_remembered_for_all_tenants() -> None:
    """What the layer reads of a text fills no memory of the process, whose time would tell the words of others."""
    engine = make_engine()
    settle_two(engine, "What does the Quokka of Zanzibar eat?", "What does the quokka of Zanzibar like eating?")
    memories = find_memories()
    sizes = [memory.cache_info().currsize for memory in memories]
    settle_two(engine, "Where do unlikely wombats sleep by 1,234 lamps?", "Where do the unlikely wombats doze?")
    assert [memory.cache_info().currsize for memory in memories] == sizes


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_broken_vector_is_a_miss(bad: float) -> None:
    """It is neither found nor stored, and nothing crashes."""
    engine = make_engine()
    engine.add(ask("What is it?"), 1, None)
    broken = Question(scope="s", partition=b"p", text="What is it?", vector=np.full(384, bad, np.float32))
    assert engine.look(broken, Bounds(max_wrong_rate=1), "semantic").decision == "miss"
    assert not engine.add(broken, 2, None)
    assert len(engine) == 1


def test_a_guard_hides_the_first_but_not_the_second() -> None:
    """A veto on the nearest leaves the next one."""
    engine = make_engine()
    engine.add(ask("What is 5 plus 8 in words?"), 1, answer_of("13"))
    engine.add(ask("What is 5 plus 9, told in words?"), 2, answer_of("14"))
    verdict = engine.look(ask("What is 5 plus 9 in words?"), Bounds(max_wrong_rate=0.1), "semantic")
    assert set(verdict.neighbours) == {1, 2}
    assert verdict.entry_id == 2


def test_removed_entries_are_never_found() -> None:
    """Nor looked up by id."""
    engine = make_engine()
    engine.add(ask("What is it?"), 1, None)
    assert engine.remove([1, 7]) == 1
    assert engine.look(ask("What is it?"), Bounds(), "shadow").neighbours == ()
    assert engine.get(1) is None


def test_a_recall_takes_the_near_neighbours_that_share_the_answer() -> None:
    """Another answer's entry stays, and so does a far one."""
    engine = make_engine()
    texts = ["How do I repair the old red clock?", "How do I repair the old red clock now?", "Where is the moon?"]
    for entry_id, text in enumerate(texts):
        engine.add(ask(text), entry_id, answer_of("same"), 0)
    engine.add(ask("How do I repair the old red clock alone?"), 3, answer_of("other"), 3)
    assert sorted(engine.recall(1)) == [0, 1]
    assert len(engine) == 2
    assert engine.recall(1) == []


def test_an_entry_that_was_wrong_twice_is_served_no_more() -> None:
    """What is told of an entry outweighs its score."""
    engine = make_engine()
    play(engine, 300)
    question = ask("How do I repair the topic3 gadget3 quickly?")
    for _ in range(400):
        verdict = engine.look(question, Bounds(max_wrong_rate=0.05), "semantic")
        if verdict.decision not in ("serve", "audit"):
            break
        engine.tell(verdict, is_right=False)
    assert verdict.decision in ("miss", "holdout")


def test_a_good_neighbour_behind_four_that_a_guard_forbids_is_found() -> None:
    """Questions that differ in a number alone lie nearest, and none of them may be served."""
    engine = make_engine()
    for number in range(1, 5):
        engine.add(ask(f"how long does ticket {number} stay valid"), number, answer_of(str(number)))
    engine.add(ask("how long does my old ticket 7 remain valid"), 7, answer_of("7"))
    verdict = engine.look(ask("how long does ticket 7 stay valid"), Bounds(max_wrong_rate=0.1), "shadow")
    assert (verdict.neighbours[-1], verdict.entry_id) == (7, 7)
    assert "numbers" in verdict.guards


def test_entries_come_back_after_a_restart() -> None:
    """Stored values and vectors give the same answers, in one call."""
    engine, again = make_engine(), make_engine()
    questions = [ask(f"What is topic {number}?") for number in range(20)]
    for number, question in enumerate(questions):
        engine.add(question, number, answer_of(str(number)))
    stored = {number: engine.get(number) for number in range(20)}
    vectors = np.stack([engine.index.get(number) for number in range(20)])
    assert again.restore(b"p", {key: each for key, each in stored.items() if each is not None}, vectors) == 20
    assert len(again) == 20
    assert again.look(questions[4], Bounds(), "shadow").neighbours[0] == 4


def test_what_was_learnt_comes_back_after_a_restart() -> None:
    """A scope serves at once by what it had proven; a damaged state is refused."""
    engine, again = make_engine(), make_engine()
    play(engine, 400)
    state = engine.export_state("s")
    assert again.import_state("s", state)
    assert again.report("s", Bounds(max_wrong_rate=0.05)) == engine.report("s", Bounds(max_wrong_rate=0.05))
    assert not again.import_state("s", state[:100])


def test_scopes_learn_apart() -> None:
    """What one scope has proven serves nothing in another; forgotten, its entries go too."""
    engine = make_engine()
    play(engine, 300)
    engine.add(ask("How do I repair the topic3 gadget3?", scope="t", partition=b"q"), 1, answer_of("answer3"))
    other = ask("How do I repair the topic3 gadget3 quickly?", scope="t", partition=b"q")
    assert engine.look(other, Bounds(max_wrong_rate=0.05), "semantic").decision == "miss"
    assert engine.forget_scope("s") > 0
    assert len(engine) == 1


async def test_a_text_is_embedded_once_while_it_is_remembered() -> None:
    """The vectors of the latest texts are kept."""
    calls = list[str]()

    async def embed(texts: Sequence[str]) -> Vector:
        calls.extend(texts)
        return np.stack([embed_words(text) for text in texts])

    engine = Engine(embed, Settings(recent_vectors=2))
    for text in ("a", "b", "a", "c", "b"):
        assert np.array_equal(await engine.embed(text), embed_words(text))
    assert calls == ["a", "b", "c", "b"]


def test_a_network_that_is_not_finite_is_not_adopted() -> None:
    """A failed lesson leaves the score as it was."""
    engine = make_engine()
    play(engine, 60)
    lesson = engine.next_lesson("s")
    before = engine.export_state("s")
    assert lesson is None or lesson.rows.shape[0] > 0
    broken = train(make_broken())
    engine.adopt("s", broken)
    assert engine.export_state("s") == before


def make_broken() -> Lesson:
    """Return a lesson that leads to NaN."""
    rows = np.full((10, INPUTS), np.nan, np.float16)
    ones = np.ones(10, np.float32)
    return Lesson(start=open_network(0), rows=rows, labels=ones, weights=ones, epochs=1, seed=0)


def test_another_judges_word_is_taken_of_the_entry_alone() -> None:
    """It overrules the likeness of the answers, for the label and for the group; of other neighbours that holds."""
    for ruling, first, second in ((True, "amber falcon", "steel bridge"), (False, "amber falcon", "amber falcon")):
        engine = make_engine()
        question = ask("what is the capital of france")
        engine.add(question, 1, answer_of(first))
        engine.add(ask("which is the capital of france"), 2, answer_of(first))
        verdict = engine.look(question, Bounds(max_wrong_rate=0.1), "shadow")
        compared = engine.compare(verdict, answer_of(second), ruling)
        entry, *others = [label for _, label in sorted(zip(verdict.neighbours, compared.labels, strict=True))]
        assert (compared.is_right, entry, others) == (ruling, ruling, [not ruling])
