"""The budgets in memory: which govern a call, in which order, and how changes are followed."""

from pathlib import Path

import msgspec
import pytest
from budget_world import ACCOUNT, CALLER, KEY, PROJECT, row_of, treasure
from sqlalchemy import text

from gateway.accounts.directory import KeyDirectory, KeyRecord
from gateway.accounts.keys import KeyDigester
from gateway.accounts.store import NewKey, create_key
from gateway.budgets import store
from gateway.budgets.budget import tag_scope_id
from gateway.db import Database
from tests.gateway.usage_rows import NOW_NS


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind is enough here."""
    return f"sqlite:///{tmp_path / 'test.db'}"


async def test_what_governs_a_call(database: Database, tmp_path: Path) -> None:
    """Key, project, account, then its credits, then the tags; nobody else's."""
    async with treasure(database, tmp_path) as house:
        directory = house.books.directory
        assert directory.is_empty
        assert directory.find(CALLER, "red") == ()
        credit = await house.add(kind="credits", scope="account", scope_id=ACCOUNT, span="total")
        red = await house.add(scope="tag", scope_id=tag_scope_id(ACCOUNT, "red"))
        await house.add(scope="tag", scope_id=tag_scope_id("acct_2", "red"), account_id="acct_2")
        account = await house.add(scope="account", scope_id=ACCOUNT)
        project = await house.add(scope="project", scope_id=PROJECT)
        key = await house.add(scope="key", scope_id=KEY)
        found = [standing.budget for standing in directory.find(CALLER, "blue, red,red")]
        assert found == [key, project, account, credit, red]
        assert [standing.budget for standing in directory.find(CALLER, "")] == [key, project, account, credit]
        made = msgspec.structs.replace(CALLER, key_id="key_3", spends_in=(KEY,))
        assert [standing.budget for standing in directory.find(made, "")] == [key, project, account, credit]
        stranger = KeyRecord(key_id="key_2", project_id="proj_2", kind="live")
        assert directory.find(stranger, "red") == ()
        assert [standing.budget for standing in directory.of_account(ACCOUNT)] == [account]
        assert len(directory) == 6


async def test_a_line_of_rotations_has_one_budget(database: Database, tmp_path: Path) -> None:
    """Whichever of its keys the budget names, and whichever calls."""
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO projects (project_id, name, created_ns) VALUES ('proj_1', 'p', 0)"))
    digester = KeyDigester(bytes(32))
    made = await create_key(database, digester, NewKey(project_id=PROJECT), NOW_NS)
    ids = [made.key_id]
    for _ in range(2):
        successor = NewKey(project_id=PROJECT, replaces=ids[-1])
        ids.append((await create_key(database, digester, successor, NOW_NS)).key_id)
    async with treasure(database, tmp_path) as house:
        budgets = [await house.add(scope="key", scope_id=key_id) for key_id in ids]
        keys = KeyDirectory(database, digester)
        await keys.refresh()
        for record in keys._known.values():
            assert isinstance(record, KeyRecord)
            found = [standing.budget for standing in house.books.directory.find(record, "")]
            assert [budget.budget_id for budget in found] == [budget.budget_id for budget in budgets]
            assert {budget.counted_id for budget in found} == {record.counted_id} == {ids[0]}
        for key_id in ids:
            house.recorder.record(row_of(key_id=key_id, cost_pusd=7))
        assert [await house.sum_pusd(budget) for budget in found] == [21, 21, 21]
        await house.recorder.flush()
        assert [await house.sum_pusd(budget) for budget in found] == [21, 21, 21]


async def test_a_deleted_budget_governs_no_more(database: Database, tmp_path: Path) -> None:
    """And what did not change keeps its line."""
    async with treasure(database, tmp_path) as house:
        directory = house.books.directory
        kept, gone = await house.add(), await house.add(span="month")
        line = directory.find(CALLER, "")[0].line_at(NOW_NS)
        revision = directory.revision
        async with database.write() as connection:
            await store.delete(connection, gone.budget_id, NOW_NS)
        await directory.refresh()
        (standing,) = directory.find(CALLER, "")
        assert standing.budget == kept
        assert standing.line_at(NOW_NS) is line
        assert directory.revision == revision + 1
        await directory.refresh()
        assert directory.revision == revision + 1


async def test_a_line_belongs_to_its_window(database: Database, tmp_path: Path) -> None:
    """A call that came before midnight counts in the day that was."""
    async with treasure(database, tmp_path) as house:
        await house.add(limit_pusd=7)
        (standing,) = house.books.directory.find(CALLER, "")
        day_ns = 86_400 * 10**9
        today, tomorrow = standing.line_at(NOW_NS), standing.line_at(NOW_NS + day_ns)
        assert today.resets_ns is not None
        assert tomorrow.window_key == str(today.resets_ns // 10**9)
        assert standing.line_at(NOW_NS) == today
        assert today.limit_pusd == 7
