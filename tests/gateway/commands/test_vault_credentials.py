"""Proves what ``watchllm credentials`` does: the operator's provider keys, from stdin into the vault."""

import argparse
import io
import json
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from gateway.accounts.credential_directory import ActiveCredential, CredentialDirectory
from gateway.accounts.credentials import CredentialInvalid, UnknownCredential
from gateway.accounts.vault import load_vault
from gateway.commands.vault import CREDENTIAL_VERBS, list_providers, write_credentials
from gateway.config.settings import ProviderSettings, Settings
from gateway.db import Database

NOW_NS = 1_736_935_200_000_000_000
CANARY = "sk-canary-0123456789"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation with one provider of its own."""
    own = ProviderSettings(dialect="openai", base_url="http://127.0.0.1:1/v1")
    return msgspec.structs.replace(Settings(), data_dir=tmp_path, providers={"llama": own})


async def run(settings: Settings, verb: str, provider: str = "", *, as_json: bool = True) -> str:
    """Run one verb."""
    return await CREDENTIAL_VERBS[verb](settings, argparse.Namespace(provider=provider, json=as_json), NOW_NS)


async def find(settings: Settings, provider: str) -> str | None:
    """What a server finds for any project."""
    database = await Database.open(None, settings.data_dir)
    directory = CredentialDirectory(database, load_vault(None, (), settings.data_dir))
    await directory.refresh()
    await database.close()
    found = directory.find("any", provider)
    return found.secret.reveal() if isinstance(found, ActiveCredential) else None


def type_in(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    """What stands on stdin."""
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))


async def test_a_key_is_stored_replaced_and_removed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A final line end is not part of it; what is printed shows its ends only."""
    for secret in (CANARY, f"{CANARY}-new"):
        type_in(monkeypatch, f"{secret}\n")
        told = json.loads(await run(settings, "set", "openai"))
        assert await find(settings, "openai") == secret
        assert (told["provider"], told["created_at"], CANARY in str(told)) == ("openai", "2025-01-15T10:00:00Z", False)
    assert json.loads(await run(settings, "list")) == [
        {"provider": "openai", "key": "sk-...-new", "created_at": "2025-01-15T10:00:00Z", "last_used_at": None}
    ]
    assert json.loads(await run(settings, "remove", "openai")) == {"provider": "openai", "removed": True}
    assert (await find(settings, "openai"), json.loads(await run(settings, "list"))) == (None, [])


async def test_for_people_it_says_so_in_words(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the list is a table."""
    type_in(monkeypatch, CANARY)
    assert await run(settings, "set", "llama", as_json=False) == "stored the key for llama"
    header, line = (await run(settings, "list", as_json=False)).splitlines()
    assert (header.split()[0], line.split()[:2], line.split()[-1]) == ("PROVIDER", ["llama", "sk-...6789"], "-")
    assert await run(settings, "remove", "llama", as_json=False) == "removed the key for llama"
    assert write_credentials([]) == "PROVIDER  KEY  CREATED  LAST USED"


async def test_what_cannot_be_stored_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown provider, no key at all, and nothing to remove."""
    type_in(monkeypatch, CANARY)
    with pytest.raises(CredentialInvalid, match="there are anthropic, groq, llama, openai, openrouter") as caught:
        await run(settings, "set", "sandbox")
    assert CANARY not in str(caught.value)
    type_in(monkeypatch, "\n")
    with pytest.raises(CredentialInvalid, match="has 0 characters"):
        await run(settings, "set", "openai")
    with pytest.raises(UnknownCredential, match="'groq'"):
        await run(settings, "remove", "groq")


async def test_it_is_in_the_audit_log(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command line's."""
    type_in(monkeypatch, CANARY)
    await run(settings, "set", "openai")
    database = await Database.open(None, settings.data_dir)
    async with database.read() as connection:
        row = (await connection.execute(text("SELECT actor_kind, action, detail FROM audit_log"))).one()
    await database.close()
    assert tuple(row) == ("command", "credential.create", "openai")


def test_only_what_is_called_by_address_has_keys(settings: Settings) -> None:
    """Built in or configured."""
    assert list_providers(settings) == {"openai", "anthropic", "groq", "openrouter", "llama"}
