"""What a process knows of like questions fits together: index, shelf, and what is to be written of both."""

from collections.abc import Sequence

import msgspec
import pytest
from caches import AT_NS
from questions import CAPITAL, OTHER, SAME, SCOPE, draw, make_asked, make_fresh, prove

from cache.semantic.equivalence import digest
from cache.semantic.index import Vector
from gateway.caching.answers import Purge
from gateway.caching.policy import Allowed
from gateway.caching.semantic.interface import Check, Look
from gateway.caching.semantic.memory import Memory, ask, pack_learnt
from gateway.caching.semantic.question import Asked
from gateway.caching.semantic.store import EntryRow

TENTH = Allowed(max_wrong_rate=0.1)


async def refuse(texts: Sequence[str]) -> Vector:
    """Nothing is embedded here."""
    raise AssertionError(texts)


def make_memory(most: int = 100, now_ns: int = AT_NS) -> Memory:
    """One that knows nothing."""
    return Memory(refuse, most, lambda: now_ns)


def look(memory: Memory, text: str, *, allowed: Allowed = TENTH, mode: str = "semantic") -> Look:
    """Ask for a text."""
    asked = make_asked(text)
    return memory.look(ask(asked, draw(text)), allowed, "semantic" if mode == "semantic" else "shadow", is_owners=True)


def learn(memory: Memory, text: str, said: str, number: int, *, mode: str = "semantic", checks: str = "") -> Look:
    """Ask, and learn from the fresh answer of the call r<number>."""
    found = look(memory, text, mode=mode)
    fresh = make_fresh(make_asked(text), said, number, found, checks=checks)
    memory.learn(fresh, found, ask(make_asked(text), draw(text)), digest(said, draw(said)))
    return found


def row_of(memory: Memory, number: int) -> EntryRow:
    """What is to be written of a question, as it will stand in its table."""
    entry = memory.pending.entries[number]
    return EntryRow(
        **{name: getattr(entry.kept, name) for name in ("number", "entry_id", "project_id", "scope", "model",
                                                       "created_ns", "expires_ns")},
        partition_key=entry.partition, exact_key=entry.kept.key, packed=entry.packed, group_number=entry.group,
        right_count=0, wrong_count=0, tags="", revision=1,
    )  # fmt: skip


def test_a_learnt_question_answers_a_like_one() -> None:
    """Where its bound is proven; else it is a miss that names its nearest."""
    memory = make_memory()
    assert learn(memory, CAPITAL, "Paris.", 1).decision == "miss"
    young = look(memory, SAME)
    assert (young.decision, young.is_hit) == ("miss", False)
    assert young.entry is not None and young.entry.entry_id == "ce_r1"
    prove(memory)
    found = look(memory, SAME)
    assert (found.decision, found.is_hit, found.neighbours) == ("serve", True, ("ce_r1",))
    assert found.threshold < 0.2 < found.score
    assert not look(memory, OTHER).is_hit


def test_no_bound_serves_nothing() -> None:
    """Neither does one that cannot be kept."""
    memory = make_memory()
    learn(memory, CAPITAL, "Paris.", 1)
    prove(memory)
    assert not look(memory, SAME, allowed=Allowed()).is_hit
    assert not look(memory, SAME, allowed=Allowed(max_wrong_hit_rate=0.0001)).is_hit
    assert look(memory, SAME).is_hit


def test_an_answer_that_is_too_old_is_not_given() -> None:
    """It is forgotten, and deleted from the store."""
    memory = make_memory(now_ns=AT_NS + 3_600 * 10**9)
    learn(memory, CAPITAL, "Paris.", 1)
    memory.pending.take()
    prove(memory)
    (number,) = [kept.number for kept in memory.shelf]
    found = look(memory, SAME)
    assert (found.decision, found.entry) == ("miss", None)
    assert memory.engine.count_served(SCOPE).hits == 0
    assert (len(memory.shelf), len(memory.engine), memory.pending.gone) == (0, 0, {number})


