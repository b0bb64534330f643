"""The error bound: which score may be served so that the share of wrong answers stays under what the owner allows."""

from math import sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from cache.semantic.curve import FIRM, LOOSE, Numbers, fit_curve

UNKNOWN, WRONG, RIGHT = -1, 0, 1
# A request that came when a scope had half as many says an eighth of what comes.
_AGEING = 3
_LEAST_WEIGHT = 1e-9
# Of a score for the sake of checks, whatever it claims: 0.05 is that of 0.947.
_LEAST_DOUBT = 0.05


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the owner allows, each from 0 to 1; None: not bounded. Both: both hold. Neither: nothing is served."""

    # Wrong answers ÷ answers from the semantic layer.
    max_wrong_hit_rate: float | None = None
    # Wrong answers ÷ all requests.
    max_wrong_rate: float | None = None


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


class Coming(msgspec.Struct, frozen=True, kw_only=True):
    """What as many requests as a window holds are to bring, for each score from the highest down."""

    # Each (n,): the score, the requests that reach it, the wrong ones among them, and their variance.
    scores: Numbers
    hits: Numbers
    wrong: Numbers
    variance: Numbers
    requests: int


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
        # Of what was served, and of what comes.
        self._curve = self._coming = fit_curve(np.empty(0, np.float32), np.empty(0, np.bool_))
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
        """Fit the curves from score to wrongness to all labels in the window.

        Whether a label is known depends on the score alone, so labels of misses and of audits count alike. What was
        served is judged by all labels of its time, and by little else; what comes rather by the late ones, since the
        score learns, and cautiously.
        """
        known = (self._scores >= 0) & (self._labels != UNKNOWN)
        scores, labels = self._scores[known], self._labels[known] == WRONG
        self._curve = fit_curve(scores, labels, firmness=LOOSE)
        self._coming = fit_curve(scores, labels, self._weigh()[known], firmness=FIRM)
        wrong, _, spread = self._estimate(np.flatnonzero(self._served))
        # The variance that each unlabelled wrong answer carries because the curve is uncertain.
        self._doubt = float(spread[-1] / max(wrong[-1], 1.0)) if len(wrong) else 0.0

    def _weigh(self) -> Numbers:
        """Return how much each request says of those that come, up to 1.

        A scope learns fast at first: what was scored when it knew half as much was scored by another network, of which
        the present one has little. An old scope's requests count almost alike.
        """
        places = np.arange(self.size)
        # How many requests there were when that in each place came; below 1 where none did.
        numbers = self.requests - (self.requests - 1 - places) % self.size
        weights: Numbers = np.maximum(numbers / max(self.requests, 1), 0.0) ** _AGEING
        return weights

    def _estimate(self, places: NDArray[np.int64]) -> tuple[Numbers, Numbers, Numbers]:
        """Return for each prefix of the records: wrong ones, their variance by chance, and by the curve's own.

        Of what has happened a label says all, and of what has none the curve.
        """
        scores, labels = self._scores[places], self._labels[places]
        expected = self._curve.find_wrong(scores)
        known = labels != UNKNOWN
        chance = np.where(known, 0.0, expected * (1 - expected))
        return (
            np.cumsum(np.where(known, labels == WRONG, expected)),
            np.cumsum(chance),
            self._curve.spread(scores, chance),
        )

    def count_served(self) -> tuple[float, float, int, int]:
        """Return of everything so far: wrong answers served (estimate), its variance, hits, and live requests."""
        places = np.flatnonzero(self._served)
        wrong, chance, spread = self._estimate(places)
        return (
            self._settled_wrong + (float(wrong[-1]) if len(places) else 0.0),
            self._settled_square + (float(chance[-1] + spread[-1]) if len(places) else 0.0),
            self._settled_hits + len(places),
            self._settled_live + int(self._live.sum()),
        )

    def rank(self) -> tuple[Numbers, Numbers]:
        """Return how many of this window's candidates are wrong up to each, from the highest score down, and the
        variance that as many more like them would have.
        """
        places = self._sort()
        scores = self._scores[places]
        expected = self._curve.find_wrong(scores)
        chance = expected * (1 - expected)
        return self._estimate(places)[0], np.cumsum(chance) + self._curve.spread(scores, chance)

    def foresee(self) -> Coming:
        """Return what as many requests as the window holds are to bring, by those in it.

        Of more like them only the curve speaks, never their labels: a threshold sought along labels would end up just
        before a wrong one, which the next records do not keep to.
        """
        places, weights = self._sort(), self._weigh()
        scores = self._scores[places]
        share = weights[places] * (self.size / max(float(weights.sum()), _LEAST_WEIGHT))
        expected = self._coming.find_wrong(scores)
        chance = share * expected * (1 - expected)
        return Coming(
            scores=scores.astype(np.float64),
            hits=np.cumsum(share),
            wrong=np.cumsum(share * expected),
            variance=np.cumsum(chance) + self._coming.spread(scores, chance),
            requests=self.size,
        )

    def _sort(self) -> NDArray[np.int64]:
        """Return the places of the candidates, from the highest score down."""
        places = np.flatnonzero(self._scores >= 0)
        return places[np.argsort(-self._scores[places], kind="stable")]

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
    # Of the window's requests those that reach it.
    hits: int


NOTHING = 2.0


class Margin(msgspec.Struct, frozen=True, kw_only=True):
    """What is left between the limit and what is believed."""

    # Standard deviations of all that was and will be served; how much of the variance of what comes counts in them.
    deviations: float
    coming_share: float
    # Standard deviations of what comes by itself, and how far that may lie above the limit while less was spent so far
    # than allowed.
    own_deviations: float
    most_catch_up: float
    # Of the usual share of the served answers that which is checked.
    check_share: float


# Replayed over the scores of one stream in six orders, with draws of the checks, limits on all end at 0.81 to 0.93
# of themselves, those of 5 and 10 % of the hits at 0.79 and 0.89: three of 72 runs under 10 % end above it, no other.
# They were chosen on like runs.
_OF_ALL = Margin(deviations=2.5, coming_share=1.0, own_deviations=1.0, most_catch_up=1.5, check_share=1.0)
# Under a strict limit on hits a few wrong ones silence a scope for long, so what comes has to be sure before it is
# served. Under a loose one that costs more than it saves: the past stays as it is, but the threshold is chosen anew a
# hundred times before a window has come. Between the two limits the margins lie between theirs.
_STRICT, _LOOSE = 0.05, 0.10
OF_HITS_STRICT = Margin(deviations=1.25, coming_share=1.0, own_deviations=1.0, most_catch_up=1.5, check_share=1.0)
OF_HITS_LOOSE = Margin(deviations=1.4, coming_share=0.1, own_deviations=1.5, most_catch_up=1.25, check_share=0.93)


def find_margin(limit: float) -> Margin:
    """Return the margin under a limit on hits."""
    way = min(1.0, max(0.0, (limit - _STRICT) / (_LOOSE - _STRICT)))
    strict, loose = msgspec.structs.astuple(OF_HITS_STRICT), msgspec.structs.astuple(OF_HITS_LOOSE)
    between = [(1 - way) * first + way * second for first, second in zip(strict, loose, strict=True)]
    return Margin(**dict(zip(Margin.__struct_fields__, between, strict=True)))


def find_check_share(bounds: Bounds) -> float:
    """Return which part of the usual share of the served answers is checked: more is served under a loose limit on
    hits, and is not to cost more checks.
    """
    limit = bounds.max_wrong_hit_rate
    return 1.0 if limit is None or bounds.max_wrong_rate is not None else find_margin(limit).check_share


def choose(window: Window, bounds: Bounds, *, deviations: float, fewest: int, has_past: bool = True) -> Choice:
    """Return the lowest threshold at which every bound is kept, by what was served and by what comes.

    What comes is a whole window like the late part of this one. It and the past share one margin, since their errors
    are independent and each evens out a part of the other's; by itself it is held to about the limit, with its own
    deviations times ``deviations``. ``has_past``: False for a bound that never was in force, which nothing was served
    under, and for which all that comes counts as uncertain.
    """
    window.calibrate()
    silent = Choice(threshold=NOTHING, hits=0)
    of_hits, of_all = bounds.max_wrong_hit_rate, bounds.max_wrong_rate
    if window.requests < fewest or (of_hits is None and of_all is None):
        return silent
    coming = window.foresee()
    past_wrong, past_variance, past_hits, past_requests = window.count_served() if has_past else (0.0, 0.0, 0, 0)
    kept = np.ones(len(coming.scores), bool)
    for limit, past, future, margin in (
        (of_hits, past_hits, coming.hits, find_margin(of_hits or 0.0)),
        (of_all, past_requests, coming.requests, _OF_ALL),
    ):
        if limit is not None:
            share = margin.coming_share if has_past else 1.0
            # One more than was seen: no wrong answer among a few is no proof.
            spread = margin.deviations * np.sqrt(past_variance + share * coming.variance + 1)
            most = coming.wrong + deviations * margin.own_deviations * np.sqrt(coming.variance + 1)
            kept &= most <= margin.most_catch_up * limit * future
            kept &= past_wrong + coming.wrong + spread <= limit * (past + future)
    allowed = np.flatnonzero(kept)
    if not len(allowed):
        return silent
    last = int(allowed[-1])
    return Choice(threshold=float(coming.scores[last]), hits=last + 1)


def find_audit_chance(score: float, hits: int, *, share: float, first: int, factor: float) -> float:
    """Return the chance that a served answer is checked, where ``hits`` were served before.

    Most is learnt where right and wrong are about as likely, and from the first answers, of which least is known: they
    are checked up to 1 + ``factor`` times as often as ``share``, which fades once more than ``first`` were served. That
    costs as many checks as the product of the three, at most.
    """
    young = 1 + factor / (1 + hits / first) ** 2
    return min(1.0, share * young * sqrt(6 * max(score * (1 - score), _LEAST_DOUBT)))


def draw_point(window: Window, bounds: Bounds, *, fewest: int, in_force: bool = False) -> Point:
    """Return what a bound would give on the window: its hits, and the wrong ones with an interval of two deviations.

    ``in_force``: what it does give from now on, with regard to what was served before.
    """
    chosen = choose(window, bounds, deviations=1.0, fewest=fewest, has_past=in_force)
    requests = min(window.requests, window.size)
    base = chosen.hits if bounds.max_wrong_hit_rate is not None else requests
    rate, half = 0.0, 1.0
    if chosen.hits:
        # What was, with the interval that it would come again in.
        wrong, variance = window.rank()
        rate, half = float(wrong[chosen.hits - 1]) / base, 2 * sqrt(float(variance[chosen.hits - 1]) + 1) / base
    return Point(
        max_wrong_rate=bounds.max_wrong_rate,
        max_wrong_hit_rate=bounds.max_wrong_hit_rate,
        hit_rate=chosen.hits / requests if requests else 0.0,
        wrong_rate=rate,
        wrong_rate_low=max(0.0, rate - half),
        wrong_rate_high=min(1.0, rate + half),
        threshold=chosen.threshold,
    )
