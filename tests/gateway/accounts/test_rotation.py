"""Rotation: every secret comes under the newest key, and neither readers, writers nor another run are disturbed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from households import AT

from gateway.accounts import credentials_store as sql
from gateway.accounts import rotation
from gateway.accounts.audit import read_entries
from gateway.accounts.credential_directory import ActiveCredential, CredentialDirectory
from gateway.accounts.credentials import (
    NewCredential,
    Replacement,
    create_credential,
    delete_credential,
    list_credentials,
    replace_credential,
)
from gateway.accounts.master import MasterKeyError
from gateway.accounts.rotation import KeyUse, Progress, begin_version, check_keys, read_status, rotate
from gateway.accounts.vault import Vault
from gateway.config.secret import Secret
from gateway.db import Database, DatabaseUnavailable

NOW_NS = 1_790_000_000_000_000_000
OLD, NEW, LOST = (bytes([number]) * 32 for number in (1, 2, 3))
BEFORE, AFTER = Vault(OLD), Vault(NEW, [OLD])
COUNT = 12
PROVIDERS = [f"p{number:02}" for number in range(COUNT)]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dozen rows are several transactions."""
    monkeypatch.setattr(rotation, "BATCH_ROWS", 5)
    monkeypatch.setattr(rotation, "PAUSE_MS", 1)


@pytest_asyncio.fixture
async def filled(database: Database) -> Database:
    """A database with a credential of the operator's for each provider, all under the old key."""
    for provider in PROVIDERS:
        await create(database, BEFORE, provider)
    return database


