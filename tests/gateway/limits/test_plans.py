"""The plans' table: the documents' figures, literally."""

import pytest

from gateway.counters.interface import MAX_COUNT
from gateway.limits.plans import PLANS, ROWS, Group, InvalidPlan, check_plan, find_windows

# Rows C7 of the contracts: group, plan, and the limits by window.
DOCUMENTED: list[tuple[Group, str, dict[str, int]]] = [
    ("proxy", "free", {"minute": 10, "month": 10_000}),
    ("proxy", "starter", {"minute": 60, "month": 100_000}),
    ("proxy", "pro", {"minute": 600, "month": 1_000_000}),
    ("proxy", "agency", {"minute": 6_000, "month": 10_000_000}),
    ("proxy", "enterprise", {}),
    ("models", "free", {"minute": 10}),
    ("inference", "free", {"hour": 100}),
    ("inference", "pro", {"hour": 1_000}),
    ("inference", "enterprise", {}),
    ("data", "starter", {"minute": 100}),
    ("data", "pro", {"minute": 500}),
    ("data", "enterprise", {"minute": 2_000}),
    ("machines", "pro", {"minute": 100}),
    ("uploads", "free", {"minute": 100, "hour": 50, "day": 500}),
    ("deployments", "free", {"hour": 100}),
    ("predictions", "agency", {"minute": 1_000}),
    ("metrics", "starter", {"hour": 100}),
]


@pytest.mark.parametrize(("group", "plan", "limits"), DOCUMENTED)
def test_a_plan_has_its_documented_figures(group: Group, plan: str, limits: dict[str, int]) -> None:
    """Every window of a request, and no other."""
    windows = find_windows(group, plan, None, "acct")
    assert {window.period: window.limit for window in windows} == limits


def test_every_row_has_a_figure_for_every_plan() -> None:
    """A table without holes, whose names are keys."""
    assert {len(row.figures) for row in ROWS} == {len(PLANS)}
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_an_override_replaces_the_figure_it_names() -> None:
    """And no other."""
    windows = find_windows("proxy", "free", {"proxy_per_minute": 3}, "acct")
    assert [window.limit for window in windows] == [3, 10_000]


def test_subjects_and_surfaces_are_counted_apart() -> None:
    """No two of them share a counter."""
    keys = [
        window.policy_key
        for subject in ("a", "b")
        for group in ("proxy", "api", "dashboard", "inference", "data", "machines", "deployments", "general")
        for window in find_windows(group, "pro", None, subject)
    ]
    assert len(set(keys)) == len(keys)


def test_a_plan_that_nobody_knows_is_the_least() -> None:
    """A newer version may have written it."""
    assert find_windows("proxy", "platinum", None, "acct") == find_windows("proxy", "free", None, "acct")


@pytest.mark.parametrize(
    ("plan", "overrides", "words"),
    [
        ("gold", {}, "no plan 'gold': use one of free"),
        ("pro", {"speed": 1}, "no limit 'speed': use one of api_per_minute"),
        ("pro", {"proxy_per_minute": -1}, "= -1 is no limit"),
        ("pro", {"proxy_per_minute": MAX_COUNT + 1}, "is no limit"),
    ],
)
def test_what_no_account_can_be_on_is_refused(plan: str, overrides: dict[str, int], words: str) -> None:
    """With what to write instead."""
    with pytest.raises(InvalidPlan, match=words):
        check_plan(plan, overrides)


def test_every_plan_of_the_table_can_be_chosen() -> None:
    """With overrides of its rows."""
    for plan in PLANS:
        check_plan(plan, {row.name: 0 for row in ROWS})
