"""The plans: how many requests each of them allows, on which surface and in which window (rows C7, W52-W55, E22-E24).

A figure of an enterprise account is what its overrides say by the row's name; without one it is the table's, and where
the table has none nothing is limited.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from gateway.counters.interface import MAX_COUNT, Period, RateWindow

PLANS = ("free", "starter", "pro", "agency", "enterprise")
# What a request is a request for; each document's surface is counted apart from the others'.
Group = Literal[
    "proxy",
    "models",
    "api",
    "dashboard",
    "inference",
    "data",
    "machines",
    "deployments",
    "predictions",
    "metrics",
    "uploads",
    "general",
]


class PlanRow(msgspec.Struct, frozen=True, kw_only=True):
    """One limit: its name among an account's overrides, and its figure on each plan, in the order of PLANS."""

    name: str
    # Whose number it is, and what is counted.
    document: str
    meaning: str
    groups: tuple[Group, ...]
    period: Period
    figures: tuple[int | None, ...]


def _row(
    name: str, document: str, meaning: str, groups: tuple[Group, ...], period: Period, *figures: int | None
) -> PlanRow:
    return PlanRow(
        name=name,
        document=document,
        meaning=meaning,
        groups=groups,
        period=period,
        figures=figures * (5 // len(figures)),
    )


# A row with one figure has it on every plan.
ROWS: tuple[PlanRow, ...] = (
    _row("proxy_per_minute", "W", "`/v1/*` of the proxy", ("proxy", "models"), "minute", 10, 60, 600, 6_000, None),
    _row("proxy_per_month", "W", "calls", ("proxy",), "month", 10_000, 100_000, 1_000_000, 10_000_000, None),
    _row("api_per_minute", "W", "`/api/*` by key or token", ("api",), "minute", 10, 60, 600, 6_000, None),
    _row("dashboard_per_minute", "W", "`/api/*` by the dashboard's cookie", ("dashboard",), "minute", 600),
    _row("inference_per_hour", "E", "deployments' inference", ("inference",), "hour", 100, 100, 1_000, 1_000, None),
    _row("data_per_minute", "D", "data sets, queries, dashboards", ("data",), "minute", 100, 100, 500, 500, 2_000),
    _row("machines_per_minute", "A", "`/api/v1/*`", ("machines", "uploads"), "minute", 100, 100, 100, 100, None),
    _row("uploads_per_hour", "A", "uploads", ("uploads",), "hour", 50, 50, 50, 50, None),
    _row("uploads_per_day", "A", "uploads", ("uploads",), "day", 500, 500, 500, 500, None),
    _row("deployments_per_hour", "S", "deployments", ("deployments",), "hour", 100, 100, 100, 100, None),
    _row("predictions_per_minute", "S", "predictions", ("predictions",), "minute", 1_000, 1_000, 1_000, 1_000, None),
    _row("metrics_per_hour", "S", "metrics", ("metrics",), "hour", 100, 100, 100, 100, None),
    _row("general_per_minute", "S", "everything else", ("general",), "minute", 100, 100, 100, 100, None),
)
OVERRIDES = frozenset(row.name for row in ROWS)
# Of whom nobody knows an account: strangers, and a plan that a newer version wrote.
LEAST = "free"


class InvalidPlan(ValueError):
    """No plan of this name, or an override that the table does not have."""


def find_windows(group: Group, plan: str, overrides: Mapping[str, int] | None, subject: str) -> tuple[RateWindow, ...]:
    """What a request of the group counts in, for a subject on a plan; the shortest window first."""
    at = PLANS.index(plan if plan in PLANS else LEAST)
    windows: list[RateWindow] = []
    for row in ROWS:
        if group in row.groups:
            limit = (overrides or {}).get(row.name, row.figures[at])
            if limit is not None:
                windows.append(RateWindow(policy_key=f"{row.name}:{subject}", period=row.period, limit=limit))
    return tuple(windows)


def check_plan(plan: str, overrides: Mapping[str, int]) -> None:
    """Refuse what no account can be on. Raises InvalidPlan."""
    if plan not in PLANS:
        raise InvalidPlan(f"there is no plan {plan!r}: use one of {', '.join(PLANS)}")
    for name, limit in overrides.items():
        if name not in OVERRIDES:
            raise InvalidPlan(f"there is no limit {name!r}: use one of {', '.join(sorted(OVERRIDES))}")
        if not 0 <= limit <= MAX_COUNT:
            raise InvalidPlan(f"{name} = {limit!r} is no limit: use 0 to {MAX_COUNT}")
