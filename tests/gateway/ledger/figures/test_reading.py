"""Figures of a period in buckets, from what is kept or from the rows: the same."""

import pytest

from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.figures import facts, reading
from gateway.ledger.figures.reading import Figures, add_up, read_series, read_tags, span_of
from gateway.ledger.rollups import DAY_NS, HOUR_NS
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_row

DAY = NOW_NS // DAY_NS * DAY_NS


async def insert(database: Database) -> None:
    """Two days of two projects."""
    rows = [
        make_row(DAY + number * HOUR_NS, tags="a" if number % 2 else "a, b", latency_ms=100 * number + 1)
        for number in range(48)
    ]
    async with database.write() as connection:
        await store.insert_rows(connection, [*rows, make_row(DAY, project_id="other", is_cached=True, saved_pusd=5)])


async def test_buckets_of_rows_are_those_that_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several projects, in pages."""
    monkeypatch.setattr(facts, "PAGE_ROWS", 7)
    monkeypatch.setattr(reading, "PAGE_ROWS", 7)
    await insert(database)
    ids = (PROJECT_ID, "other")
    async with database.read() as connection:
        kept = await read_series(connection, ids, DAY, DAY + DAY_NS, HOUR_NS)
        short = await read_series(connection, ids, DAY, DAY + DAY_NS, HOUR_NS // 2)
        days = await read_series(connection, ids, DAY, DAY + 2 * DAY_NS, DAY_NS)
    assert kept == short
    assert len(kept) == 24
    assert days[DAY] == add_up(kept.values())
    assert (days[DAY].requests, days[DAY].exact_hits, days[DAY].exact_saved_pusd) == (25, 1, 5)
    assert days[DAY].latency_ms(0.5) == pytest.approx(1_150, rel=0.09)
    assert (days[DAY].overhead_us(0.5) or 0) < 64


async def test_tags_are_told_by_what_they_cost(database: Database) -> None:
    """Of whole days or of hours, some or all."""
    await insert(database)
    async with database.read() as connection:
        found = await read_tags(connection, [PROJECT_ID], DAY, DAY + 2 * DAY_NS, 5)
        hours = await read_tags(connection, [PROJECT_ID], DAY, DAY + 2 * HOUR_NS, 1)
        nothing = await read_tags(connection, [], DAY, DAY + DAY_NS, 5)
    assert [(each.tag, each.requests, each.cost_pusd) for each in found] == [
        ("a", 48, 48 * 4_500_000_000),
        ("b", 24, 24 * 4_500_000_000),
    ]
    assert [(each.tag, each.requests) for each in hours] == [("a", 2)]
    assert nothing == []


async def test_audits_are_in_the_money_and_no_requests(database: Database) -> None:
    """Of a project, of its short buckets and of its tags; only who pages through rows counts them."""
    asked = [make_row(DAY, tags="a"), make_row(DAY, is_cached=True, cache_layer="semantic")]
    audits = [
        make_row(DAY + 1, cache_layer="audit", tags="a", error_code=error, latency_ms=9_999) for error in ("", "e")
    ]
    async with database.write() as connection:
        await store.insert_rows(connection, [*asked, *audits])
    async with database.read() as connection:
        found = [
            (await read_series(connection, (PROJECT_ID,), DAY, DAY + DAY_NS, bucket))[DAY]
            for bucket in (DAY_NS, HOUR_NS, HOUR_NS // 2)
        ]
        (tag,) = await read_tags(connection, [PROJECT_ID], DAY, DAY + DAY_NS, 5)
    assert found == [found[0]] * 3
    figures = add_up(found[:1])
    assert (figures.requests, figures.audits, figures.rows, figures.errors, figures.semantic_hits) == (2, 2, 4, 0, 1)
    assert (figures.cost_pusd, figures.tokens) == (3 * 4_500_000_000, 450)
    assert (sum(figures.latency), sum(figures.overhead)) == (1, 2)
    assert (tag.requests, tag.errors, tag.cost_pusd) == (1, 0, 3 * 4_500_000_000)


def test_nothing_has_no_quantiles() -> None:
    """And adds up to nothing."""
    assert add_up([Figures(), Figures()]) == Figures()
    assert Figures().latency_ms(0.5) is None


def test_the_longest_span_that_fits_is_read() -> None:
    """Days for whole days, hours for hours, rows for less."""
    assert [span_of(bucket) for bucket in (7 * DAY_NS, 6 * HOUR_NS, HOUR_NS // 60)] == [DAY_NS, HOUR_NS, 0]
