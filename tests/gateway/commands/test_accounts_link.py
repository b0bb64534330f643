"""Proves what ``watchllm admin link`` prints: a link that makes an operator, once, and ends every earlier one."""

import argparse
import base64
import json
from pathlib import Path

import msgspec
import pytest
from households import CHEAP, MASTER, NOW_NS, ORIGIN, PASSWORD
from sqlalchemy import text

from gateway.accounts.tenancy.passwords import Passwords
from gateway.accounts.tenancy.people import Admission, People, Registration
from gateway.accounts.tenancy.refusals import Refusal
from gateway.accounts.tenancy.sessions import Lifetimes
from gateway.accounts.tenancy.tokens import AccessTokens, make_claim_token
from gateway.commands.accounts import InvalidAddress, make_link
from gateway.config.listening import note_address
from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.db import Database

KEY = Secret(base64.b64encode(MASTER).decode())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation."""
    return msgspec.structs.replace(Settings(), data_dir=tmp_path, master_key=KEY)


async def ask(settings: Settings, url: str | None = None, *, as_json: bool = False) -> str:
    """Run the command."""
    return await make_link(settings, argparse.Namespace(url=url, json=as_json), NOW_NS)


async def claim(settings: Settings, link: str, name: str) -> bool:
    """Register by a link, as the page behind it does; tell whether that made an operator."""
    database = await Database.open(None, settings.data_dir)
    passwords = Passwords(CHEAP)
    try:
        people = People(database, passwords, AccessTokens(MASTER), lambda n: make_claim_token(MASTER, n), Lifetimes())
        admission = Admission(is_open=False, claim=Secret(link.partition("#")[2]))
        wanted = Registration(email=f"{name}@example.com", password=Secret(PASSWORD))
        return (await people.register(wanted, admission, ORIGIN, NOW_NS)).person.is_operator
    except Refusal:
        return False
    finally:
        passwords.close()
        await database.close()


async def test_a_link_works_once_and_a_new_one_ends_those_before(settings: Settings) -> None:
    """Whoever has an older one in a log has nothing."""
    first = await ask(settings)
    second = await ask(settings)
    assert first != second
    tries = [await claim(settings, link, name) for link, name in ((first, "eve"), (second, "ada"), (second, "bob"))]
    assert tries == [False, True, False]


async def test_an_operator_who_lost_the_password_is_followed_by_another(settings: Settings) -> None:
    """Who may run the command may have a link, also where there is an operator."""
    assert await claim(settings, await ask(settings), "ada")
    assert await claim(settings, await ask(settings), "bob")


async def test_the_link_leads_to_where_browsers_find_the_gateway(settings: Settings) -> None:
    """What is asked for, else the public address, else the one that is listened on, which a gateway leaves there."""
    public = msgspec.structs.replace(settings.server, public_url="https://llm.example.org")
    assert (await ask(settings, "https://other.test/")).startswith("https://other.test/claim#")
    told = await ask(msgspec.structs.replace(settings, server=public))
    assert told.startswith("https://llm.example.org/claim#")
    assert (await ask(settings)).startswith("http://127.0.0.1:8080/claim#")
    note_address(settings.data_dir, "http://127.0.0.1:9000")
    assert (await ask(settings)).startswith("http://127.0.0.1:9000/claim#")


async def test_it_answers_in_json_and_is_logged(settings: Settings) -> None:
    """Without the token in the log."""
    link = json.loads(await ask(settings, as_json=True))["link"]
    database = await Database.open(None, settings.data_dir)
    async with database.read() as connection:
        rows = (await connection.execute(text("SELECT * FROM audit_log"))).all()
    await database.close()
    assert [(row.actor_kind, row.action, row.object_id) for row in rows] == [("command", "installation.make_link", "1")]
    assert link.partition("#")[2] not in str(rows)


@pytest.mark.parametrize(
    "url", ["not-a-url", "ftp://x.org", "https://x.org/path?q", "https://x.org/#there", "https://a:b@x.org", "https://"]
)
async def test_a_link_needs_an_address_that_browsers_can_open(settings: Settings, url: str) -> None:
    """Refused before earlier links end."""
    before = await ask(settings)
    with pytest.raises(InvalidAddress, match="--url"):
        await ask(settings, url)
    assert await claim(settings, before, "ada")
