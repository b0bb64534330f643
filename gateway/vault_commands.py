"""What ``watchllm vault`` does: rotates the keys of stored secrets beside a running server, and tells how far that is.

Failure behavior: what the operator can put right raises one of REFUSALS, whose text says what to do.
"""

import argparse
import sys
from collections.abc import Callable, Coroutine

import msgspec

from gateway.accounts import rotation
from gateway.accounts.master import MasterKeyError
from gateway.accounts.rotation import Progress, VaultStatus
from gateway.accounts.vault import load_vault
from gateway.config.settings import Settings
from gateway.db import DatabaseInvalid, DatabaseUnavailable
from gateway.key_commands import open_database
from gateway.migrations.apply import DatabaseTooNew


class CredentialsLost(Exception):
    """The rotation is done but for credentials that no given key decrypts."""


REFUSALS = (DatabaseInvalid, DatabaseUnavailable, DatabaseTooNew, MasterKeyError, CredentialsLost)


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
    vault = load_vault(settings.master_key, settings.previous_master_keys, settings.data_dir)
    progress = Progress(planned=0)
    async with open_database(settings) as database:
        if wanted.new_version:
            await rotation.begin_version(database)
        async for progress in rotation.rotate(database, vault, discard_ns=now_ns if wanted.discard_lost else None):
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
    vault = load_vault(settings.master_key, settings.previous_master_keys, settings.data_dir)
    async with open_database(settings) as database:
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
