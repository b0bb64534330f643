"""What people and programs do to a project's cache: change it, purge it, recall an answer, delete all with the project.

Failure behavior: each is written with its audit entry in one transaction, or not at all; this process follows at once,
every other within a second. Raises DatabaseUnavailable as gateway.db does.
"""

import asyncio
import contextlib
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts import audit
from gateway.accounts.audit import Occasion
from gateway.caching import store
from gateway.caching.answers import Purge, entry_id_of
from gateway.caching.caching import Caching
from gateway.caching.policy import Policy
from gateway.caching.semantic import store as questions
from gateway.db import Database
from gateway.events import CACHE_RECALLED, Event, append_event

# How long a change waits for the semantic layer to open.
OPENING_S = 5.0
# So many calls that an entry answered are named.
MAX_SERVED = 10_000


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """What a recall removed, and which calls had been answered with it."""

    entries: list[str]
    requests: list[str]


async def change(
    database: Database, caching: Caching, project_id: str, changes: dict[str, Any], occasion: Occasion
) -> Policy:
    """Set what is named, None: take it back; returns what is in force then."""
    async with database.write() as connection:
        wishes = msgspec.structs.replace(await store.read_wishes(connection, project_id), **changes)
        await store.write_wishes(connection, project_id, wishes)
        detail = msgspec.json.encode(changes).decode()
        await audit.note(connection, occasion, "cache.change", project_id, detail)
    await caching.directory.refresh()
    policy = caching.policy_of(project_id)
    if policy.is_semantic:
        # Calls that come before the layer is open are not learnt from; where that takes long it goes on by itself.
        caching.semantics.want()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OPENING_S):
                await caching.semantics.opened()
    return policy


async def purge(database: Database, caching: Caching, wanted: Purge, occasion: Occasion) -> int:
    """Remove what meets the terms, in every process; returns how many answers this one kept of it."""
    async with database.write() as connection:
        await store.write_purge(connection, wanted, occasion.now_ns)
        await questions.purge(connection, wanted, occasion.now_ns)
        detail = msgspec.json.encode(wanted).decode()
        await audit.note(connection, occasion, "cache.purge", wanted.project_id, detail)
    caching.directory.purges.add(wanted, occasion.now_ns)
    return caching.purge(wanted)


async def forget_project(connection: AsyncConnection, project_id: str, now_ns: int) -> None:
    """A project is deleted: what it asked and was answered goes with it, here and in every process's memory."""
    await store.write_purge(connection, Purge(project_id=project_id), now_ns)
    await questions.forget_project(connection, project_id)


async def recall(
    database: Database, caching: Caching, project_id: str, request_id: str, occasion: Occasion
) -> Recalled | None:
    """Take back the answer of a call, which was wrong; None: the project has no such call."""
    await caching.directory.tend()
    async with database.read() as connection:
        served_by = await store.find_entry(connection, project_id, request_id)
    if served_by is None:
        return None
    entry_id = served_by or entry_id_of(request_id)
    layer = caching.semantics.layer
    entries = list(dict.fromkeys([entry_id, *(layer.recall(entry_id, request_id) if layer is not None else ())]))
    purges = [Purge(project_id=project_id, entry_id=each) for each in entries]
    served: list[str] = []
    async with database.write() as connection:
        for each in purges:
            served += await store.read_served(connection, project_id, each.entry_id or "", MAX_SERVED - len(served))
            await store.write_purge(connection, each, occasion.now_ns)
            await questions.purge(connection, each, occasion.now_ns)
        await audit.note(connection, occasion, "cache.recall", project_id, request_id)
        payload = {"project_id": project_id, "request_id": request_id, "entries": entries, "requests": served}
        fact = Event(name=CACHE_RECALLED, account_id=occasion.account_id, payload=payload, created_ns=occasion.now_ns)
        await append_event(connection, fact)
    for each in purges:
        caching.directory.purges.add(each, occasion.now_ns)
    was_kept = sum(map(caching.purge, purges)) > 0
    is_known = was_kept or served or served_by or len(entries) > 1
    return Recalled(entries=entries if is_known else [], requests=served)
