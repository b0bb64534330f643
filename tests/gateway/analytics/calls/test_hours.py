"""Hours that have calls which may match, the newest first."""

from typing import Any

from gateway.analytics.calls.filters import Filter
from gateway.analytics.calls.hours import find_hours
from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.rollups import DAY_NS, HOUR_NS
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_row

HOUR = NOW_NS // HOUR_NS * HOUR_NS
# How many hours before HOUR, and what is special.
CALLS: tuple[tuple[int, dict[str, Any]], ...] = (
    (0, {}),
    (1, {"model": "rare", "tags": "x"}),
    (30, {"error_code": "e", "tags": "x,y"}),
    (1_000, {"model": "rare", "is_cached": True, "tags": "y"}),
    # Whether it failed its row alone tells.
    (2_000, {"cache_layer": "audit", "tags": "z", "model": "audited"}),
    (9_000, {"key_id": "k", "provider": "p"}),
)


# What is asked for, and how many hours ago there is some.
HOURS: list[tuple[Filter, list[int]]] = [
    (Filter(), [0, 1, 30, 1_000, 2_000, 9_000]),
    (Filter(equal={"model": "rare"}), [1, 1_000]),
    (Filter(equal={"model": "rare"}, cache="hit"), [1_000]),
    (Filter(equal={"key_id": "k", "provider": "p"}), [9_000]),
    (Filter(equal={"key_id": "k", "provider": "openai"}), []),
    (Filter(is_error=True), [30, 2_000]),
    (Filter(equal={"model": "audited", "error_code": "e"}), [2_000]),
    (Filter(tag="z", is_error=True), [2_000]),
    (Filter(cache="exact"), [1_000]),
    (Filter(tag="x"), [1, 30]),
    (Filter(tag="x", is_error=True), [30]),
    (Filter(tag="y", cache="hit"), [1_000]),
    (Filter(min_latency_ms=1, equal={"session": "s"}), [0, 1, 30, 1_000, 2_000, 9_000]),
]


async def test_hours_without_any_are_left_out(database: Database) -> None:
    """By whatever the kept sums can tell."""
    rows = [make_row(HOUR - back * HOUR_NS, **fields) for back, fields in CALLS]
    async with database.write() as connection:
        await store.insert_rows(connection, [*rows, make_row(HOUR - 5 * HOUR_NS, project_id="other")])
    for wanted, hours in HOURS:
        async with database.read() as connection:
            found = [each async for each in find_hours(connection, [PROJECT_ID], wanted, 0, HOUR + HOUR_NS)]
            later = [
                start_ns
                async for start_ns, _ in find_hours(connection, [PROJECT_ID], wanted, HOUR - DAY_NS, HOUR + HOUR_NS)
            ]
        assert found == [(HOUR - back * HOUR_NS, 1) for back in hours], wanted
        assert later == [HOUR - back * HOUR_NS for back in hours if back <= 24], wanted
