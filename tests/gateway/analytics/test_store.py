"""Whose projects there are, and a single call as it was recorded."""

import msgspec
from hypothesis import HealthCheck, given, settings
from sqlalchemy import text

from gateway.analytics.store import Correction, find_call, list_project_ids
from gateway.db import Database
from gateway.ledger import store
from gateway.ledger.row import UsageRow
from tests.gateway.usage_rows import any_row, make_row

INSERT_PROJECT = text(
    "INSERT INTO projects (project_id, account_id, name, created_ns, deleted_ns) VALUES (:id, :account, :id, 1, :gone)"
)


async def test_an_account_has_its_projects(database: Database) -> None:
    """Deleted ones too; the operator's have no account."""
    async with database.write() as connection:
        for project, account, gone in (("p1", "a", None), ("p2", "a", 5), ("p3", None, None), ("p4", "b", None)):
            await connection.execute(INSERT_PROJECT, {"id": project, "account": account, "gone": gone})
        assert await list_project_ids(connection, "a") == ("p1", "p2")
        assert await list_project_ids(connection, None) == ("p3",)
        assert await list_project_ids(connection, "c") == ()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=any_row())
async def test_a_call_comes_back_whole(database: Database, row: UsageRow) -> None:
    """Whatever its fields hold; only NUL, which PostgreSQL cannot store, may be replaced."""
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM usage"))
        await store.insert_rows(connection, [row])
        call = await find_call(connection, row.request_id)
    values = msgspec.structs.asdict(row)
    if database.dialect == "postgresql":
        values = {
            name: each.replace("\0", "\ufffd") if isinstance(each, str) else each for name, each in values.items()
        }
    assert call is not None
    assert (call.row, call.account_id, call.corrections) == (UsageRow(**values), None, [])
    assert call.cost_pusd == (0 if row.is_cached else row.cost_pusd)


async def test_a_call_has_its_account_and_corrections(database: Database) -> None:
    """In their order; they change what it costs."""
    row = make_row(project_id="p1", cost_pusd=100)
    async with database.write() as connection:
        await connection.execute(INSERT_PROJECT, {"id": "p1", "account": "a", "gone": None})
        await store.insert_rows(connection, [row])
        for number, delta in enumerate((7, -9)):
            await connection.execute(
                text("INSERT INTO corrections VALUES (:id, :number, :delta, 'operator', 'p', 1, 0)"),
                {"id": row.request_id, "number": number, "delta": delta},
            )
        call = await find_call(connection, row.request_id)
        assert await find_call(connection, "nobodys") is None
    assert call is not None
    assert (call.account_id, call.cost_pusd) == ("a", 98)
    assert call.corrections[0] == Correction(delta_pusd=7, cost_basis="operator", price_id="p", created_ns=1)
