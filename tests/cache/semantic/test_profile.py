"""What is read of a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.semantic.guards import find_vetoes
from cache.semantic.profile import MAX_CHARACTERS, MAX_WORDS, profile, read_number, stem


@pytest.mark.parametrize(
    ("token", "number"),
    [
        ("1,000", ("1000", "")),
        ("1k", ("1000", "")),
        ("5km", ("5", "km")),
        ("2.00", ("2", "")),
        ("2.50", ("2.50", "")),
        ("007", ("7", "")),
    ],
)
def test_a_number_has_one_spelling(token: str, number: tuple[str, str]) -> None:
    """Thousands marks, zeros and magnitudes do not make another number."""
    assert read_number(token) == number


def test_inflected_words_share_a_stem() -> None:
    """Plurals and tenses are the same word."""
    assert {stem("refund"), stem("refunds"), stem("refunded"), stem("refunding")} == {"refund"}


def test_names_are_capitals_inside_a_sentence() -> None:
    """The first word's capital says nothing; one inside does, and so do digits in a word."""
    assert profile("Does Anna like iOS17? Maybe she does.").names == {"anna", "ios17"}


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("The app doesn't open", "The app does not open"),
        ("My card hasn\u2019t arrived yet", "My card has not arrived yet"),
        ("It won't start", "It will not start"),
    ],
)
def test_a_contracted_negation_reads_as_one_that_is_written_out(short: str, long: str) -> None:
    """In the same place, so that neither guard nor order speaks against the two."""
    assert profile(short).words == profile(long).words
    assert find_vetoes(profile(short), profile(long)) == find_vetoes(profile(long), profile(short)) == ()


@pytest.mark.parametrize(("text", "count"), [("I can't go", 1), ("I won\u2019t not go", 2), ("I go", 0)])
def test_negations_are_counted(text: str, count: int) -> None:
    """A contracted "not" is one, with either apostrophe."""
    assert profile(text).negations == count


@pytest.mark.parametrize(
    ("text", "asks"),
    [("How many people live there?", "many"), ("Why not?", "why"), ("Is it so?", "yes"), ("Tell me", "")],
)
def test_what_is_asked(text: str, asks: str) -> None:
    """The question word, and for "how" what stands behind it."""
    assert profile(text).asks == asks


def test_amounts_bind_a_number_to_its_unit() -> None:
    """The unit behind a number is what it counts."""
    assert profile("How many km are in 5 miles?").amounts == {"5 mile"}


@given(st.text(max_size=400))
def test_any_text_can_be_read(text: str) -> None:
    """No text makes the reading fail or grow without bound."""
    assert len(profile(text).words) <= 2 * MAX_WORDS


def test_long_texts_differ_by_their_ends() -> None:
    """What is not read is not taken for equal."""
    start = "word " * MAX_CHARACTERS
    assert profile(start + "a").spans != profile(start + "b").spans
