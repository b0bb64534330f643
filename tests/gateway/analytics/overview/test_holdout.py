"""What the semantic cache saved by the calls that it held back: their mean times the hits, with its interval."""

import random
import statistics

import pytest
from sqlalchemy import text

from gateway.analytics.overview.holdout import KEPT_DAYS, MIN_CALLS, measure, read_measured
from gateway.analytics.overview.periods import HOUR_NS, align
from gateway.caching.semantic.keeper import KEPT_DECISIONS_NS
from gateway.caching.semantic.store import Decision, write_decisions
from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.row import UsageRow
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_row

DAY_NS = 24 * HOUR_NS
OTHER = "proj_01m807j9z9fzctrfnvyefwebwz"
PERIOD = align(NOW_NS - 90 * DAY_NS, NOW_NS, DAY_NS)


def decide(row: UsageRow, decision: str) -> Decision:
    """What was decided for a call."""
    return Decision(
        request_id=row.request_id, project_id=row.project_id, decision=decision, entry_id="ce_1", similarity=0.9,
        score=0.9, threshold=0.5, guards="", neighbours="", question="", is_right=None, created_ns=row.created_ns,
    )  # fmt: skip


async def keep(database: Database, calls: dict[str, list[UsageRow]]) -> None:
    """Store calls with what was decided for them."""
    async with database.write() as connection:
        await store.insert_rows(connection, [row for rows in calls.values() for row in rows])
        await write_decisions(connection, [decide(row, name) for name, rows in calls.items() for row in rows])


def hit(created_ns: int, **fields: str) -> UsageRow:
    """A hit that saved 7 by the ledger."""
    return make_row(created_ns, is_cached=True, cache_layer="semantic", saved_pusd=7, cost_pusd=0, **fields)


async def test_hits_are_worth_what_calls_like_them_cost(database: Database) -> None:
    """Of the kept days and these projects alone, corrections included; what was given or only tried is no sample."""
    held = [make_row(NOW_NS - number, cost_pusd=10 if number % 2 else 20) for number in range(MIN_CALLS)]
    old_ns = NOW_NS - (KEPT_DAYS + 1) * DAY_NS
    await keep(
        database,
        {
            "holdout": [*held, make_row(old_ns, cost_pusd=999), make_row(project_id=OTHER, cost_pusd=999)],
            "shadow": [make_row(cost_pusd=999)],
            "serve": [hit(NOW_NS - number) for number in range(3)],
            "audit": [hit(NOW_NS), hit(old_ns), hit(NOW_NS, project_id=OTHER)],
        },
    )
    async with database.write() as connection:
        await connection.execute(
            text("INSERT INTO corrections VALUES (:request_id, 0, 50, 'operator', 'x', 1, 0)"),
            {"request_id": held[0].request_id},
        )
    found = await read_measured(database, (PROJECT_ID,), PERIOD, NOW_NS)
    assert (found.hits, found.modelled_pusd, found.calls) == (4, 28, MIN_CALLS)
    assert found.measured_pusd == 4 * (15 + 50 / MIN_CALLS)
    assert found.low_pusd is not None
    assert found.low_pusd < found.measured_pusd < (found.high_pusd or 0)
    assert NOW_NS - found.period.from_ns <= KEPT_DAYS * DAY_NS == KEPT_DECISIONS_NS
    assert (await read_measured(database, (), PERIOD, NOW_NS)).hits == 0


@pytest.mark.parametrize(("calls", "is_told"), [(0, False), (MIN_CALLS - 1, False), (MIN_CALLS, True)])
def test_too_few_are_told_as_such(calls: int, is_told: bool) -> None:
    """No figure at all, instead of one that nobody should believe."""
    found = measure(PERIOD, 10, 100, [5] * calls)
    assert (found.measured_pusd, found.low_pusd, found.high_pusd) == ((50,) * 3 if is_told else (None,) * 3)


def test_the_interval_holds_as_often_as_is_said() -> None:
    """README's figures, of samples that are drawn anew each time this is changed."""
    chosen = random.Random(1)  # noqa: S311 - the same samples each time, no secret
    for sigma, share in ((0.5, 0.94), (1.0, 0.90), (1.5, 0.82)):
        truth = 10**6 * statistics.NormalDist(0, 1).pdf(0) / statistics.NormalDist(0, 1).pdf(sigma)
        samples = [
            measure(PERIOD, 1, 0, [round(10**6 * chosen.lognormvariate(0, sigma)) for _ in range(MIN_CALLS)])
            for _ in range(3_000)
        ]
        held = sum((each.low_pusd or 0) <= truth <= (each.high_pusd or 0) for each in samples) / len(samples)
        assert held == pytest.approx(share, abs=0.025), sigma
