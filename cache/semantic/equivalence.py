"""Whether two answers say the same: the same text, or near vectors and shared rare words, with a threshold that adapts.

The likeness of answers to neighbouring questions has two humps, the same content and another one; the threshold is the
valley between them, sought near a prior value, so that it fits the length and style of a scope's answers.
"""

import hashlib
import re

import msgspec
import numpy as np
from numpy.typing import NDArray

from cache.semantic.features import Frequencies
from cache.semantic.guards import contradict
from cache.semantic.profile import profile

MAX_CONTENT = 96
BINS = 40
PRIOR_THRESHOLD = 0.70
LOWEST_THRESHOLD, HIGHEST_THRESHOLD = 0.58, 0.84
# Between these likenesses vectors and words leave it open whether two answers say the same. Measured on 1,200 labelled
# pairs of short texts: of 168 below none said the same, of 169 above nine in ten did; of the 777 between them more
# than a third were other than PRIOR_THRESHOLD tells. What contradicts is no matter of likeness.
LOWEST_DOUBT, HIGHEST_DOUBT = 0.45, 0.95

_COSINE_SHARE = 0.65
# What does not tell two answers apart: white space and marks, but for signs, currencies, pictures and what stands
# inside a number.
_SILENT = re.compile(r"(?:\s|(?<!\d)[.,:]|[.,:](?!\d)|[;!?'\"()`*_\u2010-\u2026]|-(?!\d))+")
# Of an answer's beginning so much is kept that a contradiction of short ones is seen.
HEAD_CHARACTERS = 240
_FORGET = 0.5
_MOST_COUNTED = 20_000


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an answer to compare it: about 0.8 kB."""

    # Of the text without case, white space and the marks that tell nothing.
    key: bytes
    # The unit vector as signed bytes; empty where there is none.
    vector: bytes
    # Stems that carry content, at most MAX_CONTENT.
    content: tuple[str, ...]
    numbers: frozenset[str]
    # How it begins.
    head: str = ""


_encode = msgspec.msgpack.Encoder().encode
_DIGEST = msgspec.msgpack.Decoder(Digest)


def digest(text: str, vector: NDArray[np.float32] | None) -> Digest:
    """Return what is kept of an answer; ``vector`` (d,) float32 from the embedder, None where it is not embedded."""
    read = profile(text)
    # In code, formulas and pictures every mark tells, and case.
    plain = " ".join(text.split()) if read.marks else _SILENT.sub(" ", text.lower()).strip()
    packed = b""
    if vector is not None and bool(np.isfinite(vector).all()) and float(np.abs(vector).max(initial=0)) > 0:
        scaled: NDArray[np.float32] = vector * np.float32(127 / float(np.abs(vector).max()))
        packed = np.rint(scaled).astype(np.int8).tobytes()
    return Digest(
        key=hashlib.blake2b(plain.encode(), digest_size=16).digest(),
        vector=packed,
        content=tuple(dict.fromkeys(read.content))[:MAX_CONTENT],
        numbers=frozenset(read.numbers),
        head=text[:HEAD_CHARACTERS],
    )


def pack_digest(answer: Digest) -> bytes:
    """Write down what is kept of an answer."""
    return _encode(answer)


def unpack_digest(data: bytes) -> Digest | None:
    """What was written down; None for what is no digest, as another version may have written it."""
    try:
        return _DIGEST.decode(data)
    except msgspec.DecodeError:
        return None


class AnswerJudge:
    """Compares answers of one scope and adapts its threshold to them. One thread."""

    def __init__(self) -> None:
        self._frequencies = Frequencies()
        self._counts = np.zeros(BINS)
        self.threshold = PRIOR_THRESHOLD

    def see(self, answer: Digest) -> None:
        """Count an answer's words: what is in many answers tells little."""
        self._frequencies.add(answer.content)

    def measure(self, left: Digest, right: Digest) -> float:
        """Return how alike two answers are, from 0 to 1; 1 for the same text but for case and marks."""
        if left.key == right.key:
            return 1.0
        if (left.numbers - right.numbers and right.numbers - left.numbers) or _contradict(left, right):
            return 0.0
        overlap = self._overlap(left.content, right.content)
        if not left.vector or len(left.vector) != len(right.vector):
            return min(0.99, overlap)
        first = np.frombuffer(left.vector, np.int8).astype(np.float32)
        second = np.frombuffer(right.vector, np.int8).astype(np.float32)
        cosine = float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))
        return min(0.99, max(0.0, _COSINE_SHARE * cosine + (1 - _COSINE_SHARE) * overlap))

    def is_same(self, left: Digest, right: Digest, *, learns: bool = True) -> bool:
        """Tell whether two answers say the same; ``learns``: the pair moves the threshold of later ones."""
        alike = self.measure(left, right)
        if learns and 0 < alike < 1:
            self._count(alike)
        return alike >= self.threshold

    def is_doubtful(self, left: Digest, right: Digest) -> bool:
        """Tell whether another judge should be asked of two answers; nothing is learnt."""
        return LOWEST_DOUBT <= self.measure(left, right) < HIGHEST_DOUBT

    def _overlap(self, left: tuple[str, ...], right: tuple[str, ...]) -> float:
        """Return the weight of shared stems ÷ that of the text which has less."""
        first = {word: self._frequencies.weigh(word) for word in left}
        second = {word: self._frequencies.weigh(word) for word in right}
        least = min(sum(first.values()), sum(second.values()))
        return sum(weight for word, weight in first.items() if word in second) / least if least > 0 else 0.0

    def _count(self, alike: float) -> None:
        self._counts[min(BINS - 1, int(alike * BINS))] += 1
        total = int(self._counts.sum())
        if total % 50 == 0:
            self.threshold = find_valley(self._counts)
        if total >= _MOST_COUNTED:
            self._counts *= _FORGET

    def export(self) -> dict[str, object]:
        """Return the state as plain values."""
        return {"threshold": self.threshold, "counts": self._counts.tolist(), "words": self._frequencies.export()}

    def restore(self, state: dict[str, object]) -> None:
        """Take over an exported state; raises msgspec.ValidationError for one that is damaged."""
        self.threshold = msgspec.convert(state.get("threshold"), float)
        counts = msgspec.convert(state.get("counts"), list[float])
        if len(counts) == BINS:
            self._counts = np.array(counts)
        self._frequencies.restore(state.get("words"))


def _contradict(left: Digest, right: Digest) -> bool:
    """Tell whether two short answers say the opposite, or two of any length begin with "yes" and "no"."""
    if not (left.head and right.head):
        return False
    is_short = max(len(left.head), len(right.head)) < HEAD_CHARACTERS
    return contradict(profile(left.head), profile(right.head), is_whole=is_short)


def find_valley(counts: NDArray[np.float64]) -> float:
    """Return the emptiest likeness between the two humps, drawn to the prior one while little is known."""
    kernel = np.array([1, 2, 3, 2, 1]) / 9
    smooth = np.convolve(np.pad(counts, 2, mode="edge"), kernel, mode="valid")
    density = (smooth + 1) / (smooth.sum() + BINS)
    edges = np.arange(BINS) / BINS
    allowed = (edges >= LOWEST_THRESHOLD) & (edges <= HIGHEST_THRESHOLD)
    # A threshold at an edge touches the bins on both sides of it.
    cost = density + np.roll(density, 1) + np.square(edges - PRIOR_THRESHOLD) * 0.2
    return float(edges[allowed][np.argmin(cost[allowed])])
