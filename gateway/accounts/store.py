"""The SQL of projects and keys; a key's text is never stored, only its digest and the start that may be shown.

Failure behavior: raises DatabaseUnavailable as gateway.db does; nothing is half done.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts.audit import COMMAND_LINE, Deed, append_entry
from gateway.accounts.keys import Issuer, KeyCache, KeyDigester, KeyKind, display_of, make_key
from gateway.db import Database
from gateway.ids import new_id

# What the issuer of lgw keys grants (row C3).
DEFAULT_SCOPES = frozenset({"proxy", "usage:read"})

_FIND_PROJECT = text(
    "SELECT project_id, account_id, name, provider, created_ns FROM projects "
    "WHERE name = :name AND account_id IS NULL AND deleted_ns IS NULL"
)
_FIND_PROJECT_BY_ID = text(
    "SELECT project_id, account_id, name, provider, created_ns FROM projects "
    "WHERE project_id = :project_id AND deleted_ns IS NULL"
)
_INSERT_PROJECT = text(
    "INSERT INTO projects (project_id, account_id, name, provider, created_ns) "
    "VALUES (:project_id, :account_id, :name, :provider, :created_ns) ON CONFLICT DO NOTHING"
)
# The row stays locked until the commit, so revisions become visible in their order and a reader misses none.
_NEXT_REVISION = text("UPDATE revisions SET value = value + 1 WHERE name = 'keys' RETURNING value")
_INSERT_KEY = text(
    "INSERT INTO keys (key_id, project_id, name, kind, issuer, is_managing, is_account_wide, display, digest, scopes, "
    "allowed_models, tags, requests_per_minute, tokens_per_minute, max_concurrent, cache, expires_ns, made_by, "
    "replaces, root_id, limits_in, spends_in, revoked_ns, created_ns, last_used_ns, revision) VALUES (:key_id, "
    ":project_id, :name, :kind, :issuer, :is_managing, :is_account_wide, :display, :digest, :scopes, "
    ":allowed_models, :tags, :requests_per_minute, :tokens_per_minute, :max_concurrent, :cache, :expires_ns, :made_by, "
    ":replaces, (SELECT COALESCE(old.root_id, old.key_id) FROM keys AS old WHERE old.key_id = :replaces), "
    ":limits_in, :spends_in, NULL, :created_ns, NULL, :revision)"
)
_LIST_KEYS = text(
    "SELECT keys.key_id, keys.project_id, projects.name AS project_name, keys.name, keys.kind, keys.is_managing, "
    "keys.display, keys.scopes, keys.allowed_models, keys.expires_ns, keys.revoked_ns, keys.created_ns, "
    "keys.last_used_ns FROM keys JOIN projects ON projects.project_id = keys.project_id "
    "ORDER BY keys.created_ns, keys.key_id"
)
# What a key made, what that made, and so on.
_WITH_MADE = (
    "WITH RECURSIVE made (key_id) AS (SELECT keys.key_id FROM keys WHERE keys.made_by = :key_id "
    "UNION SELECT keys.key_id FROM keys JOIN made ON keys.made_by = made.key_id)"
)
_REVOKE_KEY = text(
    f"{_WITH_MADE} UPDATE keys SET revoked_ns = :now_ns, revision = :revision WHERE "  # noqa: S608 - made of constants
    "revoked_ns IS NULL AND (key_id = :key_id OR key_id IN (SELECT key_id FROM made)) RETURNING key_id"
)
_FIND_OWNER = text(
    "SELECT projects.account_id FROM keys JOIN projects ON projects.project_id = keys.project_id "
    "WHERE keys.key_id = :key_id"
)
_READ_REVISION = text("SELECT value FROM revisions WHERE name = 'keys'")
_READ_CHANGES = text(
    "SELECT keys.digest, keys.key_id, keys.project_id, keys.kind, keys.is_managing, keys.scopes, keys.allowed_models, "
    "keys.expires_ns, keys.revoked_ns, keys.revision, keys.is_account_wide, keys.tags, keys.requests_per_minute, "
    "keys.tokens_per_minute, keys.max_concurrent, keys.cache, keys.root_id, keys.limits_in, "
    "keys.spends_in, accounts.account_id, accounts.plan, accounts.rate_overrides FROM keys "
    "JOIN projects ON projects.project_id = keys.project_id "
    "LEFT JOIN accounts ON accounts.account_id = projects.account_id WHERE keys.revision > :seen ORDER BY keys.revision"
)
_NOTE_USED = text(
    "UPDATE keys SET last_used_ns = :used_ns "
    "WHERE key_id = :key_id AND (last_used_ns IS NULL OR last_used_ns < :used_ns)"
)
_CLAIM_BOOTSTRAP = text("UPDATE revisions SET value = 1 WHERE name = 'bootstrap' AND value = 0")
_COUNT_KEYS = text("SELECT COUNT(*) FROM keys")
_BOOLEANS = frozenset({"is_managing", "is_account_wide"})
_JSON = ("scopes", "allowed_models", "tags", "rate_overrides", "cache", "limits_in", "spends_in")

T = TypeVar("T")


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project; an operator's has no account."""

    project_id: str
    account_id: str | None
    name: str
    provider: str | None
    created_ns: int


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a key is made with."""

    project_id: str
    kind: KeyKind = "live"
    issuer: Issuer = "lgw"
    name: str = ""
    is_managing: bool = False
    is_account_wide: bool = False
    allowed_models: frozenset[str] | None = None
    expires_ns: int | None = None
    scopes: frozenset[str] = DEFAULT_SCOPES
    tags: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrent: int | None = None
    cache: KeyCache | None = None
    # The person or the key that makes it; None: the operator, at the command line.
    made_by: str | None = None
    # The key that it takes over from.
    replaces: str | None = None
    # The keys in whose counters its limits count, by the limits' names; None: all in its own.
    limits_in: dict[str, str] | None = None
    # The keys in whose budgets its calls count besides its own: its maker, that one's maker, and so on.
    spends_in: tuple[str, ...] = ()


class MadeKey(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh key; the only value that ever holds its text."""

    key: str
    key_id: str
    project_id: str


