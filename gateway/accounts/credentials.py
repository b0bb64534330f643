"""Provider credentials: what their owners do with them, and all active ones in memory for the path of a request.

A credential belongs to a project, or to the operator and then serves every project that has none of its own.

Failure behavior: a refused value raises a CredentialError that never shows the secret. While the database is away the
credentials known so far are used. One that cannot be opened is told apart from none, so that no project's calls are
paid by another's credential; it is logged, and stops nothing else.
"""

import enum
import logging
from collections.abc import Collection

import msgspec
from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts import credentials_store as store
from gateway.accounts.credentials_store import CredentialListing
from gateway.accounts.follower import Follower
from gateway.accounts.rotation import check_keys
from gateway.accounts.vault import Vault, VaultError
from gateway.config.secret import Secret
from gateway.db import Database
from gateway.ids import new_id
from providers.transport.origin import parse_base_url

MAX_SECRET_CHARS = 4_096
MAX_NAME_CHARS = 128
# A shorter secret would be half told by its ends.
_LEAST_SHOWN_CHARS = 12
_log = logging.getLogger(__name__)


class CredentialError(Exception):
    """Nothing was changed; the message says why and what to do."""


class CredentialInvalid(CredentialError):
    """A value cannot be used."""


class UnknownCredential(CredentialError):
    """The owner has no such credential."""


class UnknownProject(CredentialError):
    """There is no such project."""


class CredentialExists(CredentialError):
    """The owner has an active credential for the provider; ``credential_id`` is its."""

    def __init__(self, provider: str, credential_id: str) -> None:
        super().__init__(f"{credential_id!r} is active for {provider!r} already: replace, disable or delete it")
        self.credential_id = credential_id


class NewCredential(msgspec.Struct, frozen=True, kw_only=True):
    """What a credential is made with."""

    # None: the operator's.
    project_id: str | None
    provider: str
    secret: Secret
    name: str = ""
    base_url: str | None = None


class Replacement(msgspec.Struct, frozen=True, kw_only=True):
    """Another secret for a credential. The address comes with it: a known secret is never sent to a new one."""

    project_id: str | None
    credential_id: str
    secret: Secret
    base_url: str | None = None


class ActiveCredential(msgspec.Struct, frozen=True, kw_only=True):
    """What a call to a provider needs."""

    credential_id: str
    secret: Secret
    # None: the provider's own.
    base_url: str | None


class CredentialFault(enum.Enum):
    """Why there is a credential that cannot be used; the value is fit for a message."""

    UNREADABLE = "cannot be decrypted here"


async def create_credential(
    database: Database, vault: Vault, providers: Collection[str], wanted: NewCredential, now_ns: int
) -> CredentialListing:
    """Make a credential; every process uses it within 1 s. ``providers`` are the names that there are.

    Raises CredentialInvalid, UnknownProject or CredentialExists.
    """
    if wanted.provider not in providers:
        raise CredentialInvalid(f"{wanted.provider!r} is no provider here; there are {', '.join(sorted(providers))}")
    if len(wanted.name) > MAX_NAME_CHARS or not wanted.name.isprintable():
        raise CredentialInvalid(f"the name {wanted.name[:MAX_NAME_CHARS]!r} is not {MAX_NAME_CHARS} printable letters")
    _check_secret(wanted.secret, wanted.base_url)
    listing = CredentialListing(
        credential_id=f"cred_{new_id(now_ns)}",
        project_id=wanted.project_id,
        provider=wanted.provider,
        name=wanted.name,
        display=display_of(wanted.secret),
        base_url=wanted.base_url,
        created_ns=now_ns,
    )
    try:
        async with database.write() as connection:
            revision = await store.take_revision(connection)
            seal = await _seal(connection, vault, listing, wanted.secret)
            if not await store.insert_credential(connection, listing, seal, revision):
                raise CredentialExists(wanted.provider, await _active_of(connection, listing) or "")
    except exc.IntegrityError:
        raise UnknownProject(f"there is no project {wanted.project_id!r}: make it first") from None
    return listing


async def list_credentials(database: Database, project_id: str | None) -> list[CredentialListing]:
    """List a project's credentials, or the operator's, oldest first, disabled ones included."""
    async with database.read() as connection:
        return await store.list_credentials(connection, project_id)


async def replace_credential(database: Database, vault: Vault, wanted: Replacement) -> CredentialListing:
    """Give a credential another secret everywhere within 1 s; a disabled one is active again.

    Raises CredentialInvalid, UnknownCredential or CredentialExists.
    """
    _check_secret(wanted.secret, wanted.base_url)
    async with database.write() as connection:
        revision = await store.take_revision(connection)
        found = await _find(connection, wanted.project_id, wanted.credential_id)
        active_id = await _active_of(connection, found)
        if active_id not in (None, found.credential_id):
            raise CredentialExists(found.provider, active_id)
        fresh = msgspec.structs.replace(
            found, display=display_of(wanted.secret), base_url=wanted.base_url, disabled_ns=None
        )
        await store.replace_secret(connection, fresh, await _seal(connection, vault, fresh, wanted.secret), revision)
    return fresh


