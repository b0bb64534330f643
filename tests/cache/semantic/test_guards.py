"""The guards, by pairs that differ in one thing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.semantic.guards import find_vetoes
from cache.semantic.profile import profile

TRAPS = [
    ("What is 21 plus 4?", "What is 21 plus 5?", "numbers"),
    ("Convert 5 miles to km", "Convert 5 km to miles", "units"),
    ("Is the shop open on Monday?", "Is the shop open on Tuesday?", "dates"),
    ("Should I rinse rice?", "Should I not rinse rice?", "negation"),
    ("How do I enable roaming?", "How do I disable roaming?", "antonyms"),
    ("Is it legal to record calls?", "Is it illegal to record calls?", "antonyms"),
    ("Which fees were approved this year?", "Which fees will they reject this year?", "antonyms"),
    ("Are dogs allowed in the hall?", "Are dogs banned from the hall?", "antonyms"),
    ("How do I grant access?", "How do I revoke access?", "antonyms"),
    ("When did Anna move to Rome?", "When did Anna move to Oslo?", "names"),
    ("What does `git rm` do?", "What does `git mv` do?", "spans"),
    ("Who beat Anna, was it Berta?", "Who beat Berta, was it Anna?", "order"),
    ("How do I copy from disk to tape?", "How do I copy from tape to disk?", "order"),
    ("Can I swim?", "Can I swim after lunch?", "scope"),
    ("Can I order a cake 3 days ahead?", "Can I order a cake this morning?", "quantities"),
    ("Is the museum open in winter?", "Is the museum open at 9?", "quantities"),
    ("Which roof is best for a shed?", "Which roof is best for a church?", "things"),
    ("Does the museum sell tickets?", "Does the cinema sell tickets?", "things"),
    ("How do I call my doctor?", "How do I call my nurse?", "things"),
    ("Can I park behind the library?", "Can lorries park behind the library?", "things"),
    ("How do I clean a coffee?", "How do I clean a coffee machine?", "condition"),
    ("What does a permit cost?", "What does a permit cost in Delhi?", "condition"),
    ("Does iCloud sync my photos?", "Does Dropbox sync my photos?", "names"),
]
SAME = [
    ("How do I reset my password?", "How can I reset my password?"),
    ("On my phone, how do I set up voicemail?", "How do I set up voicemail on my phone?"),
    ("What is 1,000 plus 2?", "What is 1000 plus two?"),
    ("How many km are in 5 miles?", "Convert 5 miles to km"),
    ("What is the World Health Organisation?", "What is the WHO?"),
    ("Where do I buy a train ticket?", "Where do I purchase a train ticket?"),
    ("Which physician treats a cough?", "Which doctor treats a cough?"),
    ("What is the luggage allowance to Oslo?", "What is the lugage allowence to Oslo?"),
    ("How do I cook rice?", "How do I prepare rice?"),
    ("The ball was thrown by Anna to Tom, right?", "Anna threw the ball to Tom, right?"),
]


@pytest.mark.parametrize(("left", "right", "guard"), TRAPS)
def test_a_trap_is_vetoed(left: str, right: str, guard: str) -> None:
    """Each guard sees its kind of trap, from both sides."""
    assert guard in find_vetoes(profile(left), profile(right))
    assert guard in find_vetoes(profile(right), profile(left))


@pytest.mark.parametrize(("left", "right"), SAME)
def test_a_rewording_passes(left: str, right: str) -> None:
    """What only sounds different is left to the score."""
    assert find_vetoes(profile(left), profile(right)) == ()


@given(st.text(max_size=200))
def test_a_text_passes_beside_itself(text: str) -> None:
    """No guard objects to the same text."""
    assert find_vetoes(profile(text), profile(text)) == ()


@given(st.text(max_size=80), st.text(max_size=80))
def test_guards_are_symmetric(left: str, right: str) -> None:
    """It does not matter which of two texts was stored, but for padding."""
    first, second = find_vetoes(profile(left), profile(right)), find_vetoes(profile(right), profile(left))
    assert {*first, "padding"} == {*second, "padding"}


def test_a_stored_question_that_was_filled_up_is_vetoed() -> None:
    """An attacker's question with the victim's words behind it is no answer to the victim; the reverse is no attack."""
    victim = profile("How do I renew my passport?")
    attack = profile("Which casino pays bonus money instantly? renew my passport")
    assert "padding" in find_vetoes(victim, attack)
    assert "padding" not in find_vetoes(attack, victim)


def test_a_question_before_the_victims_own_is_vetoed() -> None:
    """However short it is: the answer that is stored answers the attacker's question too."""
    victim = profile("Which is better for web development: Python or PHP?")
    assert "padding" in find_vetoes(
        victim, profile("What is ratio analysis? Which is better for web development: Python or PHP?")
    )
    polite = profile("Please tell me, which is better for web development: Python or PHP? Thanks")
    assert find_vetoes(victim, polite) == ()
