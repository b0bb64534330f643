"""Credentials in memory: what the path of a request finds, follows, survives, and never shows."""

import asyncio
import logging
import pickle
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from households import AT
from sqlalchemy import text
from waiting_clock import waiting_clock

from gateway.accounts import credentials_store, follower
from gateway.accounts import credentials_store as sql
from gateway.accounts.credential_directory import (
    NOTE_INTERVAL_NS,
    ActiveCredential,
    CredentialDirectory,
    CredentialFault,
)
from gateway.accounts.credentials import (
    CredentialExists,
    NewCredential,
    Replacement,
    create_credential,
    delete_credential,
    disable_credential,
    replace_credential,
)
from gateway.accounts.master import MasterKeyError
from gateway.accounts.rotation import begin_version, rotate
from gateway.accounts.store import find_or_create_project
from gateway.accounts.vault import Vault
from gateway.config.secret import Secret
from gateway.db import Database, DatabaseUnavailable

NOW_NS = 1_790_000_000_000_000_000
CANARY = "sk-canary-0123456789abcdef"
PROVIDERS = frozenset({"openai", "groq", "llama"})
VAULT, OTHER_VAULT = Vault(bytes([1] * 32)), Vault(bytes([2] * 32))


@pytest.fixture
async def project_id(database: Database) -> str:
    return (await find_or_create_project(database, "p", NOW_NS)).project_id


@pytest.fixture
async def directory(database: Database) -> AsyncIterator[CredentialDirectory]:
    """A directory that is refreshed by hand."""
    directory = CredentialDirectory(database, VAULT)
    yield directory
    await directory.close()


async def create(database: Database, project_id: str | None, vault: Vault = VAULT, **changes: object) -> str:
    """Make a credential and give its id."""
    wanted = NewCredential(project_id=project_id, provider="openai", secret=Secret(CANARY))
    wanted = msgspec.structs.replace(wanted, **changes)
    return (await create_credential(database, vault, PROVIDERS, wanted, AT)).credential_id


async def find(directory: CredentialDirectory, project_id: str, provider: str = "openai") -> str | None:
    """Look up as a request does, after a refresh; gives the secret's text."""
    await directory.refresh()
    found = directory.find(project_id, provider)
    assert not isinstance(found, CredentialFault)
    return None if found is None else found.secret.reveal()


async def wait_until(is_true: Callable[[], bool]) -> float:
    """Wait for something and tell how long it took, in s."""
    async with asyncio.timeout(20), waiting_clock() as clock:
        while not is_true():
            await asyncio.sleep(0.01)
        return clock.seconds


async def test_changes_of_another_process_are_followed_within_a_second(database_url: str, tmp_path: Path) -> None:
    """A credential made beside a running server is used, a disabled one is not any more."""
    here, there = [await Database.open(database_url, tmp_path) for _ in range(2)]
    directory = CredentialDirectory(here, VAULT)
    await directory.start()
    credential_id = await create(there, None)
    assert await wait_until(lambda: directory.find("p", "openai") is not None) < 1
    await disable_credential(there, None, credential_id, AT)
    assert await wait_until(lambda: directory.find("p", "openai") is None) < 1
    await directory.close()
    await here.close()
    await there.close()


