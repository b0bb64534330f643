"""Keeping prompts is switched on and off in one step, with an audit entry; off deletes at once."""

from households import AT, NOW_NS
from sqlalchemy import text

from gateway.accounts.audit import read_entries
from gateway.accounts.vault import Vault
from gateway.db import Database, DatabaseUnavailable
from gateway.prompts import administration, store
from gateway.prompts.keeper import PromptKeeper
from gateway.prompts.store import Sealed, Setting


def make_keeper(database: Database) -> PromptKeeper:
    """One that is not started."""
    return PromptKeeper(database, Vault(bytes(32)), lambda: NOW_NS)


async def fill(database: Database, *ages_ns: int) -> None:
    """Store what was kept of calls that old."""
    contents = [Sealed(request_id=str(age), project_id="p", content=b"x", created_ns=NOW_NS - age) for age in ages_ns]
    async with database.write() as connection:
        await store.insert(connection, contents)


async def count(database: Database) -> int:
    """Count what is kept."""
    async with database.read() as connection:
        return int((await connection.execute(text("SELECT COUNT(*) FROM prompts"))).scalar_one())


async def test_a_change_is_followed_at_once_and_audited(database: Database) -> None:
    """On; another retention keeps since when; off."""
    keeper = make_keeper(database)
    first = await administration.change(database, keeper, "p", 30, AT)
    assert (first.retention_days, first.since_ns, keeper.projects) == (30, NOW_NS, {"p": first})
    async with database.write() as connection:
        await store.write_setting(connection, Setting(project_id="p", retention_days=30, since_ns=5))
    assert (await administration.change(database, keeper, "p", 7, AT)).since_ns == 5
    await administration.change(database, keeper, "p", None, AT)
    assert keeper.projects == {}
    async with database.read() as connection:
        entries = await read_entries(connection, None, 10)
    assert {(each.action, each.object_id, each.detail) for each in entries} == {
        ("prompts.change", "p", '{"retention_days":null}'),
        ("prompts.change", "p", '{"retention_days":7}'),
        ("prompts.change", "p", '{"retention_days":30}'),
    }


async def test_switching_off_deletes_everything_at_once(database: Database) -> None:
    """And switching on again brings nothing back."""
    keeper = make_keeper(database)
    async with database.write() as connection:
        await store.write_setting(connection, Setting(project_id="p", retention_days=30, since_ns=0))
    await fill(database, 0, 1, 2)
    assert await count(database) == 3
    await administration.change(database, keeper, "p", None, AT)
    assert await count(database) == 0


async def test_a_shorter_retention_deletes_what_is_older(database: Database) -> None:
    """At once."""
    keeper = make_keeper(database)
    async with database.write() as connection:
        await store.write_setting(connection, Setting(project_id="p", retention_days=30, since_ns=0))
    await fill(database, 0, 2 * store.NS_PER_DAY)
    await administration.change(database, keeper, "p", 1, AT)
    assert await count(database) == 1


async def test_a_change_stays_made_when_the_deletion_fails(database: Database) -> None:
    """The next round deletes; until then nothing of it is shown."""

    class Failing(PromptKeeper):
        async def sweep_project(self, setting: Setting) -> int:
            raise DatabaseUnavailable("away")

    keeper = Failing(database, Vault(bytes(32)), lambda: NOW_NS)
    assert (await administration.change(database, keeper, "p", None, AT)).retention_days is None
