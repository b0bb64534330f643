"""The SQL of provider credentials: each function is one statement in its caller's transaction.

Failure behavior: raises what gateway.db raises; nothing is half done.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts.vault import Place

# The row stays locked until the commit, so revisions become visible in their order and a reader misses none. Whoever
# seals takes it first as well, so that no seal of an older key follows the change to a newer one.
_NEXT_REVISION = text("UPDATE revisions SET value = value + 1 WHERE name = 'credentials' RETURNING value")
_READ_REVISION = text("SELECT value FROM revisions WHERE name = 'credentials'")
_NEXT_VERSION = text("UPDATE revisions SET value = value + 1 WHERE name = 'vault' RETURNING value")
_READ_VERSION = text("SELECT value FROM revisions WHERE name = 'vault'")
_INSERT = text(
    "INSERT INTO credentials (credential_id, project_id, provider, name, secret, display, base_url, created_ns, "
    "last_used_ns, disabled_ns, deleted_ns, revision) VALUES (:credential_id, :project_id, :provider, :name, :secret, "
    ":display, :base_url, :created_ns, NULL, NULL, NULL, :revision) ON CONFLICT DO NOTHING"
)
_FIND_ACTIVE = text(
    "SELECT credential_id FROM credentials WHERE project_id IS NOT DISTINCT FROM :project_id AND provider = :provider "
    "AND disabled_ns IS NULL AND deleted_ns IS NULL"
)
_LISTED = (
    "SELECT credential_id, project_id, provider, name, display, base_url, created_ns, last_used_ns, disabled_ns "
    "FROM credentials WHERE project_id IS NOT DISTINCT FROM :project_id AND deleted_ns IS NULL"
)
_LIST = text(f"{_LISTED} ORDER BY created_ns, credential_id")
_FIND = text(f"{_LISTED} AND credential_id = :credential_id")
_REPLACE = text(
    "UPDATE credentials SET secret = :secret, display = :display, base_url = :base_url, name = :name, "
    "disabled_ns = NULL, revision = :revision WHERE credential_id = :credential_id"
)
_DISABLE = text(
    "UPDATE credentials SET disabled_ns = :now_ns, revision = :revision "
    "WHERE credential_id = :credential_id AND disabled_ns IS NULL"
)
_DELETE = text(
    "UPDATE credentials SET secret = NULL, name = '', display = '', base_url = NULL, deleted_ns = :now_ns, "
    "revision = :revision WHERE credential_id = :credential_id AND deleted_ns IS NULL"
)
_READ_CHANGES = text(
    "SELECT credential_id, project_id, provider, base_url, secret, disabled_ns, revision FROM credentials "
    "WHERE revision > :seen ORDER BY revision"
)
_NOTE_USED = text(
    "UPDATE credentials SET last_used_ns = :used_ns "
    "WHERE credential_id = :credential_id AND (last_used_ns IS NULL OR last_used_ns < :used_ns)"
)
# A seal begins with the name of its key, which has these 13 bytes: gateway.accounts.vault.KEY_NAME_BYTES.
_READ_BEHIND = text(
    "SELECT credential_id, project_id, provider, base_url, secret, disabled_ns, revision FROM credentials "
    "WHERE deleted_ns IS NULL AND credential_id > :after AND substr(secret, 1, 13) <> :key_name "
    "ORDER BY credential_id LIMIT :limit"
)
_COUNT_BY_KEY = text(
    "SELECT substr(secret, 1, 13) AS key_name, COUNT(*) AS credentials FROM credentials WHERE deleted_ns IS NULL "
    "GROUP BY substr(secret, 1, 13) ORDER BY key_name"
)
_REWRAP = text("UPDATE credentials SET secret = :fresh WHERE credential_id = :credential_id AND secret = :found")
_FIND_ACCOUNT = text("SELECT account_id FROM projects WHERE project_id = :project_id")
_DISCARD = text(f"{_DELETE.text} AND secret = :found")

T = TypeVar("T")


class CredentialListing(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as its owner sees it; its secret is never shown again."""

    credential_id: str
    # None: the operator's, for every project.
    project_id: str | None
    provider: str
    name: str
    # At most the secret's first 3 and last 4 characters; empty for a short one.
    display: str
    # None: the provider's own.
    base_url: str | None
    created_ns: int
    last_used_ns: int | None = None
    disabled_ns: int | None = None


class SealedCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential's seal, and all that the seal is bound to."""

    credential_id: str
    project_id: str | None
    provider: str
    base_url: str | None
    # None: it was deleted.
    secret: bytes | None
    disabled_ns: int | None
    revision: int

    @property
    def place(self) -> Place:
        """Where alone the seal opens."""
        return place_of(self.credential_id, self.project_id, self.provider, self.base_url)


class KeyCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many credentials are sealed under one key."""

    key_name: bytes
    credentials: int


def place_of(credential_id: str, project_id: str | None, provider: str, base_url: str | None) -> Place:
    """Name the place of a secret: who can write to the database can neither give it away nor send it elsewhere."""
    return Place(table="credentials", row_id=credential_id, column="secret", bound=(project_id, provider, base_url))


async def take_revision(connection: AsyncConnection) -> int:
    """Take the next revision; until the commit nobody else changes a credential's secret or state."""
    return int((await connection.execute(_NEXT_REVISION)).scalar_one())


