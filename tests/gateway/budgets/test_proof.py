"""What budgets count is proved by the rows, and whatever is wrong is found."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from budget_world import ACCOUNT, KEY, PROJECT, Treasure, make_budget, row_of, treasure
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.analytics import verify
from gateway.budgets import proof, store
from gateway.budgets.budget import Budget, tag_scope_id
from gateway.budgets.proof import SpendDifference, find_differences
from gateway.budgets.rerating import book
from gateway.budgets.spending import Spending
from gateway.budgets.store import Entry
from gateway.budgets.windows import SLOT_NS, window_of
from gateway.db import Database
from gateway.ledger import store as rows_store
from gateway.ledger.figures.tags import split_tags
from gateway.ledger.row import UsageRow
from gateway.ledger.settle import Cost
from tests.gateway.ledger.correcting.test_rating import rated
from tests.gateway.usage_rows import NOW_NS

# Of a week, so that windows of every length end in between.
STEP_NS = 5 * 3_600 * 10**9
# Each with its project and the first key of its line of rotations; and the keys that one comes from.
KEYS = {
    "key_1": (PROJECT, "key_1"),
    "key_2": (PROJECT, "key_1"),
    "key_3": (PROJECT, "key_1"),
    "key_7": ("proj_2", "key_7"),
    "key_8": ("proj_3", "key_8"),
    "key_9": ("proj_0", "key_9"),
    "key_10": (PROJECT, "key_10"),
}
MAKERS = {"key_10": ("key_7", "key_1")}
PROJECTS = {PROJECT: ACCOUNT, "proj_2": ACCOUNT, "proj_3": "acct_2", "proj_0": None}
TAGS = ("", "red", "red,blue", "blue")


async def differences(database: Database) -> list[SpendDifference]:
    """All that is wrong."""
    return [difference async for difference in find_differences(database)]


async def spoil(database: Database, statement: str, **values: Any) -> list[SpendDifference]:
    """Change something, and compare."""
    async with database.write() as connection:
        await connection.execute(text(statement), values)
    return await differences(database)


async def fill(house: Treasure) -> None:
    """Store calls with and without tags, of two moments."""
    for moment, tags in ((0, ""), (0, "red"), (2 * SLOT_NS, "red, blue")):
        house.recorder.record(row_of(created_ns=NOW_NS + moment, cost_pusd=10, tags=tags))
    await house.recorder.flush()


async def test_what_is_right_is_found_right(database: Database, tmp_path: Path) -> None:
    """An empty database too."""
    assert await differences(database) == []
    async with treasure(database, tmp_path) as house:
        await fill(house)
        assert await differences(database) == []


@pytest.mark.parametrize(
    ("scope", "scope_id"),
    [("account", ACCOUNT), ("project", PROJECT), ("key", KEY), ("tag", tag_scope_id(ACCOUNT, "red"))],
)
async def test_a_picodollar_too_much_is_found(database: Database, tmp_path: Path, scope: str, scope_id: str) -> None:
    """With its budget and its window where there is one, by days where none is."""
    spoiled = "UPDATE spend SET pusd = pusd + 1 WHERE scope = :scope AND slot = (SELECT MIN(slot) FROM spend)"
    async with treasure(database, tmp_path) as house:
        await fill(house)
        (found,) = await spoil(database, f"{spoiled} AND scope_id = :id", scope=scope, id=scope_id)
        assert (found.budget_id, found.scope, found.scope_id, found.window) == (None, scope, scope_id, "day")
        assert found.kept_pusd - found.rows_pusd == 1
        budget = await house.add(scope=scope, scope_id=scope_id, span="month", zone="UTC")
        (found,) = await differences(database)
        month = window_of("month", "UTC", NOW_NS)
        assert (found.budget_id, found.window, found.start_ns) == (budget.budget_id, "month", month.start_ns)
        assert (found.kept_pusd, found.rows_pusd) == ((21, 20) if scope == "tag" else (31, 30))


async def test_what_has_no_row_is_found(database: Database, tmp_path: Path) -> None:
    """Also of a scope that there is not, far from every row."""
    strangers = ("nobody", tag_scope_id(ACCOUNT, "green"), tag_scope_id("acct_9", "red"), tag_scope_id(None, "red"))
    async with treasure(database, tmp_path) as house:
        await fill(house)
        for scope, scope_id in itertools.product(("account", "project", "key", "tag"), strangers):
            statement = "INSERT INTO spend (scope, scope_id, slot, pusd) VALUES (:scope, :id, 7, 5)"
            found = await spoil(database, statement, scope=scope, id=scope_id)
            assert [(each.scope, each.scope_id, each.rows_pusd, each.kept_pusd) for each in found] == [
                (scope, scope_id, 0, 5)
            ]
            assert await spoil(database, "DELETE FROM spend WHERE slot = 7") == []


async def test_what_is_counted_nowhere_is_found(database: Database, tmp_path: Path) -> None:
    """Once for each scope of the call; a correction that no budget got as well."""
    async with treasure(database, tmp_path) as house:
        await fill(house)
        found = await spoil(
            database, "INSERT INTO corrections SELECT request_id, 0, 7, '', '', 1, 0 FROM usage WHERE tags = ''"
        )
        lacking = sorted((each.scope, each.rows_pusd - each.kept_pusd) for each in found)
        assert lacking == [("account", 7), ("key", 7), ("project", 7)]
        found = await spoil(database, "DELETE FROM spend")
        assert sorted((each.scope, each.rows_pusd, each.kept_pusd) for each in found) == [
            *(("account", 37, 0), ("key", 37, 0), ("project", 37, 0), ("tag", 10, 0), ("tag", 20, 0)),
        ]


async def test_errors_that_cancel_are_found(database: Database, tmp_path: Path) -> None:
    """Right in sum and wrong in every quarter of an hour: another zone's day would be wrong."""
    async with treasure(database, tmp_path) as house:
        await fill(house)
        found = await spoil(database, "UPDATE spend SET slot = slot + 1 WHERE scope = 'key'")
        assert [(each.scope, each.rows_pusd - each.kept_pusd) for each in found] == [("key", 0)]


