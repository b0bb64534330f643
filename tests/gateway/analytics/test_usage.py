"""The usage view: the documents' fields, all rows summed, CSV that no spreadsheet runs."""

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.analytics import usage
from gateway.analytics.moments import MAX_NS, NS_PER_DAY, moment_text, parse_moment
from gateway.analytics.usage import CSV_HEADER, InvalidUsageQuery, UsageQuery, export_csv, read_page, read_query
from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.row import UsageRow
from gateway.ledger.store import UsageFilter
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_row

EVERYTHING = UsageQuery(rows=UsageFilter(project_id=PROJECT_ID, from_ns=0, to_ns=MAX_NS))
# The rows of the document's own example, contracts/watchllm.md section 4.4.
DOCUMENTED_NS = parse_moment("2024-12-12T10:30:00Z")
DOCUMENTED = (
    make_row(DOCUMENTED_NS),
    make_row(DOCUMENTED_NS + 60_000_000_000, is_cached=True, tokens_saved=150, latency_ms=45, cost_pusd=0),
)


async def insert(database: Database, *rows: UsageRow) -> None:
    """Store rows."""
    async with database.write() as connection:
        await store.insert_rows(connection, rows)


async def export(database: Database, query: UsageQuery = EVERYTHING) -> str:
    """Export everything."""
    return b"".join([page async for page in export_csv(database, query)]).decode()


def read(**params: str) -> UsageQuery:
    """Read a query; ``from_`` stands for ``from``."""
    return read_query(PROJECT_ID, NOW_NS, {name.rstrip("_"): text for name, text in params.items()})


async def test_the_documented_page_comes_out(database: Database) -> None:
    """Two requests, one of them from the cache."""
    await insert(database, *DOCUMENTED)
    page = await read_page(database, EVERYTHING)
    assert [
        (log.model, log.tokens_used, log.cost_pusd, log.is_cached, log.tokens_saved, log.latency_ms)
        for log in page.logs
    ] == [
        ("gpt-4", 0, 0, True, 150, 45),
        ("gpt-4", 150, 4_500_000_000, False, 0, 2_100),
    ]
    assert (page.sums.requests, page.sums.tokens, page.sums.cost_pusd, page.sums.cache_hits) == (
        2,
        150,
        4_500_000_000,
        1,
    )
    assert page.sums.cache_hit_rate == 0.5


async def test_the_sums_cover_more_than_the_page(database: Database) -> None:
    """The limit cuts the rows shown, never the summary."""
    await insert(database, *(make_row(NOW_NS + number) for number in range(5)))
    page = await read_page(database, UsageQuery(rows=EVERYTHING.rows, limit=2))
    assert (len(page.logs), page.sums.requests, page.sums.tokens) == (2, 5, 750)


async def test_a_page_has_a_hundred_rows_where_no_limit_is_named(database: Database) -> None:
    """The documented default."""
    await insert(database, *(make_row(NOW_NS + number) for number in range(101)))
    assert len((await read_page(database, EVERYTHING)).logs) == 100


async def test_a_project_without_rows_has_an_empty_page(database: Database) -> None:
    """Zeros, and no division by them."""
    page = await read_page(database, EVERYTHING)
    assert (page.logs, page.sums.requests, page.sums.cache_hit_rate) == ([], 0, 0.0)


async def test_the_documented_export_comes_out(database: Database) -> None:
    """Header and rows as in the document, newest first."""
    await insert(database, *DOCUMENTED)
    assert await export(database) == (
        "date,model,tokens_used,cost_usd,cached,latency_ms\n"
        "2024-12-12T10:31:00Z,gpt-4,0,0,true,45\n"
        "2024-12-12T10:30:00Z,gpt-4,150,0.0045,false,2100\n"
    )


