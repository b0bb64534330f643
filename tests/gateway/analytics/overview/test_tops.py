"""What costs most, by whatever is asked, and by its name."""

from sqlalchemy import text

from gateway.accounts.store import find_or_create_project
from gateway.analytics.overview.periods import HOUR_NS, MINUTE_NS, align
from gateway.analytics.overview.tops import CHOICES, By, read_top
from gateway.db import Database
from gateway.ledger import store
from tests.gateway.usage_rows import NOW_NS, make_row

USD = 10**12
DAY = align(NOW_NS - 24 * HOUR_NS, NOW_NS + 1, HOUR_NS)


async def fill(database: Database) -> tuple[str, str]:
    """Two projects, one of which costs more."""
    first = (await find_or_create_project(database, "cheap", NOW_NS)).project_id
    second = (await find_or_create_project(database, "dear", NOW_NS)).project_id
    rows = [
        make_row(NOW_NS, project_id=first, cost_pusd=USD, tags="a", key_id="k1"),
        make_row(NOW_NS, project_id=second, cost_pusd=5 * USD, tags="b,a", key_id="k2", model="m", provider="p"),
        make_row(NOW_NS, project_id=second, is_cached=True, saved_pusd=9, error_code="x", key_id="k2"),
    ]
    async with database.write() as connection:
        await store.insert_rows(connection, rows)
        await connection.execute(text("UPDATE projects SET name = 'the cheap' WHERE project_id = :id"), {"id": first})
    return first, second


async def test_the_dearest_is_first(database: Database) -> None:
    """With what the cache saved of it."""
    projects = await fill(database)
    wanted: dict[By, dict[str, int]] = {
        "model": {"m": 5, "gpt-4": 1},
        "key": {"k2": 5, "k1": 1},
        "tag": {"a": 6, "b": 5},
        "provider": {"p": 5, "openai": 1},
        "project": {"dear": 5, "the cheap": 1},
    }
    for by, costs in wanted.items():
        found = await read_top(database, projects, DAY, by, 10)
        assert [(by, top.name, top.cost_pusd // USD) for top in found] == [(by, *each) for each in costs.items()]
        assert {top.project_id for top in found} == (set(projects) if by == "key" else {None}), by
        assert len(await read_top(database, projects, DAY, by, 1)) == 1, by
        assert await read_top(database, projects[:0], DAY, by, 5) == [], by


async def test_minutes_are_taken_as_hours(database: Database) -> None:
    """A period that is shorter than what is kept is rounded up."""
    projects = await fill(database)
    found = await read_top(database, projects, align(NOW_NS, NOW_NS + 1, MINUTE_NS), "project", 10)
    assert [(top.requests, top.errors, top.cache_hits, top.saved_pusd) for top in found] == [(2, 1, 1, 9), (1, 0, 0, 0)]


def test_there_are_choices() -> None:
    """Those that the interface names."""
    assert CHOICES == ("model", "key", "tag", "project", "provider")
