"""The SQL of the cache: what projects set, what was purged and what was refreshed: every process does the same."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import RowMapping, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.caching.answers import MAX_REFRESHES, MAX_SHARED_S, NS_PER_S, Purge
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
_WRITE_REFRESH = text(
    "INSERT INTO cache_refreshes (exact_key, created_ns, revision) VALUES (:exact_key, :created_ns, :revision) "
    "ON CONFLICT (exact_key) DO UPDATE SET created_ns = excluded.created_ns, revision = excluded.revision "
    "WHERE excluded.created_ns > cache_refreshes.created_ns"
)
# The latest last, of no more than a process remembers.
_READ_REFRESHES = text(
    "SELECT exact_key, created_ns FROM cache_refreshes WHERE revision > :since ORDER BY revision DESC LIMIT :limit"
)
# A process that has seen no database for longer gives what it keeps until it ends.
KEPT_REFRESHES_NS = 86_400 * NS_PER_S
_FORGET_REFRESHES = text("DELETE FROM cache_refreshes WHERE created_ns < :until_ns")
_READ_SERVED = text(
    "SELECT request_id FROM usage WHERE project_id = :project_id AND cache_entry IN :entry_ids AND cache_entry <> '' "
    "UNION SELECT request_id FROM cache_parts WHERE project_id = :project_id AND entry_id IN :entry_ids "
    "ORDER BY request_id LIMIT :limit"
).bindparams(bindparam("entry_ids", expanding=True))
_WRITE_PART = text(
    "INSERT INTO cache_parts (project_id, entry_id, request_id, created_ns) "
    "VALUES (:project_id, :entry_id, :request_id, :created_ns) ON CONFLICT DO NOTHING"
)
_FORGET_PARTS = text("DELETE FROM cache_parts WHERE created_ns < :until_ns")
_READ_CALL = text(
    "SELECT cache_entry, endpoint, status, created_ns FROM usage "
    "WHERE project_id = :project_id AND request_id = :request_id"
)
# Parts have the time of their call, and an index by it.
_READ_PARTS = text(
    "SELECT entry_id FROM cache_parts WHERE created_ns = :created_ns AND project_id = :project_id "
    "AND request_id = :request_id ORDER BY entry_id"
)
# Of one entry it is its id as it stands, of several a JSON list of theirs.
_IDS = msgspec.json.Decoder(frozenset[str])
_LIST = "["


class ServedCall(msgspec.Struct, frozen=True, kw_only=True):
    """What a call was answered with."""

    # The entry that answered it, '' where none did.
    cache_entry: str
    endpoint: str
    status: str
    created_ns: int


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
    # When what took the place of older answers to these requests was asked for.
    refreshes: Mapping[bytes, int] = {}


async def read_changes(connection: AsyncConnection, since: int) -> Changes:
    """Read what changed after a revision; a purge covers what was stored before it was made."""
    revision: int = (await connection.execute(_READ_REVISION)).scalar_one()
    if revision == since:
        return Changes(revision=revision, wishes={}, purges=())
    changed = (await connection.execute(_READ_CHANGED, {"since": since})).mappings().all()
    purges = (await connection.execute(_READ_PURGES, {"since": since})).mappings().all()
    deleted = (await connection.execute(_READ_DELETED, {"since": since})).scalars().all() if purges else ()
    refreshed = (await connection.execute(_READ_REFRESHES, {"since": since, "limit": MAX_REFRESHES})).all()
    return Changes(
        revision=revision,
        wishes={row["project_id"]: msgspec.convert(dict(row), Wishes, strict=False) for row in changed},
        purges=[_read_purge(row) for row in purges],
        deleted=deleted,
        refreshes={bytes(key): created_ns for key, created_ns in reversed(refreshed)},
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
    values = msgspec.structs.asdict(purge)
    values["entry_id"] = _write_ids(values.pop("entry_ids"))
    await connection.execute(_WRITE_PURGE, {**values, "revision": revision, "now_ns": now_ns})
    await connection.execute(_FORGET_PURGES, {"until_ns": now_ns - KEPT_PURGES_NS})


async def write_refreshes(connection: AsyncConnection, refreshes: Mapping[bytes, int]) -> None:
    """Have every process forget what was asked for before these times, by the requests' keys."""
    revision: int = (await connection.execute(_TAKE_REVISION)).scalar_one()
    rows = [{"exact_key": key, "created_ns": at_ns, "revision": revision} for key, at_ns in sorted(refreshes.items())]
    await connection.execute(_WRITE_REFRESH, rows)
    await connection.execute(_FORGET_REFRESHES, {"until_ns": max(refreshes.values()) - KEPT_REFRESHES_NS})


async def write_parts(connection: AsyncConnection, parts: Iterable[Part], until_ns: int) -> None:
    """Note which calls got something of which entries, and forget what is older than a time."""
    await connection.execute(_WRITE_PART, [msgspec.structs.asdict(part) for part in parts])
    await connection.execute(_FORGET_PARTS, {"until_ns": until_ns})


async def find_call(connection: AsyncConnection, project_id: str, request_id: str) -> ServedCall | None:
    """A call of the project; None: there is no such call."""
    values = {"project_id": project_id, "request_id": request_id}
    row = (await connection.execute(_READ_CALL, values)).mappings().one_or_none()
    return None if row is None else ServedCall(**dict(row))


async def read_parts(connection: AsyncConnection, project_id: str, request_id: str, created_ns: int) -> list[str]:
    """The entries that a call of that time got something of, beside the one that its row names."""
    values = {"project_id": project_id, "request_id": request_id, "created_ns": created_ns}
    return list((await connection.execute(_READ_PARTS, values)).scalars())


async def read_served(connection: AsyncConnection, purge: Purge, limit: int) -> list[str]:
    """The calls of the project that the entries of a purge answered, or a part of them, oldest first."""
    values = {"project_id": purge.project_id, "entry_ids": sorted(purge.entry_ids or ()), "limit": limit}
    return list((await connection.execute(_READ_SERVED, values)).scalars())


def _write_ids(entry_ids: frozenset[str] | None) -> str | None:
    if entry_ids is None:
        return None
    first = min(entry_ids, default="")
    return first if len(entry_ids) == 1 and not first.startswith(_LIST) else msgspec.json.encode(entry_ids).decode()


def _read_purge(row: RowMapping) -> Purge:
    written: str | None = row["entry_id"]
    is_list = written is not None and written.startswith(_LIST)
    entry_ids = None if written is None else _IDS.decode(written) if is_list else frozenset((written,))
    return Purge(
        project_id=row["project_id"], entry_ids=entry_ids, tag=row["tag"], model=row["model"],
        before_ns=row["before_ns"],
    )  # fmt: skip
