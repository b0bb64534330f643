"""The bound is kept where it can be, and nothing is served where it cannot be proven."""

from collections.abc import Callable
from functools import partial

import msgspec
import numpy as np
import pytest

from cache.semantic.bound import (
    NOTHING,
    OF_HITS_LOOSE,
    OF_HITS_STRICT,
    Bounds,
    Record,
    Window,
    choose,
    draw_point,
    find_audit_chance,
    find_check_share,
    find_margin,
)
from cache.semantic.values import Settings

SETTINGS = Settings()


def answer(
    window: Window, source: np.random.Generator, threshold: float, score: float, is_right: Callable[[], bool]
) -> bool:
    """Serve a candidate, and check it, as the engine does; tells whether it was served."""
    served, chance = score >= threshold, 1.0
    if served:
        chance = find_audit_chance(
            score,
            window.hits,
            share=SETTINGS.audit_share,
            first=SETTINGS.first_audits,
            factor=SETTINGS.first_audit_factor,
        )
    at = window.add(Record(score=score, served=served, chance=chance))
    if source.random() < chance:
        window.label(at, is_right=is_right())
    return served


def holds(source: np.random.Generator, chance: float) -> bool:
    """Draw what has a chance; nothing is drawn for what has none."""
    return chance > 0 and bool(source.random() < chance)


def play(bounds: Bounds, *, seed: int, requests: int = 6_000, drift: float = 0.0) -> tuple[float, float, float]:
    """Serve as the engine does where a score is as honest as it claims, less ``drift``; returns hits, ÷ all, ÷ hits."""
    source, window = np.random.default_rng(seed), Window(2_000)
    hits = wrong = 0
    threshold = NOTHING
    for number in range(requests):
        if number % 50 == 0:
            threshold = choose(window, bounds, deviations=SETTINGS.deviations, fewest=200).threshold
        score = float(source.beta(2, 1))
        right = bool(source.random() < score - drift)
        if source.random() < 0.5:
            window.add(None)
            continue
        served = answer(window, source, threshold, score, partial(bool, right))
        hits += served
        wrong += served and not right
    return hits / requests, wrong / requests, wrong / max(1, hits)


@pytest.mark.parametrize("limit", [0.01, 0.02, 0.05])
@pytest.mark.parametrize("drift", [0.0, 0.1])
def test_a_bound_on_all_requests_is_kept(limit: float, drift: float) -> None:
    """Wrong ÷ all stays at or under the bound, with an honest score and with one that promises too much."""
    runs = [play(Bounds(max_wrong_rate=limit), seed=seed, drift=drift) for seed in range(3)]
    assert max(rate for _, rate, _ in runs) <= limit
    assert drift > 0 or min(hits for hits, _, _ in runs) > 0.03


@pytest.mark.parametrize("limit", [0.05, 0.1])
def test_a_bound_on_hits_is_kept(limit: float) -> None:
    """Wrong ÷ hits stays under the bound in several runs together, and in each but for the chance of a few hits."""
    runs = [play(Bounds(max_wrong_hit_rate=limit), seed=seed) for seed in range(6)]
    hits, wrong = sum(hits for hits, _, _ in runs), sum(wrong for _, wrong, _ in runs)
    assert hits > 6 * 0.03
    assert wrong <= limit * hits
    for share, _, rate in runs:
        expected = limit * share * 6_000
        assert rate * share * 6_000 <= expected + 1 + expected**0.5


@pytest.mark.parametrize("shadow", [0, 3_000])
def test_what_came_in_the_shadow_spares_nothing_for_later(shadow: int) -> None:
    """Wrong ÷ all is about requests that may be answered: those before are no allowance for more wrong ones."""
    source, window = np.random.default_rng(3), Window(6_000)
    bounds, threshold, wrong, hits = Bounds(max_wrong_rate=0.05), NOTHING, 0, 0
    for number in range(shadow + 3_000):
        window.is_live = number >= shadow
        if number % 50 == 0:
            threshold = choose(window, bounds, deviations=SETTINGS.deviations, fewest=200).threshold
        score = float(source.beta(2, 1))
        served = window.is_live and score >= threshold
        at = window.add(Record(score=score, served=served, chance=1.0))
        is_right = bool(source.random() < score)
        window.label(at, is_right=is_right)
        hits += served
        wrong += served and not is_right
    counted = window.count_served()
    assert (counted[0], counted[2], counted[3]) == (wrong, hits, 3_000)
    assert hits > 300
    assert wrong <= 0.05 * 3_000
    again = Window.restore(window.export())
    assert again.count_served() == counted