def test_the_shadow_says_what_it_would_have_given_and_whether_it_was_right() -> None:
    """Each of its decisions is noted with its label, when the fresh answer is here."""
    memory = make_memory()
    learn(memory, CAPITAL, "Paris is the capital.", 1)
    prove(memory)
    found = learn(memory, SAME, "Paris is the capital.", 2, mode="shadow")
    assert found.decision == "shadow"
    noted = memory.pending.decisions["r2"]
    assert (noted.entry_id, noted.is_right, noted.question, noted.project_id) == ("ce_r1", True, "", "p")
    other = "What is the capital city of Spain?"
    if learn(memory, other, "Madrid is it, far away from there.", 3, mode="shadow").decision == "shadow":
        assert memory.pending.decisions["r3"].is_right is False


def test_prompts_are_noted_only_where_they_are_wanted() -> None:
    """The text of what was asked."""
    memory = make_memory()
    learn(memory, CAPITAL, "Paris.", 1)
    prove(memory)
    found = look(memory, SAME)
    check = Check(request_id="r9", asked=make_asked(SAME), look=found)
    memory.note(check, "p", 5, prompts=False)
    assert memory.pending.decisions["r9"].question == ""
    memory.note(check, "p", 5, prompts=True)
    assert memory.pending.decisions["r9"].question == SAME


def test_an_audit_labels_the_call_that_it_checks() -> None:
    """And its answer is a question of its own from then on."""
    memory = make_memory()
    learn(memory, CAPITAL, "Paris is the capital.", 1)
    prove(memory)
    found = look(memory, SAME)
    memory.note(Check(request_id="r7", asked=make_asked(SAME), look=found), "p", 5, prompts=False)
    checked = msgspec.structs.replace(found, verdict=msgspec.structs.replace(found.verdict, decision="audit"))
    fresh = make_fresh(make_asked(SAME), "Paris is the capital.", 8, checked, checks="r7")
    memory.learn(fresh, checked, ask(make_asked(SAME), draw(SAME)), digest("Paris is the capital.", draw("Paris")))
    noted = memory.pending.decisions["r7"]
    assert (noted.decision, noted.is_right) == ("audit", True)
    assert len(memory.shelf) == 2


def told(memory: Memory) -> list[tuple[bool, bool | None]]:
    """What other processes hear of requests that had a candidate: whether it was served, and right."""
    seen = memory.pending.seen.get(SCOPE, [])
    return [(each.served, each.is_right) for each in seen if each.score is not None]


def test_what_was_to_be_checked_and_was_not_is_served_unchecked() -> None:
    """It counts as served, and nobody is told that it was checked."""
    memory = make_memory()
    learn(memory, CAPITAL, "Paris is the capital.", 1)
    prove(memory)
    found = look(memory, SAME)
    checked = msgspec.structs.replace(
        found, decision="audit", verdict=msgspec.structs.replace(found.verdict, decision="audit")
    )
    check = Check(request_id="r7", asked=make_asked(SAME), look=checked)
    memory.note(check, "p", 5, prompts=False)
    assert told(memory) == []
    memory.decline(check)
    assert told(memory) == [(True, None)]
    noted = memory.pending.decisions["r7"]
    assert (noted.decision, noted.is_right) == ("serve", None)


def test_what_was_served_is_told_when_it_was_given() -> None:
    """A look whose answer could not be given in time is a miss to the others: it has a fresh answer of its own."""
    memory = make_memory()
    learn(memory, CAPITAL, "Paris is the capital.", 1)
    prove(memory)
    found = look(memory, SAME)
    assert found.is_hit and told(memory) == []
    memory.note(Check(request_id="r2", asked=make_asked(SAME), look=found), "p", 5, prompts=False)
    assert told(memory) == [(True, None)]
    late = memory.withdraw(look(memory, SAME))
    assert (late.decision, memory.engine.count_served(SCOPE).hits) == ("miss", 1)
    fresh = make_fresh(make_asked(SAME), "Paris is the capital.", 3, late)
    memory.learn(fresh, late, ask(make_asked(SAME), draw(SAME)), digest("Paris is the capital.", draw("Paris")))
    assert told(memory) == [(True, None), (False, True)]
    assert "r3" not in memory.pending.decisions


def test_too_many_questions_push_out_the_oldest() -> None:
    """Index and shelf stay one."""
    memory = make_memory(most=2)
    for number, text in enumerate((CAPITAL, OTHER, "Who wrote Faust?")):
        learn(memory, text, "Something.", number)
    assert (len(memory.shelf), len(memory.engine)) == (2, 2)
    assert memory.shelf.of_id("ce_r0") is None


