"""Pairs made to deceive, and an attack by suffixes, against an engine that has learnt from the stream."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from bench.semantic.play import SCOPE, Request
from bench.semantic.vectors import VectorStore, open_model
from cache.semantic.bound import Bounds
from cache.semantic.engine import Engine
from cache.semantic.values import Question

ATTACKS = 60
SUFFIXES = 48
_ENTRY = 1 << 40
_FILLERS = "please now today again really thanks ok exactly instead also quickly carefully maybe".split()


class Trapped(msgspec.Struct, frozen=True, kw_only=True):
    """Served ÷ tried."""

    name: str
    bounds: Bounds
    # Pairs with the same answer, where each is asked beside the other; None for an attack.
    same_served: float | None
    traps_served: float
    same: int
    traps: int


class _Pair(msgspec.Struct, frozen=True):
    a: str
    b: str
    same: bool
    source: str


def measure_traps(engine: Engine, path: Path, vectors: VectorStore, bounds: Bounds) -> Trapped:
    """Store the one question of each fow-cache pair and ask the other, alone in a partition."""
    pairs = [msgspec.json.decode(line, type=_Pair) for line in path.read_bytes().splitlines() if b'"fow:' in line]
    vectors.embed(text for pair in pairs for text in (pair.a, pair.b))
    served = {True: 0, False: 0}
    for pair in pairs:
        served[pair.same] += _is_served(engine, _ask_both(vectors, pair.a, pair.b), bounds)
    same = sum(pair.same for pair in pairs)
    return Trapped(
        name="fow-cache pairs",
        bounds=bounds,
        same_served=served[True] / same,
        traps_served=served[False] / (len(pairs) - same),
        same=same,
        traps=len(pairs) - same,
    )


def measure_collisions(engine: Engine, requests: Sequence[Request], vectors: VectorStore, bounds: Bounds) -> Trapped:
    """Put suffixes behind an attacker's question until its vector is nearest to the victim's, and ask that.

    The attacker knows the embedder, as the published attack does, and stores its question in the victim's partition.
    """
    source, model = np.random.default_rng(5), open_model()
    prompts = list(dict.fromkeys(request.prompt for request in requests))
    places: list[int] = source.choice(len(prompts), 2 * ATTACKS, replace=False).tolist()
    chosen = [prompts[at] for at in places]
    victims, attackers = chosen[::2], chosen[1::2]
    crafted = list[str]()
    for victim, attacker in zip(victims, attackers, strict=True):
        texts = [f"{attacker} {suffix}" for suffix in _write_suffixes(victim, source)]
        crafted.append(texts[int(np.argmax(model.embed(texts) @ vectors[victim]))])
    vectors.embed(crafted)
    pairs = zip(crafted, victims, strict=True)
    served = sum(_is_served(engine, _ask_both(vectors, stored, asked), bounds) for stored, asked in pairs)
    return Trapped(
        name="suffix attacks", bounds=bounds, same_served=None, traps_served=served / ATTACKS, same=0, traps=ATTACKS
    )


def _write_suffixes(victim: str, source: np.random.Generator) -> list[str]:
    """Return suffixes made of the victim's own words and of fillers, with its whole text among them."""
    words = victim.split()
    suffixes = [victim, f"({victim})", f"I mean: {victim}"]
    while len(suffixes) < SUFFIXES:
        share = source.choice(words, size=min(len(words), int(source.integers(2, 12))))
        suffixes.append(" ".join([*share, *source.choice(_FILLERS, size=int(source.integers(0, 3)))]))
    return suffixes


def _is_served(engine: Engine, questions: tuple[Question, Question], bounds: Bounds) -> bool:
    """Tell whether the engine would answer the second question from the first, that lies alone in its partition."""
    engine.add(questions[0], _ENTRY, None)
    verdict = engine.look(questions[1], bounds, "shadow")
    engine.remove([_ENTRY])
    return verdict.decision == "shadow"


def _ask_both(vectors: VectorStore, stored: str, asked: str) -> tuple[Question, Question]:
    first = Question(scope=SCOPE, partition=b"pair", text=stored, vector=vectors[stored])
    return first, Question(scope=SCOPE, partition=b"pair", text=asked, vector=vectors[asked])
