"""Brings every sealed secret under the newest key-encryption key, while others read and write them.

A run goes through the rows in batches, each a transaction of its own; what it has done stays done, so the next run goes
on where an interrupted one ended. A seal is replaced only where it is still the one that was read: of two runs, or of a
run and a new secret, the first wins and nothing is lost. Readers know every key and notice nothing. Each transaction
has its entry in the audit log.

Failure behavior: raises DatabaseUnavailable between batches as gateway.db does. A seal that no given key opens is
counted and left, or discarded where that is asked for.
"""

import asyncio
from collections.abc import AsyncGenerator

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts import credentials_store as store
from gateway.accounts.audit import Deed, Occasion, append_entry, note
from gateway.accounts.master import MasterKeyError
from gateway.accounts.vault import Vault, VaultError, show_key
from gateway.db import Database

BATCH_ROWS = 50
# Between two batches: SQLite's writers do not queue, and one that never paused would starve those of other processes.
PAUSE_MS = 10


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run has come; what another run did in the meantime is in none of the numbers."""

    # Under another key than the newest when the run began.
    planned: int
    rewrapped: int = 0
    # No given key opens these.
    lost: int = 0
    # Of the lost ones.
    discarded: int = 0


class KeyUse(msgspec.Struct, frozen=True, kw_only=True):
    """One key and how much is sealed under it."""

    key: str
    # "newest", "older", or "missing": its master key is not given.
    state: str
    credentials: int


class VaultStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed under which key; the newest key is always the first."""

    credentials: int
    # Under another key than the newest.
    behind: int
    keys: list[KeyUse]


class _Batch(msgspec.Struct, frozen=True, kw_only=True):
    rows: list[store.SealedCredential]
    version: int


async def begin_version(database: Database, occasion: Occasion) -> int:
    """Make a newer version of the key-encryption key, which seals from then on; ``rotate`` then has work."""
    async with database.write() as connection:
        await store.take_revision(connection)
        version = await store.take_version(connection)
        await note(connection, occasion, "vault.new_version", str(version))
        return version


async def rotate(
    database: Database, vault: Vault, occasion: Occasion, *, discards: bool = False
) -> AsyncGenerator[Progress]:
    """Wrap every secret's key anew under the newest key-encryption key; yields after each batch, and at the end.

    ``discards``: credentials that no given key opens are deleted. May be stopped at any time, and run by several
    processes at once.
    """
    progress = Progress(planned=(await read_status(database, vault)).behind)
    has_missed = True
    while has_missed:
        # A row that another changed in between is looked at once more: it may still be under an older key.
        has_missed = False
        # The lost are counted anew with each pass.
        progress = msgspec.structs.replace(progress, lost=progress.discarded)
        after = ""
        while (batch := await _read_batch(database, vault, after)).rows:
            after = batch.rows[-1].credential_id
            done = await _rewrap(database, vault, batch, occasion, discards=discards)
            has_missed |= done.rewrapped + done.lost < len(batch.rows)
            progress = Progress(
                planned=progress.planned,
                rewrapped=progress.rewrapped + done.rewrapped,
                lost=progress.lost + done.lost,
                discarded=progress.discarded + done.discarded,
            )
            yield progress
            await asyncio.sleep(PAUSE_MS / 1_000)
    yield progress


async def read_status(database: Database, vault: Vault) -> VaultStatus:
    """Count the credentials by key."""
    async with database.read() as connection:
        newest = vault.name_key(await store.read_version(connection))
        counts = {count.key_name: count.credentials for count in await store.count_by_key(connection)}
    total = sum(counts.values())
    current = counts.pop(newest, 0)
    older = [
        KeyUse(key=show_key(name), state="older" if vault.knows(name) else "missing", credentials=credentials)
        for name, credentials in counts.items()
    ]
    newest_use = KeyUse(key=show_key(newest), state="newest", credentials=current)
    return VaultStatus(credentials=total, behind=total - current, keys=[newest_use, *older])


async def check_keys(database: Database, vault: Vault) -> None:
    """Raise MasterKeyError where a credential is sealed under a master key that is not given."""
    missing = [use for use in (await read_status(database, vault)).keys if use.state == "missing"]
    if missing:
        count = sum(use.credentials for use in missing)
        raise MasterKeyError(
            f"{count} of the stored provider credentials are encrypted under another master key "
            f"({', '.join(use.key for use in missing)}): set WATCHLLM_MASTER_KEY to that key, or add it to "
            "WATCHLLM_PREVIOUS_MASTER_KEYS; where it is lost, 'watchllm vault rotate --discard-lost' deletes them"
        )


async def _read_batch(database: Database, vault: Vault, after: str) -> _Batch:
    async with database.read() as connection:
        # Asked each time: another run may have begun a newer version, which this one must not undo.
        version = await store.read_version(connection)
        rows = await store.read_behind(connection, vault.name_key(version), after, BATCH_ROWS)
    return _Batch(rows=rows, version=version)


async def _rewrap(database: Database, vault: Vault, batch: _Batch, occasion: Occasion, *, discards: bool) -> Progress:
    """Replace the seals of one batch in a transaction; tells what was done."""
    fresh: list[tuple[store.SealedCredential, bytes]] = []
    lost: list[store.SealedCredential] = []
    for row in batch.rows:
        try:
            fresh.append((row, vault.rewrap(row.secret or b"", row.place, batch.version)))
        except VaultError:
            lost.append(row)
    discarded = 0
    async with database.write() as connection:
        if lost and discards:
            # Before any row, as everybody takes it: two transactions never wait crosswise.
            revision = await store.take_revision(connection)
            for row in lost:
                if await store.discard(connection, row, occasion.now_ns, revision):
                    discarded += 1
                    await _note_discard(connection, row, occasion)
        rewrapped = 0
        for row, seal in fresh:
            rewrapped += await store.replace_seal(connection, row, seal)
        if rewrapped:
            await note(connection, occasion, "vault.rotate", str(batch.version), f"{rewrapped} credentials re-wrapped")
    return Progress(planned=len(batch.rows), rewrapped=rewrapped, lost=len(lost), discarded=discarded)


async def _note_discard(connection: AsyncConnection, row: store.SealedCredential, occasion: Occasion) -> None:
    """In the log of whoever had stored it."""
    account_id = None if row.project_id is None else await store.find_account(connection, row.project_id)
    deed = Deed(account_id=account_id, action="credential.discard", object_id=row.credential_id, detail=row.provider)
    await append_entry(connection, occasion.actor, deed, occasion.now_ns)