def test_what_was_scored_before_the_score_learnt_holds_nothing_back_for_long() -> None:
    """A third of the first high scores were wrong, later ones are not: soon these are served, and the past is kept."""
    window, bounds = Window(6_000), Bounds(max_wrong_hit_rate=0.1)
    chosen = []
    for number in range(4_000):
        at = window.add(Record(score=0.97, served=False, chance=1) if number % 10 == 0 else None)
        window.label(at, is_right=number % (30 if number < 1_000 else 800) != 0)
        if number in (999, 3_999):
            chosen.append(choose(window, bounds, deviations=SETTINGS.deviations, fewest=200).threshold)
    assert chosen == [NOTHING, pytest.approx(0.97)]
    wrong, variance = window.rank()
    assert wrong[-1] == 34 + 3
    assert variance[-1] > 37 * 0.9


def test_a_young_scope_is_held_to_a_whole_window() -> None:
    """What comes is as many requests as a window holds, however few there were, and the late ones count more."""
    window = Window(1_000)
    for number in range(200):
        window.add(Record(score=0.9, served=False, chance=1) if number >= 100 else None)
    coming = window.foresee()
    assert coming.requests == 1_000
    assert 900 < coming.hits[-1] < 1_000
    for _ in range(5_000):
        window.add(None)
    assert window.foresee().hits.sum() == 0


def test_both_bounds_hold_where_both_are_set() -> None:
    """The stricter one decides."""
    _, of_all, of_hits = play(Bounds(max_wrong_rate=0.2, max_wrong_hit_rate=0.05), seed=1)
    assert of_hits <= 0.055
    assert of_all <= 0.2


@pytest.mark.parametrize("limit", [0.02, 0.05, 0.1])
def test_answers_that_all_turn_wrong_are_soon_served_no_more(limit: float) -> None:
    """A source that says something else from one request on: after a few checks nothing more is given."""
    bounds = Bounds(max_wrong_hit_rate=limit)
    source, window = np.random.default_rng(1), Window(2_000)
    threshold, hits, late = NOTHING, 0, [0, 0]
    for number in range(4_000):
        if number % 50 == 0:
            threshold = choose(window, bounds, deviations=SETTINGS.deviations, fewest=200).threshold
        score = float(source.beta(4, 0.3))
        is_spoiled = number >= 2_000
        served = answer(window, source, threshold, score, partial(holds, source, 0.0 if is_spoiled else score))
        hits += served
        if is_spoiled:
            late[number >= 2_200] += served
    assert hits > 200
    assert late[0] <= 150
    assert late[1] == 0


def test_without_a_bound_or_requests_nothing_is_served() -> None:
    """No bound and no proof both mean silence."""
    window = Window(100)
    assert choose(window, Bounds(max_wrong_rate=0.5), deviations=1, fewest=1).threshold == NOTHING
    for _ in range(100):
        window.label(window.add(Record(score=0.99, served=False, chance=1)), is_right=True)
    assert choose(window, Bounds(), deviations=1, fewest=1).threshold == NOTHING
    assert choose(window, Bounds(max_wrong_rate=0.5), deviations=1, fewest=200).threshold == NOTHING
    assert choose(window, Bounds(max_wrong_rate=0.5), deviations=1, fewest=100).threshold == pytest.approx(0.99)


def test_a_scope_falls_silent_when_its_served_answers_turn_wrong() -> None:
    """Audits alone drive it back to shadow."""
    window, bounds = Window(1_000), Bounds(max_wrong_rate=0.02)
    for _ in range(500):
        window.label(window.add(Record(score=0.9, served=False, chance=1)), is_right=True)
    assert choose(window, bounds, deviations=1, fewest=200).threshold < 1
    for number in range(300):
        at = window.add(Record(score=0.9, served=True, chance=0.1))
        if number % 10 == 0:
            window.label(at, is_right=False)
    assert choose(window, bounds, deviations=1, fewest=200).threshold == NOTHING


