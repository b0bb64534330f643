"""Provider credentials: what their owners do with them.

A credential belongs to a project, or to the operator and then serves every project that has none of its own.

Failure behavior: a refused value raises a CredentialError that never shows the secret; nothing is then changed. Each
change is one transaction with its entry in the audit log.
"""

from collections.abc import Awaitable, Callable, Collection

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts import credentials_store as store
from gateway.accounts.audit import Occasion, note
from gateway.accounts.credentials_store import CredentialListing
from gateway.accounts.keyring.projects_store import lock_project
from gateway.accounts.tenancy.names import MAX_NAME_CHARS, to_name
from gateway.accounts.vault import Vault
from gateway.config.secret import Secret
from gateway.db import Database
from gateway.errors import shown
from gateway.ids import new_id
from providers.transport.address_guard import AddressGuard, AddressRefused
from providers.transport.origin import parse_base_url

MAX_SECRET_CHARS = 4_096
# A shorter secret would be half told by its ends.
_LEAST_SHOWN_CHARS = 12


class CredentialError(Exception):
    """Nothing was changed; the message says why and what to do. ``param`` is the field at fault, as HTTP names it."""

    param: str | None = None


class CredentialInvalid(CredentialError):
    """A value cannot be used."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


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
    # None: it keeps its name.
    name: str | None = None


async def create_credential(
    database: Database, vault: Vault, providers: Collection[str], wanted: NewCredential, occasion: Occasion
) -> CredentialListing:
    """Make a credential; every process uses it within 1 s. ``providers`` are the names that there are.

    Raises CredentialInvalid, UnknownProject or CredentialExists.
    """
    if wanted.provider not in providers:
        known = ", ".join(sorted(providers))
        raise CredentialInvalid(f"{wanted.provider!r} is no provider here; there are {known}", "provider")
    name = _check_name(wanted.name)
    _check_secret(wanted.secret, wanted.base_url)
    listing = CredentialListing(
        credential_id=f"cred_{new_id(occasion.now_ns)}",
        project_id=wanted.project_id,
        provider=wanted.provider,
        name=name,
        display=display_of(wanted.secret),
        base_url=wanted.base_url,
        created_ns=occasion.now_ns,
    )
    async with database.write() as connection:
        # Before the revision, as whoever deletes a project takes them: two transactions never wait crosswise.
        if wanted.project_id is not None and not await lock_project(connection, wanted.project_id):
            raise UnknownProject(f"there is no project {wanted.project_id!r}: make it first")
        revision = await store.take_revision(connection)
        seal = await _seal(connection, vault, listing, wanted.secret)
        if not await store.insert_credential(connection, listing, seal, revision):
            raise CredentialExists(wanted.provider, await _active_of(connection, listing) or "")
        await note(connection, occasion, "credential.create", listing.credential_id, wanted.provider)
    return listing


async def list_credentials(database: Database, project_id: str | None) -> list[CredentialListing]:
    """List a project's credentials, or the operator's, oldest first, disabled ones included."""
    async with database.read() as connection:
        return await store.list_credentials(connection, project_id)


async def replace_credential(
    database: Database, vault: Vault, wanted: Replacement, occasion: Occasion
) -> CredentialListing:
    """Give a credential another secret everywhere within 1 s; a disabled one is active again.

    Raises CredentialInvalid, UnknownCredential or CredentialExists.
    """
    name = None if wanted.name is None else _check_name(wanted.name)
    _check_secret(wanted.secret, wanted.base_url)
    async with database.write() as connection:
        revision = await store.take_revision(connection)
        found = await _find(connection, wanted.project_id, wanted.credential_id)
        active_id = await _active_of(connection, found)
        if active_id not in (None, found.credential_id):
            raise CredentialExists(found.provider, active_id)
        fresh = msgspec.structs.replace(
            found,
            display=display_of(wanted.secret),
            base_url=wanted.base_url,
            name=found.name if name is None else name,
            disabled_ns=None,
        )
        await store.replace_secret(connection, fresh, await _seal(connection, vault, fresh, wanted.secret), revision)
        await note(connection, occasion, "credential.replace", found.credential_id, found.provider)
    return fresh


async def disable_credential(
    database: Database, project_id: str | None, credential_id: str, occasion: Occasion
) -> None:
    """Stop using a credential everywhere within 1 s; repeating it changes nothing. Raises UnknownCredential."""
    async with database.write() as connection:
        revision = await store.take_revision(connection)
        found = await _find(connection, project_id, credential_id)
        await store.disable_credential(connection, credential_id, occasion.now_ns, revision)
        await note(connection, occasion, "credential.disable", credential_id, found.provider)


async def delete_credential(database: Database, project_id: str | None, credential_id: str, occasion: Occasion) -> None:
    """Delete a credential everywhere within 1 s. Raises UnknownCredential."""
    async with database.write() as connection:
        revision = await store.take_revision(connection)
        found = await _find(connection, project_id, credential_id)
        await store.delete_credential(connection, credential_id, occasion.now_ns, revision)
        await note(connection, occasion, "credential.delete", credential_id, found.provider)


async def put_credential(
    database: Database, vault: Vault, providers: Collection[str], wanted: NewCredential, occasion: Occasion
) -> CredentialListing:
    """Give an owner a credential for a provider, or the one there is another secret and address, and a name if given.

    Raises CredentialInvalid or UnknownProject.
    """
    try:
        return await create_credential(database, vault, providers, wanted, occasion)
    except CredentialExists as exists:
        replacement = Replacement(
            project_id=wanted.project_id,
            credential_id=exists.credential_id,
            secret=wanted.secret,
            base_url=wanted.base_url,
            # One that is not named keeps the name it has.
            name=wanted.name or None,
        )
    return await replace_credential(database, vault, replacement, occasion)


async def remove_credential(database: Database, project_id: str | None, provider: str, occasion: Occasion) -> None:
    """Delete an owner's credentials for a provider, a disabled one included. Raises UnknownCredential."""
    async with database.write() as connection:
        revision = await store.take_revision(connection)
        owned = await store.list_credentials(connection, project_id)
        found = [listing for listing in owned if listing.provider == provider]
        if not found:
            raise UnknownCredential(f"there is no credential for {shown(provider)} here: list them to see which are")
        for listing in found:
            await store.delete_credential(connection, listing.credential_id, occasion.now_ns, revision)
            await note(connection, occasion, "credential.delete", listing.credential_id, provider)


