"""The SQL of a project's keys, as their owners list and change them.

Failure behavior: raises DatabaseUnavailable as gateway.db does. Everything happens inside the caller's transaction.
"""

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts.keys import Issuer, KeyCache, KeyKind
from gateway.accounts.store import read_row, take_revision, write_json, write_words

_COLUMNS = (
    "keys.key_id, keys.project_id, keys.name, keys.kind, keys.issuer, keys.is_managing, keys.is_account_wide, "
    "keys.display, keys.scopes, keys.allowed_models, keys.tags, keys.requests_per_minute, keys.tokens_per_minute, "
    "keys.max_concurrent, keys.cache, keys.expires_ns, keys.made_by, keys.replaces, keys.root_id, keys.limits_in, "
    "keys.spends_in, keys.created_ns, keys.last_used_ns"
)
_ACTIVE = f"SELECT {_COLUMNS} FROM keys WHERE keys.revoked_ns IS NULL"  # noqa: S608 - made of constants
_LIST = text(f"{_ACTIVE} AND keys.project_id = :project_id ORDER BY keys.created_ns, keys.key_id")
_FIND = text(f"{_ACTIVE} AND keys.project_id = :project_id AND keys.key_id = :key_id")
_FIND_SUCCESSOR = text("SELECT key_id FROM keys WHERE replaces = :key_id AND revoked_ns IS NULL")
_FIND_MAKER = text("SELECT user_id FROM keys JOIN users ON users.user_id = keys.made_by WHERE key_id = :key_id")
_FIND_ACTIVE = text(f"{_ACTIVE} AND keys.key_id = :key_id")
_READ_END = text("SELECT expires_ns FROM keys WHERE key_id = :key_id")
_COUNT = text("SELECT COUNT(*) FROM keys WHERE project_id = :project_id AND revoked_ns IS NULL")
# The longest over first.
_ENDED = "SELECT key_id FROM keys WHERE revoked_ns IS NULL AND expires_ns <= :ended_ns"
_LIST_ENDED = text(f"{_ENDED} ORDER BY expires_ns, key_id LIMIT :limit")
_LIST_PROJECTS_ENDED = text(f"{_ENDED} AND project_id = :project_id ORDER BY expires_ns, key_id LIMIT :limit")
_UPDATE = text(
    "UPDATE keys SET name = :name, scopes = :scopes, allowed_models = :allowed_models, tags = :tags, "
    "requests_per_minute = :requests_per_minute, tokens_per_minute = :tokens_per_minute, "
    "max_concurrent = :max_concurrent, cache = :cache, limits_in = :limits_in, expires_ns = :expires_ns, "
    "is_managing = :is_managing, revision = :revision WHERE key_id = :key_id"
)
_REVOKE = text(
    "UPDATE keys SET revoked_ns = :now_ns, revision = :revision WHERE revoked_ns IS NULL AND key_id IN :key_ids"
).bindparams(bindparam("key_ids", expanding=True))
# What a maker made, what that made, and so on. An account's keys never make those of another account.
_MADE_BY = text(
    "WITH RECURSIVE made (key_id) AS (SELECT keys.key_id FROM keys JOIN projects "  # noqa: S608 - as above
    "ON projects.project_id = keys.project_id WHERE keys.made_by = :maker_id "
    "AND projects.account_id IS NOT DISTINCT FROM :account_id UNION SELECT keys.key_id FROM keys JOIN made "
    f"ON keys.made_by = made.key_id) {_ACTIVE} AND keys.key_id IN (SELECT key_id FROM made) ORDER BY keys.key_id"
)


class KeyDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A key that is not revoked, with all that its owner may know of it."""

    key_id: str
    project_id: str
    name: str
    kind: KeyKind
    issuer: Issuer
    is_managing: bool
    is_account_wide: bool
    display: str
    scopes: frozenset[str]
    allowed_models: frozenset[str] | None
    tags: tuple[str, ...]
    requests_per_minute: int | None
    tokens_per_minute: int | None
    max_concurrent: int | None
    cache: KeyCache | None
    expires_ns: int | None
    made_by: str | None
    replaces: str | None
    # The first key of its line of rotations; None: it took over from none.
    root_id: str | None
    limits_in: dict[str, str] | None
    spends_in: tuple[str, ...]
    created_ns: int
    last_used_ns: int | None


async def list_keys(connection: AsyncConnection, project_id: str) -> list[KeyDetail]:
    """List a project's keys, oldest first, expired ones included and revoked ones not."""
    rows = await connection.execute(_LIST, {"project_id": project_id})
    return [read_row(row, KeyDetail) for row in rows.mappings()]


