"""Where the stored questions lie: one flat FAISS index for each partition, with ids of our own.

A large partition is searched in two steps: the signs of the numbers, 48 bytes a vector, choose a few dozen candidates,
whose cosines are then computed. That takes a third of the time with 10,000 vectors and a sixth with 100,000. Of 2,000
questions to 10,000 stored ones (bench/semantic), 999 in 1,000 found the same ones of a cosine from 0.6 on, which alone
may be served; one in six finds others among those further away.

Failure behavior: a vector that is no unit vector (zero, NaN, infinite, another length) is not stored and finds nothing.
FAISS and numpy are loaded at the first use. One thread at a time.
"""

import importlib
from collections.abc import Iterable, Sequence
from math import isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Rounded = NDArray[np.float16]

DIMENSIONS = 384
# A partition of so many vectors is searched by signs first, with so many candidates for each vector that is wanted.
MANY = 2_000
CANDIDATES = 8
# How far from 1 the length of a unit vector may be, after rounding.
_SLACK = 0.01


def find_usable(vectors: Vector) -> NDArray[np.bool_]:
    """Tell of each row of (n, d) whether it is a unit vector of finite numbers."""
    with np.errstate(all="ignore"):
        # Ten times as fast as numpy's own norm.
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        usable: NDArray[np.bool_] = np.isfinite(lengths) & (np.abs(lengths - 1) < _SLACK)
    return usable


def is_usable(vector: Vector) -> bool:
    """Tell the same of one vector (d,), in less time."""
    with np.errstate(all="ignore"):
        square = float(np.dot(vector, vector))
    return isfinite(square) and abs(sqrt(square) - 1) < _SLACK


class VectorIndex:
    """Finds the nearest stored vectors within one partition; never one of another partition or one removed."""

    def __init__(self, *, dimensions: int = DIMENSIONS, many: int = MANY) -> None:
        """``many``: from so many vectors on a partition is searched by signs first."""
        self._dimensions = dimensions
        self._many = many
        self._partitions: dict[bytes, _Partition] = {}
        self._homes: dict[int, bytes] = {}
        self._faiss: Any = None

    def __len__(self) -> int:
        """Return how many vectors can be found."""
        return len(self._homes)

    def __contains__(self, entry_id: int) -> bool:
        """Tell whether a vector is stored under an id."""
        return entry_id in self._homes

    def add(self, partition: bytes, ids: Sequence[int], vectors: Vector | Rounded) -> int:
        """Store vectors (n, d) under ids that are not stored yet; returns how many were usable and new.

        Those that are rounded to 16 bits already are stored as they are, in a quarter of the time.
        """
        if vectors.shape[1:] != (self._dimensions,):
            return 0
        wanted = find_usable(vectors.astype(np.float32, copy=False)).tolist()
        homes = self._homes
        fresh = {entry_id: row for row, entry_id in enumerate(ids) if wanted[row] and entry_id not in homes}
        if not fresh:
            return 0
        index = self._partitions.get(partition) or self._open(partition)
        chosen: Vector | Rounded = vectors
        if len(fresh) < len(vectors):
            chosen = vectors[np.fromiter(fresh.values(), np.int64)]
        index.add(np.fromiter(fresh, np.int64), chosen)
        self._homes.update(dict.fromkeys(fresh, partition))
        return len(fresh)

    def search(self, partition: bytes, vector: Vector, most: int) -> list[tuple[int, float]]:
        """Return the ids and cosines of the nearest vectors of the partition, the nearest first; at most ``most``."""
        index = self._partitions.get(partition)
        if index is None or vector.shape != (self._dimensions,) or not is_usable(vector):
            return []
        ids, cosines = index.search(np.ascontiguousarray(vector, np.float32), most)
        return [(i, c) for i, c in zip(ids.tolist(), cosines.tolist(), strict=True) if i >= 0 and isfinite(c)]

    def get(self, entry_id: int) -> Vector:
        """Return a stored vector (d,) float32, rounded to 16 bits; raises KeyError for an id that is not stored."""
        return self._partitions[self._homes[entry_id]].get(entry_id)

    def find_partition(self, entry_id: int) -> bytes:
        """Return the partition of a stored vector; raises KeyError for an id that is not stored."""
        return self._homes[entry_id]

    def remove(self, ids: Iterable[int]) -> int:
        """Forget vectors; returns how many were stored. Ids that are not stored are passed over."""
        by_home: dict[bytes, list[int]] = {}
        for entry_id in ids:
            home = self._homes.pop(entry_id, None)
            if home is not None:
                by_home.setdefault(home, []).append(entry_id)
        for home, gone in by_home.items():
            index = self._partitions[home]
            index.remove(np.array(gone, np.int64))
            if len(index) == 0:
                del self._partitions[home]
        return sum(map(len, by_home.values()))

    def _open(self, partition: bytes) -> "_Partition":
        if self._faiss is None:
            # Loaded here because exact mode needs no vectors, and FAISS costs 0.1 s and 30 MB.
            self._faiss = importlib.import_module("faiss")
            # One question is searched at a time: a second thread costs more to wake than it saves.
            self._faiss.omp_set_num_threads(1)
        index = self._partitions[partition] = _Partition(self._faiss, self._dimensions, self._many)
        return index


