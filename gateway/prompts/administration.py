"""What people and programs do about a project's prompts: have them kept for some days, or not any more.

Failure behavior: a change is written with its audit entry in one transaction, or not at all; this process follows at
once, every other within a second. Raises DatabaseUnavailable as gateway.db does.
"""

import contextlib

import msgspec

from gateway.accounts import audit
from gateway.accounts.audit import Occasion
from gateway.db import Database, DatabaseUnavailable
from gateway.prompts import store
from gateway.prompts.keeper import PromptKeeper
from gateway.prompts.store import Setting

DEFAULT_RETENTION_DAYS, MAX_RETENTION_DAYS = 30, 365


async def change(
    database: Database, keeper: PromptKeeper, project_id: str, retention_days: int | None, occasion: Occasion
) -> Setting:
    """Keep a project's prompts for so many days; None: keep none, and delete what there is."""
    async with database.write() as connection:
        before = await store.read_setting(connection, project_id)
        since_ns = occasion.now_ns if before.retention_days is None else before.since_ns
        setting = Setting(project_id=project_id, retention_days=retention_days, since_ns=since_ns)
        await store.write_setting(connection, setting)
        detail = msgspec.json.encode({"retention_days": retention_days}).decode()
        await audit.note(connection, occasion, "prompts.change", project_id, detail)
    await keeper.directory.refresh()
    # Its time is over for what is there; what is not deleted now is not shown, and deleted by the next round.
    with contextlib.suppress(DatabaseUnavailable):
        await keeper.sweep_project(setting)
    return setting
