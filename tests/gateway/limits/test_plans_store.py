"""Putting an account on a plan: stored, logged, and followed by every process's keys."""

import pytest
from plans import ACTOR, find_project_id

from gateway.accounts import store
from gateway.accounts.audit import read_entries
from gateway.accounts.directory import KeyDirectory, KeyRecord
from gateway.accounts.keys import KeyDigester
from gateway.accounts.tenancy import people_store
from gateway.db import Database
from gateway.limits.plans import InvalidPlan
from gateway.limits.plans_store import WantedPlan, list_plans, read_plan, set_plan

NOW_NS = 1_790_000_000_000_000_000
DIGESTER = KeyDigester(bytes(32))


async def make_account(database: Database) -> str:
    """An account with a project."""
    async with database.write() as connection:
        return await people_store.insert_account(connection, "shop", NOW_NS)


async def test_a_new_account_is_on_the_least_plan(database: Database) -> None:
    """Without figures of its own."""
    assert await read_plan(database, await make_account(database)) == ("free", {})


async def test_a_plan_is_kept_and_logged(database: Database) -> None:
    """With the overrides, which replace those before."""
    account_id = await make_account(database)
    for overrides in ({"proxy_per_month": 7}, {"proxy_per_minute": 5}):
        wanted = WantedPlan(account_id=account_id, plan="enterprise", rate_overrides=overrides)
        assert await set_plan(database, wanted, ACTOR, NOW_NS)
    assert await read_plan(database, account_id) == ("enterprise", {"proxy_per_minute": 5})
    listed = [(account.account_id, account.name, account.plan) for account in await list_plans(database)]
    assert (account_id, "shop", "enterprise") in listed
    async with database.read() as connection:
        entries = await read_entries(connection, account_id, 10)
    assert [(entry.action, entry.detail) for entry in entries] == [("account.plan", "enterprise")] * 2


async def test_its_keys_follow(database: Database) -> None:
    """A directory that knew them takes the new plan over; keys of others stay as they are."""
    account_id = await make_account(database)
    own = (await store.find_or_create_project(database, "own", NOW_NS)).project_id
    made = [
        await store.create_key(database, DIGESTER, store.NewKey(project_id=project_id), NOW_NS)
        for project_id in (await find_project_id(database, account_id), own)
    ]
    directory = KeyDirectory(database, DIGESTER)
    await directory.refresh()
    await set_plan(database, WantedPlan(account_id=account_id, plan="pro", rate_overrides={}), ACTOR, NOW_NS)
    await directory.refresh()
    found = [directory.find(key.key.encode(), NOW_NS) for key in made]
    assert [record.plan if isinstance(record, KeyRecord) else record for record in found] == ["pro", None]


async def test_an_account_that_is_not_there_is_told(database: Database) -> None:
    """And reads as the least plan."""
    wanted = WantedPlan(account_id="acct_none", plan="pro")
    assert await set_plan(database, wanted, ACTOR, NOW_NS) is False
    assert await read_plan(database, "acct_none") == ("free", {})


async def test_what_is_no_plan_is_refused(database: Database) -> None:
    """Nothing is stored."""
    account_id = await make_account(database)
    with pytest.raises(InvalidPlan):
        await set_plan(database, WantedPlan(account_id=account_id, plan="gold"), ACTOR, NOW_NS)
    assert await read_plan(database, account_id) == ("free", {})
