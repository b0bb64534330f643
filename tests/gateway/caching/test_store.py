"""The SQL of the cache: what is read since when, and which calls an entry answered."""

import msgspec
import pytest

from gateway.caching import store
from gateway.caching.answers import Purge
from gateway.db import Database
from gateway.ledger import store as ledger
from tests.gateway.usage_rows import NOW_NS, make_row


def named(*entry_ids: str) -> Purge:
    """A purge of these entries."""
    return Purge(project_id="p", entry_ids=frozenset(entry_ids))


@pytest.mark.parametrize("entry_ids", [(), ("ce_1",), ("ce_1", "ce_2"), ('["ce_1"]',), ("",)])
async def test_a_purge_names_its_entries_to_every_process(database: Database, entry_ids: tuple[str, ...]) -> None:
    """None, one or many, whatever a caller calls them."""
    async with database.write() as connection:
        await store.write_purge(connection, named(*entry_ids), 1)
        (purge,) = (await store.read_changes(connection, 0)).purges
    assert purge == msgspec.structs.replace(named(*entry_ids), before_ns=1)


async def test_only_what_came_since_is_read(database: Database) -> None:
    """In the order in which it was done."""
    first = Purge(project_id="p", tag="t", before_ns=5)
    second = Purge(project_id="q", model="m", entry_ids=frozenset(["ce_1"]))
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
        found = await store.read_served(connection, named("ce_1", "ce_2"), 2)
        assert found == sorted(row.request_id for row in rows[:3])[:2]
        assert await store.read_served(connection, named(""), 2) == []
        calls = [await store.find_call(connection, "p", rows[number].request_id) for number in (0, 4, 3)]
    assert [None if call is None else call.cache_entry for call in calls] == ["ce_1", "", None]
