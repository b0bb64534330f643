"""The SQL of the cache: what projects set, and what was purged, so that every process does the same."""

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.caching.answers import MAX_SHARED_S, NS_PER_S, Purge
from gateway.caching.policy import Wishes

_SETTINGS = tuple(field.name for field in msgspec.structs.fields(Wishes))
_TAKE_REVISION = text("UPDATE revisions SET value = value + 1 WHERE name = 'cache' RETURNING value")
_READ_REVISION = text("SELECT value FROM revisions WHERE name = 'cache'")
_READ_WISHES = text(f"SELECT {', '.join(_SETTINGS)} FROM cache_settings WHERE project_id = :project_id")  # noqa: S608 - made of constants
_READ_CHANGED = text(f"SELECT project_id, {', '.join(_SETTINGS)} FROM cache_settings WHERE revision > :since")  # noqa: S608 - made of constants
_WRITE_WISHES = text(
    f"INSERT INTO cache_settings (project_id, revision, {', '.join(_SETTINGS)}) "  # noqa: S608 - made of constants
    f"VALUES (:project_id, :revision, {', '.join(f':{name}' for name in _SETTINGS)}) "
    "ON CONFLICT (project_id) DO UPDATE SET revision = excluded.revision, "
    + ", ".join(f"{name} = excluded.{name}" for name in _SETTINGS)
)
_READ_PURGES = text(
    "SELECT project_id, entry_id, tag, model, "
    "CASE WHEN before_ns < made_ns THEN before_ns ELSE made_ns END AS before_ns "
    "FROM cache_purges WHERE revision > :since ORDER BY revision"
)
_READ_DELETED = text(
    "SELECT DISTINCT project_id FROM projects JOIN cache_purges USING (project_id) "
    "WHERE cache_purges.revision > :since AND deleted_ns IS NOT NULL"
)
_WRITE_PURGE = text(
    "INSERT INTO cache_purges (revision, project_id, entry_id, tag, model, before_ns, made_ns) "
    "VALUES (:revision, :project_id, :entry_id, :tag, :model, :before_ns, :now_ns)"
)
# Of what is older nothing is shared any more, and every process has done it.
KEPT_PURGES_NS = (MAX_SHARED_S + 3_600) * NS_PER_S
_FORGET_PURGES = text("DELETE FROM cache_purges WHERE made_ns < :until_ns")
_READ_SERVED = text(
    "SELECT request_id FROM usage WHERE project_id = :project_id AND cache_entry = :entry_id AND cache_entry <> '' "
    "UNION SELECT request_id FROM cache_parts WHERE project_id = :project_id AND entry_id = :entry_id "
    "ORDER BY request_id LIMIT :limit"
)
_WRITE_PART = text(
    "INSERT INTO cache_parts (project_id, entry_id, request_id, created_ns) "
    "VALUES (:project_id, :entry_id, :request_id, :created_ns) ON CONFLICT DO NOTHING"
)
_FORGET_PARTS = text("DELETE FROM cache_parts WHERE created_ns < :until_ns")
_READ_ENTRY = text("SELECT cache_entry FROM usage WHERE project_id = :project_id AND request_id = :request_id")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A call that got something of an entry, beside others."""

    project_id: str
    entry_id: str
    request_id: str
    created_ns: int


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What happened since a revision."""

    revision: int
    wishes: dict[str, Wishes]
    purges: Sequence[Purge]
    # Projects that were purged because they were deleted.
    deleted: Sequence[str] = ()


async def read_changes(connection: AsyncConnection, since: int) -> Changes:
    """Read what changed after a revision; a purge covers what was stored before it was made."""
    revision: int = (await connection.execute(_READ_REVISION)).scalar_one()
    if revision == since:
        return Changes(revision=revision, wishes={}, purges=())
    changed = (await connection.execute(_READ_CHANGED, {"since": since})).mappings().all()
    purges = (await connection.execute(_READ_PURGES, {"since": since})).mappings().all()
    deleted = (await connection.execute(_READ_DELETED, {"since": since})).scalars().all() if purges else ()
    return Changes(
        revision=revision,
        wishes={row["project_id"]: msgspec.convert(dict(row), Wishes, strict=False) for row in changed},
        purges=[msgspec.convert(dict(row), Purge) for row in purges],
        deleted=deleted,
    )


async def read_wishes(connection: AsyncConnection, project_id: str) -> Wishes:
    """What a project sets."""
    row = (await connection.execute(_READ_WISHES, {"project_id": project_id})).mappings().one_or_none()
    return Wishes() if row is None else msgspec.convert(dict(row), Wishes, strict=False)


async def write_wishes(connection: AsyncConnection, project_id: str, wishes: Wishes) -> None:
    """Set what a project wishes, in place of what it wished before."""
    revision: int = (await connection.execute(_TAKE_REVISION)).scalar_one()
    values = {"project_id": project_id, "revision": revision, **msgspec.structs.asdict(wishes)}
    await connection.execute(_WRITE_WISHES, values)


async def write_purge(connection: AsyncConnection, purge: Purge, now_ns: int) -> None:
    """Have every process purge."""
    revision: int = (await connection.execute(_TAKE_REVISION)).scalar_one()
    await connection.execute(_WRITE_PURGE, {**msgspec.structs.asdict(purge), "revision": revision, "now_ns": now_ns})
    await connection.execute(_FORGET_PURGES, {"until_ns": now_ns - KEPT_PURGES_NS})


async def write_parts(connection: AsyncConnection, parts: Iterable[Part], until_ns: int) -> None:
    """Note which calls got something of which entries, and forget what is older than a time."""
    await connection.execute(_WRITE_PART, [msgspec.structs.asdict(part) for part in parts])
    await connection.execute(_FORGET_PARTS, {"until_ns": until_ns})


async def find_entry(connection: AsyncConnection, project_id: str, request_id: str) -> str | None:
    """The entry that answered a call of the project, '' where none did; None: there is no such call."""
    values = {"project_id": project_id, "request_id": request_id}
    found: str | None = (await connection.execute(_READ_ENTRY, values)).scalar_one_or_none()
    return found


async def read_served(connection: AsyncConnection, project_id: str, entry_id: str, limit: int) -> list[str]:
    """The calls of the project that an entry answered, or a part of them, oldest first."""
    values = {"project_id": project_id, "entry_id": entry_id, "limit": limit}
    return list((await connection.execute(_READ_SERVED, values)).scalars())