async def disable_credential(database: Database, project_id: str | None, credential_id: str, now_ns: int) -> None:
    """Stop using a credential everywhere within 1 s; repeating it changes nothing. Raises UnknownCredential."""
    async with database.write() as connection:
        revision = await store.take_revision(connection)
        await _find(connection, project_id, credential_id)
        await store.disable_credential(connection, credential_id, now_ns, revision)


async def delete_credential(database: Database, project_id: str | None, credential_id: str, now_ns: int) -> None:
    """Delete a credential everywhere within 1 s. Raises UnknownCredential."""
    async with database.write() as connection:
        revision = await store.take_revision(connection)
        await _find(connection, project_id, credential_id)
        await store.delete_credential(connection, credential_id, now_ns, revision)


def display_of(secret: Secret) -> str:
    """Cut a secret to the ends that may be shown for ever; a short one is not shown at all."""
    text = secret.reveal()
    return f"{text[:3]}...{text[-4:]}" if len(text) >= _LEAST_SHOWN_CHARS else ""


class CredentialDirectory(Follower):
    """Finds the credential for a call, and follows what every process changes."""

    things = "credentials"

    def __init__(self, database: Database, vault: Vault) -> None:
        super().__init__()
        self._database = database
        self._vault = vault
        # By owner and provider.
        self._active: dict[tuple[str | None, str], ActiveCredential | CredentialFault] = {}
        self._active_ids: dict[tuple[str | None, str], str] = {}
        # Of the credentials that are known here: as long as it stays, so does what ``find`` answers.
        self.revision = 0

    def __len__(self) -> int:
        """Count the active credentials."""
        return len(self._active)

    def find(self, project_id: str, provider: str) -> ActiveCredential | CredentialFault | None:
        """Find the project's own credential, or else the operator's; None: neither has one here."""
        found = self._active.get((project_id, provider))
        return self._active.get((None, provider)) if found is None else found

    async def start(self) -> None:
        """Load every credential, then follow changes until ``close``.

        Raises DatabaseUnavailable, and MasterKeyError where a credential is sealed under a key that is not given.
        """
        await check_keys(self._database, self._vault)
        await super().start()

    async def take_changes(self) -> None:
        """Take over what changed since the last time. Raises DatabaseUnavailable."""
        async with self._database.read() as connection:
            revision, rows = await store.read_changes(connection, self.revision)
            is_older = revision < self.revision
            if is_older:
                revision, rows = await store.read_changes(connection, 0)
        if is_older:
            # The database was replaced by an older copy: what only this process remembers is gone.
            self._active.clear()
            self._active_ids.clear()
        for row in rows:
            self._take_over(row)
        self.revision = revision

    def _take_over(self, row: store.SealedCredential) -> None:
        owner = (row.project_id, row.provider)
        if row.secret is not None and row.disabled_ns is None:
            self._active[owner] = self._open(row, row.secret)
            self._active_ids[owner] = row.credential_id
        elif self._active_ids.get(owner) == row.credential_id:
            del self._active[owner], self._active_ids[owner]

    def _open(self, row: store.SealedCredential, seal: bytes) -> ActiveCredential | CredentialFault:
        try:
            secret = Secret(self._vault.open(seal, row.place).decode())
        except VaultError as error:
            _log.warning("credential %s for %s cannot be used: %s", row.credential_id, row.provider, error)
            return CredentialFault.UNREADABLE
        return ActiveCredential(credential_id=row.credential_id, secret=secret, base_url=row.base_url)


def _check_secret(secret: Secret, base_url: str | None) -> None:
    text = secret.reveal()
    if not 0 < len(text) <= MAX_SECRET_CHARS:
        raise CredentialInvalid(f"the secret has {len(text)} characters: give 1 to {MAX_SECRET_CHARS}")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise CredentialInvalid("the secret holds a space or no printable ASCII: give it as the provider showed it")
    if base_url is not None:
        try:
            parse_base_url(base_url)
        except ValueError as error:
            raise CredentialInvalid(str(error)) from None


async def _find(connection: AsyncConnection, project_id: str | None, credential_id: str) -> CredentialListing:
    found = await store.find_credential(connection, project_id, credential_id)
    if found is None:
        raise UnknownCredential(f"there is no credential {credential_id!r} here: list them to see which there are")
    return found


async def _active_of(connection: AsyncConnection, listing: CredentialListing) -> str | None:
    return await store.find_active(connection, listing.project_id, listing.provider)


async def _seal(connection: AsyncConnection, vault: Vault, listing: CredentialListing, secret: Secret) -> bytes:
    """Seal under the newest key; the caller holds the revision, so none newer begins before the commit."""
    place = store.place_of(listing.credential_id, listing.project_id, listing.provider, listing.base_url)
    return vault.seal(secret.reveal().encode(), place, await store.read_version(connection))
