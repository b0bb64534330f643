"""The numbers that describe a pair."""

import math

from hypothesis import given
from hypothesis import strategies as st

from cache.semantic.features import PAIR_FEATURES, Frequencies, Pair, describe_pair, describe_vetoes
from cache.semantic.guards import GUARDS
from cache.semantic.profile import profile


@given(st.text(max_size=80), st.text(max_size=80), st.floats(-1, 1))
def test_a_description_is_whole_and_finite(left: str, right: str, cosine: float) -> None:
    """Each feature has its number, about between 0 and 1, for any two texts."""
    row = describe_pair(Pair(left=profile(left), right=profile(right), cosine=cosine), Frequencies())
    assert len(row) == len(PAIR_FEATURES)
    assert all(math.isfinite(each) and -1 <= each <= 1.01 for each in row)


def test_rare_words_weigh_more() -> None:
    """A word of all texts says little, one seen once says much."""
    frequencies = Frequencies()
    for number in range(500):
        frequencies.add(("common", f"rare{number}"))
    assert frequencies.weigh("common") < 0.1
    assert 0.5 < frequencies.weigh("rare7") <= 1


def test_frequencies_are_bounded() -> None:
    """Words seen once go first when there are too many."""
    frequencies = Frequencies(max_words=100)
    for number in range(1_000):
        frequencies.add(("often", f"word{number}"))
    assert len(frequencies.export()["words"]) <= 100  # type: ignore[arg-type]
    assert frequencies.weigh("often") < frequencies.weigh("word1")


def test_vetoes_stand_in_the_order_of_the_guards() -> None:
    """A guard's place in a row is always the same."""
    assert describe_vetoes(["numbers"]) == [float(name == "numbers") for name in GUARDS]
