"""The log: every call that matches, once, newest first, however the pages fall."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.analytics.calls import log
from gateway.analytics.calls.filters import Filter
from gateway.analytics.calls.log import CallLine, Place, read_cursor, read_lines, read_page
from gateway.analytics.usage import InvalidUsageQuery
from gateway.db import Database, DatabaseUnavailable
from gateway.ledger import store
from gateway.ledger.rollups import HOUR_NS
from gateway.ledger.row import UsageRow
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_history, make_row

PROJECTS = (PROJECT_ID, "other")
ALWAYS = (0, NOW_NS + 1)


def make_rows() -> list[UsageRow]:
    """Calls of every kind, some of one moment."""
    rows: list[UsageRow] = []
    for number in range(60):
        fields: dict[str, Any] = {
            "project_id": PROJECTS[number % 3 == 0],
            "model": ("a", "b")[number % 2],
            "key_id": f"k{number % 4}",
            "latency_ms": number * 100,
            "cost_pusd": number,
            "tags": ("", "x", "x , y", "xy")[number % 4],
            "session": f"s{number % 5}",
            "error_code": "e" if number % 7 == 0 else "",
            "status": "failed" if number % 7 == 0 else "complete",
        }
        if number % 5 == 0:
            fields |= {"is_cached": True, "cache_layer": ("", "exact", "semantic")[number % 3], "saved_pusd": 1}
        rows.append(make_row(NOW_NS - number // 2 * HOUR_NS // 3, **fields))
    return rows


ROWS = make_rows()
FILTERS: dict[str, tuple[Filter, Any]] = {
    "all": (Filter(), lambda row: True),
    "model": (Filter(equal={"model": "a"}), lambda row: row.model == "a"),
    "key": (Filter(equal={"key_id": "k1", "model": "b"}), lambda row: row.key_id == "k1"),
    "tag": (Filter(tag="x"), lambda row: row.tags in ("x", "x , y")),
    "session": (Filter(equal={"session": "s3"}), lambda row: row.session == "s3"),
    "failed": (Filter(statuses=("failed", "refused")), lambda row: row.status == "failed"),
    "errors": (Filter(is_error=True), lambda row: row.error_code == "e"),
    "no errors": (Filter(is_error=False), lambda row: not row.error_code),
    "exact": (Filter(cache="exact"), lambda row: row.is_cached and row.cache_layer != "semantic"),
    "semantic": (Filter(cache="semantic"), lambda row: row.cache_layer == "semantic"),
    "hit": (Filter(cache="hit"), lambda row: row.is_cached),
    "miss": (Filter(cache="miss"), lambda row: not row.is_cached),
    "cost": (Filter(min_cost_pusd=10, max_cost_pusd=20), lambda row: not row.is_cached and 10 <= row.cost_pusd <= 20),
    "latency": (Filter(min_latency_ms=1_000, max_latency_ms=2_000), lambda row: 1_000 <= row.latency_ms <= 2_000),
    "id": (Filter(request_id=ROWS[7].request_id), lambda row: row is ROWS[7]),
}


@pytest.fixture
async def filled(database: Database) -> Database:
    """A database with the calls."""
    async with database.write() as connection:
        await store.insert_rows(connection, ROWS)
    return database


async def read_all(database: Database, wanted: Filter, limit: int, period: tuple[int, int] = ALWAYS) -> list[CallLine]:
    """Turn every page."""
    lines: list[CallLine] = []
    place: Place | None = None
    for _ in range(500):
        async with database.read() as connection:
            page = await read_page(connection, PROJECTS, wanted, period, limit, place)
        assert len(page.lines) <= limit
        lines += page.lines
        if page.next is None:
            return lines
        place = read_cursor(page.next.write())
    raise AssertionError("the pages have no end")


def expect(matches: Any) -> list[str]:
    """The ids that match, newest first."""
    found = [row for row in ROWS if matches(row)]
    return [row.request_id for row in sorted(found, key=lambda row: (row.created_ns, row.request_id), reverse=True)]


async def test_every_call_that_matches_is_told_once(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked for; also where a page looks at few rows, and where hours are cut."""
    expected = {name: expect(matches) for name, (_, matches) in FILTERS.items()}
    assert all(expected.values())
    for limit in (100, 7):
        told = {name: await read_all(filled, wanted, limit) for name, (wanted, _) in FILTERS.items()}
        assert {name: [line.request_id for line in lines] for name, lines in told.items()} == expected
        monkeypatch.setattr(log, "MAX_SCANNED", 4)
        monkeypatch.setattr(log, "MAX_SLICES", 3)
        monkeypatch.setattr(log, "_SLICE_ROWS", 2)


async def test_a_period_is_kept(filled: Database) -> None:
    """From its first moment on and before its last; without projects, or without time, there is nothing."""
    period = (NOW_NS - 3 * HOUR_NS, NOW_NS - HOUR_NS)
    expected = expect(lambda row: period[0] <= row.created_ns < period[1])
    assert [line.request_id for line in await read_all(filled, Filter(), 5, period)] == expected
    assert await read_all(filled, Filter(), 5, (NOW_NS, NOW_NS)) == []
    async with filled.read() as connection:
        assert (await read_page(connection, (), Filter(), ALWAYS, 5)).lines == []


async def test_lines_are_read_by_their_ids(filled: Database) -> None:
    """Those of the projects that match, in the order that is given."""
    ids = [ROWS[5].request_id, ROWS[4].request_id, ROWS[3].request_id, "unknown"]
    async with filled.read() as connection:
        found = await read_lines(connection, (PROJECT_ID,), Filter(), ids)
        hits = await read_lines(connection, PROJECTS, Filter(cache="hit"), ids)
        assert await read_lines(connection, PROJECTS, Filter(), []) == []
        # More than a statement takes, as after a flood.
        many = [ids[0], *(f"{number:026d}" for number in range(40_000)), *ids[1:]]
        assert await read_lines(connection, (PROJECT_ID,), Filter(), many) == found
    assert [line.request_id for line in found] == ids[:2]
    assert [line.request_id for line in hits] == ids[:1]


async def test_corrections_belong_to_the_cost(filled: Database) -> None:
    """As everywhere."""
    async with filled.write() as connection:
        book = text("INSERT INTO corrections VALUES (:id, 0, 5, 'operator', 'p', 1, 0)")
        await connection.execute(book, {"id": ROWS[7].request_id})
    (line,) = await read_all(filled, FILTERS["id"][0], 5)
    assert line.cost_pusd == ROWS[7].cost_pusd + 5


async def test_an_incomplete_history_is_told(filled: Database) -> None:
    """Calls would be missing."""
    await make_history(filled, "figures_state")
    with pytest.raises(DatabaseUnavailable):
        await read_all(filled, Filter(), 5)


@pytest.mark.parametrize("cursor", ["", "x.y", "1.", "abc", ".", "zz.01m3250v00f0f95a74aepwb1k1", "1.nobody"])
def test_a_cursor_is_one_of_ours(cursor: str) -> None:
    """Others are refused, but for one that names a moment alone."""
    if cursor == "1.":
        assert read_cursor(cursor) == Place(created_ns=1)
        return
    with pytest.raises(InvalidUsageQuery):
        read_cursor(cursor)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(created_ns=st.integers(0, 2**63 - 1))
def test_a_place_is_written_and_read(created_ns: int) -> None:
    """The same again."""
    place = Place(created_ns=created_ns, request_id=ROWS[0].request_id)
    assert read_cursor(place.write()) == place
