"""The index finds what is stored, in its partition only."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.semantic.index import DIMENSIONS, VectorIndex, find_usable, is_usable

SIZE = 8


def make_vectors(count: int, seed: int = 0) -> np.ndarray:
    """Return unit vectors (count, SIZE)."""
    drawn = np.random.default_rng(seed).normal(size=(count, SIZE))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.booleans()), max_size=40), st.integers(1, 40))
def test_nothing_is_found_in_another_partition_or_after_it_was_removed(
    steps: list[tuple[str, int, bool]], many: int
) -> None:
    """Whatever is added and removed, and however it is searched, a search gives stored ids of its own partition."""
    index, vectors, homes = VectorIndex(dimensions=SIZE, many=many), make_vectors(31), dict[int, bytes]()
    for name, entry_id, adds in steps:
        partition = name.encode()
        if adds and index.add(partition, [entry_id], vectors[entry_id][None]):
            homes[entry_id] = partition
        elif not adds:
            assert index.remove([entry_id]) == (homes.pop(entry_id, None) is not None)
        for asked in (b"a", b"b", b"c", b"none"):
            found = index.search(asked, vectors[entry_id], 50)
            assert {each for each, _ in found} == {each for each, home in homes.items() if home == asked}
            assert all(index.get(each) @ vectors[entry_id] == pytest.approx(cosine, abs=0.01) for each, cosine in found)
    assert len(index) == len(homes)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf, 2.0])
def test_a_vector_that_is_none_is_neither_stored_nor_found(bad: float) -> None:
    """Zero, NaN, infinite or too long: no match and no crash."""
    index, good = VectorIndex(dimensions=SIZE), make_vectors(2)
    broken = np.full(SIZE, bad, np.float32)
    assert index.add(b"p", [1, 2], np.stack([good[0], broken])) == 1
    assert index.search(b"p", broken, 4) == []
    assert [each for each, _ in index.search(b"p", good[0], 4)] == [1]
    assert index.add(b"p", [3], np.ones((1, SIZE - 1), np.float32)) == 0


def test_the_nearest_comes_first() -> None:
    """Cosines fall."""
    index, vectors = VectorIndex(dimensions=SIZE), make_vectors(50)
    index.add(b"p", range(100, 150), vectors)
    found = index.search(b"p", vectors[7], 5)
    assert found[0] == (107, pytest.approx(1, abs=0.01))
    assert [cosine for _, cosine in found] == sorted((cosine for _, cosine in found), reverse=True)


@pytest.mark.parametrize("steps", [(3_000,), (1, 2_999), (1_500, 1_500)], ids=["at once", "but one", "half by half"])
def test_many_are_searched_by_signs_and_the_same_are_found(steps: tuple[int, ...]) -> None:
    """Near vectors are found as a search of all finds them, of 16 bits or of 32, and none that is gone."""
    source = np.random.default_rng(5)
    topics = source.normal(size=(300, DIMENSIONS))
    drawn = np.repeat(topics, 10, axis=0) + 0.7 * source.normal(size=(3_000, DIMENSIONS))
    vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    by_signs, by_all = VectorIndex(), VectorIndex(many=10_000)
    start = 0
    for count in steps:
        part = vectors[start : start + count].astype(np.float16 if start else np.float32)
        for index in (by_signs, by_all):
            assert index.add(b"p", range(start, start + count), part) == count
        start += count
    for index in (by_signs, by_all):
        assert index.remove(range(0, 3_000, 3)) == 1_000
        assert index.add(b"p", [9_000], vectors[:1]) == 1
    for asked in range(0, 3_000, 100):
        found, expected = (index.search(b"p", vectors[asked], 4) for index in (by_signs, by_all))
        assert [each for each, _ in found] == [each for each, _ in expected]
        assert [cosine for _, cosine in found] == pytest.approx([cosine for _, cosine in expected], abs=1e-5)


def test_an_id_is_stored_once() -> None:
    """A taken id keeps its vector, in whatever partition it lies."""
    index, vectors = VectorIndex(dimensions=SIZE), make_vectors(2)
    assert index.add(b"p", [1], vectors[:1]) == 1
    assert index.add(b"q", [1], vectors[1:]) == 0
    assert index.find_partition(1) == b"p"
    with pytest.raises(KeyError):
        index.get(2)


def test_rounded_vectors_are_stored_as_the_others_are() -> None:
    """To the bit, whether or not some of them are unusable or known; so a start has what was there before."""
    vectors = make_vectors(40).astype(np.float16)
    vectors[3] = 0
    one, two = VectorIndex(dimensions=8), VectorIndex(dimensions=8)
    for index, drawn in ((one, vectors), (two, vectors.astype(np.float32))):
        assert index.add(b"p", range(10), drawn[:10]) == 9
        assert index.add(b"p", range(5, 40), drawn[5:]) == 30
    for entry_id in set(range(40)) - {3}:
        assert np.array_equal(one.get(entry_id), two.get(entry_id))
    assert one.search(b"p", make_vectors(1, seed=1)[0], 8) == two.search(b"p", make_vectors(1, seed=1)[0], 8)
    assert 3 not in one


def test_one_vector_is_judged_as_many_are() -> None:
    """Unit vectors are usable, and no other: neither alone nor among others."""
    source = np.random.default_rng(3)
    rows = source.normal(size=(7, DIMENSIONS)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[1] *= 1.02
    rows[2] *= 0.995
    rows[3] = 0
    rows[4, 5] = np.nan
    rows[5, 5] = np.inf
    rows[6] *= np.float32(1e30)
    usable = [True, False, True, False, False, False, False]
    assert find_usable(rows).tolist() == usable
    assert [is_usable(row) for row in rows] == usable
