"""What ``watchllm accounts`` does to the plans of an installation."""

import argparse
import json
from pathlib import Path

import msgspec
import pytest

from gateway.accounts.tenancy import people_store
from gateway.cli import build_parser
from gateway.commands.accounts import REFUSALS, VERBS
from gateway.config.settings import Settings
from gateway.db import Database

NOW_NS = 1_790_000_000_000_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation."""
    return msgspec.structs.replace(Settings(), data_dir=tmp_path)


async def make_account(settings: Settings) -> str:
    """An account named shop."""
    database = await Database.open(None, settings.data_dir)
    async with database.write() as connection:
        account_id = await people_store.insert_account(connection, "shop", NOW_NS)
    await database.close()
    return account_id


async def run(settings: Settings, *words: str) -> str:
    """Run a command as it is written on the command line."""
    wanted: argparse.Namespace = build_parser().parse_args(["accounts", *words])
    return await VERBS[wanted.verb](settings, wanted, NOW_NS)


async def test_an_account_is_put_on_a_plan(settings: Settings) -> None:
    """And listed with it."""
    account_id = await make_account(settings)
    assert (await run(settings, "list")).splitlines()[1].split() == [account_id, "free", "shop"]
    changed = await run(settings, "plan", account_id, "enterprise", "--limit", "proxy_per_minute=1000")
    assert changed == f"{account_id} enterprise proxy_per_minute=1000"
    head, line = (await run(settings, "list")).splitlines()
    assert head.split() == ["ACCOUNT", "PLAN", "NAME", "LIMITS"]
    assert line.split() == [account_id, "enterprise", "shop", "proxy_per_minute=1000"]


async def test_where_there_is_no_account_the_headings_tell(settings: Settings) -> None:
    """And no empty line."""
    await (await Database.open(None, settings.data_dir)).close()
    assert (await run(settings, "list")).split() == ["ACCOUNT", "PLAN", "NAME", "LIMITS"]


async def test_both_speak_json(settings: Settings) -> None:
    """For programs."""
    account_id = await make_account(settings)
    changed = json.loads(await run(settings, "plan", account_id, "pro", "--json"))
    assert changed == {"account_id": account_id, "plan": "pro", "rate_overrides": {}}
    assert json.loads(await run(settings, "list", "--json")) == [{**changed, "name": "shop"}]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("acct_none", "pro"), "no account 'acct_none'; see watchllm accounts list"),
        (("ACCOUNT", "gold"), "no plan 'gold'"),
        (("ACCOUNT", "pro", "--limit", "speed=1"), "no limit 'speed'"),
    ],
)
async def test_what_cannot_be_is_told(settings: Settings, words: tuple[str, ...], told: str) -> None:
    """With what to write instead."""
    account_id = await make_account(settings)
    with pytest.raises(REFUSALS, match=told):
        await run(settings, "plan", *(account_id if word == "ACCOUNT" else word for word in words))


def test_a_limit_is_a_name_and_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    """Everything else is refused before anything is opened."""
    with pytest.raises(SystemExit):
        build_parser().parse_args(["accounts", "plan", "a", "pro", "--limit", "fast"])
    assert "proxy_per_minute=1000" in capsys.readouterr().err