class Credentials:
    """What the owners of credentials may do over HTTP; ``follow`` has this process honour a change at once.

    An address that comes this way must be one of the public Internet.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        providers: Collection[str],
        guard: AddressGuard,
        follow: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._vault = vault
        self._providers = providers
        self._guard = guard
        self._follow = follow

    async def list(self, project_id: str | None) -> list[CredentialListing]:
        """List a project's credentials, or the operator's; never their secrets."""
        return await list_credentials(self._database, project_id)

    async def put(self, wanted: NewCredential, occasion: Occasion) -> CredentialListing:
        """Store a credential, in the place of the one there is. Raises CredentialInvalid or UnknownProject."""
        if wanted.base_url is not None:
            try:
                await self._guard.find(parse_base_url(wanted.base_url)[0])
            except (ValueError, AddressRefused) as error:
                raise CredentialInvalid(f"the base_url is refused: {error}", "base_url") from None
        listing = await put_credential(self._database, self._vault, self._providers, wanted, occasion)
        await self._follow()
        return listing

    async def remove(self, project_id: str | None, provider: str, occasion: Occasion) -> None:
        """Delete the credential for a provider. Raises UnknownCredential."""
        await remove_credential(self._database, project_id, provider, occasion)
        await self._follow()


def display_of(secret: Secret) -> str:
    """Cut a secret to the ends that may be shown for ever; a short one is not shown at all."""
    text = secret.reveal()
    return f"{text[:3]}...{text[-4:]}" if len(text) >= _LEAST_SHOWN_CHARS else ""


def _check_name(name: str) -> str:
    written = to_name(name)
    if written is None:
        raise CredentialInvalid(f"the name {name[:MAX_NAME_CHARS]!r} is not {MAX_NAME_CHARS} printable letters", "name")
    return written


def _check_secret(secret: Secret, base_url: str | None) -> None:
    text = secret.reveal()
    if not 0 < len(text) <= MAX_SECRET_CHARS:
        raise CredentialInvalid(f"the secret has {len(text)} characters: give 1 to {MAX_SECRET_CHARS}", "api_key")
    if not (text.isascii() and text.isprintable()) or " " in text:
        why = "the secret holds a space or no printable ASCII: give it as the provider showed it"
        raise CredentialInvalid(why, "api_key")
    if base_url is not None:
        try:
            parse_base_url(base_url)
        except ValueError as error:
            raise CredentialInvalid(str(error), "base_url") from None


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
