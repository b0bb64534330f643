"""Two answers that say the same are told from two that do not."""

import numpy as np
import pytest

from cache.semantic.equivalence import (
    BINS,
    HIGHEST_THRESHOLD,
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


def test_near_vectors_and_shared_words_say_the_same() -> None:
    """The rest is a matter of both."""
    judge = AnswerJudge()
    one = digest("Open the settings and choose reset", make_vector(0))
    same = digest("Choose reset in the settings", make_vector(0.3))
    other = digest("Call the bank about your card", make_vector(1.4))
    assert judge.is_same(one, same)
    assert not judge.is_same(one, other)


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
