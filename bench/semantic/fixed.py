"""What caches with a fixed cosine threshold give on the same stream: the nearest stored question is taken or not."""

from collections.abc import Sequence

import msgspec
import numpy as np

from bench.semantic.play import PARTITION, Request
from bench.semantic.vectors import VectorStore
from cache.semantic.index import VectorIndex

# Defaults or advice of each: GPTCache's 0.8 is a cosine of 0.6; the others name the cosine or its distance.
THRESHOLDS = (
    (0.6, "GPTCache"),
    (0.7, ""),
    (0.8, "LiteLLM, Bifrost"),
    (0.85, ""),
    (0.9, "RedisVL"),
    (0.95, "Portkey, Upstash"),
    (0.98, ""),
)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold and what it gives: shares of all requests, and of the hits by vector."""

    threshold: float
    used_by: str
    hit_rate: float
    wrong_rate: float
    wrong_hit_rate: float


def measure_fixed(requests: Sequence[Request], vectors: VectorStore) -> list[Line]:
    """Play the stream once for each threshold; what misses is stored."""
    return [_play(requests, vectors, threshold, used_by) for threshold, used_by in THRESHOLDS]


def _play(requests: Sequence[Request], vectors: VectorStore, threshold: float, used_by: str) -> Line:
    index, classes, known = VectorIndex(), list[str](), set[str]()
    exact = hits = wrong = 0
    for request in requests:
        if request.prompt in known:
            exact += 1
            continue
        vector = np.asarray(vectors[request.prompt])
        found = index.search(PARTITION, vector, 1)
        if found and found[0][1] >= threshold:
            hits += 1
            wrong += classes[found[0][0]] != request.class_id
            continue
        index.add(PARTITION, [len(classes)], vector[None])
        classes.append(request.class_id)
        known.add(request.prompt)
    total = len(requests)
    return Line(
        threshold=threshold,
        used_by=used_by,
        hit_rate=(exact + hits) / total,
        wrong_rate=wrong / total,
        wrong_hit_rate=wrong / max(1, hits),
    )
