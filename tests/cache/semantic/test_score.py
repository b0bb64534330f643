"""The score learns what it is shown, always in the same way."""

import numpy as np
import pytest

from cache.semantic.features import FEATURES
from cache.semantic.score import INPUTS, PROJECTED, Lesson, load_shipped, open_network, train


def make_lesson(*, seed: int = 0, count: int = 600) -> Lesson:
    """Return rows whose first input alone tells the label."""
    source = np.random.default_rng(seed)
    rows = np.zeros((count, INPUTS), np.float16)
    rows[:, :4] = source.normal(size=(count, 4))
    return Lesson(
        start=open_network(1),
        rows=rows,
        labels=(rows[:, 0] > 0).astype(np.float32),
        weights=np.ones(count, np.float32),
        epochs=20,
        seed=seed,
    )


def test_a_lesson_is_learnt() -> None:
    """What tells the label gets its sign, also on rows that were not shown."""
    network, others = train(make_lesson()), make_lesson(seed=1)
    right = (network.judge(others.rows.astype(np.float32)) > 0) == (others.labels > 0)
    assert right.mean() > 0.8


def test_the_same_lesson_gives_the_same_network() -> None:
    """Training depends on nothing but its lesson, and leaves that as it was."""
    lesson = make_lesson(count=50)
    before = lesson.start.first.copy()
    first, second = train(lesson), train(lesson)
    assert all(np.array_equal(a, b) for a, b in zip(first.parts(), second.parts(), strict=True))
    assert np.array_equal(lesson.start.first, before)


def test_an_empty_lesson_changes_nothing() -> None:
    """No rows, no steps."""
    lesson = make_lesson(count=0)
    assert np.array_equal(train(lesson).first, lesson.start.first)


def test_the_shipped_weights_fit_the_features() -> None:
    """The file has a number for each feature, and a basis whose directions are of length 1."""
    basis, network = load_shipped()
    assert basis.mean.shape == basis.spread.shape == (len(FEATURES),)
    assert network.first.shape[0] == INPUTS
    assert np.linalg.norm(basis.projection, axis=0) == pytest.approx(np.ones(PROJECTED), abs=0.01)
    assert all(np.isfinite(part).all() for part in network.parts())


def test_a_projection_has_length_one_or_is_zero() -> None:
    """Nothing becomes infinite."""
    basis, _ = load_shipped()
    assert np.linalg.norm(basis.project(basis.projection[:, :1].T)) == pytest.approx(1, abs=1e-5)
    assert not basis.project(np.zeros((1, 384), np.float32)).any()
