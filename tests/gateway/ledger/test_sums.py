"""Sums over any period: equal to those over the rows, by whatever is asked."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.rollups import DAY_NS, HOUR_NS, STRETCH_NS
from gateway.ledger.row import UsageRow
from gateway.ledger.sums import NOTHING, Dimension, Sums, Wanted, read_sums, read_total
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_history, make_row

MOST_PUSD = 2**63 - 1
EVERYTHING = Wanted(project_ids=(PROJECT_ID,), from_ns=0, to_ns=2**63 - 1)
OTHER = "proj_other"
COUNTS = tuple(
    f"{bucket}_tokens"
    for bucket in (
        *("input", "cache_read", "cache_write", "cache_write_1h", "audio_input", "image_input"),
        *("output", "audio_output", "image_output", "reasoning"),
    )
)
KINDS: tuple[tuple[Dimension, ...], ...] = ((), ("model",), ("day",), ("project_id", "key_id"), ("day", "provider"))


async def insert(database: Database, *rows: UsageRow) -> None:
    """Store rows."""
    async with database.write() as connection:
        await store.insert_rows(connection, rows)


async def total(database: Database, wanted: Wanted = EVERYTHING) -> Sums:
    """Sum up all."""
    async with database.read() as connection:
        return await read_total(connection, wanted)


def count(rows: list[UsageRow], wanted: Wanted, by: tuple[str, ...]) -> dict[tuple[Any, ...], Sums]:
    """Sum rows up in the plainest way."""
    groups: dict[tuple[Any, ...], Counter[str]] = {}
    for row in rows:
        is_meant = row.project_id in wanted.project_ids and wanted.from_ns <= row.created_ns < wanted.to_ns
        if not is_meant or wanted.model not in (None, row.model):
            continue
        key = tuple(row.created_ns // DAY_NS if name == "day" else getattr(row, name) for name in by)
        used = {name: getattr(row, name) for name in (*COUNTS, "cost_pusd")} if not row.is_cached else {}
        asked = {"requests": 1, "errors": int(row.error_code != ""), "latency_ms": row.latency_ms}
        other = {"audits": 1} if row.cache_layer == "audit" else asked
        kept = {name: getattr(row, name) for name in ("tokens_saved", "saved_pusd")}
        groups.setdefault(key, Counter()).update({**used, **other, **kept, "cache_hits": int(row.is_cached)})
    return {key: Sums(**sums) for key, sums in groups.items()}


_COUNT = st.integers(0, 10_000)
ROWS = st.lists(
    st.builds(
        make_row,
        st.one_of(
            st.integers(0, 3 * STRETCH_NS), st.integers(0, 90).map(lambda n: n * DAY_NS), st.integers(0, 3 * DAY_NS)
        ),
        project_id=st.sampled_from((PROJECT_ID, OTHER, "proj_third")),
        key_id=st.sampled_from("ab"),
        model=st.sampled_from(("gpt-4", "gpt-5")),
        provider=st.sampled_from(("openai", "groq")),
        error_code=st.sampled_from(("", "upstream_timeout")),
        is_cached=st.booleans(),
        cache_layer=st.sampled_from(("", "semantic", "audit")),
        cost_pusd=st.integers(0, MOST_PUSD),
        saved_pusd=st.integers(0, MOST_PUSD),
        tokens_saved=_COUNT,
        latency_ms=_COUNT,
        **dict.fromkeys(COUNTS, _COUNT),
    ),
    max_size=30,
)


@settings(max_examples=24, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=ROWS,
    cuts=st.lists(st.integers(0, 30), max_size=4),
    replays=st.lists(st.integers(0, 29), max_size=10),
    begin=st.one_of(st.just(0), st.integers(0, 3 * STRETCH_NS), st.integers(0, 99).map(lambda n: n * HOUR_NS)),
    length=st.one_of(st.just(2**62), st.integers(0, 3 * STRETCH_NS), st.integers(0, 99).map(lambda n: n * DAY_NS)),
    by=st.sampled_from(KINDS),
    model=st.sampled_from((None, "gpt-4")),
)
async def test_sums_equal_the_rows(
    database: Database,
    *,
    rows: list[UsageRow],
    cuts: list[int],
    replays: list[int],
    begin: int,
    length: int,
    by: tuple[Dimension, ...],
    model: str | None,
) -> None:
    """To the last count and picodollar: any rows in any batches, some of them again, over any period."""
    async with database.write() as connection:
        for table in ("usage", "usage_rollups", "usage_days"):
            await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - constants
    places = sorted({0, len(rows), *(place for place in cuts if place < len(rows))})
    for first, last in pairwise(places):
        again = [rows[place] for place in replays if place < last]
        await insert(database, *rows[first:last], *again)
    wanted = Wanted(project_ids=(PROJECT_ID, OTHER), from_ns=begin, to_ns=begin + length, model=model)
    async with database.read() as connection:
        assert await read_sums(connection, wanted, by) == count(rows, wanted, by)
    await make_history(database)
    async with database.write() as connection:
        assert await read_sums(connection, wanted, by) == count(rows, wanted, by)
        await connection.execute(text("UPDATE rollup_state SET rolled_from = ''"))


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(costs=st.lists(st.integers(min_value=0, max_value=MOST_PUSD), max_size=20))
async def test_amounts_are_exact(costs: list[int], database: Database) -> None:
    """To the picodollar, also beyond what 64 bits hold."""
    async with database.write() as connection:
        for table in ("usage", "usage_rollups", "usage_days"):
            await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - constants
    await insert(database, *(make_row(cost_pusd=cost, saved_pusd=cost) for cost in costs))
    sums = await total(database)
    assert (sums.cost_pusd, sums.saved_pusd) == (sum(costs), sum(costs))


async def test_an_answer_from_the_cache_used_and_cost_nothing(database: Database) -> None:
    """Whatever counts its row carries."""
    await insert(database, make_row(), make_row(is_cached=True, tokens_saved=150, saved_pusd=4_500_000_000))
    sums = await total(database)
    assert (sums.requests, sums.tokens, sums.cache_hits, sums.cost_pusd) == (2, 150, 1, 4_500_000_000)
    assert (sums.cache_hit_rate, sums.saved_pusd) == (0.5, 4_500_000_000)


async def test_an_audit_is_paid_and_is_no_request(database: Database) -> None:
    """Nobody asked for it: neither it nor its failure nor its time is one of a caller's."""
    asked = [make_row(), make_row(is_cached=True, cache_layer="semantic", latency_ms=1)]
    audits = [make_row(cache_layer="audit"), make_row(cache_layer="audit", error_code="e", cost_pusd=0)]
    await insert(database, *asked, *audits)
    sums = await total(database)
    assert (sums.requests, sums.audits, sums.rows, sums.errors, sums.latency_ms) == (2, 2, 4, 0, 2_101)
    assert (sums.cache_hit_rate, sums.tokens, sums.cost_pusd) == (0.5, 450, 9_000_000_000)