async def test_a_balance_is_what_was_granted(database: Database) -> None:
    """Every credit, and nothing else."""
    balance = make_budget(kind="credits", scope="account", scope_id=ACCOUNT, span="total")
    for number in (1, 2):
        grant = Entry(entry_id=str(number), account_id=ACCOUNT, kind="credit", amount_pusd=5 * 10**12, created_ns=1)
        async with database.write() as connection:
            await store.add_credits(connection, balance, grant)
            other = Entry(entry_id=f"s{number}", account_id=ACCOUNT, kind="spending", amount_pusd=3, created_ns=1)
            await store.insert_entry(connection, other)
    assert await differences(database) == []
    (found,) = await spoil(database, "UPDATE budgets SET limit_pusd = limit_pusd + 1")
    assert (found.window, found.rows_pusd, found.kept_pusd) == ("credits", 10**13, 10**13 + 1)


async def begin(connection: AsyncConnection) -> None:
    """Two accounts, the operator's project, a line of three keys, one that keys made, and no calls."""
    for name in ("corrections", "usage", "usage_rollups", "usage_days", "spend", "budgets", "keys", "projects"):
        await connection.execute(text(f"DELETE FROM {name}"))  # noqa: S608 - constants
    for project_id, account_id in PROJECTS.items():
        insert = "INSERT INTO projects (project_id, account_id, name, created_ns) VALUES (:p, :a, :p, 0)"
        await connection.execute(text(insert), {"p": project_id, "a": account_id})
    for number, (key_id, (project_id, root_id)) in enumerate(KEYS.items()):
        insert = (
            "INSERT INTO keys (key_id, project_id, name, kind, is_managing, display, digest, scopes, created_ns, "
            "revision, root_id, spends_in) "
            "VALUES (:id, :project, '', 'live', false, '', :digest, '[]', 0, 0, :root, :makers)"
        )
        root = None if root_id == key_id else root_id
        makers = msgspec.json.encode(MAKERS.get(key_id, ())).decode()
        values = {"id": key_id, "project": project_id, "digest": bytes([number]), "root": root, "makers": makers}
        await connection.execute(text(insert), values)


