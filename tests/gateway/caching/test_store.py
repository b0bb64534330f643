"""The SQL of the cache: what is read since when, and which calls an entry answered."""

import msgspec

from gateway.caching import store
from gateway.caching.answers import Purge
from gateway.db import Database
from gateway.ledger import store as ledger
from tests.gateway.usage_rows import NOW_NS, make_row


async def test_only_what_came_since_is_read(database: Database) -> None:
    """In the order in which it was done."""
    first, second = Purge(project_id="p", tag="t", before_ns=5), Purge(project_id="q", model="m", entry_id="ce_1")
    async with database.write() as connection:
        await store.write_purge(connection, first, 1)
        one = await store.read_changes(connection, 0)
        await store.write_purge(connection, second, 1)
        both, newer = await store.read_changes(connection, 0), await store.read_changes(connection, one.revision)
        none = await store.read_changes(connection, newer.revision)
    # At the latest until it was made.
    second = msgspec.structs.replace(second, before_ns=1)
    first = msgspec.structs.replace(first, before_ns=1)
    assert (list(both.purges), list(newer.purges), list(none.purges)) == ([first, second], [second], [])


async def test_the_calls_that_an_entry_answered_are_found(database: Database) -> None:
    """Of the project alone, as many as are asked for."""
    rows = [make_row(NOW_NS + n, project_id="p", is_cached=True, cache_entry="ce_1") for n in range(3)]
    rows += [make_row(NOW_NS, project_id="q", is_cached=True, cache_entry="ce_1"), make_row(NOW_NS, project_id="p")]
    async with database.write() as connection:
        await ledger.insert_rows(connection, rows)
        found = await store.read_served(connection, "p", "ce_1", 2)
        assert found == sorted(row.request_id for row in rows[:3])[:2]
        assert await store.read_served(connection, "p", "", 2) == []
        assert await store.find_entry(connection, "p", rows[0].request_id) == "ce_1"
        assert await store.find_entry(connection, "p", rows[4].request_id) == ""
        assert await store.find_entry(connection, "p", rows[3].request_id) is None
