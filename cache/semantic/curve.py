"""The curve from score to wrongness: how likely an answer of a score is wrong, and how sure that is, by labels."""

from collections.abc import Callable
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

# Log odds at which the curve may bend: high scores may promise more than they keep, and what low ones do, which are the
# most, must not say what high ones do.
BENDS = np.array([0.0, 2.0, 4.0])
# What is believed of the curve's terms before there are labels, and how firmly (1 ÷ variance). A firm curve bends for
# many labels only: a few dozen high ones would bend it by chance, and each bend makes the whole less certain.
_BELIEF = np.array([-0.5, 0.6, 0.0, 0.0, 0.0])
LOOSE = np.array([1.0, 4.0, 1.0, 1.0, 1.0])
FIRM = np.array([1.0, 4.0, 32.0, 32.0, 32.0])
# Newton's steps: six are enough as a rule, and each takes 50 µs. Who promises to gain less, in nats, is there.
_MOST_STEPS = 50
_PRECISION = 1e-6
# What of a step's promise has to be kept, else it is halved, down to this length (Armijo's rule).
_SHARE_KEPT = 1e-4
_SHORTEST = 1e-6
_BINS_PER_ODDS = 8


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """The chance that an answer of a score is wrong: logistic over the score's log odds, bent at BENDS."""

    terms: Numbers
    covariance: Numbers

    def find_wrong(self, scores: NDArray[np.float32]) -> Numbers:
        """Return the chance for each score (n,)."""
        wrong: Numbers = 1 / (1 + np.exp(np.clip(_find_terms(scores) @ self.terms, -30, 30)))
        return wrong

    def spread(self, scores: NDArray[np.float32], chance: Numbers) -> Numbers:
        """Return how uncertain the curve makes the sum of wrong ones up to each score, as a variance.

        ``chance`` is each one's own variance, times how many stand for it.
        """
        reach = np.cumsum(chance[:, None] * _find_terms(scores), axis=0)
        # A seventh of the time of one einsum over the three.
        uncertain: Numbers = np.einsum("ni,ni->n", reach @ self.covariance, reach)
        return uncertain


def _find_odds(scores: NDArray[np.float32]) -> Numbers:
    clipped = np.clip(scores.astype(np.float64), 1e-4, 1 - 1e-4)
    odds: Numbers = np.log(clipped / (1 - clipped))
    return odds


def _spread_odds(odds: Numbers) -> Numbers:
    """Return 1, the log odds, and what they exceed each of BENDS by, for each: (n, 5)."""
    return np.column_stack([np.ones_like(odds), odds, np.maximum(odds[:, None] - BENDS, 0)])


def _find_terms(scores: NDArray[np.float32]) -> Numbers:
    return _spread_odds(_find_odds(scores))


def fit_curve(
    scores: NDArray[np.float32], wrong: NDArray[np.bool_], weights: Numbers | None = None, *, firmness: Numbers = FIRM
) -> Curve:
    """Fit a curve to labelled scores, from the belief that a score is a little worse than it claims.

    ``weights``: what each label counts, up to 1, which makes the curve less certain, if anything by a little too much.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    odds = _find_odds(scores)
    # Labels of like odds are fitted as one: a hundred rows take a twentieth of the time of thousands.
    places = np.rint(odds * _BINS_PER_ODDS).astype(np.int64)
    places -= places.min(initial=0)
    counts = np.bincount(places, weights)
    kept = counts > 0
    number = counts[kept].astype(np.float64)
    rows = _spread_odds(np.bincount(places, odds * weights)[kept] / number)
    right = number - np.bincount(places, wrong * weights)[kept].astype(np.float64)
    terms = _BELIEF.copy()
    find_loss = partial(_find_loss, rows=rows, number=number, right=right, firmness=firmness)
    gradient, hessian = _find_slope(terms, rows, number, right, firmness)
    for _ in range(_MOST_STEPS):
        step: Numbers = np.linalg.solve(hessian, gradient).astype(np.float64)
        promised = float(gradient @ step)
        if promised < _PRECISION:
            break
        terms = _advance(terms, step, promised, find_loss)
        gradient, hessian = _find_slope(terms, rows, number, right, firmness)
    covariance: Numbers = np.linalg.inv(hessian).astype(np.float64)
    return Curve(terms=terms.astype(np.float64), covariance=covariance)


def _find_slope(
    terms: Numbers, rows: Numbers, number: Numbers, right: Numbers, firmness: Numbers
) -> tuple[Numbers, Numbers]:
    """Return in which direction the labels become more likely, and how sharply that bends."""
    chance = 1 / (1 + np.exp(-np.clip(rows @ terms, -30, 30)))
    gradient = rows.T @ (right - number * chance) - firmness * (terms - _BELIEF)
    return gradient, (rows * (number * chance * (1 - chance))[:, None]).T @ rows + np.diag(firmness)


def _find_loss(terms: Numbers, rows: Numbers, number: Numbers, right: Numbers, firmness: Numbers) -> float:
    """Return how unlikely the labels are, in nats, with what is believed without them."""
    odds = rows @ terms
    surprise = number @ np.logaddexp(0, odds) - right @ odds
    return float(surprise + firmness @ (terms - _BELIEF) ** 2 / 2)


def _advance(terms: Numbers, step: Numbers, promised: float, find_loss: Callable[[Numbers], float]) -> Numbers:
    """Go so far along Newton's step that the loss really falls: where labels contradict the belief it leads far beyond
    the least loss, to a curve that says all is wrong, or nothing.
    """
    before = find_loss(terms)
    length = 1.0
    while length > _SHORTEST and find_loss(terms + length * step) > before - _SHARE_KEPT * length * promised:
        length /= 2
    return terms + length * step
