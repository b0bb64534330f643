"""Proves what ``watchllm vault`` does to the database of an installation, from one master key to the next."""

import argparse
import base64
import json
from pathlib import Path

import msgspec
import pytest
from households import AT

from gateway.accounts.credential_directory import ActiveCredential, CredentialDirectory
from gateway.accounts.credentials import NewCredential, create_credential
from gateway.accounts.master import MasterKeyError
from gateway.accounts.vault import load_vault
from gateway.commands.vault import CredentialsLost, Rotated, rotate, show_status, write_rotated
from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.db import Database

NOW_NS = 1_736_935_200_000_000_000
OLD, NEW = (Secret(base64.b64encode(bytes([number]) * 32).decode()) for number in (1, 2))
CANARY = "sk-canary-0123456789"


@pytest.fixture
def before(tmp_path: Path) -> Settings:
    """An installation with its first master key."""
    return msgspec.structs.replace(Settings(), data_dir=tmp_path, master_key=OLD)


@pytest.fixture
def after(before: Settings) -> Settings:
    """The same with another one, that still knows the first."""
    return msgspec.structs.replace(before, master_key=NEW, previous_master_keys=(OLD,))


async def seal(settings: Settings, provider: str = "openai") -> None:
    """Store the operator's credential, as a server with these settings does."""
    database = await Database.open(None, settings.data_dir)
    vault = load_vault(settings.master_key, settings.previous_master_keys, settings.data_dir)
    wanted = NewCredential(project_id=None, provider=provider, secret=Secret(CANARY))
    await create_credential(database, vault, [provider], wanted, AT)
    await database.close()


async def start(settings: Settings) -> str:
    """Start as a server does; gives the secret that a call would be sent with."""
    database = await Database.open(None, settings.data_dir)
    vault = load_vault(settings.master_key, settings.previous_master_keys, settings.data_dir)
    directory = CredentialDirectory(database, vault)
    try:
        await directory.start()
        found = directory.find("any", "openai")
        assert isinstance(found, ActiveCredential)
        return found.secret.reveal()
    finally:
        await directory.close()
        await database.close()


async def turn(settings: Settings, *, as_json: bool = True, new_version: bool = False, discard: bool = False) -> str:
    """Run ``watchllm vault rotate``."""
    wanted = argparse.Namespace(json=as_json, new_version=new_version, discard_lost=discard)
    return await rotate(settings, wanted, NOW_NS)


async def status(settings: Settings) -> list[tuple[str, int]]:
    """Run ``watchllm vault status``; gives state and count of each key."""
    told = json.loads(await show_status(settings, argparse.Namespace(json=True), NOW_NS))
    return [(use["state"], use["credentials"]) for use in told["keys"]]


async def test_a_master_key_is_rotated(before: Settings, after: Settings) -> None:
    """Both at once, rotate, then the new one alone: the secret is there at every moment."""
    await seal(before)
    assert await start(after) == CANARY
    assert await status(after) == [("newest", 0), ("older", 1)]
    rotated = json.loads(await turn(after))
    assert (rotated["rewrapped"], rotated["behind"], rotated["discarded"]) == (1, 0, 0)
    assert await status(after) == [("newest", 1)]
    assert await start(msgspec.structs.replace(after, previous_master_keys=())) == CANARY
    with pytest.raises(MasterKeyError, match="another master key"):
        await start(before)


async def test_a_version_is_made_only_where_that_is_asked_for(before: Settings) -> None:
    """So that a rotation can be repeated until it is done."""
    await seal(before)
    keys = [json.loads(await turn(before, new_version=new))["key"][-2:] for new in (False, True, False)]
    assert keys == ["/1", "/2", "/2"]
    assert await start(before) == CANARY


async def test_the_wrong_key_alone_is_refused_and_told(before: Settings, after: Settings) -> None:
    """The start, the rotation, and the status each say it in their way; nothing is lost."""
    await seal(before)
    wrong = msgspec.structs.replace(after, previous_master_keys=())
    with pytest.raises(MasterKeyError, match="1 of the stored provider credentials"):
        await start(wrong)
    with pytest.raises(CredentialsLost, match="1 credentials cannot be decrypted, the other 0") as caught:
        await turn(wrong)
    assert CANARY not in str(caught.value)
    assert await status(wrong) == [("newest", 0), ("missing", 1)]
    assert await start(before) == CANARY


async def test_what_is_lost_is_discarded_on_request(before: Settings, after: Settings) -> None:
    """Afterwards the gateway starts."""
    await seal(before, "groq")
    wrong = msgspec.structs.replace(after, previous_master_keys=())
    assert json.loads(await turn(wrong, discard=True))["discarded"] == 1
    await seal(wrong)
    assert await start(wrong) == CANARY


async def test_a_terminal_is_told_how_far_it_is(
    before: Settings, after: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Progress on stderr, the end on stdout by the command line, and a table for the status."""
    await seal(before)
    text = await turn(after, as_json=False)
    assert text.startswith("1 credentials re-wrapped under ")
    assert "re-wrapped 1 of 1" in capsys.readouterr().err
    head, row = (await show_status(after, argparse.Namespace(json=False), NOW_NS)).splitlines()
    assert head.split() == ["KEY", "STATE", "CREDENTIALS"]
    assert row.split()[1:] == ["newest", "1"]
    assert row.index("newest") == head.index("STATE")


def test_the_end_tells_what_is_not_as_hoped() -> None:
    """What was deleted, and what another process has sealed with the old key since."""
    text = write_rotated(Rotated(rewrapped=3, discarded=2, behind=1, key="ab/1"))
    assert text.startswith("3 credentials re-wrapped under ab/1, 2 discarded; 1 are under another key again")