class _Partition:
    """The vectors of one partition, and their signs once they are many."""

    def __init__(self, faiss: Any, dimensions: int, many: int) -> None:
        self._faiss = faiss
        self._many = many
        # 16-bit numbers halve the memory; the error of a cosine is below 0.001.
        rounded = faiss.ScalarQuantizer.QT_fp16
        self._flat = faiss.IndexScalarQuantizer(dimensions, rounded, faiss.METRIC_INNER_PRODUCT)
        self._whole = faiss.IndexIDMap2(self._flat)
        self._signs: Any = None
        # Whole bytes: each vector's signs, filled up.
        self._bits = -(-dimensions // 8) * 8

    def __len__(self) -> int:
        """Return how many vectors are stored."""
        return int(self._whole.ntotal)

    def add(self, ids: NDArray[np.int64], vectors: Vector | Rounded) -> None:
        """Store unit vectors (n, d) under new ids."""
        if vectors.dtype == np.float16:
            self._whole.add_sa_codes(np.ascontiguousarray(vectors).view(np.uint8), ids)
        else:
            self._whole.add_with_ids(np.ascontiguousarray(vectors, np.float32), ids)
        if self._signs is not None:
            self._signs.add(_find_signs(vectors))
        elif len(self) >= self._many:
            self._signs = self._faiss.IndexBinaryFlat(self._bits)
            self._signs.add(_find_signs(self._view_codes().view(np.float16)))

    def search(self, vector: Vector, most: int) -> tuple[NDArray[np.int64], Vector]:
        """Return the ids and cosines (n,) of the nearest, the nearest first; the id -1 stands for none."""
        if self._signs is None:
            cosines, ids = self._whole.search(vector[None], min(most, len(self)))
            return ids[0], cosines[0]
        _, found = self._signs.search(_find_signs(vector[None]), min(CANDIDATES * most, len(self)))
        places: NDArray[np.int64] = found[0]
        # Not by their ids, which would look up and read each by itself.
        near: Vector = self._flat.sa_decode(self._view_codes()[places]) @ vector
        best = np.argsort(-near, kind="stable")[:most]
        return self._view_ids()[places[best]], near[best]

    def get(self, entry_id: int) -> Vector:
        """Return a stored vector (d,)."""
        vector: Vector = self._whole.reconstruct(entry_id)
        return vector

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Forget stored vectors."""
        if self._signs is not None:
            self._signs.remove_ids(np.flatnonzero(np.isin(self._view_ids(), ids)))
        self._whole.remove_ids(ids)

    def _view_codes(self) -> NDArray[np.uint8]:
        """Return the memory of the vectors (n, bytes) in FAISS itself, in their order; good until one is added."""
        codes = self._flat.codes
        view: NDArray[np.uint8] = self._faiss.rev_swig_ptr(codes.data(), codes.size()).reshape(len(self), -1)
        return view

    def _view_ids(self) -> NDArray[np.int64]:
        """Return the ids (n,) in the same order, in the same memory."""
        ids = self._whole.id_map
        view: NDArray[np.int64] = self._faiss.rev_swig_ptr(ids.data(), ids.size())
        return view


def _find_signs(vectors: Vector | Rounded) -> NDArray[np.uint8]:
    """Return a bit for each number of (n, d), 1 where it is above 0: (n, bytes)."""
    # As whole numbers 16-bit ones are compared in a tenth of the time, and have the same signs.
    numbers = np.ascontiguousarray(vectors).view(np.int16) if vectors.dtype == np.float16 else vectors
    return np.packbits(numbers > 0, axis=1)
