"""Trains the weights that the semantic layer ships with: python -m bench.semantic.learn FOLDER.

FOLDER holds dev.jsonl and faq_dev.jsonl. Used are the sources whose licences allow shipping: own templates (syn),
fow-cache (CC BY 4.0), banking77 (CC BY 4.0) and CheckList's own templates (MIT); what builds on Quora's is passed over.
"""

import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from bench.semantic.play import Request, ask, read_stream, refuse
from bench.semantic.vectors import VectorStore
from cache.semantic import score
from cache.semantic.bound import Bounds
from cache.semantic.engine import Engine
from cache.semantic.equivalence import Digest
from cache.semantic.features import FEATURES
from cache.semantic.index import Vector
from cache.semantic.score import HIDDEN, INPUTS, PROJECTED, Array, Basis, Lesson, Network, open_network, train
from cache.semantic.values import Settings

_QUORA = ("Change ", "(q, paraphrase(q))")
_ROUNDS = 4
_EPOCHS, _DECAY = 6.0, 1e-3


class _Line(msgspec.Struct, frozen=True):
    a: str
    b: str
    same: bool
    source: str


def read_pairs(path: Path) -> list[_Line]:
    """Read the pairs that may be shipped."""
    lines = [msgspec.json.decode(line, type=_Line) for line in path.read_bytes().splitlines()]
    return [
        line
        for line in lines
        if not line.source.startswith("qqp") and not line.source.partition(":")[2].startswith(_QUORA)
    ]


def group_pairs(pairs: Sequence[_Line]) -> list[Request]:
    """Turn pairs into requests: texts that a chain of "same" joins are of one class."""
    leader: dict[str, str] = {}

    def lead(text: str) -> str:
        while leader.setdefault(text, text) != text:
            text = leader[text]
        return text

    for pair in pairs:
        first, second = lead(pair.a), lead(pair.b)
        if pair.same:
            leader[second] = first
    sources = {text: pair.source.partition(":")[0] for pair in pairs for text in (pair.a, pair.b)}
    return [Request(prompt=text, class_id=lead(text), source=sources[text]) for text in leader]


def walk(
    requests: Sequence[Request], vectors: VectorStore, shipped: tuple[Basis, Network]
) -> Iterator[tuple[Array, bool]]:
    """Store requests one after another; yields each described neighbour's row and whether it is of the class."""
    engine = Engine(refuse, Settings(), shipped=shipped)
    classes: list[str] = []
    for request in requests:
        question = ask(request, vectors)
        verdict = engine.look(question, Bounds(), "shadow")
        for row, entry_id in enumerate(verdict.neighbours):
            yield verdict.rows[row].astype(np.float32), classes[entry_id] == request.class_id
        answer = Digest(key=request.class_id.encode(), vector=b"", content=(), numbers=frozenset())
        group = engine.compare(verdict, answer).group
        engine.add(question, len(classes), answer, group)
        classes.append(request.class_id)


def find_projection(vectors: Vector) -> Array:
    """Return the PROJECTED principal directions (384, PROJECTED) of vectors (n, 384)."""
    _, _, directions = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    projection: Array = np.ascontiguousarray(directions[:PROJECTED].T, np.float32)
    return projection


def collect(
    sets: dict[str, list[Request]], vectors: VectorStore, shipped: tuple[Basis, Network]
) -> tuple[Array, Array]:
    """Return rows (n, INPUTS) and labels (n,) of several walks in several orders."""
    rows: list[Array] = []
    labels: list[bool] = []
    for number in range(_ROUNDS):
        for name, requests in sorted(sets.items()):
            source = random.Random(f"{name}/{number}")  # noqa: S311 - an order, no secret
            # A part of the requests each time, so that the density of the stored questions varies.
            part = source.sample(requests, min(len(requests), max(600, len(requests) // (1 + number))))
            for row, label in walk(part, vectors, shipped):
                rows.append(row)
                labels.append(label)
    return np.stack(rows), np.array(labels, np.float32)


def main() -> int:
    """Train and write the weights; prints what the model card states."""
    folder = Path(sys.argv[1])
    pairs = read_pairs(folder / "dev.jsonl")
    faq = read_stream(folder / "faq_dev.jsonl")
    by_source: dict[str, list[Request]] = {"banking77": list({each.prompt: each for each in faq}.values())}
    for request in group_pairs(pairs):
        by_source.setdefault(request.source, []).append(request)
    vectors = VectorStore()
    texts = [request.prompt for requests in by_source.values() for request in requests]
    vectors.embed(texts)
    projection = find_projection(np.stack([vectors[text] for text in texts]))
    plain = Basis(
        projection=projection, mean=np.zeros(len(FEATURES), np.float32), spread=np.ones(len(FEATURES), np.float32)
    )
    rows, labels = collect(by_source, vectors, (plain, open_network(0)))
    features = rows[:, : len(FEATURES)]
    mean, spread = features.mean(0), features.std(0) + np.float32(0.05)
    rows[:, : len(FEATURES)] = (features - mean) / spread
    lesson = Lesson(
        start=open_network(1), rows=rows.astype(np.float16), labels=labels, weights=np.ones(len(labels), np.float32),
        epochs=_EPOCHS, seed=1,
    )  # fmt: skip
    network = train(lesson, decay=_DECAY)
    odds = network.judge(rows)
    loss = float(np.mean(np.logaddexp(0, -odds * (2 * labels - 1))))
    print(f"{len(labels)} rows, {labels.mean():.3f} right, {INPUTS} inputs, {HIDDEN} hidden, training loss {loss:.3f}")
    np.savez(
        Path(score.__file__).with_name(score.WEIGHTS_FILE),
        projection=projection.astype(np.float16), mean=mean, spread=spread,
        first=network.first.astype(np.float16), first_bias=network.first_bias,
        second=network.second.astype(np.float16), second_bias=network.second_bias,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
