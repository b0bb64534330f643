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
    ("Is the meeting at 5 am?", "Is the meeting at 5 pm?", "dates"),
    ("How much is 5kg of flour?", "How much is 5g of flour?", "units"),
    ("Is version 2.1 supported?", "Is version 2.10 supported?", "numbers"),
    ("Summarise it in one sentence.", "Summarise it in two sentences.", "numbers"),
    ("Give me one example of a metal", "Give me ten examples of a metal", "numbers"),
    ("What was revenue in the first quarter?", "What was revenue in the third quarter?", "numbers"),
    ("What was revenue in the first quarter?", "What was revenue in the second quarter?", "numbers"),
    ("What is the square of -5?", "What is the square of 5?", "numbers"),
    ("What is 21+1?", "What is 21-1?", "numbers"),
    ("Is 3 < 4?", "Is 3 > 4?", "numbers"),
    ("How do I learn C?", "How do I learn C++?", "names"),
    ("How do I learn C#?", "How do I learn C++?", "names"),
    ("What is 10% of 50?", "What is 10 of 50?", "units"),
    ("What is due next week?", "What is due last week?", "dates"),
    ("Is he tall?", "Is she tall?", "antonyms"),
    ("Does Rachel hurt Megan?", "Is Rachel hurt by Megan?", "order"),
    ("Who beat Anna?", "Who did Anna beat?", "order"),
    ("Kann ich die Karte sperren?", "Kann ich die Karte nicht sperren?", "negation"),
    ("我可以退货吗", "我不可以退货吗", "spans"),
    ("中国的首都是什么", "日本的首都是什么", "spans"),
    ("What is due this week?", "What is due last week?", "dates"),
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
    ("How do I reset my password?", "How can I reset my password?"),
    ("Did Ann hurt Ben?", "Was Ben hurt by Ann?"),
    ("Who wrote Hamlet?", "Who is the author of Hamlet?"),
    ("Is there one near me?", "Is one near me?"),
    ("What is the price, $10.00?", "What is the price, $10?"),
    ("e-mail for 2020-2021", "email for 2020 to 2021"),
    ("How do I learn C++?", "What is the best way to learn C++?"),
    ("At first, what should I do?", "What should I do first?"),
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
