"""Proves what ``watchllm keys`` leaves in the database, as a running server would read it."""

import argparse
import json
import re
from pathlib import Path

import msgspec
import pytest

from gateway.accounts.audit import read_entries
from gateway.accounts.directory import KeyDirectory, KeyFault, KeyRecord
from gateway.accounts.keys import KeyDigester
from gateway.accounts.master import API_KEYS, derive_key, load_master_key
from gateway.commands.keys import (
    KeyInvalid,
    ListedKey,
    NoInstallation,
    UnknownKey,
    create_key,
    list_keys,
    revoke_key,
    write_table,
)
from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.db import Database

NOW_NS = 1_736_935_200_000_000_000
WANTED = {
    "issuer": "lgw",
    "scopes": None,
    "project": "a",
    "test": False,
    "manage": False,
    "name": "",
    "expires_in": None,
    "allowed_models": None,
    "json": True,
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return msgspec.structs.replace(Settings(), data_dir=tmp_path)


async def create(settings: Settings, **changes: object) -> dict[str, str]:
    return json.loads(await create_key(settings, argparse.Namespace(**(WANTED | changes)), NOW_NS))


async def find(settings: Settings, key: str, now_ns: int = NOW_NS) -> KeyRecord | KeyFault:
    """Look a key up as the server does."""
    database = await Database.open(None, settings.data_dir)
    try:
        directory = KeyDirectory(database, KeyDigester(derive_key(load_master_key(None, settings.data_dir), API_KEYS)))
        await directory.refresh()
        return directory.find(key.encode(), now_ns)
    finally:
        await database.close()


async def listed(settings: Settings, now_ns: int = NOW_NS) -> list[dict[str, object]]:
    return json.loads(await list_keys(settings, argparse.Namespace(json=True), now_ns))


async def test_a_made_key_is_honoured(settings: Settings) -> None:
    """The command line and the server share master key and database."""
    made = await create(settings)
    record = await find(settings, made["key"])
    assert isinstance(record, KeyRecord)
    assert (record.key_id, record.project_id, record.kind) == (made["key_id"], made["project_id"], "live")


async def test_options_stay_with_the_key(settings: Settings) -> None:
    """--test, --manage, --allowed-models and --expires-in are all kept."""
    made = await create(settings, test=True, manage=True, allowed_models=frozenset({"m"}), expires_in=5)
    record = await find(settings, made["key"])
    assert isinstance(record, KeyRecord)
    assert (record.kind, record.is_managing, record.allowed_models, record.expires_ns) == (
        "test",
        True,
        frozenset({"m"}),
        NOW_NS + 5,
    )


async def test_one_project_is_made_once(settings: Settings) -> None:
    """The second key of a name joins its project."""
    first, second = await create(settings), await create(settings)
    assert first["project_id"] == second["project_id"]
    assert first["key_id"] != second["key_id"]


async def test_a_revoked_key_is_refused(settings: Settings) -> None:
    """Revoking twice is the same as once."""
    made = await create(settings)
    for _ in range(2):
        await revoke_key(settings, argparse.Namespace(key_id=made["key_id"], json=False), NOW_NS)
    assert await find(settings, made["key"]) is KeyFault.REVOKED


async def test_what_is_done_is_in_the_audit_log(settings: Settings) -> None:
    """The project and the key that are made, and the key's end, once; in the installation's log."""
    made = await create(settings, project="shop")
    other = await create(settings, project="shop")
    for _ in range(2):
        await revoke_key(settings, argparse.Namespace(key_id=made["key_id"], json=False), NOW_NS + 1)
    database = await Database.open(None, settings.data_dir)
    async with database.read() as connection:
        entries = await read_entries(connection, None, 10)
    await database.close()
    assert {entry.actor_kind for entry in entries} == {"command"}
    deeds = [(entry.action, entry.object_id, entry.detail) for entry in entries]
    assert deeds[0] == ("key.revoke", made["key_id"], "")
    assert sorted(deeds[1:]) == sorted(
        [
            ("project.create", made["project_id"], "shop"),
            *[("key.create", key_id, "proxy usage:read") for key_id in (made["key_id"], other["key_id"])],
        ]
    )


@pytest.mark.parametrize(
    ("changes", "prefix", "scopes"),
    [
        ({}, "lgw_proj_", {"proxy", "usage:read"}),
        ({"issuer": "efg"}, "EFG_sk_live_", {"inference", "deploy", "usage:read"}),
        ({"issuer": "efg", "scopes": frozenset({"proxy", "admin"})}, "EFG_sk_live_", {"proxy", "admin"}),
    ],
)
async def test_the_form_tells_the_issuer_and_the_scopes_what_it_may(
    settings: Settings, changes: dict[str, object], prefix: str, scopes: set[str]
) -> None:
    """--issuer and --scopes; the operator gives whatever there is."""
    made = await create(settings, **changes)
    record = await find(settings, made["key"])
    assert isinstance(record, KeyRecord)
    assert (made["key"].startswith(prefix), record.scopes) == (True, scopes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuer": "efg", "test": True}, "no test keys of the issuer 'efg'"),
        ({"scopes": frozenset({"x"})}, "scopes: x"),
    ],
)
async def test_what_no_key_can_be_is_told(settings: Settings, changes: dict[str, object], words: str) -> None:
    """Before anything is made."""
    with pytest.raises(KeyInvalid, match=words):
        await create(settings, **changes)