class KeyListing(msgspec.Struct, frozen=True, kw_only=True):
    """A key as its owner sees it later."""

    key_id: str
    project_id: str
    project_name: str
    name: str
    kind: KeyKind
    is_managing: bool
    display: str
    scopes: frozenset[str]
    allowed_models: frozenset[str] | None
    expires_ns: int | None
    revoked_ns: int | None
    created_ns: int
    last_used_ns: int | None


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was made or changed, as the directory needs it."""

    digest: bytes
    key_id: str
    project_id: str
    kind: KeyKind
    is_managing: bool
    scopes: frozenset[str]
    allowed_models: frozenset[str] | None
    expires_ns: int | None
    revoked_ns: int | None
    # Of its project's account; None: the operator's.
    account_id: str | None
    is_account_wide: bool
    plan: str | None
    rate_overrides: dict[str, int] | None
    tags: tuple[str, ...]
    requests_per_minute: int | None
    tokens_per_minute: int | None
    max_concurrent: int | None
    cache: KeyCache | None
    # The first key of its line of rotations; None: it took over from none.
    root_id: str | None
    limits_in: dict[str, str] | None
    spends_in: tuple[str, ...]


class BootstrapKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The two keys of a fresh installation."""

    live: MadeKey
    test: MadeKey


class ProjectExists(Exception):
    """Another project has this name already."""


async def create_project(database: Database, name: str, provider: str | None, now_ns: int) -> Project:
    """Make a project of the operator's. Raises ProjectExists."""
    async with database.write() as connection:
        project = await insert_project(connection, None, name, provider, now_ns)
    if project is None:
        raise ProjectExists(f"there is a project {name!r} already: use it, or choose another name")
    return project


async def find_or_create_project(database: Database, name: str, now_ns: int) -> Project:
    """Give the operator's project of this name, made by the command line where it is missing."""
    async with database.write() as connection:
        made = await insert_project(connection, None, name, None, now_ns)
        if made is None:
            return await _find_own_project(connection, name)
        deed = Deed(account_id=None, action="project.create", object_id=made.project_id, detail=name)
        await append_entry(connection, COMMAND_LINE, deed, now_ns)
        return made


async def find_project(database: Database, project_id: str) -> Project | None:
    """Find a project that has not been deleted."""
    async with database.read() as connection:
        row = (await connection.execute(_FIND_PROJECT_BY_ID, {"project_id": project_id})).mappings().one_or_none()
    return None if row is None else read_row(row, Project)


async def create_key(database: Database, digester: KeyDigester, wanted: NewKey, now_ns: int) -> MadeKey:
    """Make a key by the command line; every process honours it as soon as it is shown.

    Raises SQLAlchemy's IntegrityError without such a project.
    """
    async with database.write() as connection:
        made = await insert_key(connection, digester, wanted, now_ns)
        account_id = (await connection.execute(_FIND_OWNER, {"key_id": made.key_id})).scalar_one()
        told = " ".join(sorted(wanted.scopes))
        deed = Deed(account_id=account_id, action="key.create", object_id=made.key_id, detail=told)
        await append_entry(connection, COMMAND_LINE, deed, now_ns)
        return made


async def list_keys(database: Database) -> list[KeyListing]:
    """List every key, oldest first, revoked ones included."""
    async with database.read() as connection:
        return [read_row(row, KeyListing) for row in (await connection.execute(_LIST_KEYS)).mappings()]


async def revoke_key(database: Database, key_id: str, now_ns: int) -> bool:
    """Revoke a key with those that it made by the command line, in every process within 1 s; tell whether it is there.

    Repeating it changes nothing.
    """
    async with database.write() as connection:
        owner = (await connection.execute(_FIND_OWNER, {"key_id": key_id})).one_or_none()
        if owner is None:
            return False
        values = {"key_id": key_id, "now_ns": now_ns, "revision": await take_revision(connection)}
        # Keys make those of their own account alone.
        for ended_id in sorted((await connection.execute(_REVOKE_KEY, values)).scalars()):
            deed = Deed(account_id=owner.account_id, action="key.revoke", object_id=ended_id)
            await append_entry(connection, COMMAND_LINE, deed, now_ns)
        return True