async def test_known_credentials_outlive_the_database(
    database: Database,
    project_id: str,
    directory: CredentialDirectory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An outage is told once, and changes come in when it is over."""
    monkeypatch.setattr(follower, "POLL_INTERVAL_MS", 5)
    await create(database, project_id)
    await directory.start()

    async def fail(*_: object) -> None:
        raise DatabaseUnavailable("taken away")

    with monkeypatch.context() as patched:
        patched.setattr(sql, "read_changes", fail)
        await wait_until(lambda: directory.is_stale)
        await asyncio.sleep(0.03)
        assert directory.find(project_id, "openai") is not None
    await create(database, project_id, provider="groq")
    await wait_until(lambda: directory.find(project_id, "groq") is not None)
    assert not directory.is_stale
    assert caplog.text.count("taken away") == 1


async def test_a_database_that_hangs_makes_the_directory_stale(
    directory: CredentialDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting has an end."""
    monkeypatch.setattr(follower, "POLL_TIMEOUT_MS", 10)

    async def hang(*_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(sql, "read_changes", hang)
    with pytest.raises(DatabaseUnavailable, match="timed out"):
        await directory.refresh()
    assert directory.is_stale


async def test_an_older_copy_of_the_database_is_read_anew(
    database: Database, project_id: str, directory: CredentialDirectory
) -> None:
    """After a restore a credential that only memory knows is no longer used."""
    lost = await create(database, project_id)
    await create(database, project_id, provider="groq")
    assert await find(directory, project_id) == CANARY
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM credentials WHERE credential_id = :id"), {"id": lost})
        await connection.execute(text("UPDATE credentials SET revision = 1"))
        await connection.execute(text("UPDATE revisions SET value = 1 WHERE name = 'credentials'"))
    assert await find(directory, project_id) is None
    assert await find(directory, project_id, "groq") == CANARY


async def test_the_wrong_master_key_refuses_the_start(database: Database, project_id: str) -> None:
    """The message says how many, and what to do; disabled ones count too."""
    credential_id = await create(database, project_id)
    await disable_credential(database, project_id, credential_id, AT)
    with pytest.raises(MasterKeyError, match=r"1 of the stored .* set WATCHLLM_MASTER_KEY") as caught:
        await CredentialDirectory(database, OTHER_VAULT).start()
    assert CANARY not in str(caught.value)
    await delete_credential(database, project_id, credential_id, AT)
    directory = CredentialDirectory(database, OTHER_VAULT)
    await directory.start()
    await directory.close()


async def test_a_key_that_is_unknown_later_stops_nothing(
    database: Database, project_id: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The project is not served with the operator's credential instead; all else goes on, and it is logged."""
    monkeypatch.setattr(follower, "POLL_INTERVAL_MS", 5)
    await create(database, None)
    directory = CredentialDirectory(database, VAULT)
    await directory.start()
    own = await create(database, project_id, OTHER_VAULT)
    await wait_until(lambda: directory.find(project_id, "openai") is CredentialFault.UNREADABLE)
    assert isinstance(directory.find("proj_other", "openai"), ActiveCredential)
    assert caplog.text.count(own) == 2
    assert "another master key" in caplog.text
    await delete_credential(database, project_id, own, AT)
    await wait_until(lambda: isinstance(directory.find(project_id, "openai"), ActiveCredential))
    await directory.close()


@pytest.mark.parametrize(
    "change",
    [
        "base_url = 'https://thief.example.org'",
        "provider = 'groq'",
        "project_id = 'proj_of_a_thief'",
        "credential_id = 'cred_other'",
        "secret = (SELECT secret FROM credentials WHERE provider = 'llama')",
    ],
    ids=["address", "provider", "owner", "id", "secret"],
)
async def test_who_writes_to_the_database_gains_no_secret(
    database: Database, project_id: str, directory: CredentialDirectory, change: str
) -> None:
    """A secret is neither given to another project nor sent to another address by changing its row."""
    await create(database, project_id)
    await create(database, None, provider="llama")
    async with database.write() as connection:
        await connection.execute(
            text(
                "INSERT INTO projects (project_id, name, created_ns) VALUES ('proj_of_a_thief', 'thief', 0) "
                "ON CONFLICT DO NOTHING"
            )
        )
        await connection.execute(text(f"UPDATE credentials SET {change} WHERE provider = 'openai'"))  # noqa: S608
    await directory.refresh()
    found = {directory.find(owner, name) for owner in (project_id, "proj_of_a_thief") for name in ("openai", "groq")}
    assert found == {None, CredentialFault.UNREADABLE}


async def test_a_secret_is_in_no_file_of_the_database(tmp_path: Path) -> None:
    """Neither in the table nor in the log that SQLite writes ahead, nor in what is left when it closes."""
    database = await Database.open(None, tmp_path)
    secrets = [f"{CANARY}-{number}" for number in range(4)]
    project_id = (await find_or_create_project(database, "p", NOW_NS)).project_id
    credential_id = await create(database, project_id, secret=Secret(secrets[0]))
    await create(database, None, secret=Secret(secrets[1]))
    for secret in secrets[2:]:
        wanted = Replacement(project_id=project_id, credential_id=credential_id, secret=Secret(secret))
        await replace_credential(database, VAULT, wanted, AT)
    await begin_version(database, AT)
    assert [progress.rewrapped async for progress in rotate(database, VAULT, AT)] == [2, 2]
    running = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(running["watchllm.db-wal"]) > 0
    await database.close()
    for content in (*running.values(), *(path.read_bytes() for path in tmp_path.iterdir())):
        assert b"canary" not in content
        assert not any(part.encode() in content for secret in secrets for part in (secret, secret[3:-4]))


async def test_a_secret_shows_itself_nowhere(
    database: Database, project_id: str, directory: CredentialDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    """In no repr, no log at any level, no encoder; of what is asked for it, all that is found refuses or masks."""
    with caplog.at_level(logging.DEBUG):
        await create(database, project_id)
        await directory.start()
        await disable_credential(database, None, await create(database, None), AT)
        with pytest.raises(CredentialExists) as caught:
            await create(database, project_id)
        found = directory.find(project_id, "openai")
        logging.getLogger("gateway").error("%r %s %s", found, directory, vars(directory), exc_info=caught.value)
    wanted = NewCredential(project_id=None, provider="openai", secret=Secret(CANARY))
    replacement = Replacement(project_id=None, credential_id="c", secret=Secret(CANARY))
    shown = "".join(map(repr, (found, wanted, replacement, directory, vars(directory), caught.value)))
    assert "canary" not in shown + caplog.text
    assert "***" in caplog.text
    for value in (found, wanted, replacement):
        for encode in (msgspec.json.encode, msgspec.to_builtins, pickle.dumps):
            with pytest.raises(TypeError):
                encode(value)
    await directory.close()
    with pytest.raises(TypeError):
        pickle.dumps(directory._active)


async def test_it_tells_whether_anybody_has_one(
    database: Database, project_id: str, directory: CredentialDirectory
) -> None:
    """So that a call of an installation without any asks for none."""
    await directory.refresh()
    assert directory.is_empty
    credential_id = await create(database, project_id)
    await directory.refresh()
    assert not directory.is_empty
    await delete_credential(database, project_id, credential_id, AT)
    await directory.refresh()
    assert directory.is_empty


async def test_a_use_is_noted_at_most_once_a_minute(
    database: Database, project_id: str, directory: CredentialDirectory
) -> None:
    """The first at once, each later one when it is due; the newest moment counts."""
    credential_id = await create(database, project_id)

    async def last_used() -> int | None:
        await directory.tend()
        async with database.read() as connection:
            found = await credentials_store.list_credentials(connection, project_id)
        return found[0].last_used_ns

    assert await last_used() is None
    directory.note_used(credential_id, NOW_NS)
    assert await last_used() == NOW_NS
    directory.note_used(credential_id, NOW_NS + NOTE_INTERVAL_NS - 1)
    assert await last_used() == NOW_NS
    directory.note_used(credential_id, NOW_NS + NOTE_INTERVAL_NS + 5)
    assert await last_used() == NOW_NS + NOTE_INTERVAL_NS + 5