async def test_an_unknown_id_is_an_error(settings: Settings) -> None:
    """Nothing was revoked, and that is said."""
    await create(settings)
    with pytest.raises(UnknownKey, match="there is no key 'key_x'"):
        await revoke_key(settings, argparse.Namespace(key_id="key_x", json=False), NOW_NS)


async def test_the_list_never_shows_a_key(settings: Settings) -> None:
    """A key is shown once, when it is made."""
    made = await create(settings)
    (row,) = await listed(settings)
    assert row["key_id"] == made["key_id"]
    assert made["key"] not in json.dumps(row)
    assert row["created_at"] == "2025-01-15T10:00:00Z"


async def test_the_list_tells_the_state(settings: Settings) -> None:
    """Active, expired, revoked."""
    await create(settings)
    await create(settings, expires_in=1)
    revoked = await create(settings)
    await revoke_key(settings, argparse.Namespace(key_id=revoked["key_id"], json=True), NOW_NS)
    assert sorted(str(row["state"]) for row in await listed(settings, NOW_NS + 1)) == ["active", "expired", "revoked"]


def test_a_table_is_aligned() -> None:
    """Every column starts below its head."""
    key = ListedKey(
        key_id="key_1",
        project_id="proj_1",
        project="a long project",
        name="",
        kind="live",
        key="lgw_proj_abc...",
        state="active",
        manage=False,
        scopes=["proxy", "usage:read"],
        allowed_models=None,
        created_at="2025-01-15T10:00:00Z",
        expires_at=None,
        last_used_at=None,
    )
    head, row = write_table([key]).splitlines()
    assert re.split(" {2,}", head) == [
        "KEY ID",
        "PROJECT ID",
        "PROJECT",
        "KIND",
        "KEY",
        "STATE",
        "CREATED",
        "EXPIRES",
        "LAST USED",
    ]
    assert row.index("proj_1") == head.index("PROJECT ID")
    assert row.index("a long project") == head.index("PROJECT  ")
    assert row.index("active") == head.index("STATE")


async def test_a_life_beyond_the_last_day_is_refused(settings: Settings) -> None:
    """In words, as over HTTP; the longest that is not is made."""
    day_ns = 86_400 * 1_000_000_000
    for days in (90_000, 999_999_999 * 7):
        with pytest.raises(KeyInvalid, match=f"--expires-in of {days} days ends after 2261-12-30"):
            await create(settings, expires_in=days * day_ns)
    made = await create(settings, expires_in=86_000 * day_ns)
    assert isinstance(await find(settings, made["key"]), KeyRecord)


@pytest.mark.parametrize("name", ["a b", "*"])
async def test_a_key_is_not_limited_to_what_no_call_names(settings: Settings, name: str) -> None:
    """The same rule as over HTTP."""
    with pytest.raises(KeyInvalid, match="which no call names"):
        await create(settings, allowed_models=frozenset({name}))


async def test_what_reads_makes_no_installation(settings: Settings, tmp_path: Path) -> None:
    """A folder that was mistyped is told, and stays as it is: not there."""
    mistyped = msgspec.structs.replace(settings, data_dir=tmp_path / "dta")
    address = Secret(f"sqlite:///{tmp_path}/dta/other.db")
    for missing in (mistyped, msgspec.structs.replace(mistyped, database_url=address)):
        with pytest.raises(NoInstallation, match="--data-dir"):
            await listed(missing)
        with pytest.raises(NoInstallation, match="dta"):
            await revoke_key(missing, argparse.Namespace(json=True, key_id="key_1"), NOW_NS)
    assert not (tmp_path / "dta").exists()