_FIELDS = st.fixed_dictionaries(
    {
        "created_ns": st.integers(0, 33).map(lambda step: NOW_NS + step * STEP_NS),
        "key_id": st.sampled_from(sorted(KEYS)),
        "tags": st.sampled_from(TAGS),
        "cost_pusd": st.integers(0, 2**62) | st.integers(0, 10**7),
        "is_cached": st.integers(0, 9).map(lambda drawn: drawn == 0),
        "model": st.sampled_from(["a", "b"]),
    }
)
# Rows that come, rows that come again, and corrections of what is there, in any order.
_STEPS = st.lists(
    st.tuples(
        st.just("rows"),
        st.lists(
            _FIELDS.map(lambda fields: row_of(project_id=KEYS[fields["key_id"]][0], **fields)), min_size=1, max_size=4
        ),
    )
    | st.tuples(st.just("again"), st.integers(0, 30))
    | st.tuples(st.just("correct"), st.tuples(st.integers(0, 30), st.integers(0, 2**62) | st.integers(0, 10**7))),
    max_size=12,
)


def count(costs: dict[str, int], rows: Sequence[UsageRow], budget: Budget) -> int:
    """What a budget's window of now has spent, in the plainest way."""
    window = window_of(budget.span, "UTC", NOW_NS)
    total = 0
    for row in rows:
        account_id = PROJECTS[row.project_id]
        scopes = {("account", account_id), ("project", row.project_id)}
        scopes |= {("key", key_id) for key_id in (KEYS[row.key_id][1], *MAKERS.get(row.key_id, ()))}
        scopes |= {("tag", tag_scope_id(account_id, tag)) for tag in split_tags(row.tags)}
        if window.holds(row.created_ns) and (budget.scope, budget.counted_id) in scopes:
            total += costs[row.request_id]
    return total


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=_STEPS)
async def test_rows_sums_and_budgets_are_equal(database: Database, steps: list[tuple[str, Any]]) -> None:
    """Whatever was stored late, twice or corrected: rows, sums of usage and budgets say the same."""
    rows: list[UsageRow] = []
    costs: dict[str, int] = {}
    spending = Spending(database)
    async with database.write() as connection:
        await begin(connection)
        for kind, drawn in steps:
            if kind == "rows":
                rows += drawn
                costs |= {row.request_id: 0 if row.is_cached else row.cost_pusd for row in drawn}
                await spending.take_stored(connection, await rows_store.insert_rows(connection, drawn))
            elif kind == "again" and rows:
                again = [rows[drawn % len(rows)]]
                await spending.take_stored(connection, await rows_store.insert_rows(connection, again))
            elif kind == "correct" and rows:
                place, pusd = drawn
                row = rows[place % len(rows)]
                if not row.is_cached:
                    await book(connection, spending, [(rated(row), Cost(pusd=pusd, basis="operator"))], NOW_NS)
                    costs[row.request_id] = pusd
        scopes = [("account", ACCOUNT), ("project", "proj_2"), ("key", "key_1"), ("tag", tag_scope_id(ACCOUNT, "red"))]
        for budget in (make_budget(scope=s, scope_id=i, span=span) for s, i in scopes for span in ("hour", "week")):
            spent = await store.sum_window(connection, budget, window_of(budget.span, "UTC", NOW_NS))
            assert spent == count(costs, rows, budget)
    assert [found async for found in verify.find_differences(database)] == []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(proof, "_BATCH", 2)
        assert await differences(database) == []
