"""Where the stored questions lie: one flat FAISS index for each partition, with ids of our own.

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

    def __init__(self, *, dimensions: int = DIMENSIONS) -> None:
        self._dimensions = dimensions
        self._partitions: dict[bytes, Any] = {}
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
        chosen = vectors if len(fresh) == len(vectors) else vectors[np.fromiter(fresh.values(), np.int64)]
        numbers = np.fromiter(fresh, np.int64)
        if chosen.dtype == np.float16:
            index.add_sa_codes(np.ascontiguousarray(chosen).view(np.uint8), numbers)
        else:
            index.add_with_ids(np.ascontiguousarray(chosen, np.float32), numbers)
        self._homes.update(dict.fromkeys(fresh, partition))
        return len(fresh)

    def search(self, partition: bytes, vector: Vector, most: int) -> list[tuple[int, float]]:
        """Return the ids and cosines of the nearest vectors of the partition, the nearest first; at most ``most``."""
        index = self._partitions.get(partition)
        if index is None or vector.shape != (self._dimensions,) or not is_usable(vector):
            return []
        cosines, ids = index.search(np.ascontiguousarray(vector[None], np.float32), min(most, index.ntotal))
        return [(i, c) for i, c in zip(ids[0].tolist(), cosines[0].tolist(), strict=True) if i >= 0 and isfinite(c)]

    def get(self, entry_id: int) -> Vector:
        """Return a stored vector (d,) float32, rounded to 16 bits; raises KeyError for an id that is not stored."""
        vector: Vector = self._partitions[self._homes[entry_id]].reconstruct(entry_id)
        return vector

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
            index.remove_ids(np.array(gone, np.int64))
            if index.ntotal == 0:
                del self._partitions[home]
        return sum(map(len, by_home.values()))

    def _open(self, partition: bytes) -> Any:
        if self._faiss is None:
            # Loaded here because exact mode needs no vectors, and FAISS costs 0.1 s and 30 MB.
            self._faiss = importlib.import_module("faiss")
            # One question is searched at a time: a second thread costs more to wake than it saves.
            self._faiss.omp_set_num_threads(1)
        faiss = self._faiss
        # 16-bit numbers halve the memory; the error of a cosine is below 0.001.
        flat = faiss.IndexScalarQuantizer(self._dimensions, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        index = self._partitions[partition] = faiss.IndexIDMap2(flat)
        return index