@pytest.fixture
async def beside(filled: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """The same database as another process has it."""
    opened = await Database.open(database_url, tmp_path)
    yield opened
    await opened.close()


async def create(database: Database, vault: Vault, provider: str) -> str:
    """Make a credential, whose secret is told by its provider; gives its id."""
    wanted = NewCredential(project_id=None, provider=provider, secret=Secret(f"secret-of-{provider}"))
    return (await create_credential(database, vault, [provider], wanted, AT)).credential_id


async def list_deeds(database: Database) -> list[tuple[str, str, str]]:
    """What the audit log tells of the vault, the oldest first."""
    async with database.read() as connection:
        entries = await read_entries(connection, None, 100)
    assert {entry.actor_kind for entry in entries} == {"command"}
    deeds = [(entry.action, entry.object_id, entry.detail) for entry in reversed(entries)]
    return [deed for deed in deeds if deed[0] != "credential.create"]


async def finish(steps: AsyncGenerator[Progress]) -> Progress:
    """Run a rotation to its end."""
    return [progress async for progress in steps][-1]


async def read_all(database: Database, vault: Vault) -> dict[str, str]:
    """Open every credential, as a process that starts now; gives secrets by provider."""
    directory = CredentialDirectory(database, vault)
    await directory.refresh()
    found = {provider: directory.find("any", provider) for provider in [*PROVIDERS, "late"]}
    return {name: one.secret.reveal() for name, one in found.items() if isinstance(one, ActiveCredential)}


async def test_every_secret_comes_under_the_newest_key(filled: Database) -> None:
    """In steps that are told; afterwards the old master key is not needed."""
    steps = [progress async for progress in rotate(filled, AFTER, AT)]
    assert [step.rewrapped for step in steps] == [5, 10, 12, 12]
    assert steps[-1] == Progress(planned=COUNT, rewrapped=COUNT)
    assert await read_all(filled, Vault(NEW)) == {name: f"secret-of-{name}" for name in PROVIDERS}
    assert await finish(rotate(filled, AFTER, AT)) == Progress(planned=0)


async def test_a_version_is_rotated_under_one_master_key(filled: Database) -> None:
    """What is written from then on has the new version, and what was written before comes after."""
    assert await begin_version(filled, AT) == 2
    assert await list_deeds(filled) == [("vault.new_version", "2", "")]
    await create(filled, BEFORE, "late")
    status = await read_status(filled, BEFORE)
    assert [(use.key[-2:], use.state, use.credentials) for use in status.keys] == [
        ("/2", "newest", 1),
        ("/1", "older", COUNT),
    ]
    assert (await finish(rotate(filled, BEFORE, AT))).rewrapped == COUNT
    assert (await read_status(filled, BEFORE)).behind == 0
    assert len(await read_all(filled, BEFORE)) == COUNT + 1


async def test_rotation_changes_nothing_that_others_see(filled: Database) -> None:
    """Caches need not read anything again: the secrets are the same."""
    before = await list_credentials(filled, None)
    directory = CredentialDirectory(filled, BEFORE)
    await directory.refresh()
    revision = directory.revision
    await finish(rotate(filled, AFTER, AT))
    await directory.refresh()
    assert directory.revision == revision
    assert isinstance(directory.find("any", PROVIDERS[0]), ActiveCredential)
    assert await list_credentials(filled, None) == before


async def test_an_interrupted_run_is_resumed(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between two rows of a batch: that batch is undone, those before stay, and the next run goes on."""
    rewrap, calls = sql.replace_seal, 0

    async def fail(*arguments: object) -> bool:
        nonlocal calls
        calls += 1
        if calls == 8:
            raise RuntimeError("killed")
        return await rewrap(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(sql, "replace_seal", fail)
        with pytest.raises(RuntimeError, match="killed"):
            await finish(rotate(filled, AFTER, AT))
    assert (await read_status(filled, AFTER)).behind == COUNT - 5
    assert len(await read_all(filled, AFTER)) == COUNT
    assert await finish(rotate(filled, AFTER, AT)) == Progress(planned=COUNT - 5, rewrapped=COUNT - 5)
    assert len(await read_all(filled, Vault(NEW))) == COUNT


async def test_a_run_may_be_left_between_two_steps(filled: Database) -> None:
    """It holds nothing open: whoever stops asking leaves a database in which all is well."""
    steps = rotate(filled, AFTER, AT)
    assert (await anext(steps)).rewrapped == 5
    await steps.aclose()
    assert len(await read_all(filled, AFTER)) == COUNT
    assert (await finish(rotate(filled, AFTER, AT))).rewrapped == COUNT - 5


async def test_an_outage_in_the_middle_is_told(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done stays done."""

    async def fail(*_: object) -> bool:
        raise DatabaseUnavailable("taken away")

    steps = rotate(filled, AFTER, AT)
    await anext(steps)
    with monkeypatch.context() as patched:
        patched.setattr(sql, "replace_seal", fail)
        with pytest.raises(DatabaseUnavailable, match="taken away"):
            await anext(steps)
    assert (await read_status(filled, AFTER)).behind == COUNT - 5


async def test_two_runs_at_once_do_it_together(filled: Database, beside: Database) -> None:
    """Each seal is replaced once; which of the two does it does not matter."""
    runs = await asyncio.gather(*(finish(rotate(one, AFTER, AT)) for one in (filled, beside, filled)))
    assert sum(run.rewrapped for run in runs) == COUNT
    assert len(await read_all(filled, Vault(NEW))) == COUNT


async def test_a_newer_version_is_not_undone_by_an_older_run(filled: Database, beside: Database) -> None:
    """A run takes up the version that another begins in its middle."""
    steps = rotate(filled, AFTER, AT)
    await anext(steps)
    await begin_version(beside, AT)
    await finish(rotate(beside, AFTER, AT))
    assert (await finish(steps)).rewrapped == 5
    status = await read_status(filled, AFTER)
    assert (status.behind, status.keys[0].key[-2:]) == (0, "/2")


async def test_a_secret_that_changes_in_the_middle_stays(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a batch's reading and its writing: the seal that was read is not there any more."""
    ids = {one.provider: one.credential_id for one in await list_credentials(filled, None)}
    # The first batch, in which all of it happens.
    first, second, third, *_ = sorted(ids.values())
    providers = [name for credential_id in (first, second, third) for name in ids if ids[name] == credential_id]
    read, is_done = sql.read_behind, False

    async def read_then_change(*arguments: object) -> list[sql.SealedCredential]:
        nonlocal is_done
        rows = await read(*arguments)  # type: ignore[arg-type]
        if not is_done:
            is_done = True
            for credential_id, vault in ((first, AFTER), (second, BEFORE)):
                wanted = Replacement(project_id=None, credential_id=credential_id, secret=Secret("changed"))
                await replace_credential(filled, vault, wanted, AT)
            await delete_credential(filled, None, third, AT)
        return rows

    monkeypatch.setattr(sql, "read_behind", read_then_change)
    progress = await finish(rotate(filled, AFTER, AT))
    assert progress == Progress(planned=COUNT, rewrapped=COUNT - 2)
    secrets = await read_all(filled, Vault(NEW))
    assert [secrets.get(name) for name in providers] == ["changed", "changed", None]
    assert len(secrets) == COUNT - 1


async def test_nobody_notices_a_rotation(filled: Database, beside: Database) -> None:
    """While keys rotate again and again, every reader opens every secret and every writer's secret stays."""
    ids = {one.provider: one.credential_id for one in await list_credentials(filled, None)}
    is_over = False
    written: dict[str, str] = {}
    reads = 0

    async def write() -> None:
        turn = 0
        while not is_over:
            turn += 1
            provider = PROVIDERS[turn % COUNT]
            wanted = Replacement(project_id=None, credential_id=ids[provider], secret=Secret(f"turn-{turn}"))
            await replace_credential(beside, AFTER, wanted, AT)
            written[provider] = f"turn-{turn}"
            # SQLite lets a writer that never pauses starve the others.
            await asyncio.sleep(0.005)

    async def read() -> None:
        nonlocal reads
        while not is_over:
            assert len(await read_all(beside, AFTER)) == COUNT
            reads += 1

    async def turn_keys() -> None:
        nonlocal is_over
        for _ in range(4):
            await begin_version(filled, AT)
            await asyncio.gather(*(finish(rotate(one, AFTER, AT)) for one in (filled, beside)))
        is_over = True

    async with asyncio.TaskGroup() as group:
        for work in (write, read, read, turn_keys):
            group.create_task(work())
    await finish(rotate(filled, AFTER, AT))
    status = await read_status(filled, Vault(NEW))
    assert (status.behind, status.credentials, len(status.keys)) == (0, COUNT, 1)
    assert reads > 0
    assert written
    assert await read_all(filled, Vault(NEW)) == {name: f"secret-of-{name}" for name in PROVIDERS} | written


async def test_what_no_key_opens_is_left_and_counted(filled: Database) -> None:
    """The rest is rotated; nothing that a forgotten key might still open is thrown away unasked."""
    await create(filled, Vault(LOST), "late")
    assert await finish(rotate(filled, AFTER, AT)) == Progress(planned=COUNT + 1, rewrapped=COUNT, lost=1)
    assert len(await read_all(filled, Vault(NEW, [LOST]))) == COUNT + 1


async def test_what_no_key_opens_is_discarded_where_that_is_asked_for(filled: Database) -> None:
    """So that an installation whose old key is gone can start; others learn of it as of any deletion."""
    credential_id = await create(filled, Vault(LOST), "late")
    progress = await finish(rotate(filled, AFTER, AT, discards=True))
    assert progress == Progress(planned=COUNT + 1, rewrapped=COUNT, lost=1, discarded=1)
    await check_keys(filled, Vault(NEW))
    async with filled.read() as connection:
        _, changes = await sql.read_changes(connection, COUNT)
    assert [(change.credential_id, change.secret) for change in changes] == [(credential_id, None)]
    deeds = await list_deeds(filled)
    assert [deed for deed in deeds if deed[0] != "vault.rotate"] == [("credential.discard", credential_id, "late")]
    rotated = [told for action, version, told in deeds if (action, version) == ("vault.rotate", "1")]
    assert sum(int(told.partition(" ")[0]) for told in rotated) == COUNT


async def test_a_missing_key_is_told_before_anything_starts(filled: Database) -> None:
    """How many, which key, and the three ways out."""
    await check_keys(filled, AFTER)
    with pytest.raises(MasterKeyError) as caught:
        await check_keys(filled, Vault(NEW))
    name = (await read_status(filled, BEFORE)).keys[0].key
    for word in (f"{COUNT} of the", name, "WATCHLLM_MASTER_KEY", "WATCHLLM_PREVIOUS_MASTER_KEYS", "--discard-lost"):
        assert word in str(caught.value)


async def test_the_status_of_an_empty_vault(database: Database) -> None:
    """There is a newest key before anything is sealed."""
    status = await read_status(database, AFTER)
    assert (status.credentials, status.behind) == (0, 0)
    assert status.keys == [KeyUse(key=status.keys[0].key, state="newest", credentials=0)]
    assert await finish(rotate(database, AFTER, AT)) == Progress(planned=0)
