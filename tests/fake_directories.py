"""Stand-ins for what is known of keys and of provider credentials."""

from gateway.accounts.credential_directory import ActiveCredential, CredentialFault
from gateway.accounts.directory import KeyFault, KeyRecord


class FakeDirectory:
    """The keys of an installation."""

    revision = 0

    def __init__(self, keys: dict[bytes, KeyRecord | KeyFault] | None = None, *, is_stale: bool = False) -> None:
        self.is_stale = is_stale
        self.keys = keys or {}

    def find(self, presented: bytes, now_ns: int) -> KeyRecord | KeyFault:
        """Look a key up."""
        return self.keys.get(presented, KeyFault.UNKNOWN)

    async def catch_up(self) -> None:
        """Nobody else makes keys."""


class FakeCredentials:
    """The stored credentials of an installation, by owner and provider."""

    def __init__(self, active: dict[tuple[str | None, str], ActiveCredential | CredentialFault] | None = None) -> None:
        self.active = active or {}
        self.revision = 0
        self.used: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Nobody has one."""
        return not self.active

    def find(self, project_id: str, provider: str) -> ActiveCredential | CredentialFault | None:
        """The project's own, or else the operator's."""
        return self.active.get((project_id, provider), self.active.get((None, provider)))

    def note_used(self, credential_id: str, now_ns: int) -> None:
        """Remember it."""
        self.used.append(credential_id)
