"""What words mean: a short vector for each common English stem, near for words that may stand for each other.

The table comes with the package; its card is meanings.md beside it. It is read at the first use and kept: 7 MB.
"""

import importlib.resources
import io
from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

MEANINGS_FILE = "meanings.npz"

_BIGRAM = 2
# From this share of common letter pairs on, two words are taken for one, once misspelt.
_MISSPELT = 0.6


class Meanings(msgspec.Struct, frozen=True, kw_only=True):
    """The table: the place of each stem, and its unit vector (n, d)."""

    places: dict[str, int]
    vectors: NDArray[np.float32]

    def compare(self, left: Sequence[str], right: Sequence[str]) -> list[list[float]]:
        """Return how near each stem of one text is to each of the other, up to 1 for one meaning.

        A word that is not in the table may be another one misspelt; else it is near to nothing.
        """
        first = [self.places.get(word, -1) for word in left]
        second = [self.places.get(word, -1) for word in right]
        near: list[list[float]] = (self.vectors[first] @ self.vectors[second].T).tolist()
        for row, place in enumerate(first):
            for column, other in enumerate(second):
                if place < 0 or other < 0:
                    near[row][column] = _match_letters(left[row], right[column])
        return near


@lru_cache(maxsize=1)
def load_meanings() -> Meanings:
    """Read the table."""
    content = importlib.resources.files("cache.semantic.lexical").joinpath(MEANINGS_FILE).read_bytes()
    with np.load(io.BytesIO(content)) as stored:
        stems = stored["stems"].tobytes().decode().split("\n")
        vectors = stored["vectors"].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Meanings(places={stem: place for place, stem in enumerate(stems)}, vectors=vectors)


def _match_letters(left: str, right: str) -> float:
    """Return the share of common letter pairs; 0 where it is too low for a slip of the fingers."""
    if sorted(left) == sorted(right):
        return 1.0
    if left[0] != right[0] or abs(len(left) - len(right)) > _BIGRAM:
        return 0.0
    first, second = _pair_letters(left), _pair_letters(right)
    share = 2 * len(first & second) / (len(first) + len(second) or 1)
    return share if share >= _MISSPELT else 0.0


def _pair_letters(word: str) -> set[str]:
    return {word[at : at + _BIGRAM] for at in range(len(word) - 1)}
