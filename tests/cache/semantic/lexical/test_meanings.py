"""Words that may stand for each other are near, words that are only of a kind are not."""

import numpy as np
import pytest

from cache.semantic.lexical.meanings import Meanings, load_meanings
from cache.semantic.profile import stem


def measure(left: str, right: str) -> float:
    """Return how near two words are."""
    return load_meanings().compare([stem(left)], [stem(right)])[0][0]


@pytest.mark.parametrize(
    ("same", "other"),
    [
        (("doctor", "physician"), ("doctor", "nurse")),
        (("buy", "purchase"), ("flight", "train")),
        (("luggage", "baggage"), ("train", "bus")),
        (("film", "movie"), ("lunch", "dinner")),
        (("car", "automobile"), ("dog", "cat")),
    ],
)
def test_synonyms_are_nearer_than_siblings(same: tuple[str, str], other: tuple[str, str]) -> None:
    """What vectors of words alone do not tell apart."""
    assert measure(*same) > 0.5
    assert measure(*other) < 0.4


def test_a_word_that_is_not_in_the_table_may_be_misspelt() -> None:
    """Letters decide for it, and only for it."""
    assert measure("allowance", "allowence") > 0.6
    assert measure("chlid", "child") == 1.0
    assert measure("zzqxvk", "child") == 0.0


def test_every_pair_is_compared() -> None:
    """A row for each word of the left text, a column for each of the right one."""
    table = Meanings(places={"a": 0, "b": 1}, vectors=np.eye(2, dtype=np.float32))
    assert table.compare(["a", "b"], ["b", "a", "a"]) == [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]


def test_the_table_holds_unit_vectors() -> None:
    """A vector for each stem, of length 1."""
    table = load_meanings()
    assert len(table.places) == len(table.vectors) > 10_000
    assert np.linalg.norm(table.vectors, axis=1) == pytest.approx(np.ones(len(table.vectors)), abs=1e-4)
