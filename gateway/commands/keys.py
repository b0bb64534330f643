"""What ``watchllm keys`` does: make, list and revoke keys in the database that a running server shares.

Failure behavior: what the operator can put right raises one of REFUSALS, whose text says what to do.
"""

import argparse
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec

from gateway.accounts import store
from gateway.accounts.keyring.rights import ISSUER_SCOPES, SCOPES, require_models
from gateway.accounts.keys import PREFIXES, KeyDigester, KeyKind
from gateway.accounts.master import API_KEYS, MasterKeyError, derive_key, load_master_key
from gateway.accounts.tenancy.refusals import Refusal
from gateway.analytics.moments import MAX_NS, NS_PER_DAY
from gateway.config.settings import Settings
from gateway.db import Database, DatabaseInvalid, DatabaseUnavailable
from gateway.migrations.apply import DatabaseTooNew

_NS_PER_S = 1_000_000_000
_COLUMNS = ("key_id", "project_id", "project", "kind", "key", "state", "created_at", "expires_at", "last_used_at")


class UnknownKey(Exception):
    """There is no key with this id."""


class KeyInvalid(Exception):
    """No such key is made."""


class NoInstallation(Exception):
    """Nothing was ever stored where a command was to find something."""


REFUSALS = (
    DatabaseInvalid, DatabaseUnavailable, DatabaseTooNew, MasterKeyError, UnknownKey, KeyInvalid, NoInstallation
)  # fmt: skip


class ListedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is listed; times are RFC 3339 or null."""

    key_id: str
    project_id: str
    project: str
    name: str
    kind: str
    # The beginning of the key, which may be shown for ever.
    key: str
    # "active", "revoked" or "expired".
    state: str
    manage: bool
    scopes: list[str]
    allowed_models: list[str] | None
    created_at: str | None
    expires_at: str | None
    last_used_at: str | None


class RevokedKey(msgspec.Struct, frozen=True, kw_only=True):
    """What revoking answers as JSON."""

    key_id: str
    revoked: bool


async def create_key(settings: Settings, wanted: argparse.Namespace, now_ns: int) -> str:
    """Make a key, and its project when it is missing; write it alone, or with its ids as JSON. Raises KeyInvalid."""
    kind: KeyKind = "test" if wanted.test else "live"
    if (wanted.issuer, kind) not in PREFIXES:
        raise KeyInvalid(f"there are no test keys of the issuer {wanted.issuer!r}: leave --issuer or --test out")
    scopes: frozenset[str] = wanted.scopes or ISSUER_SCOPES[wanted.issuer]
    if unknown := scopes - SCOPES:
        raise KeyInvalid(f"no scopes: {', '.join(sorted(unknown))}; there are {', '.join(sorted(SCOPES))}")
    try:
        require_models(wanted.allowed_models)
    except Refusal as refusal:
        raise KeyInvalid(refusal.message) from None
    expires_ns = now_ns + wanted.expires_in if wanted.expires_in else None
    if expires_ns is not None and expires_ns >= MAX_NS:
        days = wanted.expires_in // NS_PER_DAY
        raise KeyInvalid(
            f"--expires-in of {days} days ends after 2261-12-30, the last day: for a key without end leave it out"
        )
    given = settings.master_key.reveal() if settings.master_key else None
    digester = KeyDigester(derive_key(load_master_key(given, settings.data_dir), API_KEYS))
    async with open_database(settings) as database:
        project = await store.find_or_create_project(database, wanted.project, now_ns)
        new_key = store.NewKey(
            project_id=project.project_id,
            kind=kind,
            issuer=wanted.issuer,
            scopes=scopes,
            name=wanted.name,
            is_managing=wanted.manage,
            allowed_models=wanted.allowed_models,
            expires_ns=expires_ns,
        )
        made = await store.create_key(database, digester, new_key, now_ns)
    return msgspec.json.encode(made).decode() if wanted.json else made.key


async def list_keys(settings: Settings, wanted: argparse.Namespace, now_ns: int) -> str:
    """List every key, oldest first, as a table or as JSON."""
    async with open_existing(settings) as database:
        keys = [_listed(key, now_ns) for key in await store.list_keys(database)]
    return msgspec.json.encode(keys).decode() if wanted.json else write_table(keys)


async def revoke_key(settings: Settings, wanted: argparse.Namespace, now_ns: int) -> str:
    """Revoke a key; repeating it changes nothing. Raises UnknownKey."""
    async with open_existing(settings) as database:
        if not await store.revoke_key(database, wanted.key_id, now_ns):
            raise UnknownKey(f"there is no key {wanted.key_id!r}; see watchllm keys list")
    revoked = RevokedKey(key_id=wanted.key_id, revoked=True)
    return msgspec.json.encode(revoked).decode() if wanted.json else f"revoked {wanted.key_id}"


VERBS: dict[str, Callable[[Settings, argparse.Namespace, int], Coroutine[None, None, str]]] = {
    "create": create_key,
    "list": list_keys,
    "revoke": revoke_key,
}


def write_table(keys: Sequence[ListedKey]) -> str:
    """Write keys as a table for a terminal."""
    headings = tuple(name.removesuffix("_at").replace("_", " ").upper() for name in _COLUMNS)
    return align(headings, [tuple(str(getattr(key, name) or "-") for name in _COLUMNS) for key in keys])


def align(headings: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    """Write rows of cells below their headings, each column as wide as it has to be."""
    rows = [headings, *lines]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    written = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in written)


@asynccontextmanager
async def open_existing(settings: Settings) -> AsyncGenerator[Database, None]:
    """The same for what reads or changes what is there: a folder that was mistyped is told, not made.

    Raises NoInstallation.
    """
    missing = Database.is_missing(settings.database_url.reveal() if settings.database_url else None, settings.data_dir)
    if missing is not None:
        raise NoInstallation(f"there is no database {str(missing)!r}: name the gateway's own folder with --data-dir")
    async with open_database(settings) as database:
        yield database


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncGenerator[Database, None]:
    """The database that a running server shares, for as long as a command needs it."""
    database = await Database.open(settings.database_url.reveal() if settings.database_url else None, settings.data_dir)
    try:
        yield database
    finally:
        await database.close()


def _listed(key: store.KeyListing, now_ns: int) -> ListedKey:
    return ListedKey(
        key_id=key.key_id,
        project_id=key.project_id,
        project=key.project_name,
        name=key.name,
        kind=key.kind,
        key=key.display,
        state=_state(key, now_ns),
        manage=key.is_managing,
        scopes=sorted(key.scopes),
        allowed_models=None if key.allowed_models is None else sorted(key.allowed_models),
        created_at=_timestamp(key.created_ns),
        expires_at=_timestamp(key.expires_ns),
        last_used_at=_timestamp(key.last_used_ns),
    )


def _state(key: store.KeyListing, now_ns: int) -> str:
    # One that had expired when it was cleared away was not revoked by anybody.
    ended_ns = now_ns if key.revoked_ns is None else key.revoked_ns
    if key.expires_ns is not None and key.expires_ns <= ended_ns:
        return "expired"
    return "active" if key.revoked_ns is None else "revoked"


def _timestamp(moment_ns: int | None) -> str | None:
    if moment_ns is None:
        return None
    return datetime.fromtimestamp(moment_ns // _NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
