"""What a scope has learnt: its network, its lessons, its window of requests, and how its answers compare."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from cache.semantic.bound import Window
from cache.semantic.equivalence import AnswerJudge
from cache.semantic.features import Frequencies
from cache.semantic.score import HIDDEN, INPUTS, Lesson, Network

# Bytes of an exported state grow by 0.4 kB a row.
EXPORTED_ROWS = 2_048


class Scope:
    """The state of one scope, bounded by its settings. One thread."""

    def __init__(self, network: Network, *, window: int, rows: int) -> None:
        self.network = network
        self.version = 0
        self.window = Window(window)
        self.judge = AnswerJudge()
        self.frequencies = Frequencies()
        self.lessons = Lessons(rows)
        # Recomputed when requests have come in; see engine.py.
        self.chosen: dict[tuple[float | None, float | None], tuple[int, float]] = {}

    def export(self) -> bytes:
        """Return the state as MessagePack of plain values: about 1.5 MB for a busy scope."""
        return msgspec.msgpack.encode(
            {
                "shape": [INPUTS, HIDDEN],
                "network": [part.tobytes() for part in self.network.parts()],
                "version": self.version,
                "window": self.window.export(),
                "judge": self.judge.export(),
                "words": self.frequencies.export(),
                "lessons": self.lessons.export(),
            }
        )

    def restore(self, state: bytes) -> bool:
        """Take over an exported state; False, and nothing taken, for one of other weights or a damaged one."""
        try:
            saved = msgspec.msgpack.decode(state, type=_Saved)
            if saved.shape != [INPUTS, HIDDEN]:
                return False
            parts = [
                np.frombuffer(raw, np.float32).reshape(part.shape).copy()
                for raw, part in zip(saved.network, self.network.parts(), strict=True)
            ]
            window = Window.restore(saved.window)
            judge, words, lessons = AnswerJudge(), Frequencies(), Lessons(self.lessons.most)
            judge.restore(saved.judge)
            words.restore(saved.words)
            lessons.restore(saved.lessons)
        except (msgspec.DecodeError, ValueError):
            return False
        self.network = Network(first=parts[0], first_bias=parts[1], second=parts[2], second_bias=parts[3])
        self.version, self.window, self.judge = saved.version, window, judge
        self.frequencies, self.lessons = words, lessons
        self.chosen.clear()
        return True


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    shape: list[int]
    network: list[bytes]
    version: int
    window: dict[str, object]
    judge: dict[str, object]
    words: dict[str, object]
    lessons: dict[str, object]


class Lessons:
    """The labelled pairs of a scope, the latest ``most`` of them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.seen = 0
        self.taught = 0
        self._rows: NDArray[np.float16] = np.empty((0, INPUTS), np.float16)
        self._labels = np.empty(0, np.float32)
        self._weights = np.empty(0, np.float32)

    def add(self, rows: NDArray[np.float16], labels: Sequence[bool], weight: float) -> None:
        """Keep labelled pairs (n, INPUTS), each of ``weight``."""
        if self.seen + len(labels) > len(self._labels):
            self._grow()
        for row, label in zip(rows, labels, strict=True):
            place = self.seen % self.most
            self._rows[place], self._labels[place], self._weights[place] = row, label, weight
            self.seen += 1

    def is_due(self, first: int, growth: float) -> bool:
        """Tell whether enough was learnt since the last lesson: ``first`` rows, then a share of what is kept."""
        return self.seen - self.taught >= max(first, min(self.taught, self.most) * growth)

    def take(self, start: Network, *, epochs: float) -> Lesson:
        """Return all rows as one lesson; they count as taught."""
        count = min(self.seen, self.most)
        self.taught = self.seen
        return Lesson(
            start=start,
            rows=self._rows[:count].copy(),
            labels=self._labels[:count].copy(),
            weights=self._weights[:count].copy(),
            epochs=epochs,
            seed=self.seen,
        )

    def _grow(self) -> None:
        size = min(self.most, max(256, 2 * len(self._labels)))
        if size == len(self._labels):
            return
        rows, labels, weights = self._rows, self._labels, self._weights
        self._rows = np.zeros((size, INPUTS), np.float16)
        self._labels, self._weights = np.zeros(size, np.float32), np.zeros(size, np.float32)
        self._rows[: len(rows)], self._labels[: len(rows)], self._weights[: len(rows)] = rows, labels, weights

    def export(self) -> dict[str, object]:
        """Return the latest rows as plain values."""
        count = min(self.seen, self.most, EXPORTED_ROWS)
        places = np.arange(self.seen - count, self.seen) % self.most
        return {
            "rows": self._rows[places].tobytes(),
            "labels": self._labels[places].tobytes(),
            "weights": self._weights[places].tobytes(),
        }

    def restore(self, state: dict[str, object]) -> None:
        """Take over exported rows, which count as taught; raises ValueError where they do not fit together."""
        raw = {name: msgspec.convert(state.get(name), bytes) for name in ("rows", "labels", "weights")}
        rows = np.frombuffer(raw["rows"], np.float16).reshape(-1, INPUTS)
        labels, weights = np.frombuffer(raw["labels"], np.float32), np.frombuffer(raw["weights"], np.float32)
        for row, label, weight in zip(rows, labels, weights, strict=True):
            self.add(row[None], [bool(label)], float(weight))
        self.taught = self.seen
