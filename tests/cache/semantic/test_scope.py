"""What a scope has learnt outlives a restart."""

import numpy as np
import pytest

from cache.semantic.bound import Record
from cache.semantic.equivalence import digest
from cache.semantic.scope import EXPORTED_ROWS, Lessons, Scope
from cache.semantic.score import INPUTS, open_network


def make_scope() -> Scope:
    """Return a scope that has seen a little."""
    scope = Scope(open_network(3), window=50, rows=500)
    for number in range(60):
        at = scope.window.add(Record(score=number / 60, served=number > 50, chance=0.5))
        scope.window.label(at, is_right=number % 2 == 0)
        scope.frequencies.add((f"word{number % 7}",))
        scope.judge.see(digest(f"answer number {number}", None))
    scope.lessons.add(np.full((3, INPUTS), 0.5, np.float16), [True, False, True], 1.0)
    return scope


def test_a_state_comes_back_whole() -> None:
    """Network, window, words, lessons and the judge: exported, restored and exported again, it is the same."""
    scope, other = make_scope(), Scope(open_network(0), window=50, rows=500)
    state = scope.export()
    assert other.restore(state)
    assert other.export() == state
    assert np.array_equal(other.network.first, scope.network.first)


@pytest.mark.parametrize("state", [b"", b"\x80", b"\xc1", b"{}"])
def test_a_damaged_state_is_refused(state: bytes) -> None:
    """And what the scope knew stays."""
    scope = make_scope()
    before = scope.export()
    assert not scope.restore(state)
    assert not scope.restore(before[:-20])
    assert scope.export() == before


def test_lessons_are_bounded_and_forget_the_oldest() -> None:
    """A busy scope keeps its latest rows, and exports a part of them."""
    lessons = Lessons(100)
    for number in range(250):
        lessons.add(np.full((1, INPUTS), number, np.float16), [number % 2 == 0], 1.0)
    lesson = lessons.take(open_network(0), epochs=1)
    assert sorted(lesson.rows[:, 0]) == list(range(150, 250))
    again = Lessons(40)
    again.restore(lessons.export())
    assert sorted(again.take(open_network(0), epochs=1).rows[:, 0]) == list(range(210, 250))
    assert EXPORTED_ROWS * INPUTS * 2 < 1_000_000


def test_a_lesson_is_due_after_enough_new_rows() -> None:
    """At first after a fixed number, later after a share of what is kept."""
    lessons = Lessons(1_000)
    rows = np.zeros((10, INPUTS), np.float16)
    for _ in range(3):
        lessons.add(rows, [True] * 10, 1.0)
    assert not lessons.is_due(31, 0.5)
    assert lessons.is_due(30, 0.5)
    lessons.take(open_network(0), epochs=1)
    assert not lessons.is_due(10, 0.5)
    lessons.add(rows, [True] * 10, 1.0)
    assert not lessons.is_due(10, 0.5)
    lessons.add(rows, [True] * 10, 1.0)
    assert lessons.is_due(10, 0.5)
