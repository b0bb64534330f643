"""The word lists fit together."""

from cache.semantic.words import ANTONYMS, DATES, NEGATIONS, NUMBER_WORDS, STOP, UNITS


def test_an_antonym_has_its_word_as_antonym() -> None:
    """Whichever of two texts is stored, the guard sees the same pair."""
    assert all(word in ANTONYMS[other] for word, others in ANTONYMS.items() for other in others)


def test_what_changes_the_answer_is_no_stop_word() -> None:
    """A word that a guard reads for its meaning is never dropped from the content."""
    assert not STOP & (NEGATIONS | set(NUMBER_WORDS) | set(DATES) | set(UNITS))
