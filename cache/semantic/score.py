"""The score: how likely a stored answer is right for a question, learnt from the shipped pairs and then from traffic.

A small network over the features of a pair and over the product and difference of the two projected vectors. It starts
from the shipped weights and is trained on with the labels of its scope; training is pure and runs in a worker thread.
"""

import importlib.resources
import io
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from cache.semantic.features import FEATURES

Array = NDArray[np.float32]

PROJECTED = 64
INPUTS = len(FEATURES) + 2 * PROJECTED
HIDDEN = 48
WEIGHTS_FILE = "score.npz"

_BATCH = 256
# What has no length stays without one.
_LEAST_LENGTH = 1e-12


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """The weights: two layers, float32."""

    first: Array
    first_bias: Array
    second: Array
    second_bias: Array

    def parts(self) -> list[Array]:
        """Return the weights in the order in which training keeps them."""
        return [self.first, self.first_bias, self.second, self.second_bias]

    def judge(self, rows: Array) -> Array:
        """Return the log odds (n,) that each row (n, INPUTS) is right."""
        hidden = np.maximum(rows @ self.first + self.first_bias, 0)
        odds: Array = (hidden @ self.second + self.second_bias)[:, 0]
        return odds


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """What stays fixed: the projection (384, PROJECTED), and the mean and spread of the features."""

    projection: Array
    mean: Array
    spread: Array

    def project(self, vectors: Array) -> Array:
        """Return vectors (n, 384) as (n, PROJECTED), each of length 1."""
        projected: Array = vectors @ self.projection
        lengths = np.sqrt(np.einsum("ij,ij->i", projected, projected))[:, None]
        scaled: Array = projected / np.maximum(lengths, np.float32(_LEAST_LENGTH))
        return scaled

    def prepare(self, features: Sequence[Sequence[float]], left: Array, rights: Array) -> Array:
        """Return the network's rows (n, INPUTS) for one projected question and n projected stored ones."""
        scaled = (np.asarray(features, np.float32) - self.mean) / self.spread
        return np.concatenate([scaled, left * rights * 5, np.abs(left - rights) * 4], axis=1, dtype=np.float32)


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """What one training takes: a network to start from, rows (n, INPUTS) float16, labels and weights (n,)."""

    start: Network
    rows: NDArray[np.float16]
    labels: Array
    weights: Array
    epochs: float
    seed: int


def load_shipped() -> tuple[Basis, Network]:
    """Read the weights that come with the package; their card is score.md beside them."""
    content = importlib.resources.files("cache.semantic").joinpath(WEIGHTS_FILE).read_bytes()
    with np.load(io.BytesIO(content)) as stored:
        parts = {name: stored[name].astype(np.float32) for name in stored.files}
    basis = Basis(projection=parts["projection"], mean=parts["mean"], spread=parts["spread"])
    return basis, Network(**{name: parts[name] for name in ("first", "first_bias", "second", "second_bias")})


def open_network(seed: int, *, inputs: int = INPUTS, hidden: int = HIDDEN) -> Network:
    """Return untrained weights."""
    source = np.random.default_rng(seed)
    return Network(
        first=source.normal(0, np.sqrt(2 / inputs), (inputs, hidden)).astype(np.float32),
        first_bias=np.zeros(hidden, np.float32),
        second=source.normal(0, np.sqrt(1 / hidden), (hidden, 1)).astype(np.float32),
        second_bias=np.zeros(1, np.float32),
    )


def train(lesson: Lesson, *, rate: float = 2e-3, decay: float = 2e-3) -> Network:
    """Train by Adam on the weighted cross-entropy, with a falling rate; the same lesson gives the same network.

    ``decay`` draws the weights towards 0, so that more epochs over the same labels do not learn them by heart.
    """
    parts = [part.copy() for part in lesson.start.parts()]
    means = [np.zeros_like(part) for part in parts]
    squares = [np.zeros_like(part) for part in parts]
    source = np.random.default_rng(lesson.seed)
    count = len(lesson.labels)
    steps = max(20, int(count * lesson.epochs / _BATCH)) if count else 0
    for step in range(1, steps + 1):
        chosen = source.integers(0, count, min(_BATCH, count))
        rows = lesson.rows[chosen].astype(np.float32)
        slopes = _find_slopes(parts, rows, lesson.labels[chosen], lesson.weights[chosen], decay)
        pace = rate * (1 - step / (steps + 1)) + 1e-4
        for place, slope in enumerate(slopes):
            means[place] += 0.1 * (slope - means[place])
            squares[place] += 0.001 * (slope * slope - squares[place])
            size = np.sqrt(squares[place] / (1 - 0.999**step)) + 1e-8
            parts[place] -= pace * (means[place] / (1 - 0.9**step)) / size
    return Network(first=parts[0], first_bias=parts[1], second=parts[2], second_bias=parts[3])


def _find_slopes(parts: list[Array], rows: Array, labels: Array, weights: Array, decay: float) -> list[Array]:
    """Return the gradient of the weighted cross-entropy for each part of the network."""
    first, first_bias, second, second_bias = parts
    hidden = np.maximum(rows @ first + first_bias, 0)
    odds = (hidden @ second + second_bias)[:, 0]
    error = ((_squash(odds) - labels) * weights / len(labels)).astype(np.float32)[:, None]
    inner: Array = ((error @ second.T) * (hidden > 0)).astype(np.float32)
    slopes = (rows.T @ inner + decay * first, inner.sum(0), hidden.T @ error + decay * second, error.sum(0))
    return [slope.astype(np.float32) for slope in slopes]


def _squash(odds: Array) -> Array:
    squashed: Array = np.reciprocal(1 + np.exp(-np.clip(odds, -30, 30)), dtype=np.float32)
    return squashed
