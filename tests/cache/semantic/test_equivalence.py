"""Two answers that say the same are told from two that do not."""

import numpy as np
import pytest

from cache.semantic.equivalence import (
    BINS,
    HIGHEST_DOUBT,
    HIGHEST_THRESHOLD,
    LOWEST_DOUBT,
    LOWEST_THRESHOLD,
    PRIOR_THRESHOLD,
    AnswerJudge,
    digest,
    find_valley,
)


def make_vector(angle: float) -> np.ndarray:
    """Return a unit vector at an angle."""
    return np.array([np.cos(angle), np.sin(angle), 0, 0], np.float32)


def test_case_and_marks_make_no_other_answer() -> None:
    """The same words are the same answer without any vector."""
    judge = AnswerJudge()
    assert judge.measure(digest("It is Rome.", None), digest("it is  ROME", None)) == 1


def test_other_numbers_make_another_answer() -> None:
    """However near the vectors are."""
    judge, near = AnswerJudge(), make_vector(0)
    assert not judge.is_same(digest("The sum is 43", near), digest("The sum is 44", near))
    assert judge.is_same(digest("The sum is 43", near), digest("43 is the sum", near))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Yes, dogs are allowed on the beach.", "No, dogs are not allowed on the beach."),
        ("Ja, das geht.", "Nein, das geht nicht."),
        ("It is allowed.", "It is not allowed."),
        ("The answer is -5.", "The answer is 5."),
        ('{"temp": -3}', '{"temp": 3}'),
        ("x > 3", "x < 3"),
        ("return a + b", "return a - b"),
        ("C++", "C#"),
        ("50%", "50"),
        ("3.5", "3,5"),
        ("👍", "👎"),
        ("The meeting is at 5 am.", "The meeting is at 5 pm."),
        ("The trial is 2 days.", "The trial is 2 weeks."),
        ("Take the pill before meals.", "Take the pill after meals."),
        ("Brazil beat Germany in the final.", "Germany beat Brazil in the final."),
        ("All plans include TV.", "Some plans include TV."),
        ("The sentiment is positive.", "The sentiment is negative."),
    ],
)
def test_short_answers_that_contradict_are_not_the_same(left: str, right: str) -> None:
    """However near their vectors are: one word, a sign or the order says the opposite."""
    judge, near = AnswerJudge(), make_vector(0)
    assert not judge.is_same(digest(left, near), digest(right, near))
    assert judge.is_same(digest(left, near), digest(left, near))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Yes, you can.", "Yes, that is possible."),
        ("No.", "No, it is not."),
        ("Paris is the capital of France.", "The capital of France is Paris."),
        ("The sky is blue because of Rayleigh scattering.", "Rayleigh scattering makes the sky look blue."),
    ],
)
def test_other_words_for_the_same_are_no_contradiction(left: str, right: str) -> None:
    """What only rewords an answer is left to vectors and shared words."""
    judge, near = AnswerJudge(), make_vector(0)
    assert judge.measure(digest(left, near), digest(right, near)) > 0


def test_long_answers_contradict_by_how_they_begin() -> None:
    """What stands behind the head is not read: only its yes or no is."""
    more, near = " The rules of the house say more about it." * 10, make_vector(0)
    judge = AnswerJudge()
    assert not judge.is_same(digest("Yes, you may." + more, near), digest("No, you may not." + more, near))
    assert judge.is_same(digest("You may stay." + more, near), digest("You may not stay." + more, near))


def test_near_vectors_and_shared_words_say_the_same() -> None:
    """The rest is a matter of both."""
    judge = AnswerJudge()
    one = digest("Open the settings and choose reset", make_vector(0))
    same = digest("Choose reset in the settings", make_vector(0.3))
    other = digest("Call the bank about your card", make_vector(1.4))
    assert judge.is_same(one, same)
    assert not judge.is_same(one, other)


@pytest.mark.parametrize(
    ("left", "right", "angle", "is_doubtful"),
    [
        ("It is Rome.", "it is  ROME", 0.0, False),
        ("The sum is 43", "The sum is 44", 0.0, False),
        ("It is allowed.", "It is not allowed.", 0.0, False),
        ("Open the settings and choose reset", "Choose reset in the settings", 0.1, False),
        ("Open the settings and choose reset", "Choose reset in the menu", 0.5, True),
        ("Call the bank about your card", "Choose reset in the menu", 0.5, True),
        ("Call the bank about your card", "Choose reset in the menu", 1.2, False),
    ],
)
def test_between_two_likenesses_another_judge_may_be_asked(
    left: str, right: str, angle: float, is_doubtful: bool
) -> None:
    """Never of the same text, of what contradicts, or where vectors and words leave no doubt."""
    judge = AnswerJudge()
    one, other = digest(left, make_vector(0)), digest(right, make_vector(angle))
    assert judge.is_doubtful(one, other) is is_doubtful
    assert (LOWEST_DOUBT <= judge.measure(one, other) < HIGHEST_DOUBT) is is_doubtful


def test_an_unusable_vector_is_none() -> None:
    """NaN and zero leave the words to decide."""
    judge, broken = AnswerJudge(), np.full(4, np.nan, np.float32)
    left, right = digest("amber falcon ferry", broken), digest("a ferry, amber, falcon", np.zeros(4, np.float32))
    assert (left.vector, right.vector) == (b"", b"")
    assert judge.is_same(left, right)


@pytest.mark.parametrize(("low", "high"), [(10, 34), (15, 38), (5, 30)])
def test_the_threshold_lies_between_the_humps(low: int, high: int) -> None:
    """It is sought near the prior one and stays within its limits."""
    bins = np.arange(BINS)
    counts = 1_000 * np.exp(-(((bins - low) / 4) ** 2)) + 400 * np.exp(-(((bins - high) / 2) ** 2))
    threshold = find_valley(counts)
    assert LOWEST_THRESHOLD <= threshold <= HIGHEST_THRESHOLD
    assert low / BINS < threshold < high / BINS


def test_nothing_known_is_the_prior() -> None:
    """Without answers the threshold is the one that was set."""
    assert find_valley(np.zeros(BINS)) == pytest.approx(PRIOR_THRESHOLD, abs=1 / BINS)


def test_a_judge_comes_back_from_its_state() -> None:
    """Threshold, counts and words are kept."""
    judge, again = AnswerJudge(), AnswerJudge()
    for number in range(120):
        answer = digest(f"answer {number}", make_vector(number / 100))
        judge.see(answer)
        judge.is_same(answer, digest("answer once more", make_vector(0)))
    again.restore(judge.export())
    assert again.export() == judge.export()