def test_an_older_answer_is_not_stored_in_place_of_a_newer_one() -> None:
    """Whoever refreshed it has the newer one, and so do shelf, index and store; another process's is no other."""
    memory = make_memory()
    asked = make_asked()
    question, answer = ask(asked, draw(CAPITAL)), digest("Paris.", draw("Paris."))
    fresh = make_fresh(asked, "Paris.", 1)
    memory.store(fresh, question, answer)
    row = row_of(memory, *memory.pending.entries)
    late = msgspec.structs.replace(fresh.answer, entry_id="ce_r0", created_ns=fresh.answer.created_ns - 1)
    memory.store(msgspec.structs.replace(fresh, answer=late), question, answer)
    assert [kept.entry_id for kept in memory.shelf] == ["ce_r1"]
    assert (len(memory.engine), list(memory.pending.entries)) == (1, [row.number])
    memory.take_rows([msgspec.structs.replace(row, number=7, created_ns=row.created_ns - 1)])
    assert ([kept.number for kept in memory.shelf], len(memory.engine)) == ([row.number], 1)


def test_a_purge_takes_what_it_covers() -> None:
    """What was not written is not written any more, what was is deleted."""
    memory = make_memory()
    learn(memory, CAPITAL, "Paris.", 1)
    (number,) = memory.pending.entries
    memory.pending.take()
    learn(memory, OTHER, "Flour.", 2)
    assert memory.purge(Purge(project_id="q")) == set()
    assert memory.purge(Purge(project_id="p")) == {"ce_r1", "ce_r2"}
    assert (memory.pending.entries, memory.pending.gone, len(memory.engine)) == ({}, {number}, 0)


def test_a_recall_takes_the_entry_and_those_that_say_the_same() -> None:
    """And teaches that it was wrong."""
    memory = make_memory()
    learn(memory, CAPITAL, "Paris is the capital.", 1)
    learn(memory, SAME, "Paris is the capital.", 2)
    learn(memory, OTHER, "Flour and water.", 3)
    prove(memory)
    found = look(memory, "What is the big capital city of France?")
    assert found.entry is not None
    memory.note(Check(request_id="r9", asked=make_asked("x"), look=found), "p", 5, prompts=False)
    before = memory.engine._open(SCOPE).lessons.seen
    assert sorted(memory.recall(found.entry.entry_id, "r9")) == ["ce_r1", "ce_r2"]
    assert memory.engine._open(SCOPE).lessons.seen == before + 1
    assert memory.pending.decisions["r9"].is_right is False
    assert memory.shelf.of_id("ce_r3") is not None
    assert memory.recall("ce_r1", "r9") == []


def test_of_a_deleted_project_nothing_is_known() -> None:
    """Neither its questions, which are purged, nor what they taught, nor what was to be written; others' stays."""
    memory = make_memory()
    learn(memory, CAPITAL, "Paris.", 1)
    prove(memory)
    found = look(memory, SAME)
    memory.note(Check(request_id="r2", asked=make_asked(SAME), look=found), SCOPE, 1_000, prompts=True)
    other = make_asked(scope="q", partition=b"other")
    memory.look(ask(other, draw(CAPITAL)), TENTH, "semantic", is_owners=True)
    memory.purge(Purge(project_id=SCOPE))
    memory.forget_project(SCOPE)
    assert len(memory.shelf) == len(memory.engine) == 0
    assert (memory.engine.count_requests(SCOPE), memory.engine.count_requests("q")) == (0, 1)
    pending = memory.pending
    assert (pending.decisions, pending.seen, pending.turns, pending.unmatched) == ({}, {}, [], {"q": 1})
    assert memory.changed == {"q"}


def test_another_process_knows_the_same() -> None:
    """Its questions, and what it saw: so that both bounds are the same."""
    memory, other = make_memory(), make_memory()
    learn(memory, CAPITAL, "Paris is the capital.", 1)
    learn(memory, SAME, "Paris is the capital.", 2)
    (first, second) = memory.pending.entries
    assert other.take_rows([row_of(memory, first), row_of(memory, second)]) == []
    assert other.take_rows([row_of(memory, first)]) == []
    for scope, seen in memory.pending.seen.items():
        other.take_seen(scope, msgspec.msgpack.encode(seen))
    assert other.engine.count_requests(SCOPE) == 1
    assert other.engine._open(SCOPE).lessons.seen == memory.engine._open(SCOPE).lessons.seen == 1
    prove(other)
    assert look(other, CAPITAL).is_hit


