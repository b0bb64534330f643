"""What is refreshed by one process is forgotten by every other, by what was asked for later."""

import pytest
from caches import AT_NS, make_answer, make_semantics

from gateway.caching import store
from gateway.caching.answers import MAX_REFRESHES
from gateway.caching.directory import CacheDirectory
from gateway.caching.refreshes import Refreshes
from gateway.config.settings import Cache
from gateway.db import Database, DatabaseUnavailable
from tests.gateway.caching.test_directory import shelf

KEY, OTHER = b"k" * 16, b"o" * 16


async def told(database: Database, since: int = 0) -> dict[bytes, int]:
    """What other processes read."""
    async with database.read() as connection:
        return dict((await store.read_changes(connection, since)).refreshes)


async def test_what_is_noted_is_written_once(database: Database) -> None:
    """The latest time of each request, and never an earlier one."""
    refreshes = Refreshes()
    await refreshes.write(database)
    refreshes.note((KEY, OTHER), AT_NS + 2)
    refreshes.note((KEY,), AT_NS + 1)
    await refreshes.write(database)
    assert len(refreshes) == 0
    assert await told(database) == {KEY: AT_NS + 2, OTHER: AT_NS + 2}
    refreshes.note((KEY,), AT_NS)
    refreshes.note((OTHER,), AT_NS + 3)
    await refreshes.write(database)
    assert await told(database) == {KEY: AT_NS + 2, OTHER: AT_NS + 3}
    assert await told(database, since=1) == {OTHER: AT_NS + 3}


async def test_what_is_too_old_is_forgotten(database: Database) -> None:
    """With the next that is written."""
    refreshes = Refreshes()
    for key, created_ns in ((KEY, AT_NS), (OTHER, AT_NS + store.KEPT_REFRESHES_NS + 1)):
        refreshes.note((key,), created_ns)
        await refreshes.write(database)
    assert list(await told(database)) == [OTHER]


async def test_what_cannot_be_written_waits_within_bounds(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many the oldest go."""
    refreshes = Refreshes()
    refreshes.note((KEY,), AT_NS)

    def refuse() -> None:
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(database, "write", refuse)
        with pytest.raises(DatabaseUnavailable):
            await refreshes.write(database)
    assert len(refreshes) == 1
    await refreshes.write(database)
    assert await told(database) == {KEY: AT_NS}
    refreshes.note((b"%016d" % number for number in range(MAX_REFRESHES + 5)), AT_NS)
    assert len(refreshes) == MAX_REFRESHES


async def test_other_processes_forget_what_is_older(database: Database) -> None:
    """What is kept, and what was asked for before and comes later; what was asked for since stays."""
    answers, older, newer = shelf(), make_answer(), make_answer(entry_id="ce_2", created_ns=AT_NS + 2)
    one, two = (CacheDirectory(database, Cache(), each, make_semantics()) for each in (shelf(), answers))
    await two.refresh()
    answers.keep(KEY, older, ttl_s=60, saved_pusd=1)
    answers.keep(OTHER, newer, ttl_s=60, saved_pusd=1)
    one.refreshes.note((KEY, OTHER), AT_NS + 1)
    await one.tend()
    await two.refresh()
    assert answers.find(KEY, AT_NS) is None
    assert answers.find(OTHER, AT_NS) is newer
    assert not answers.keep(KEY, older, ttl_s=60, saved_pusd=1)
    assert answers.is_refreshed(KEY, AT_NS) and not answers.is_refreshed(KEY, AT_NS + 1)
    assert answers.keep(KEY, newer, ttl_s=60, saved_pusd=1)
