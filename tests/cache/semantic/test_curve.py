"""The curve says as much wrong as was, is as sure as its labels, and bends only where many ask for it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.semantic.curve import fit_curve


@given(seed=st.integers(0, 2**32 - 1), spoiled=st.integers(0, 300))
def test_a_curve_says_as_much_wrong_as_was(seed: int, spoiled: int) -> None:
    """Also where labels contradict all of a sudden what scores promised before.

    Where the likeliest curve is found, the wrong ones that it tells and those that were differ by what the belief in
    its first term is worth, and by what labels of like odds differ in.
    """
    source = np.random.default_rng(seed)
    odds = source.normal(source.uniform(-2, 6), source.uniform(0.5, 4), 600)
    scores = (1 / (1 + np.exp(-odds))).astype(np.float32)
    wrong = source.random(600) < 1 / (1 + np.exp(source.uniform(0.2, 3) * odds + source.uniform(-1, 4)))
    wrong[600 - spoiled :] = True
    curve = fit_curve(scores, wrong)
    believed = abs(float(curve.terms[0]) + 0.5)
    assert abs(float(curve.find_wrong(scores).sum()) - float(wrong.sum())) <= believed + 1.5


def test_a_label_that_counts_half_is_half_a_label() -> None:
    """Two labels at half their weight say what one says, and as surely."""
    source = np.random.default_rng(2)
    scores = source.random(300).astype(np.float32)
    wrong = source.random(300) > scores
    once = fit_curve(scores, wrong)
    halved = fit_curve(np.repeat(scores, 2), np.repeat(wrong, 2), np.full(600, 0.5))
    assert halved.terms == pytest.approx(once.terms, abs=1e-3)
    assert halved.covariance == pytest.approx(once.covariance, abs=1e-3)
    assert np.trace(fit_curve(scores, wrong, np.full(300, 0.5)).covariance) > np.trace(once.covariance)


def test_few_labels_do_not_bend_the_curve() -> None:
    """High scores that keep what they promise are not judged by a few wrong ones; by many they are."""
    scores = np.repeat(np.array([0.3, 0.6, 0.9, 0.99], np.float32), [60, 60, 30, 30])
    right = np.concatenate(
        [np.arange(count) < round(count * share) for share, count in ((0.3, 60), (0.6, 60), (0.9, 30), (0.9, 30))]
    )
    few = fit_curve(scores, ~right)
    many = fit_curve(np.repeat(scores, 50), np.repeat(~right, 50))
    highest = np.array([0.99], np.float32)
    assert few.find_wrong(highest)[0] < 0.06
    assert many.find_wrong(highest)[0] == pytest.approx(0.1, abs=0.02)
