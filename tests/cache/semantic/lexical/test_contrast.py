"""Where two questions part."""

import pytest

from cache.semantic.lexical.contrast import (
    MOST_COMPARED,
    describe_contrast,
    describe_rest,
    find_contrast,
    is_condition,
    is_other_thing,
    measure_swap,
)  # fmt: skip
from cache.semantic.profile import profile

LIMIT = 0.4


def test_the_place_is_found() -> None:
    """Between the common beginning and the common end, without articles."""
    contrast = find_contrast(profile("Does a train go to the coast?"), profile("Does the bus go to the coast?"))
    assert (contrast.left, contrast.right) == (("train",), ("bus",))
    assert contrast.before == ("doe",)
    assert contrast.after == ("go", "to", "coast")
    assert contrast.is_swap
    assert contrast.is_pure
    assert not contrast.added


def test_texts_that_share_no_content_have_no_swap() -> None:
    """Without content around the place there is nothing that is said of either."""
    contrast = find_contrast(profile("What is love?"), profile("What is war?"))
    assert not contrast.is_swap
    assert measure_swap(contrast) == 1.0


@pytest.mark.parametrize(
    ("left", "right", "is_other"),
    [
        ("Does the train stop at noon?", "Does the bus stop at noon?", True),
        ("Who may share a file with my team?", "Who may share a file with someone abroad?", True),
        ("Can I stay for lunch?", "Can visitors stay for lunch?", True),
        ("Does the film end at noon?", "Does the movie end at noon?", False),
        ("How do I change my card?", "How do I renew my card?", False),
        ("Is room 2 free on Monday?", "Is room two free on Monday?", False),
        ("Is a web site needed here?", "Is a website needed here?", False),
        ("Does the train stop at noon?", "When do trains stop?", False),
    ],
)
def test_another_thing_is_told_from_another_word(left: str, right: str, is_other: bool) -> None:
    """One thing for another in one place; a verb is left to the score."""
    assert is_other_thing(profile(left), profile(right), LIMIT) is is_other


@pytest.mark.parametrize(
    ("left", "right", "adds"),
    [
        ("Can I bring a gift?", "Can I bring a gift card?", True),
        ("How is income taxed?", "How is income taxed in Sweden?", True),
        ("How is income taxed?", "How is income taxed, please?", False),
        ("How is income taxed?", "How is rare income taxed?", False),
        ("Why do dogs bark?", "Why do dogs bark and what can I do about it?", False),
    ],
)
def test_a_condition_stands_at_the_end(left: str, right: str, adds: bool) -> None:
    """A noun or a prepositional phrase behind the same question makes another one."""
    assert is_condition(profile(left), profile(right)) is adds
    assert is_condition(profile(right), profile(left)) is adds


def test_what_is_not_shared_is_described() -> None:
    """Nothing left over, a counterpart, and none."""
    assert describe_rest([], [], ([], [])) == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    near = describe_rest(["buy"], ["purchas"], ([1.0], [0.5]))
    assert min(near[:2]) > 0.4
    assert describe_rest(["buy"], [], ([0.9], []))[:2] == [pytest.approx(0.0), 1.0]
    assert describe_rest(["buy"], [], ([0.9], []))[4] == pytest.approx(0.9)


def test_much_that_is_not_shared_stays_bounded() -> None:
    """Words behind the first MOST_COMPARED count as without a counterpart."""
    words = [f"word{number}" for number in range(MOST_COMPARED + 5)]
    row = describe_rest(words, words, ([1.0] * len(words), [1.0] * len(words)))
    assert row[0] == pytest.approx(MOST_COMPARED / len(words))
    assert all(0 <= each <= 1 for each in row)


def test_small_words_are_described() -> None:
    """Another person and another preposition are seen."""
    row = describe_contrast(profile("Can I walk from Rome?"), profile("Can you walk to Rome?"))
    assert row[-2] == pytest.approx(2 / 3)
    assert row[-1] == 1.0
