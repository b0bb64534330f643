"""The values of the semantic layer: its settings, a question, what is stored of one, and a verdict."""

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from cache.semantic.equivalence import Digest, unpack_digest
from cache.semantic.index import Vector

Mode = Literal["shadow", "semantic"]
Decision = Literal["miss", "shadow", "holdout", "serve", "audit"]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, and where: nothing is found outside the partition, nothing learnt outside the scope."""

    # Whose traffic it is: what is learnt and proven belongs to it.
    scope: str
    # All of the exact key but the text of the last turn, and the scope in it; opaque.
    partition: bytes
    # The last turn, and its unit vector (384,) float32.
    text: str
    vector: Vector


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine searches, learns and proves; the defaults are measured by bench/semantic.py."""

    # Neighbours that are searched, and those of them that are described and scored.
    searched: int = 12
    described: int = 5
    # A stored question further away is never served.
    lowest_cosine: float = 0.6
    # Requests that the bound is proven on, and those after which it is first tried.
    window: int = 6_000
    fewest_requests: int = 200
    # Requests between two choices of the threshold.
    choice_every: int = 50
    # Factor on the standard deviations between the estimate of a window and the most that it may have; see bound.py.
    deviations: float = 1.0
    # Shares of what may be served: served and checked in the background; not served, to learn.
    audit_share: float = 0.36
    # How much more often the first answers of a scope are checked, and until how many; see find_audit_chance.
    first_audit_factor: float = 6.0
    first_audits: int = 200
    holdout_share: float = 0.01
    # Labelled pairs kept for a scope, 0.4 kB each; how many begin the first lesson, and the growth that begins another.
    lesson_rows: int = 24_000
    first_lesson_rows: int = 300
    lesson_growth: float = 0.2
    lesson_epochs: float = 8.0
    # Vectors of latest questions (1.6 kB each) and texts as the guards see them (about 3 kB each).
    recent_vectors: int = 4_096
    recent_profiles: int = 4_096
    # Questions remembered as served, 0.1 kB each.
    recent_served: int = 16_384


class Stored(msgspec.Struct, kw_only=True):
    """A stored question: what is kept beside its vector."""

    scope: str
    text: str
    # Of its answer, as equivalence.pack_digest writes it: few are ever compared, and read they take four times as much.
    packed: bytes | None
    # Entries whose answers were found to say the same share the number.
    group: int
    right: int = 0
    wrong: int = 0

    @property
    def answer(self) -> Digest | None:
        """What is kept of its answer, read anew each time."""
        return None if self.packed is None else unpack_digest(self.packed)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine says of one question."""

    # serve: answer from entry_id. audit: so too, and call upstream in the background. holdout, shadow (what mode or
    # bound holds back) and miss: call upstream. Whoever called has a fresh answer: ``compare`` it, then ``add`` it.
    decision: Decision
    scope: str
    # The best stored question that no guard forbade; None where there is none.
    entry_id: int | None
    # Its cosine, and the likelihood that its answer is right, 0 to 1.
    similarity: float
    score: float
    # The score from which on answers are served now; above 1: none is.
    threshold: float
    # The guards that forbade the nearest question.
    guards: tuple[str, ...]
    # The described neighbours, the nearest first, and their rows for a lesson.
    neighbours: tuple[int, ...]
    rows: NDArray[np.float16]
    # The request's number in the window of its scope.
    number: int
    # 1 ÷ the chance of a label.
    weight: float


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What a fresh answer taught."""

    # The group to store the question with: that of the nearest neighbour whose answer says the same.
    group: int | None
    # Whether the entry of the verdict was right; None: it has none, or nothing to compare with.
    is_right: bool | None
    # The described neighbours that have an answer (n, INPUTS), whether each was right, and the weight of each.
    rows: NDArray[np.float16]
    labels: tuple[bool, ...]
    weight: float


class Observed(msgspec.Struct, frozen=True, array_like=True):
    """What one process saw, for the others and for itself after a crash: a request, or many without a candidate."""

    # Requests that no stored question came near to.
    unmatched: int = 0
    # The candidate's score; None: there was none. The rest is as in bound.Record, and is_right None: not known.
    score: float | None = None
    served: bool = False
    chance: float = 1.0
    is_right: bool | None = None
    # Rows for a lesson as bytes of float16, a label for each, and the weight of each.
    rows: bytes = b""
    labels: tuple[bool, ...] = ()
    weight: float = 1.0


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What a scope's callers got from the layer since it began: an estimate where not every answer was checked."""

    requests: int
    # Those that came while answers might be served.
    live: int
    hits: int
    # Wrong answers, and the same two standard deviations lower and higher.
    wrong: float
    wrong_low: float
    wrong_high: float