async def read_version(connection: AsyncConnection) -> int:
    """Read the version of the key-encryption key that seals."""
    return int((await connection.execute(_READ_VERSION)).scalar_one())


async def take_version(connection: AsyncConnection) -> int:
    """Begin the next version of the key-encryption key. ``take_revision`` comes first."""
    return int((await connection.execute(_NEXT_VERSION)).scalar_one())


async def insert_credential(
    connection: AsyncConnection, listing: CredentialListing, secret: bytes, revision: int
) -> bool:
    """Insert a credential; false where its owner has an active one. Raises IntegrityError without such a project."""
    values = msgspec.structs.asdict(listing) | {"secret": secret, "revision": revision}
    return (await connection.execute(_INSERT, values)).rowcount > 0


async def find_active(connection: AsyncConnection, project_id: str | None, provider: str) -> str | None:
    """Find the id of an owner's active credential."""
    found = await connection.execute(_FIND_ACTIVE, {"project_id": project_id, "provider": provider})
    return found.scalar_one_or_none()


async def list_credentials(connection: AsyncConnection, project_id: str | None) -> list[CredentialListing]:
    """List an owner's credentials, oldest first, disabled ones included."""
    rows = await connection.execute(_LIST, {"project_id": project_id})
    return [_read(row, CredentialListing) for row in rows.mappings()]


async def find_credential(
    connection: AsyncConnection, project_id: str | None, credential_id: str
) -> CredentialListing | None:
    """Find one of an owner's credentials."""
    rows = await connection.execute(_FIND, {"project_id": project_id, "credential_id": credential_id})
    row = rows.mappings().one_or_none()
    return None if row is None else _read(row, CredentialListing)


async def replace_secret(connection: AsyncConnection, listing: CredentialListing, secret: bytes, revision: int) -> None:
    """Store another secret with its display, address and name, and make the credential active."""
    values = {
        "credential_id": listing.credential_id,
        "secret": secret,
        "display": listing.display,
        "base_url": listing.base_url,
        "name": listing.name,
        "revision": revision,
    }
    await connection.execute(_REPLACE, values)


async def disable_credential(connection: AsyncConnection, credential_id: str, now_ns: int, revision: int) -> None:
    """Disable a credential; the first moment stays."""
    await connection.execute(_DISABLE, {"credential_id": credential_id, "now_ns": now_ns, "revision": revision})


async def delete_credential(connection: AsyncConnection, credential_id: str, now_ns: int, revision: int) -> None:
    """Delete a credential's secret and all that was said of it."""
    await connection.execute(_DELETE, {"credential_id": credential_id, "now_ns": now_ns, "revision": revision})


async def read_changes(connection: AsyncConnection, seen: int) -> tuple[int, list[SealedCredential]]:
    """Read a revision, and the credentials as they are then that changed after the revision ``seen``."""
    revision = int((await connection.execute(_READ_REVISION)).scalar_one())
    if revision <= seen:
        return revision, []
    rows = await connection.execute(_READ_CHANGES, {"seen": seen})
    changes = [_read(row, SealedCredential) for row in rows.mappings()]
    # PostgreSQL shows the second statement more than the first: a row that changed in between is past the revision.
    return max([revision, *(change.revision for change in changes)]), changes


async def note_used(connection: AsyncConnection, last_used_ns: Mapping[str, int]) -> None:
    """Note when credentials were last used; ordered, so that two never wait crosswise."""
    await connection.execute(
        _NOTE_USED,
        [
            {"credential_id": credential_id, "used_ns": used_ns}
            for credential_id, used_ns in sorted(last_used_ns.items())
        ],
    )


async def read_behind(connection: AsyncConnection, key_name: bytes, after: str, limit: int) -> list[SealedCredential]:
    """Read credentials that are sealed under another key than this one, by id, from behind the id ``after``."""
    rows = await connection.execute(_READ_BEHIND, {"key_name": key_name, "after": after, "limit": limit})
    return [_read(row, SealedCredential) for row in rows.mappings()]


async def count_by_key(connection: AsyncConnection) -> list[KeyCount]:
    """Count the credentials by the names of the keys that they are sealed under."""
    return [_read(row, KeyCount) for row in (await connection.execute(_COUNT_BY_KEY)).mappings()]


async def replace_seal(connection: AsyncConnection, found: SealedCredential, fresh: bytes) -> bool:
    """Store another seal of the same secret; false where the one that was found is not there any more."""
    values = {"credential_id": found.credential_id, "found": found.secret, "fresh": fresh}
    return (await connection.execute(_REWRAP, values)).rowcount > 0


async def find_account(connection: AsyncConnection, project_id: str) -> str | None:
    """Find whose a project is; None: the operator's."""
    account_id: str | None = (await connection.execute(_FIND_ACCOUNT, {"project_id": project_id})).scalar_one()
    return account_id


async def discard(connection: AsyncConnection, found: SealedCredential, now_ns: int, revision: int) -> bool:
    """Delete a credential that cannot be opened; false where its seal is another one by then."""
    values = {
        "credential_id": found.credential_id,
        "found": found.secret,
        "now_ns": now_ns,
        "revision": revision,
    }
    return (await connection.execute(_DISCARD, values)).rowcount > 0


def _read(row: RowMapping, into: type[T]) -> T:
    fields: dict[str, Any] = dict(row)
    return msgspec.convert(fields, into)
