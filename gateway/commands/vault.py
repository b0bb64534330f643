"""What ``watchllm vault`` and ``watchllm credentials`` do beside a running server, which shares the database.

``vault`` rotates the keys of stored secrets and tells how far that is. ``credentials`` stores, lists and removes the
operator's keys at providers; a key comes on stdin, never as an argument, which every process of the machine could read.

Failure behavior: what the operator can put right raises one of REFUSALS, whose text says what to do.
"""

import argparse
import sys
from collections.abc import Callable, Coroutine, Sequence

import msgspec

from gateway.accounts import credentials, rotation
from gateway.accounts.audit import COMMAND_LINE, Occasion
from gateway.accounts.credentials import CredentialError, NewCredential
from gateway.accounts.credentials_store import CredentialListing
from gateway.accounts.master import MasterKeyError
from gateway.accounts.rotation import Progress, VaultStatus
from gateway.accounts.vault import load_vault
from gateway.analytics.moments import moment_text
from gateway.commands.keys import NoInstallation, open_database, open_existing
from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.db import DatabaseInvalid, DatabaseUnavailable
from gateway.migrations.apply import DatabaseTooNew
from providers.registry import PROVIDERS


class CredentialsLost(Exception):
    """The rotation is done but for credentials that no given key decrypts."""


REFUSALS = (
    DatabaseInvalid, DatabaseUnavailable, DatabaseTooNew, MasterKeyError, NoInstallation, CredentialsLost,
    CredentialError,
)  # fmt: skip
_IN_PROCESS = ("local", "sandbox")
_MAX_STDIN_CHARS = 16_384


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """What a rotation answers as JSON."""

    rewrapped: int
    discarded: int
    # Under another key than the newest still: written meanwhile by a process whose master key is another one.
    behind: int
    # The newest key.
    key: str


async def rotate(settings: Settings, wanted: argparse.Namespace, now_ns: int) -> str:
    """Bring every stored secret under the newest key; may be stopped and run again. Raises CredentialsLost."""
    progress, occasion = Progress(planned=0), _occasion(now_ns)
    async with open_existing(settings) as database:
        vault = load_vault(settings.master_key, settings.previous_master_keys, settings.data_dir)
        if wanted.new_version:
            await rotation.begin_version(database, occasion)
        async for progress in rotation.rotate(database, vault, occasion, discards=wanted.discard_lost):
            if not wanted.json:
                print(f"re-wrapped {progress.rewrapped} of {progress.planned}", file=sys.stderr)
        status = await rotation.read_status(database, vault)
    if lost := progress.lost - progress.discarded:
        raise CredentialsLost(
            f"{lost} credentials cannot be decrypted, the other {progress.rewrapped} were re-wrapped: give their "
            "master key in WATCHLLM_PREVIOUS_MASTER_KEYS and run this again, or delete them with --discard-lost"
        )
    rotated = Rotated(
        rewrapped=progress.rewrapped, discarded=progress.discarded, behind=status.behind, key=status.keys[0].key
    )
    return msgspec.json.encode(rotated).decode() if wanted.json else write_rotated(rotated)


async def show_status(settings: Settings, wanted: argparse.Namespace, _now_ns: int) -> str:
    """Count the stored secrets by key, as a table or as JSON."""
    async with open_existing(settings) as database:
        vault = load_vault(settings.master_key, settings.previous_master_keys, settings.data_dir)
        status = await rotation.read_status(database, vault)
    return msgspec.json.encode(status).decode() if wanted.json else write_status(status)


VERBS: dict[str, Callable[[Settings, argparse.Namespace, int], Coroutine[None, None, str]]] = {
    "rotate": rotate,
    "status": show_status,
}


def write_rotated(rotated: Rotated) -> str:
    """Write the end of a rotation for a terminal."""
    text = f"{rotated.rewrapped} credentials re-wrapped under {rotated.key}"
    if rotated.discarded:
        text += f", {rotated.discarded} discarded"
    if rotated.behind:
        text += f"; {rotated.behind} are under another key again: another process still uses it as its master key"
    return text


def write_status(status: VaultStatus) -> str:
    """Write what is under which key as a table for a terminal."""
    rows = [("KEY", "STATE", "CREDENTIALS"), *((use.key, use.state, str(use.credentials)) for use in status.keys)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


class ListedCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A stored key as it is listed; times are RFC 3339 or null."""

    provider: str
    # At most its first three and last four characters.
    key: str
    created_at: str
    last_used_at: str | None


async def set_credential(settings: Settings, wanted: argparse.Namespace, now_ns: int) -> str:
    """Store the key on stdin. Raises CredentialError."""
    vault = load_vault(settings.master_key, settings.previous_master_keys, settings.data_dir)
    secret = Secret(sys.stdin.read(_MAX_STDIN_CHARS).strip())
    new = NewCredential(project_id=None, provider=wanted.provider, secret=secret)
    async with open_database(settings) as database:
        listing = await credentials.put_credential(database, vault, list_providers(settings), new, _occasion(now_ns))
    return msgspec.json.encode(_listed(listing)).decode() if wanted.json else f"stored the key for {wanted.provider}"


async def list_credentials(settings: Settings, wanted: argparse.Namespace, _now_ns: int) -> str:
    """List the stored keys, as a table or as JSON."""
    async with open_existing(settings) as database:
        listed = [_listed(listing) for listing in await credentials.list_credentials(database, None)]
    return msgspec.json.encode(listed).decode() if wanted.json else write_credentials(listed)


async def remove_credential(settings: Settings, wanted: argparse.Namespace, now_ns: int) -> str:
    """Delete a provider's key. Raises CredentialError."""
    async with open_existing(settings) as database:
        await credentials.remove_credential(database, None, wanted.provider, _occasion(now_ns))
    removed = {"provider": wanted.provider, "removed": True}
    return msgspec.json.encode(removed).decode() if wanted.json else f"removed the key for {wanted.provider}"


CREDENTIAL_VERBS: dict[str, Callable[[Settings, argparse.Namespace, int], Coroutine[None, None, str]]] = {
    "set": set_credential,
    "list": list_credentials,
    "remove": remove_credential,
}


def list_providers(settings: Settings) -> frozenset[str]:
    """The providers that a key can be stored for: built in, or configured."""
    dialects = {name: row.dialect for name, row in PROVIDERS.items()}
    dialects |= {name: provider.dialect for name, provider in settings.providers.items()}
    return frozenset(name for name, dialect in dialects.items() if dialect not in _IN_PROCESS)


def write_credentials(listed: Sequence[ListedCredential]) -> str:
    """Write stored keys as a table for a terminal."""
    rows = [("PROVIDER", "KEY", "CREATED", "LAST USED")]
    rows += [(one.provider, one.key or "-", one.created_at, one.last_used_at or "-") for one in listed]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _listed(listing: CredentialListing) -> ListedCredential:
    used_ns = listing.last_used_ns
    return ListedCredential(
        provider=listing.provider,
        key=listing.display,
        created_at=moment_text(listing.created_ns),
        last_used_at=None if used_ns is None else moment_text(used_ns),
    )


def _occasion(now_ns: int) -> Occasion:
    return Occasion(actor=COMMAND_LINE, account_id=None, now_ns=now_ns)