async def find_key(connection: AsyncConnection, project_id: str, key_id: str) -> KeyDetail | None:
    """Find one of a project's keys, unless it is revoked."""
    row = (await connection.execute(_FIND, {"project_id": project_id, "key_id": key_id})).mappings().one_or_none()
    return None if row is None else read_row(row, KeyDetail)


async def find_successor(connection: AsyncConnection, key_id: str) -> str | None:
    """Find the key that takes over from this one."""
    successor: str | None = (await connection.execute(_FIND_SUCCESSOR, {"key_id": key_id})).scalars().first()
    return successor


async def find_maker(connection: AsyncConnection, key_id: str) -> str | None:
    """Find the person who made a key; None: a key did, or the operator at the command line."""
    user_id: str | None = (await connection.execute(_FIND_MAKER, {"key_id": key_id})).scalar_one_or_none()
    return user_id


async def find_active(connection: AsyncConnection, key_id: str) -> KeyDetail | None:
    """Find a key of whatever project, unless it is revoked."""
    row = (await connection.execute(_FIND_ACTIVE, {"key_id": key_id})).mappings().one_or_none()
    return None if row is None else read_row(row, KeyDetail)


async def read_end(connection: AsyncConnection, maker_id: str | None) -> int | None:
    """Tell when a maker ends; None: never, as people and keys without expiry."""
    ends_ns: int | None = (await connection.execute(_READ_END, {"key_id": maker_id})).scalar_one_or_none()
    return ends_ns


async def count_keys(connection: AsyncConnection, project_id: str) -> int:
    """Count a project's keys that are not revoked."""
    return int((await connection.execute(_COUNT, {"project_id": project_id})).scalar_one())


async def update_key(connection: AsyncConnection, key: KeyDetail, revision: int) -> None:
    """Store what can be changed of a key."""
    models = key.allowed_models
    values: dict[str, Any] = {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": write_words(key.scopes),
        "allowed_models": None if models is None else write_words(models),
        "tags": msgspec.json.encode(key.tags).decode(),
        "requests_per_minute": key.requests_per_minute,
        "tokens_per_minute": key.tokens_per_minute,
        "max_concurrent": key.max_concurrent,
        "cache": write_json(key.cache),
        "limits_in": write_json(key.limits_in),
        "expires_ns": key.expires_ns,
        "is_managing": key.is_managing,
        "revision": revision,
    }
    await connection.execute(_UPDATE, values)


async def list_made_by(connection: AsyncConnection, account_id: str | None, maker_id: str) -> list[KeyDetail]:
    """List the keys in an account that a person or a key made, and those that these made."""
    rows = await connection.execute(_MADE_BY, {"account_id": account_id, "maker_id": maker_id})
    return [read_row(row, KeyDetail) for row in rows.mappings()]


async def clear_ended(
    connection: AsyncConnection, ended_ns: int, limit: int, now_ns: int, project_id: str | None = None
) -> int:
    """Revoke up to ``limit`` keys, of a project or of all, that had expired by a moment; tell how many.

    The longest over go first. They are neither listed nor counted any more; their rows stay, for their usage.
    """
    values: dict[str, Any] = {"ended_ns": ended_ns, "limit": limit}
    if project_id is None:
        found = await connection.execute(_LIST_ENDED, values)
    else:
        found = await connection.execute(_LIST_PROJECTS_ENDED, {**values, "project_id": project_id})
    ended = list(found.scalars())
    if ended:
        await revoke_keys(connection, ended, now_ns, await take_revision(connection))
    return len(ended)


async def revoke_keys(connection: AsyncConnection, key_ids: Collection[str], now_ns: int, revision: int) -> None:
    """Revoke keys; the first moment stays."""
    values = {"key_ids": sorted(key_ids), "now_ns": now_ns, "revision": revision}
    await connection.execute(_REVOKE, values)
