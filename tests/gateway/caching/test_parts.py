"""Which calls an entry answered beside others is written with the next look, and a recall names them."""

import pytest
from caches import AT_NS, make_semantics

from gateway.caching import store
from gateway.caching.answers import Purge
from gateway.caching.directory import CacheDirectory
from gateway.caching.parts import KEPT_NS, MAX_WAITING, Parts
from gateway.config.settings import Cache
from gateway.db import Database, DatabaseUnavailable
from tests.gateway.caching.test_directory import shelf


async def served(database: Database, project_id: str = "p", entry_id: str = "ce_1", limit: int = 9) -> list[str]:
    """The calls that got something of an entry."""
    async with database.read() as connection:
        wanted = Purge(project_id=project_id, entry_ids=frozenset([entry_id]))
        return await store.read_served(connection, wanted, limit)


async def test_what_is_noted_is_written_once(database: Database) -> None:
    """Of each project apart, the oldest call first."""
    parts = Parts()
    await parts.write(database)
    parts.note("p", "r2", ["ce_1", "ce_2"], AT_NS)
    parts.note("p", "r1", ["ce_1"], AT_NS)
    parts.note("p", "r1", ["ce_1"], AT_NS)
    parts.note("q", "r3", ["ce_1"], AT_NS)
    await parts.write(database)
    assert len(parts) == 0
    assert await served(database) == ["r1", "r2"]
    assert await served(database, limit=1) == ["r1"]
    assert await served(database, entry_id="ce_2") == ["r2"]
    assert await served(database, "q") == ["r3"]
    async with database.read() as connection:
        assert await store.read_parts(connection, "p", "r2", AT_NS) == ["ce_1", "ce_2"]
        assert await store.read_parts(connection, "p", "r2", AT_NS + 1) == []
        assert await store.read_parts(connection, "q", "r2", AT_NS) == []


async def test_what_is_too_old_is_forgotten(database: Database) -> None:
    """With the next that is written."""
    parts = Parts()
    for request_id, created_ns in (("r1", AT_NS), ("r2", AT_NS + 1), ("r3", AT_NS + KEPT_NS + 1)):
        parts.note("p", request_id, ["ce_1"], created_ns)
        await parts.write(database)
    assert await served(database) == ["r2", "r3"]


async def test_what_cannot_be_written_waits_within_bounds(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written before what came since; of too many the oldest go."""
    parts = Parts()
    parts.note("p", "r1", ["ce_1"], AT_NS)

    def refuse() -> None:
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(database, "write", refuse)
        with pytest.raises(DatabaseUnavailable):
            await parts.write(database)
    assert len(parts) == 1
    await parts.write(database)
    assert await served(database) == ["r1"]
    parts.note("p", "r2", [f"ce_{number}" for number in range(MAX_WAITING + 5)], AT_NS)
    assert len(parts) == MAX_WAITING


async def test_the_directory_writes_them_as_it_looks_and_at_its_end(database: Database) -> None:
    """Nobody has to ask for it."""
    directory = CacheDirectory(database, Cache(), shelf(), make_semantics())
    directory.parts.note("p", "r1", ["ce_1"], AT_NS)
    await directory.tend()
    assert await served(database) == ["r1"]
    directory.parts.note("p", "r2", ["ce_1"], AT_NS)
    await directory.close()
    assert await served(database) == ["r1", "r2"]