def test_what_is_damaged_is_passed_over() -> None:
    """A row whose bytes changed, a vector that is none, and observations of another form."""
    memory, other = make_memory(), make_memory()
    learn(memory, CAPITAL, "Paris.", 1)
    (number,) = memory.pending.entries
    row = row_of(memory, number)
    assert other.take_rows([msgspec.structs.replace(row, packed=row.packed[:-1])]) == [number]
    other.take_seen(SCOPE, b"\xc1")
    other.take_seen(SCOPE, msgspec.msgpack.encode([[0, None, False, 1.0, None, b"abc", [True], 1.0]]))
    assert (len(other.shelf), len(other.engine), other.engine.count_requests(SCOPE)) == (0, 0, 0)


def test_what_was_learnt_is_kept_over_a_restart() -> None:
    """With what calls cost, for the report's savings."""
    memory, other = make_memory(), make_memory()
    learn(memory, CAPITAL, "Paris.", 1)
    learn(memory, SAME, "Paris.", 2)
    learnt = memory.export(SCOPE)
    restored = other.restore(SCOPE, pack_learnt(learnt, 7))
    assert restored is not None
    assert (restored.process_id, restored.written) == (memory.pending.process_id, 7)
    # As it was saved before that was told.
    assert make_memory().restore(SCOPE, msgspec.msgpack.encode([learnt.engine, learnt.worth])) is not None
    assert other.engine.count_requests(SCOPE) == 2
    assert other._worth == memory._worth != {}
    assert not other.restore(SCOPE, b"\xc1")
    assert not other.restore(SCOPE, msgspec.msgpack.encode([b"\xc1", []]))


def test_a_scope_that_begins_to_serve_or_stops_is_told() -> None:
    """Once for each turn, and of the owner's bound only."""
    memory = make_memory()
    learn(memory, CAPITAL, "Paris.", 1)
    look(memory, SAME)
    assert memory.pending.turns == []
    prove(memory)
    look(memory, SAME)
    look(memory, SAME)
    assert [turn.is_serving for turn in memory.pending.turns] == [True]
    asked = make_asked(SAME)
    memory.look(ask(asked, draw(SAME)), Allowed(max_wrong_hit_rate=0.0001), "semantic", is_owners=False)
    assert len(memory.pending.turns) == 1
    look(memory, SAME, allowed=Allowed(max_wrong_hit_rate=0.0001))
    assert [turn.is_serving for turn in memory.pending.turns] == [True, False]
    assert memory.fallbacks == 1


def test_the_report_says_what_a_bound_would_save() -> None:
    """By what the calls above its threshold cost."""
    memory = make_memory()
    learn(memory, CAPITAL, "Paris.", 1)
    learn(memory, SAME, "Paris.", 2, mode="shadow")
    prove(memory)
    point = memory.measure(SCOPE, TENTH)
    assert point.saved_pusd == 1_000
    assert point.allowed == TENTH
    assert 0 <= point.wrong_rate_low <= point.wrong_rate <= point.wrong_rate_high <= 1
    nothing = memory.measure(SCOPE, Allowed(max_wrong_hit_rate=0.0001))
    assert (nothing.hit_rate, nothing.saved_pusd) == (0, 0)
    seen = memory.sum_up(SCOPE, [point], nothing)
    assert (seen.requests, seen.is_young, seen.hits) == (602, False, 0)


@pytest.mark.parametrize("other", [make_asked(SAME, partition=b"other"), make_asked(SAME, scope="q", partition=b"q")])
def test_another_partition_never_meets(other: Asked) -> None:
    """Whatever is asked there."""
    memory = make_memory()
    learn(memory, CAPITAL, "Paris.", 1)
    prove(memory)
    prove(memory, "q")
    assert memory.look(ask(other, draw(SAME)), TENTH, "semantic", is_owners=True).entry is None
