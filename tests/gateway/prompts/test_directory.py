"""What one process is told to keep, every other keeps, and stops keeping."""

import msgspec

from gateway.db import Database
from gateway.prompts import store
from gateway.prompts.directory import PromptDirectory
from gateway.prompts.store import Setting

WANTED = Setting(project_id="p", retention_days=7, since_ns=1)


async def set_wanted(database: Database, setting: Setting) -> None:
    """Another process changes what a project wants."""
    async with database.write() as connection:
        await store.write_setting(connection, setting)


async def test_what_is_wanted_is_followed(database: Database) -> None:
    """And its end is told, so that what is there is deleted."""
    ends: list[None] = []
    directory = PromptDirectory(database, lambda: ends.append(None))
    await directory.refresh()
    assert (len(directory), directory.projects) == (0, {})
    await set_wanted(database, WANTED)
    await directory.refresh()
    assert (directory.projects, len(ends)) == ({"p": WANTED}, 0)
    await set_wanted(database, msgspec.structs.replace(WANTED, retention_days=None))
    await directory.refresh()
    assert (len(directory), len(ends)) == (0, 1)


async def test_an_older_copy_of_the_database_is_taken_whole(database: Database) -> None:
    """What it does not know is not wanted."""
    directory = PromptDirectory(database, lambda: None)
    await set_wanted(database, WANTED)
    directory._revision = 9
    directory.projects["q"] = WANTED
    await directory.refresh()
    assert directory.projects == {"p": WANTED}
