"""Every active provider credential in memory, so that no call waits for the database to know what it is sent with.

Failure behavior: while the database is away the credentials known so far are used. One that cannot be opened is told
apart from none, so that no project's calls are paid by another's credential; it is logged, and stops nothing else. When
a credential was last used is noted now and then; a note that cannot be written is written later.
"""

import contextlib
import enum
import logging

import msgspec

from gateway.accounts import credentials_store as store
from gateway.accounts.follower import Follower
from gateway.accounts.rotation import check_keys
from gateway.accounts.vault import Vault, VaultError
from gateway.config.secret import Secret
from gateway.db import Database, DatabaseUnavailable

# A write at each use would cost more than it tells.
NOTE_INTERVAL_NS = 60 * 1_000_000_000
_log = logging.getLogger(__name__)


class ActiveCredential(msgspec.Struct, frozen=True, kw_only=True):
    """What a call to a provider needs."""

    credential_id: str
    secret: Secret
    # None: the provider's own.
    base_url: str | None


class CredentialFault(enum.Enum):
    """Why there is a credential that cannot be used; the value is fit for a message."""

    UNREADABLE = "cannot be decrypted here"


class CredentialDirectory(Follower):
    """Finds the credential for a call, and follows what every process changes."""

    things = "credentials"
    revision_name = "credentials"

    def __init__(self, database: Database, vault: Vault) -> None:
        super().__init__(database)
        self._vault = vault
        # By owner and provider.
        self._active: dict[tuple[str | None, str], ActiveCredential | CredentialFault] = {}
        self._active_ids: dict[tuple[str | None, str], str] = {}
        # Of the credentials that are known here: as long as it stays, so does what ``find`` answers.
        self.revision = 0
        # None is active here, so nobody need be asked.
        self.is_empty = True
        # When each was last used, as far as it is not noted; and when it was last noted.
        self._used_ns: dict[str, int] = {}
        self._noted_ns: dict[str, int] = {}

    def __len__(self) -> int:
        """Count the active credentials."""
        return len(self._active)

    def find(self, project_id: str, provider: str) -> ActiveCredential | CredentialFault | None:
        """Find the project's own credential, or else the operator's; None: neither has one here."""
        found = self._active.get((project_id, provider))
        return self._active.get((None, provider)) if found is None else found

    def note_used(self, credential_id: str, now_ns: int) -> None:
        """Remember that a credential was used; the database is told at most once a minute."""
        self._used_ns[credential_id] = now_ns

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
        self.is_empty = not self._active

    async def tend(self) -> None:
        """Write down when credentials were last used; what fails now is done at another look."""
        with contextlib.suppress(DatabaseUnavailable):
            await self.write_used()

    async def write_used(self) -> None:
        """Write down when credentials were last used, where that is due. Raises DatabaseUnavailable."""
        due = {
            credential_id: used_ns
            for credential_id, used_ns in self._used_ns.items()
            if used_ns - self._noted_ns.get(credential_id, 0) >= NOTE_INTERVAL_NS
        }
        if not due:
            return
        async with self._database.write() as connection:
            await store.note_used(connection, due)
        self._noted_ns |= due
        self._used_ns = {name: used_ns for name, used_ns in self._used_ns.items() if due.get(name) != used_ns}

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
