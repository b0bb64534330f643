"""The error bound: which score may be served so that the share of wrong answers stays under what the owner allows."""

from collections.abc import Callable
from functools import partial
from math import sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

UNKNOWN, WRONG, RIGHT = -1, 0, 1

# Log odds at which the curve may bend: high scores may promise more than they keep, and what low ones do, which are the
# most, must not say what high ones do.
BENDS = np.array([0.0, 2.0, 4.0])
# What is believed of the curve's terms before there are labels, and how firmly (1 ÷ variance).
_BELIEF = np.array([-0.5, 0.6, 0.0, 0.0, 0.0])
_FIRMNESS = np.array([1.0, 4.0, 4.0, 4.0, 4.0])
# Newton's steps: six are enough as a rule, and each takes 50 µs. Who promises to gain less, in nats, is there.
_MOST_STEPS = 50
_PRECISION = 1e-6
# What of a step's promise has to be kept, else it is halved, down to this length (Armijo's rule).
_SHARE_KEPT = 1e-4
_SHORTEST = 1e-6
_BINS_PER_ODDS = 8


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the owner allows, each from 0 to 1; None: not bounded. Both: both hold. Neither: nothing is served."""

    # Wrong answers ÷ answers from the semantic layer.
    max_wrong_hit_rate: float | None = None
    # Wrong answers ÷ all requests.
    max_wrong_rate: float | None = None


def bound_wilson(wrong: float, count: float, deviations: float) -> tuple[float, float]:
    """Return Wilson's interval of a share; (0, 1) where nothing was counted."""
    if count <= 0:
        return 0.0, 1.0
    share, square = min(1.0, max(0.0, wrong / count)), deviations * deviations
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = deviations / (1 + square / count) * sqrt(share * (1 - share) / count + square / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the report: what a bound would give, or gives, on the latest requests."""

    max_wrong_rate: float | None
    max_wrong_hit_rate: float | None
    # Semantic hits ÷ all requests; wrong ÷ what the bound is about, with its interval at two standard deviations.
    hit_rate: float
    wrong_rate: float
    wrong_rate_low: float
    wrong_rate_high: float
    # The lowest score served; above 1 where nothing is.
    threshold: float


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The best stored answer of a request that no guard forbade."""

    score: float
    # Served, and known only where it is audited; if not served, the fresh answer tells.
    served: bool
    # The chance that the label of this record becomes known, above 0.
    chance: float


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """The chance that an answer of a score is wrong: logistic over the score's log odds, bent at BENDS."""

    terms: Numbers
    covariance: Numbers

    def find_wrong(self, scores: NDArray[np.float32]) -> Numbers:
        """Return the chance for each score (n,)."""
        wrong: Numbers = 1 / (1 + np.exp(np.clip(_find_terms(scores) @ self.terms, -30, 30)))
        return wrong


def _find_odds(scores: NDArray[np.float32]) -> Numbers:
    clipped = np.clip(scores.astype(np.float64), 1e-4, 1 - 1e-4)
    odds: Numbers = np.log(clipped / (1 - clipped))
    return odds


def _spread_odds(odds: Numbers) -> Numbers:
    """Return 1, the log odds, and what they exceed each of BENDS by, for each: (n, 5)."""
    return np.column_stack([np.ones_like(odds), odds, np.maximum(odds[:, None] - BENDS, 0)])


def _find_terms(scores: NDArray[np.float32]) -> Numbers:
    return _spread_odds(_find_odds(scores))


def fit_curve(scores: NDArray[np.float32], wrong: NDArray[np.bool_]) -> Curve:
    """Fit a curve to labelled scores, from the belief that a score is a little worse than it claims."""
    odds = _find_odds(scores)
    # Labels of like odds are fitted as one: a hundred rows take a twentieth of the time of thousands.
    places = np.rint(odds * _BINS_PER_ODDS).astype(np.int64)
    places -= places.min(initial=0)
    counts = np.bincount(places)
    kept = counts > 0
    number = counts[kept].astype(np.float64)
    rows = _spread_odds(np.bincount(places, odds)[kept] / number)
    right = number - np.bincount(places, wrong)[kept]
    terms = _BELIEF.copy()
    gradient, hessian = _find_slope(terms, rows, number, right)
    for _ in range(_MOST_STEPS):
        step: Numbers = np.linalg.solve(hessian, gradient).astype(np.float64)
        promised = float(gradient @ step)
        if promised < _PRECISION:
            break
        terms = _advance(terms, step, promised, partial(_find_loss, rows=rows, number=number, right=right))
        gradient, hessian = _find_slope(terms, rows, number, right)
    covariance: Numbers = np.linalg.inv(hessian).astype(np.float64)
    return Curve(terms=terms.astype(np.float64), covariance=covariance)


def _find_slope(terms: Numbers, rows: Numbers, number: Numbers, right: Numbers) -> tuple[Numbers, Numbers]:
    """Return in which direction the labels become more likely, and how sharply that bends."""
    chance = 1 / (1 + np.exp(-np.clip(rows @ terms, -30, 30)))
    gradient = rows.T @ (right - number * chance) - _FIRMNESS * (terms - _BELIEF)
    return gradient, (rows * (number * chance * (1 - chance))[:, None]).T @ rows + np.diag(_FIRMNESS)


def _find_loss(terms: Numbers, rows: Numbers, number: Numbers, right: Numbers) -> float:
    """Return how unlikely the labels are, in nats, with what is believed without them."""
    odds = rows @ terms
    surprise = number @ np.logaddexp(0, odds) - right @ odds
    return float(surprise + _FIRMNESS @ (terms - _BELIEF) ** 2 / 2)


def _advance(terms: Numbers, step: Numbers, promised: float, find_loss: Callable[[Numbers], float]) -> Numbers:
    """Go so far along Newton's step that the loss really falls: where labels contradict the belief it leads far beyond
    the least loss, to a curve that says all is wrong, or nothing.
    """
    before = find_loss(terms)
    length = 1.0
    while length > _SHORTEST and find_loss(terms + length * step) > before - _SHARE_KEPT * length * promised:
        length /= 2
    return terms + length * step


class Window:
    """The latest requests of a scope: scores, and labels as they become known. One thread.

    Each request has a number; ``label`` after it left the window does nothing.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.requests = 0
        # Whether answers may be served now. What is asked while none may is no reason to serve more wrong ones later.
        self.is_live = True
        # Of the requests those that were served.
        self.hits = 0
        # A request without a candidate has score -1 and counts as a request only.
        self._scores = np.full(size, -1.0, np.float32)
        self._labels = np.full(size, UNKNOWN, np.int8)
        self._chances = np.ones(size, np.float32)
        self._served = np.zeros(size, np.bool_)
        self._live = np.zeros(size, np.bool_)
        self._settled_wrong = 0.0
        self._settled_square = 0.0
        self._settled_hits = 0
        # Those of them that came while answers might be served.
        self._settled_live = 0
        self._curve = fit_curve(np.empty(0, np.float32), np.empty(0, np.bool_))
        self._doubt = 0.0

    def add(self, record: Record | None) -> int:
        """Take the next request, with None where it had no candidate; returns its number."""
        number, place = self.requests, self.requests % self.size
        if number >= self.size:
            self._settle(place)
        self._scores[place] = -1.0 if record is None else record.score
        self._labels[place] = UNKNOWN
        self._chances[place] = 1.0 if record is None else max(record.chance, 0.01)
        self._served[place] = record is not None and record.served
        self._live[place] = self.is_live
        self.hits += bool(self._served[place])
        self.requests += 1
        return number

    def label(self, number: int, *, is_right: bool) -> None:
        """Tell whether the candidate of a request was right."""
        if self.requests - self.size <= number < self.requests:
            self._labels[number % self.size] = RIGHT if is_right else WRONG

    def withdraw(self, number: int) -> None:
        """Take back that a request was served: its candidate could not be given after all."""
        place = number % self.size
        if self.requests - self.size <= number < self.requests and self._served[place]:
            self._served[place], self._chances[place] = False, 1.0
            self.hits -= 1

    def _settle(self, place: int) -> None:
        """Add a request that leaves the window to what was before."""
        self._settled_live += int(self._live[place])
        if not self._served[place]:
            return
        self._settled_hits += 1
        if self._labels[place] != UNKNOWN:
            self._settled_wrong += float(self._labels[place] == WRONG)
            return
        wrong = float(self._curve.find_wrong(self._scores[place : place + 1])[0])
        self._settled_wrong += wrong
        self._settled_square += wrong * (1 - wrong) + wrong * self._doubt

    def calibrate(self) -> None:
        """Fit the curve from score to wrongness to all labels in the window.

        Whether a label is known depends on the score alone, so labels of misses and of audits count alike.
        """
        known = (self._scores >= 0) & (self._labels != UNKNOWN)
        self._curve = fit_curve(self._scores[known], self._labels[known] == WRONG)
        wrong, _, spread = self._estimate(np.flatnonzero(self._served), has_happened=True)
        # The variance that each unlabelled wrong answer carries because the curve is uncertain.
        self._doubt = float(spread[-1] / max(wrong[-1], 1.0)) if len(wrong) else 0.0

    def _estimate(self, places: NDArray[np.int64], *, has_happened: bool) -> tuple[Numbers, Numbers, Numbers]:
        """Return for each prefix of the records: wrong ones, their variance by chance, and by the curve's own.

        Of what has happened a label says all. Of more like it only the curve speaks: where a threshold is sought along
        labels, it ends up just before a wrong one, which the next records do not keep to.
        """
        scores, labels = self._scores[places], self._labels[places]
        expected = self._curve.find_wrong(scores)
        known = (labels != UNKNOWN) & has_happened
        chance = np.where(known, 0.0, expected * (1 - expected))
        reach = np.cumsum(chance[:, None] * _find_terms(scores), axis=0)
        spread = np.einsum("ni,ij,nj->n", reach, self._curve.covariance, reach)
        return np.cumsum(np.where(known, labels == WRONG, expected)), np.cumsum(chance), spread

    def count_served(self) -> tuple[float, float, int, int]:
        """Return of everything so far: wrong answers served (estimate), its variance, hits, and live requests."""
        places = np.flatnonzero(self._served)
        wrong, chance, spread = self._estimate(places, has_happened=True)
        return (
            self._settled_wrong + (float(wrong[-1]) if len(places) else 0.0),
            self._settled_square + (float(chance[-1] + spread[-1]) if len(places) else 0.0),
            self._settled_hits + len(places),
            self._settled_live + int(self._live.sum()),
        )

    def rank(self, *, has_happened: bool) -> tuple[Numbers, Numbers, Numbers, int]:
        """Return scores from the highest down, the wrong ones up to each (sum), its variance, and the requests.

        ``has_happened``: the wrong ones of this window, else those to expect of the next.
        """
        places = np.flatnonzero(self._scores >= 0)
        places = places[np.argsort(-self._scores[places], kind="stable")]
        wrong, chance, spread = self._estimate(places, has_happened=has_happened)
        return self._scores[places].astype(np.float64), wrong, chance + spread, min(self.requests, self.size)

    def export(self) -> dict[str, object]:
        """Return the state as plain values."""
        return {
            "size": self.size, "requests": self.requests,
            "scores": self._scores.tobytes(), "labels": self._labels.tobytes(),
            "chances": self._chances.tobytes(), "served": self._served.tobytes(),
            "live": self._live.tobytes(), "is_live": self.is_live,
            "settled": [self._settled_wrong, self._settled_square, self._settled_hits, self._settled_live],
        }  # fmt: skip

    @classmethod
    def restore(cls, state: dict[str, object]) -> "Window":
        """Return a window from its exported state; raises msgspec.ValidationError or ValueError for a damaged one."""
        saved = msgspec.convert(state, _Saved)
        window = cls(saved.size)
        window.requests = saved.requests
        window._scores[:] = np.frombuffer(saved.scores, np.float32)
        window._labels[:] = np.frombuffer(saved.labels, np.int8)
        window._chances[:] = np.frombuffer(saved.chances, np.float32)
        window._served[:] = np.frombuffer(saved.served, np.bool_)
        # Older states know of no requests that did not count.
        window._live[: min(saved.requests, saved.size)] = True
        if saved.live:
            window._live[:] = np.frombuffer(saved.live, np.bool_)
        window.is_live = saved.is_live
        wrong, square, hits, live = saved.settled
        window._settled_wrong, window._settled_square = wrong, square
        window._settled_hits, window._settled_live = int(hits), int(live)
        window.hits = window._settled_hits + int(window._served.sum())
        window.calibrate()
        return window


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    size: int
    requests: int
    scores: bytes
    labels: bytes
    chances: bytes
    served: bytes
    live: bytes = b""
    is_live: bool = True
    settled: tuple[float, float, float, float]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What the controller lets through: scores from ``threshold`` up; above 1 nothing is served."""

    threshold: float
    hits: int
    # Of the wrong ones among as many hits.
    variance: float
    requests: int


NOTHING = 2.0
# How far what comes may lie above the owner's limit while less was spent so far than allowed.
MOST_CATCH_UP = 1.5
# Standard deviations between the limit and what is believed of all that was and will be served. One stream in six
# orders, with checks drawn in three ways: limits on all end at 0.82 to 0.94 of themselves, none over; those on hits, of
# which there are few, at 0.79 and 0.89, one run in eighteen over. They were chosen on these same runs.
DEVIATIONS_OF_HITS = 1.25
DEVIATIONS_OF_ALL = 2.5


def choose(window: Window, bounds: Bounds, *, deviations: float, fewest: int, has_past: bool = True) -> Choice:
    """Return the lowest threshold at which every bound is kept, by what was served and by what comes.

    What comes is another window like this one. It and the past share one margin, since their errors are independent and
    each evens out a part of the other's; by itself it is held to about the limit, with that many ``deviations``.
    ``has_past``: False for a bound that never was in force, which nothing was served under.
    """
    window.calibrate()
    scores, wrong, variance, requests = window.rank(has_happened=False)
    silent = Choice(threshold=NOTHING, hits=0, variance=0, requests=requests)
    of_hits, of_all = bounds.max_wrong_hit_rate, bounds.max_wrong_rate
    if requests < fewest or not len(scores) or (of_hits is None and of_all is None):
        return silent
    past_wrong, past_variance, past_hits, past_requests = window.count_served() if has_past else (0.0, 0.0, 0, 0)
    coming = wrong + deviations * np.sqrt(variance + 1)
    # One more than was seen: no wrong answer among a few is no proof.
    spread = np.sqrt(past_variance + variance + 1)
    hits = np.arange(1.0, len(scores) + 1)
    kept = np.ones(len(scores), bool)
    for limit, past, future, margin in (
        (of_hits, past_hits, hits, DEVIATIONS_OF_HITS * spread),
        (of_all, past_requests, requests, DEVIATIONS_OF_ALL * spread),
    ):
        if limit is not None:
            kept &= coming <= MOST_CATCH_UP * limit * future
            kept &= past_wrong + wrong + margin <= limit * (past + future)
    allowed = np.flatnonzero(kept)
    if not len(allowed):
        return silent
    last = int(allowed[-1])
    return Choice(threshold=float(scores[last]), hits=last + 1, variance=float(variance[last]), requests=requests)


def find_audit_chance(score: float, hits: int, *, share: float, first: int, factor: float) -> float:
    """Return the chance that a served answer is checked, where ``hits`` were served before.

    Most is learnt where right and wrong are about as likely, and from the first answers, of which least is known: they
    are checked up to 1 + ``factor`` times as often as ``share``, which fades once more than ``first`` were served. That
    costs as many checks as the product of the three, at most.
    """
    young = 1 + factor / (1 + hits / first) ** 2
    return min(1.0, share * young * sqrt(6 * max(score * (1 - score), 0.1)))


def draw_point(window: Window, bounds: Bounds, *, fewest: int, in_force: bool = False) -> Point:
    """Return what a bound would give on the window: its hits, and the wrong ones with an interval of two deviations.

    ``in_force``: what it does give from now on, with regard to what was served before.
    """
    chosen = choose(window, bounds, deviations=1.0, fewest=fewest, has_past=in_force)
    base = chosen.hits if bounds.max_wrong_hit_rate is not None else chosen.requests
    # What was, with the interval that it would come again in.
    _, wrong, _, _ = window.rank(has_happened=True)
    happened = float(wrong[chosen.hits - 1]) if chosen.hits else 0.0
    rate, half = (happened / base, 2 * sqrt(chosen.variance + 1) / base) if base else (0.0, 1.0)
    return Point(
        max_wrong_rate=bounds.max_wrong_rate,
        max_wrong_hit_rate=bounds.max_wrong_hit_rate,
        hit_rate=chosen.hits / chosen.requests if chosen.requests else 0.0,
        wrong_rate=rate,
        wrong_rate_low=max(0.0, rate - half),
        wrong_rate_high=min(1.0, rate + half),
        threshold=chosen.threshold,
    )