async def test_tokens_count_every_bucket(database: Database) -> None:
    """As UsageRow.total_tokens does: reasoning is a part of the output."""
    row = make_row(**{name: 10**number for number, name in enumerate(COUNTS)})
    await insert(database, row)
    sums = await total(database)
    assert (sums.tokens, sums.all_input_tokens) == (row.total_tokens, 111_111)


async def test_no_rows_sum_up_to_nothing(database: Database) -> None:
    """An empty project, and no project at all."""
    assert await total(database) == NOTHING
    assert NOTHING.cache_hit_rate == 0.0
    async with database.read() as connection:
        assert await read_sums(connection, Wanted(project_ids=(), from_ns=0, to_ns=1), ("model",)) == {}


async def test_what_costs_most_comes_first(database: Database) -> None:
    """And no more groups than asked for."""
    await insert(database, *(make_row(model=f"m{cost}", cost_pusd=cost * 10**9) for cost in (2, 3, 1)))
    async with database.read() as connection:
        assert list(await read_sums(connection, EVERYTHING, ("model",), 2)) == [("m3",), ("m2",)]


@pytest.mark.parametrize("number", [1, 2])
async def test_a_correction_counts_where_its_row_stands(database: Database, number: int) -> None:
    """At the edge of a period too, where the rows themselves are summed."""
    row = make_row(cost_pusd=5_000_007)
    await insert(database, row)
    insertion = text("INSERT INTO corrections VALUES (:id, :number, :delta, 'operator', 'p', 1, 0)")
    async with database.write() as connection:
        for each in range(number):
            await connection.execute(insertion, {"id": row.request_id, "number": each, "delta": -3_000_009})
    edge = Wanted(project_ids=(PROJECT_ID,), from_ns=NOW_NS, to_ns=NOW_NS + 1)
    assert (await total(database, edge)).cost_pusd == 5_000_007 - number * 3_000_009