async def read_changes(database: Database, seen: int) -> tuple[int, list[KeyChange]]:
    """Read the revision that the keys stand at, and the keys that changed after the revision ``seen``."""
    async with database.read() as connection:
        revision: int = (await connection.execute(_READ_REVISION)).scalar_one()
        if revision <= seen:
            return revision, []
        rows = (await connection.execute(_READ_CHANGES, {"seen": seen})).mappings().all()
        # PostgreSQL shows each statement what was committed before it: what came in between counts as seen.
        newest = max((row["revision"] for row in rows), default=revision)
        return max(revision, newest), [read_row(row, KeyChange) for row in rows]


async def note_used(connection: AsyncConnection, last_used_ns: Mapping[str, int]) -> None:
    """Note when keys were last used, inside the caller's transaction; ordered, so that two never wait crosswise."""
    await connection.execute(
        _NOTE_USED, [{"key_id": key_id, "used_ns": used_ns} for key_id, used_ns in sorted(last_used_ns.items())]
    )


async def bootstrap(database: Database, digester: KeyDigester, now_ns: int) -> BootstrapKeys | None:
    """Make project ``default`` and its two keys in a database that never held a key; of several processes one does."""
    async with database.write() as connection:
        if (await connection.execute(_CLAIM_BOOTSTRAP)).rowcount == 0:
            return None
        if (await connection.execute(_COUNT_KEYS)).scalar_one():
            return None
        made = await insert_project(connection, None, "default", None, now_ns)
        project_id = (made or await _find_own_project(connection, "default")).project_id
        live = NewKey(project_id=project_id, kind="live", name="default")
        test = NewKey(project_id=project_id, kind="test", name="sandbox")
        return BootstrapKeys(
            live=await insert_key(connection, digester, live, now_ns),
            test=await insert_key(connection, digester, test, now_ns),
        )


async def take_revision(connection: AsyncConnection) -> int:
    """Take the next revision of the keys, for changes in the caller's transaction; others wait for its commit."""
    return int((await connection.execute(_NEXT_REVISION)).scalar_one())


async def insert_project(
    connection: AsyncConnection, account_id: str | None, name: str, provider: str | None, now_ns: int
) -> Project | None:
    """Add a project inside the caller's transaction; None where its owner has one of this name."""
    project = Project(
        project_id=f"proj_{new_id(now_ns)}", account_id=account_id, name=name, provider=provider, created_ns=now_ns
    )
    return project if (await connection.execute(_INSERT_PROJECT, msgspec.structs.asdict(project))).rowcount else None


async def insert_key(connection: AsyncConnection, digester: KeyDigester, wanted: NewKey, now_ns: int) -> MadeKey:
    """Make a key inside the caller's transaction."""
    made = MadeKey(
        key=make_key(wanted.kind, wanted.issuer), key_id=f"key_{new_id(now_ns)}", project_id=wanted.project_id
    )
    models = wanted.allowed_models
    values: dict[str, Any] = msgspec.structs.asdict(wanted) | {
        "key_id": made.key_id,
        "display": display_of(made.key),
        "digest": digester.digest(made.key.encode()),
        "scopes": write_words(wanted.scopes),
        "allowed_models": None if models is None else write_words(models),
        "tags": msgspec.json.encode(wanted.tags).decode(),
        "cache": write_json(wanted.cache),
        "limits_in": write_json(wanted.limits_in),
        "spends_in": msgspec.json.encode(wanted.spends_in).decode(),
        "created_ns": now_ns,
        "revision": await take_revision(connection),
    }
    await connection.execute(_INSERT_KEY, values)
    return made


def write_words(words: frozenset[str]) -> str:
    """Write a set of words as it is stored: a sorted JSON list."""
    return msgspec.json.encode(sorted(words)).decode()


def write_json(value: KeyCache | dict[str, str] | None) -> str | None:
    """Write what a key wants of the cache, or where its limits count, as it is stored."""
    return None if value is None else msgspec.json.encode(value).decode()


def read_row(row: RowMapping, into: type[T]) -> T:
    """Make the value of a row of projects or keys: lists are stored as JSON, and SQLite knows no booleans."""
    fields: dict[str, Any] = {
        name: msgspec.json.decode(value) if value is not None and name in _JSON else value
        for name, value in row.items()
    }
    for name in _BOOLEANS & fields.keys():
        fields[name] = bool(fields[name])
    return msgspec.convert(fields, into)


async def _find_own_project(connection: AsyncConnection, name: str) -> Project:
    return read_row((await connection.execute(_FIND_PROJECT, {"name": name})).mappings().one(), Project)
