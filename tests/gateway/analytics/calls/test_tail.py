"""Following calls: each once, behind the cursor, and honest about what is missing."""

import pytest
from sqlalchemy import text

from gateway.analytics.calls import tail
from gateway.analytics.calls.filters import Filter
from gateway.analytics.calls.tail import Tail
from gateway.analytics.usage import InvalidUsageQuery
from gateway.db import Database
from gateway.ledger import feed, store
from tests.gateway.usage_rows import PROJECT_ID, make_row


async def insert(database: Database, *models: str) -> None:
    """Store calls of these models in one transaction, and one of another project."""
    async with database.write() as connection:
        rows = [make_row(model=model) for model in models]
        await store.insert_rows(connection, [*rows, make_row(project_id="other")])


def follow(database: Database, cursor: str = "", wanted: Filter | None = None, now_ns: int = 0) -> Tail:
    """Follow the project."""
    made = Tail(database, (PROJECT_ID,), wanted or Filter(), lambda: now_ns)
    if cursor:
        made.resume(cursor)
    return made


async def read(follower: Tail) -> list[str]:
    """The models of what is new."""
    return [line.model for line in (await follower.read()).lines]


async def test_what_comes_is_told_once(database: Database) -> None:
    """From now on, or behind a cursor; filters hold."""
    await insert(database, "before")
    follower = follow(database)
    assert await read(follower) == []
    await insert(database, "a", "b")
    await insert(database, "c")
    news = await follower.read()
    assert [line.model for line in news.lines] == ["a", "b", "c"]
    assert await read(follower) == []
    await insert(database, "d")
    assert await read(follow(database, news.cursor)) == ["d"]
    assert await read(follow(database, news.cursor, Filter(cache="hit"))) == []


async def test_much_is_told_in_pieces(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a slow listener costs no memory."""
    monkeypatch.setattr(tail, "MAX_ENTRIES", 2)
    follower = follow(database)
    await follower.read()
    for model in "abc":
        await insert(database, model)
    first, second = await follower.read(), await follower.read()
    assert [[line.model for line in news.lines] for news in (first, second)] == [["a", "b"], ["c"]]
    assert (first.has_more, second.has_more) == (True, False)


async def test_who_was_away_too_long_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another database's cursor as well; a cursor that is none is refused."""
    monkeypatch.setattr(feed, "MAX_ENTRIES", 2)
    await insert(database, "a")
    cursor = (await follow(database).read()).cursor
    for model in "bcde":
        await insert(database, model)
    news = await follow(database, cursor).read()
    assert (news.lines, news.is_torn) == ([], True)
    assert (await follow(database, "999999").read()).is_torn
    for given in ("x", "-1", "9" * 30, "٣"):
        with pytest.raises(InvalidUsageQuery):
            follow(database, given)


async def test_what_becomes_visible_late_is_told(database: Database) -> None:
    """As on PostgreSQL, where the later of two transactions may end first."""
    follower = follow(database)
    await insert(database, "a")
    await follower.read()
    await insert(database, "late")
    await insert(database, "next")
    async with database.write() as connection:
        found = (await connection.execute(text("SELECT number, request_ids FROM usage_feed ORDER BY number"))).all()
        number, ids = found[1]
        await connection.execute(text("DELETE FROM usage_feed WHERE number = :number"), {"number": number})
    assert await read(follower) == ["next"]
    override = " OVERRIDING SYSTEM VALUE" if database.dialect == "postgresql" else ""
    async with database.write() as connection:
        again = text(f"INSERT INTO usage_feed (number, request_ids){override} VALUES (:number, :ids)")  # noqa: S608 - constants
        await connection.execute(again, {"number": number, "ids": ids})
    assert await read(follower) == ["late"]
    assert await read(follower) == []
