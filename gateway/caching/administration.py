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
from gateway.caching.answers import NS_PER_S, Purge, entry_id_of
from gateway.caching.caching import EMBEDDINGS, Caching
from gateway.caching.policy import Policy
from gateway.caching.semantic import store as questions
from gateway.caching.store import ServedCall
from gateway.db import Database
from gateway.events import CACHE_RECALLED, Event, append_event
from gateway.ids import make_id

# How long a change waits for the semantic layer to open.
OPENING_S = 5.0
# What a process answered is in the database after this time, the parts of embeddings last; how long one that is not
# there yet is waited for.
WRITTEN_NS = NS_PER_S
FOUND_S, ASKED_AGAIN_S = 2.0, 0.1
# So many calls that an entry answered are named.
MAX_SERVED = 10_000
# How a call ends whose answer may be kept: it came whole, whether or not its caller waited for it.
_WHOLE = ("complete", "cancelled")


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """What a recall removed, and which calls had been answered with it."""

    # Where several processes or Redis keep answers, also the one that the call's answer became if it was kept there.
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
    """Remove what meets the terms, in every process; returns how many answers this one and the database kept of it."""
    async with database.write() as connection:
        await store.write_purge(connection, wanted, occasion.now_ns)
        stored = await questions.purge(connection, wanted, occasion.now_ns)
        detail = msgspec.json.encode(wanted).decode()
        await audit.note(connection, occasion, "cache.purge", wanted.project_id, detail)
    caching.directory.purges.add(wanted, occasion.now_ns)
    return len(caching.purge(wanted) | stored)


async def forget_project(connection: AsyncConnection, project_id: str, now_ns: int) -> None:
    """A project is deleted: what it asked and was answered goes with it, here and in every process's memory."""
    await store.write_purge(connection, Purge(project_id=project_id), now_ns)
    await questions.forget_project(connection, project_id)


async def recall(
    database: Database, caching: Caching, project_id: str, request_id: str, occasion: Occasion
) -> Recalled | None:
    """Take back the answer of a call, which was wrong, with all its parts; None: the project has no such call."""
    await caching.directory.tend()
    call = await _find_call(database, project_id, request_id, occasion.now_ns)
    if call is None:
        return None
    async with database.read() as connection:
        parts = await store.read_parts(connection, project_id, request_id, call.created_ns)
    entry_id = call.cache_entry or entry_id_of(request_id)
    layer = caching.semantics.layer
    near = layer.recall(entry_id, request_id) if layer is not None else ()
    entries = list(dict.fromkeys([entry_id, *near, *parts]))
    wanted = Purge(project_id=project_id, entry_ids=frozenset(entries))
    async with database.write() as connection:
        served = await store.read_served(connection, wanted, MAX_SERVED)
        await store.write_purge(connection, wanted, occasion.now_ns)
        stored = await questions.purge(connection, wanted, occasion.now_ns)
        await audit.note(connection, occasion, "cache.recall", project_id, request_id)
        payload = {"project_id": project_id, "request_id": request_id, "entries": entries, "requests": served}
        fact = Event(name=CACHE_RECALLED, account_id=occasion.account_id, payload=payload, created_ns=occasion.now_ns)
        await append_event(connection, fact)
    caching.directory.purges.add(wanted, occasion.now_ns)
    was_kept = len(caching.purge(wanted) | stored) > 0
    # Another process or Redis may have kept what is neither here nor in the database: none of them gives it any more.
    is_alone = caching.shared is None and database.dialect == "sqlite"
    may_be_kept = call.status in _WHOLE and not is_alone
    is_known = was_kept or served or call.cache_entry or len(entries) > 1 or may_be_kept
    return Recalled(entries=entries if is_known else [], requests=served)


async def _find_call(database: Database, project_id: str, request_id: str, now_ns: int) -> ServedCall | None:
    """Find a call that any process may have answered a moment ago, and waits until that one has written of it."""
    loop, fresh = asyncio.get_running_loop(), make_id(now_ns - WRITTEN_NS, bytes(16))
    # Ids begin with their time; the process that answered an older call has written of it.
    ends_s = loop.time() + (FOUND_S if request_id > fresh else 0.0)
    while True:
        async with database.read() as connection:
            call = await store.find_call(connection, project_id, request_id)
        if call is None:
            if loop.time() >= ends_s:
                return None
            await asyncio.sleep(ASKED_AGAIN_S)
            continue
        if call.endpoint == EMBEDDINGS and call.created_ns > now_ns - WRITTEN_NS:
            # Its row is there before its parts are.
            await asyncio.sleep(WRITTEN_NS / NS_PER_S)
        return call