async def test_an_export_has_all_rows_in_bounded_pages(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many, none twice, none missing, and a full last page ends it."""
    monkeypatch.setattr(usage, "CSV_PAGE_ROWS", 10)
    await insert(database, *(make_row(NOW_NS, latency_ms=number) for number in range(40)))
    pages = [page async for page in export_csv(database, EVERYTHING)]
    assert max(page.count(b"\n") for page in pages) == 10
    lines = b"".join(pages).decode().splitlines()
    assert lines[0] == CSV_HEADER
    assert sorted(int(line.rpartition(",")[2]) for line in lines[1:]) == list(range(40))


async def test_an_export_keeps_the_limit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A named limit holds across pages."""
    monkeypatch.setattr(usage, "CSV_PAGE_ROWS", 10)
    await insert(database, *(make_row(NOW_NS + number) for number in range(25)))
    for limit, count in ((1, 1), (10, 10), (13, 13), (1_000, 25)):
        text = await export(database, UsageQuery(rows=EVERYTHING.rows, limit=limit))
        assert (limit, text.count("\n")) == (limit, 1 + count)


async def test_a_formula_is_disarmed(database: Database) -> None:
    """A model's name is chosen by whoever calls, and read by whoever pays."""
    models = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]
    await insert(database, *(make_row(NOW_NS + number, model=model) for number, model in enumerate(models)))
    _, *rows = csv.reader(io.StringIO(await export(database), newline=""))
    assert sorted(row[1] for row in rows) == sorted(f"'{model}" for model in models)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12))
async def test_any_name_stays_one_cell(model: str) -> None:
    """Commas, quotes and line ends of a name open no other cell or row."""
    cell = usage.csv_cell(model)
    assert list(csv.reader(io.StringIO(f"a,{cell},b\n", newline=""))) == [
        ["a", cell if cell == model else cell_text(model), "b"]
    ]


def cell_text(model: str) -> str:
    """Tell what a reader of CSV sees: the name, disarmed."""
    return f"'{model}" if model.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else model


def test_the_defaults_are_thirty_days_until_now() -> None:
    """Absent and empty parameters alike."""
    expected = UsageFilter(project_id=PROJECT_ID, from_ns=NOW_NS - 30 * NS_PER_DAY, to_ns=NOW_NS)
    assert read() == read(from_="", to="", limit="", model="") == UsageQuery(rows=expected)


def test_every_parameter_is_read() -> None:
    """A date as ``to`` includes its day."""
    query = read(from_="2024-12-11T10:00:00Z", to="2024-12-12", limit="1000", model="gpt-4")
    assert query.rows.from_ns == parse_moment("2024-12-11T10:00:00Z")
    assert query.rows.to_ns == parse_moment("2024-12-13")
    assert (query.limit, query.rows.model) == (1_000, "gpt-4")


@pytest.mark.parametrize(("to_days", "from_days"), [(90, -30), (1, -30), (-1, -30), (-29, -30), (-40, -70)], ids=str)
def test_the_beginning_is_thirty_days_ago_whatever_the_end(to_days: int, from_days: int) -> None:
    """As the document says; of an end that is older, thirty days before it."""
    rows = read(to=moment_text(NOW_NS + to_days * NS_PER_DAY)).rows
    assert round((rows.from_ns - NOW_NS) / NS_PER_DAY) == from_days


@pytest.mark.parametrize("end", ["2026-05-01", "2026-04-30T23:59:59Z", "2026-04-01"])
def test_a_period_does_not_end_before_it_begins(end: str) -> None:
    """Nor on the day before: a date as an end is its last moment, which is the next day's first."""
    with pytest.raises(InvalidUsageQuery, match="lies after"):
        read(from_="2026-05-02", to=end)
    assert read(from_="2026-05-02", to="2026-05-02").rows.to_ns == parse_moment("2026-05-03")


BAD_PARAMS: tuple[tuple[str, str], ...] = (
    ("limit", "0"),
    ("limit", "-1"),
    ("limit", "1001"),
    ("limit", "1000000000"),
    ("limit", "1" * 5_000),
    ("limit", "ten"),
    ("limit", "1.0"),
    ("limit", "²"),
    ("from", "yesterday"),
    ("to", "2024-13-01"),
    ("from", "2999-01-01"),
)


@pytest.mark.parametrize(("param", "text"), BAD_PARAMS)
def test_a_parameter_that_cannot_be_used_is_named(param: str, text: str) -> None:
    """The message has the parameter, its value and what to do."""
    with pytest.raises(InvalidUsageQuery, match=f"^{param}=") as caught:
        read_query(PROJECT_ID, NOW_NS, {param: text})
    assert caught.value.param == param
    assert text[:60] in str(caught.value)
    assert len(str(caught.value)) < 200