def test_a_window_comes_back_from_its_state() -> None:
    """Exported and restored, it chooses the same; a damaged state is refused."""
    source, window = np.random.default_rng(0), Window(300)
    for _ in range(500):
        score = float(source.random())
        at = window.add(Record(score=score, served=score > 0.8, chance=0.5) if score > 0.2 else None)
        window.label(at, is_right=bool(source.random() < score))
    state = window.export()
    again = Window.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(state)))
    bounds = Bounds(max_wrong_hit_rate=0.2)
    assert choose(again, bounds, deviations=1, fewest=1) == choose(window, bounds, deviations=1, fewest=1)
    assert again.count_served() == window.count_served()
    with pytest.raises(ValueError):
        Window.restore({**state, "scores": b"123"})
    with pytest.raises(ValueError):
        Window.restore({})


def test_a_label_that_comes_too_late_changes_nothing() -> None:
    """The window has moved on."""
    window = Window(2)
    first = window.add(Record(score=0.5, served=False, chance=1))
    for _ in range(2):
        window.add(Record(score=0.5, served=False, chance=1))
    before = window.export()
    window.label(first, is_right=False)
    assert window.export() == before


def test_the_report_gives_rates_with_their_interval() -> None:
    """A point has the hits of its bound and an interval around the wrong ones."""
    window = Window(400)
    for number in range(400):
        window.label(window.add(Record(score=0.9, served=False, chance=1)), is_right=number % 100 != 0)
    point = draw_point(window, Bounds(max_wrong_rate=0.06), fewest=200)
    assert point.hit_rate == pytest.approx(1)
    assert point.wrong_rate == pytest.approx(0.01)
    assert point.wrong_rate_low < 0.01 < point.wrong_rate_high <= 0.05
    assert draw_point(Window(10), Bounds(max_wrong_rate=0.05), fewest=200).hit_rate == 0


def test_first_answers_are_checked_more_often_at_a_bounded_cost() -> None:
    """Nearly all of the first, a share of the later, and never more in all than the product of the three settings."""
    settings = Settings()
    share, first, factor = settings.audit_share, settings.first_audits, settings.first_audit_factor
    # A score at which the share is checked, neither more nor less.
    score = 0.5 + (1 / 4 - 1 / 6) ** 0.5
    chances = [find_audit_chance(score, hits, share=share, first=first, factor=factor) for hits in range(20_000)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] == 1
    assert chances[-1] == pytest.approx(share, rel=0.01)
    assert sum(chances) - share * len(chances) <= share * first * factor
    assert find_audit_chance(0.5, 10_000, share=share, first=first, factor=factor) > 1.2 * share


@pytest.mark.parametrize(("limit", "in_force"), [(0.05, False), (0.1, True)])
def test_few_labels_are_proof_only_under_a_loose_limit_on_hits_in_force(limit: float, in_force: bool) -> None:
    """Of what is uncertain of what comes little counts there, since the threshold is chosen anew before it comes."""
    window, bounds = Window(6_000), Bounds(max_wrong_hit_rate=limit)
    for number in range(400):
        at = window.add(Record(score=0.97, served=False, chance=1) if number % 3 == 0 else None)
        # About half as many are wrong as the limit allows.
        window.label(at, is_right=number % round(6 / limit) != 0)
    choices = [choose(window, bounds, deviations=1, fewest=200, has_past=has_past) for has_past in (True, False)]
    assert [choice.threshold < 1 for choice in choices] == [in_force, False]


def test_the_margin_moves_with_the_limit_on_hits() -> None:
    """It is one of two at the ends, and lies between them between these."""
    assert [find_margin(limit) for limit in (0.01, 0.05)] == [OF_HITS_STRICT] * 2
    assert [find_margin(limit) for limit in (0.1, 0.3)] == [OF_HITS_LOOSE] * 2
    middle = find_margin(0.075)
    assert middle.coming_share == pytest.approx((OF_HITS_STRICT.coming_share + OF_HITS_LOOSE.coming_share) / 2)
    assert OF_HITS_STRICT.deviations < middle.deviations < OF_HITS_LOOSE.deviations
    shares = [find_check_share(Bounds(max_wrong_hit_rate=limit)) for limit in (0.05, 0.075, 0.1)]
    assert 1.0 == shares[0] > shares[1] > shares[2] > 0.9
    both = Bounds(max_wrong_hit_rate=0.1, max_wrong_rate=0.01)
    assert find_check_share(both) == find_check_share(Bounds(max_wrong_rate=0.5)) == 1.0
