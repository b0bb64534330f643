"""What one process sets or purges, every other follows."""

from caches import AT_NS, make_answer, make_semantics

from gateway.accounts.store import find_or_create_project
from gateway.caching import store
from gateway.caching.answers import Answers, Purge
from gateway.caching.directory import CacheDirectory
from gateway.caching.policy import Wishes
from gateway.config.settings import Cache
from gateway.db import Database

KEY = b"k" * 16


def shelf() -> Answers:
    """Room for some answers."""
    return Answers(max_bytes=1 << 20, max_project_bytes=1 << 20, max_answer_bytes=1 << 16)


async def set_wishes(database: Database, wishes: Wishes) -> str:
    """Set them for a project, and tell which."""
    project_id = (await find_or_create_project(database, "p", 1)).project_id
    async with database.write() as connection:
        await store.write_wishes(connection, project_id, wishes)
        assert await store.read_wishes(connection, project_id) == wishes
    return project_id


async def test_what_is_set_is_followed(database: Database) -> None:
    """Changes of another process come with the next look, and take each other's place."""
    directory = CacheDirectory(database, Cache(), shelf(), make_semantics())
    await directory.refresh()
    project_id = await set_wishes(database, Wishes(mode="shadow", max_wrong_rate=0.02, tool_calls=True))
    assert directory.policy_of(project_id).mode == "exact"
    await directory.refresh()
    policy = directory.policy_of(project_id)
    assert (policy.mode, policy.max_wrong_rate, policy.max_wrong_hit_rate) == ("shadow", 0.02, None)
    assert policy.tool_calls is True
    assert directory.policy_of("proj_2").mode == "exact"
    assert len(directory) == 1
    await set_wishes(database, Wishes(ttl_s=5))
    await directory.refresh()
    assert (directory.policy_of(project_id).mode, directory.policy_of(project_id).ttl_s) == ("exact", 5)


async def test_what_is_purged_is_purged_everywhere(database: Database) -> None:
    """Another process's answers go with the next look; what was purged before is not purged again."""
    answers = shelf()
    directory = CacheDirectory(database, Cache(), answers, make_semantics())
    await directory.refresh()
    answers.keep(KEY, make_answer(), ttl_s=10**6, saved_pusd=1)
    async with database.write() as connection:
        await store.write_purge(connection, Purge(project_id="p", model="gpt-4"), AT_NS + 1)
    await directory.refresh()
    assert len(answers) == 0
    answers.keep(KEY, make_answer(), ttl_s=10**6, saved_pusd=1)
    await directory.refresh()
    assert len(answers) == 1


async def test_what_is_kept_after_a_purge_stays(database: Database) -> None:
    """Processes hear of a purge up to a second later; what was asked anew meanwhile is not what was meant."""
    answers = shelf()
    directory = CacheDirectory(database, Cache(), answers, make_semantics())
    async with database.write() as connection:
        await store.write_purge(connection, Purge(project_id="p"), AT_NS)
        await store.write_purge(connection, Purge(project_id="p", before_ns=AT_NS + 10), AT_NS)
    answers.keep(KEY, make_answer(created_ns=AT_NS), ttl_s=10**6, saved_pusd=1)
    await directory.refresh()
    assert len(answers) == 1


async def test_old_purges_are_forgotten(database: Database) -> None:
    """They are done everywhere, and nothing that is shared is so old."""
    async with database.write() as connection:
        await store.write_purge(connection, Purge(project_id="p"), 1)
        await store.write_purge(connection, Purge(project_id="q"), store.KEPT_PURGES_NS + 2)
        changes = await store.read_changes(connection, 0)
    assert [purge.project_id for purge in changes.purges] == ["q"]
