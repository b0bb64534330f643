"""Kept answers: found in their time, purged by any term, within their bounds."""

import pytest
from caches import AT_NS, make_answer
from fakes import make_call

from gateway.caching.answers import NS_PER_S, Answers, Purge, entry_id_of, hit_lines, is_old
from providers.openai.recorded import record_body

KEY, OTHER = b"k" * 16, b"o" * 16


def shelf(*, max_bytes: int = 1 << 20, max_answer_bytes: int = 1 << 16) -> Answers:
    """Room for some answers."""
    return Answers(max_bytes=max_bytes, max_project_bytes=max_bytes, max_answer_bytes=max_answer_bytes)


def test_an_answer_is_found_in_its_time() -> None:
    """From when it was made until its time is over."""
    answers = shelf()
    assert answers.keep(KEY, make_answer(), ttl_s=60, saved_pusd=5)
    assert answers.find(KEY, AT_NS + 60 * NS_PER_S - 1) is not None
    assert answers.find(KEY, AT_NS + 60 * NS_PER_S) is None
    assert len(answers) == 0


def test_a_long_answer_is_not_kept() -> None:
    """One answer does not push out all others."""
    answers = shelf(max_answer_bytes=100)
    long = make_answer(recorded=record_body("chat/completions", b"x" * 101))
    assert not answers.keep(KEY, long, ttl_s=60, saved_pusd=5)
    assert len(answers) == 0


def test_an_older_answer_does_not_take_a_newer_ones_place() -> None:
    """Whoever refreshed it has the newer one, however late the older call ends; of the same time the last one stays."""
    answers = shelf()
    assert answers.keep(KEY, make_answer(entry_id="ce_2"), ttl_s=60, saved_pusd=5)
    assert not answers.keep(KEY, make_answer(created_ns=AT_NS - 1), ttl_s=60, saved_pusd=5)
    assert answers.find(KEY, AT_NS) == make_answer(entry_id="ce_2")
    assert answers.keep(KEY, make_answer(entry_id="ce_3"), ttl_s=60, saved_pusd=5)
    assert answers.find(KEY, AT_NS) == make_answer(entry_id="ce_3")


def test_an_answer_without_room_is_not_kept() -> None:
    """It is told, so that nobody counts on it."""
    assert not shelf(max_bytes=10).keep(KEY, make_answer(), ttl_s=60, saved_pusd=5)


def test_both_forms_are_counted() -> None:
    """An answer that was a stream may be kept whole as well in time: the bytes are taken from the start."""
    answers = shelf()
    answers.keep(KEY, make_answer(recorded=record_body("chat/completions", b"x" * 1_000)), ttl_s=60, saved_pusd=5)
    assert answers.size > 2_000


def test_a_purge_forgets_what_is_remembered_of_requests() -> None:
    """Their bodies as well: they are words of the caller's."""
    answers = shelf()
    answers.repeats.keep("key_1", b"{}", make_call())
    answers.purge(Purge(project_id="proj_1"))
    assert len(answers.repeats) == 0


@pytest.mark.parametrize(
    ("purge", "gone"),
    [
        (Purge(project_id="p"), 1),
        (Purge(project_id="q"), 0),
        (Purge(project_id="p", entry_ids=frozenset(["ce_1"])), 1),
        (Purge(project_id="p", entry_ids=frozenset(["ce_2"])), 0),
        (Purge(project_id="p", tag="blue"), 1),
        (Purge(project_id="p", tag="green"), 0),
        (Purge(project_id="p", model="gpt-4"), 1),
        (Purge(project_id="p", model="gpt-4-0613"), 0),
        (Purge(project_id="p", before_ns=AT_NS + 1), 1),
        (Purge(project_id="p", before_ns=AT_NS), 0),
        (Purge(project_id="p", tag="blue", model="gpt-4"), 1),
        (Purge(project_id="p", tag="blue", model="gpt-3"), 0),
    ],
)
def test_a_purge_takes_what_meets_every_term(purge: Purge, gone: int) -> None:
    """Without a term all of the project; each term narrows."""
    answers = shelf()
    answers.keep(KEY, make_answer(tags=("red", "blue")), ttl_s=60, saved_pusd=5)
    answers.keep(OTHER, make_answer(project_id="r"), ttl_s=60, saved_pusd=5)
    assert answers.purge(purge) == ({"ce_1"} if gone else set())
    assert len(answers) == 2 - gone


def test_an_entry_is_named_by_the_call_that_brought_it() -> None:
    """Who has a call's id has its entry's."""
    assert entry_id_of("01m8") == "ce_01m8"


def test_an_answers_age_is_told_in_whole_seconds() -> None:
    """One from a clock that went ahead has none."""
    ages = [hit_lines(make_answer(), AT_NS + each) for each in (5 * NS_PER_S + 1, -1)]
    assert [b"x-watchllm-cache-age: %d\r\n" % age in lines for age, lines in zip((5, 0), ages, strict=True)] == [
        True
    ] * 2


def test_an_answer_is_too_old_by_what_is_wanted_now() -> None:
    """Or by what its own call wanted."""
    at_ns = AT_NS + 5 * NS_PER_S
    assert [is_old(make_answer(), at_ns, ttl_s) for ttl_s in (5, 6)] == [True, False]
    assert [is_old(make_answer(ttl_s=own), at_ns, 60) for own in (5, 6)] == [True, False]
    assert not is_old(make_answer(ttl_s=6), at_ns, 1)
