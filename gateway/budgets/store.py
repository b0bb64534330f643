"""The SQL of budgets and of the entries that move money otherwise than by calls.

Failure behavior: raises DatabaseUnavailable as gateway.db does; nothing is half done.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets.budget import Budget, Span
from gateway.budgets.windows import FOREVER_NS, SLOT_NS, Window
from gateway.db import Database
from gateway.ledger.inserts import SqliteInsert

_COLUMNS = (
    "budgets.budget_id, budgets.account_id, budgets.kind, budgets.scope, budgets.scope_id, budgets.span, "
    "budgets.limit_pusd, budgets.action, budgets.thresholds, budgets.created_ns, budgets.deleted_ns, "
    "COALESCE(accounts.zone, 'UTC') AS zone, COALESCE(accounts.zone_changes, 0) AS zone_changes, keys.root_id"
)
_FROM = (
    "FROM budgets LEFT JOIN accounts ON accounts.account_id = budgets.account_id "
    "LEFT JOIN keys ON budgets.scope = 'key' AND keys.key_id = budgets.scope_id"
)
# The row stays locked until the commit, so revisions become visible in their order and a reader misses none.
_NEXT_REVISION = text("UPDATE revisions SET value = value + 1 WHERE name = 'budgets' RETURNING value")
_READ_REVISION = text("SELECT value FROM revisions WHERE name = 'budgets'")
_INSERT = text(
    "INSERT INTO budgets (budget_id, account_id, kind, scope, scope_id, span, limit_pusd, action, thresholds, "
    "created_ns, deleted_ns, revision) VALUES (:budget_id, :account_id, :kind, :scope, :scope_id, :span, :limit_pusd, "
    ":action, :thresholds, :created_ns, NULL, :revision)"
)
_DELETE = text(
    "UPDATE budgets SET deleted_ns = :now_ns, revision = :revision "
    "WHERE budget_id = :budget_id AND kind = 'limit' AND deleted_ns IS NULL"
)
# Its project was deleted, or its key revoked and with it each that took over from it: no call can come to it any more.
_IS_ORPHANED = (
    "((budgets.scope = 'project' AND EXISTS (SELECT 1 FROM projects WHERE projects.project_id = budgets.scope_id "
    "AND projects.deleted_ns IS NOT NULL)) OR (budgets.scope = 'key' AND keys.revoked_ns IS NOT NULL "
    "AND NOT EXISTS (SELECT 1 FROM keys AS living WHERE living.project_id = keys.project_id "
    "AND living.revoked_ns IS NULL "
    "AND COALESCE(living.root_id, living.key_id) = COALESCE(keys.root_id, keys.key_id))))"
)
_FIND_ORPHANED = text(
    f"SELECT budgets.budget_id {_FROM} "  # noqa: S608 - made of constants
    "WHERE budgets.account_id IS NOT DISTINCT FROM :account_id "
    f"AND budgets.deleted_ns IS NULL AND budgets.kind = 'limit' AND {_IS_ORPHANED}"
)
_LIST = f"SELECT {_COLUMNS} {_FROM} WHERE budgets.deleted_ns IS NULL AND budgets.kind = 'limit' AND NOT {_IS_ORPHANED}"
_LIST_OWN = text(f"{_LIST} AND budgets.account_id = :account_id ORDER BY budgets.created_ns, budgets.budget_id")
_LIST_ALL = text(
    f"{_LIST} AND (budgets.account_id = :account_id OR budgets.account_id IS NULL) "
    "ORDER BY budgets.created_ns, budgets.budget_id"
)
_COUNT = text("SELECT COUNT(*) FROM budgets WHERE account_id = :account_id AND deleted_ns IS NULL")
_COUNT_OPERATORS = text("SELECT COUNT(*) FROM budgets WHERE account_id IS NULL AND deleted_ns IS NULL")
_READ_CHANGES = text(f"SELECT {_COLUMNS} {_FROM} WHERE budgets.revision > :seen ORDER BY budgets.revision")
_READ = text(f"SELECT {_COLUMNS} {_FROM} WHERE budgets.budget_id = :budget_id")
_FIND_CREDITS = text(
    "SELECT budget_id FROM budgets WHERE account_id = :account_id AND kind = 'credits' AND deleted_ns IS NULL"
)
_ADD_CREDITS = text(
    "UPDATE budgets SET limit_pusd = limit_pusd + :amount_pusd, revision = :revision WHERE budget_id = :budget_id"
)
_SET_ZONE = text("UPDATE accounts SET zone = :zone, zone_changes = zone_changes + 1 WHERE account_id = :account_id")
_READ_ZONE = text("SELECT zone FROM accounts WHERE account_id = :account_id")
_TOUCH = text("UPDATE budgets SET revision = :revision WHERE account_id = :account_id AND deleted_ns IS NULL")
# Nothing changes but who may go on: two windows that are set back at once are set back one after the other.
_LOCK_ACCOUNT = text("UPDATE accounts SET zone = zone WHERE account_id = :account_id")
_INSERT_ENTRY = text(
    "INSERT INTO entries (entry_id, account_id, kind, span, amount_pusd, made_by, created_ns) "
    "VALUES (:entry_id, :account_id, :kind, :span, :amount_pusd, :made_by, :created_ns)"
)
# Sums in two parts, in whole micro-dollars and in what is left: SQLite's sum of the whole would end at nine million
# dollars. SQLite's remainder has the sign of the amount, as its division rounds to 0, so that the parts add up.
_PART = 1_000_000
_SUM_SPEND = text(
    "SELECT COALESCE(SUM(pusd / 1000000), 0), COALESCE(SUM(pusd % 1000000), 0) FROM spend "
    "WHERE scope = :scope AND scope_id = :scope_id AND slot >= :first AND slot < :after"
)
_SUM_ENTRIES = text(
    "SELECT COALESCE(SUM(amount_pusd / 1000000), 0), COALESCE(SUM(amount_pusd % 1000000), 0) FROM entries "
    "WHERE account_id = :account_id AND kind IN ('spending', 'reset') AND created_ns >= :start_ns "
    "AND created_ns < :end_ns AND (span IS NULL OR span = :span)"
)
_SUM_SLOTS = text(
    "SELECT slot, SUM(pusd / 1000000), SUM(pusd % 1000000) FROM (SELECT slot, pusd FROM spend "  # noqa: S608 - as above
    "WHERE scope = 'account' AND scope_id = :account_id AND slot >= :first AND slot < :after UNION ALL "
    f"SELECT created_ns / {SLOT_NS} AS slot, amount_pusd AS pusd FROM entries WHERE account_id = :account_id "
    f"AND kind IN ('spending', 'reset') AND created_ns >= :first * {SLOT_NS} AND created_ns < :after * {SLOT_NS} "
    "AND (span IS NULL OR span = :span)) AS parts GROUP BY slot ORDER BY slot"
)
_INTO_SPEND = "INSERT INTO spend (scope, scope_id, slot, pusd)"
_ADD_SPEND = "ON CONFLICT (scope, scope_id, slot) DO UPDATE SET pusd = spend.pusd + excluded.pusd"
_SQLITE_SPEND = SqliteInsert(_INTO_SPEND, 4, _ADD_SPEND)
_POSTGRES_SPEND = text(f"{_INTO_SPEND} VALUES (:scope, :scope_id, :slot, :pusd) {_ADD_SPEND}")
_READ_ACCOUNTS = text("SELECT project_id, account_id FROM projects WHERE project_id = :project_id")
_READ_COUNTING = text("SELECT root_id, spends_in FROM keys WHERE key_id = :key_id")
_READ_CORRECTED = text("SELECT value FROM revisions WHERE name = 'corrections'")
_FIND_PROJECT = text("SELECT account_id FROM projects WHERE project_id = :scope_id AND deleted_ns IS NULL")
_FIND_KEY = text(
    "SELECT projects.account_id FROM keys JOIN projects ON projects.project_id = keys.project_id "
    "WHERE keys.key_id = :scope_id AND keys.revoked_ns IS NULL"
)
_MAX_NS = FOREVER_NS - 1


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Money that moved otherwise than by a call: spending told by the account itself, a reset, a credit."""

    entry_id: str
    account_id: str
    # "spending", "reset" or "credit".
    kind: str
    # Counts in windows of this length alone; None: in all of them.
    span: Span | None = None
    amount_pusd: int
    made_by: str | None = None
    # Where it counts: a reset takes off the spending of a quarter of an hour within that, and its id tells its time.
    created_ns: int


async def insert(connection: AsyncConnection, budget: Budget) -> None:
    """Store a budget; every process keeps it within 1 s."""
    values = _values(budget)
    revision = (await connection.execute(_NEXT_REVISION)).scalar_one()
    await connection.execute(_INSERT, {**values, "revision": revision})


async def read(connection: AsyncConnection, budget_id: str) -> Budget:
    """Read a budget that there is, with its account's zone and its key's line of rotations."""
    return _read((await connection.execute(_READ, {"budget_id": budget_id})).mappings().one())


async def delete(connection: AsyncConnection, budget_id: str, now_ns: int) -> bool:
    """Let a budget refuse no more; false where it was deleted before."""
    revision = (await connection.execute(_NEXT_REVISION)).scalar_one()
    values = {"budget_id": budget_id, "now_ns": now_ns, "revision": revision}
    return (await connection.execute(_DELETE, values)).rowcount > 0


async def delete_orphaned(connection: AsyncConnection, account_id: str | None, now_ns: int) -> None:
    """Delete an account's budgets on projects and keys that are gone, so that they do not count among its own."""
    found = (await connection.execute(_FIND_ORPHANED, {"account_id": account_id})).scalars().all()
    for budget_id in found:
        await delete(connection, budget_id, now_ns)


async def list_own(connection: AsyncConnection, account_id: str | None, *, with_operators: bool) -> list[Budget]:
    """List an account's budgets, oldest first, and the operator's where that is asked; none of what is gone."""
    statement = _LIST_ALL if with_operators or account_id is None else _LIST_OWN
    found = await connection.execute(statement, {"account_id": account_id})
    return [_read(row) for row in found.mappings()]


async def count_own(connection: AsyncConnection, account_id: str | None) -> int:
    """Count an account's budgets."""
    statement = _COUNT_OPERATORS if account_id is None else _COUNT
    found: int = (await connection.execute(statement, {"account_id": account_id})).scalar_one()
    return found


async def read_changes(database: Database, seen: int) -> tuple[int, list[Budget]]:
    """Read the revision that the budgets stand at, and those that changed after the revision ``seen``."""
    async with database.read() as connection:
        revision: int = (await connection.execute(_READ_REVISION)).scalar_one()
        if revision == seen:
            return revision, []
        rows = (await connection.execute(_READ_CHANGES, {"seen": seen if seen < revision else 0})).mappings().all()
        return revision, [_read(row) for row in rows]


async def find_owner(connection: AsyncConnection, scope: str, scope_id: str) -> tuple[str | None] | None:
    """Find the account of a project or key, in a tuple; None where there is no such thing."""
    statement = _FIND_PROJECT if scope == "project" else _FIND_KEY
    row = (await connection.execute(statement, {"scope_id": scope_id})).one_or_none()
    return None if row is None else (row[0],)


async def add_credits(connection: AsyncConnection, budget: Budget, entry: Entry) -> None:
    """Book a credit and raise the account's balance by it; ``budget`` is stored where there is none yet."""
    await insert_entry(connection, entry)
    budget_id = (await connection.execute(_FIND_CREDITS, {"account_id": entry.account_id})).scalar_one_or_none()
    if budget_id is None:
        await insert(connection, msgspec.structs.replace(budget, limit_pusd=entry.amount_pusd))
        return
    revision = (await connection.execute(_NEXT_REVISION)).scalar_one()
    values = {"budget_id": budget_id, "amount_pusd": entry.amount_pusd, "revision": revision}
    await connection.execute(_ADD_CREDITS, values)


async def set_zone(connection: AsyncConnection, account_id: str, zone: str) -> None:
    """Let an account's days begin in another zone, and tell every process."""
    revision = (await connection.execute(_NEXT_REVISION)).scalar_one()
    await connection.execute(_SET_ZONE, {"account_id": account_id, "zone": zone})
    await connection.execute(_TOUCH, {"account_id": account_id, "revision": revision})


async def read_zone(connection: AsyncConnection, account_id: str) -> str:
    """Read where an account's days begin."""
    zone: str | None = (await connection.execute(_READ_ZONE, {"account_id": account_id})).scalar_one_or_none()
    return zone or "UTC"


async def lock_account(connection: AsyncConnection, account_id: str) -> None:
    """Have every other process that does the same with this account wait for the caller's transaction."""
    await connection.execute(_LOCK_ACCOUNT, {"account_id": account_id})


async def insert_entry(connection: AsyncConnection, entry: Entry) -> None:
    """Book a movement of money."""
    await connection.execute(_INSERT_ENTRY, msgspec.structs.asdict(entry))


async def sum_window(connection: AsyncConnection, budget: Budget, window: Window) -> int:
    """Sum up what the database has of a budget's window: the stored usage rows and the entries."""
    slots = {"first": window.start_ns // SLOT_NS, "after": min(window.end_ns, _MAX_NS) // SLOT_NS}
    high, low = (await connection.execute(_SUM_SPEND, _scope_of(budget) | slots)).one()
    spent = int(high) * _PART + int(low)
    if budget.scope != "account" or budget.kind != "limit":
        return spent
    bounds = {"start_ns": window.start_ns, "end_ns": min(window.end_ns, _MAX_NS)}
    wanted: dict[str, Any] = {"account_id": budget.scope_id, "span": budget.span, **bounds}
    high, low = (await connection.execute(_SUM_ENTRIES, wanted)).one()
    return spent + int(high) * _PART + int(low)


async def sum_slots(connection: AsyncConnection, account_id: str, span: Span, window: Window) -> dict[int, int]:
    """Sum up what the database has of an account's window, by quarters of an hour."""
    bounds = {"first": window.start_ns // SLOT_NS, "after": window.end_ns // SLOT_NS}
    found = await connection.execute(_SUM_SLOTS, {"account_id": account_id, "span": span, **bounds})
    return {int(slot): int(high) * _PART + int(low) for slot, high, low in found}


async def add_spend(connection: AsyncConnection, spent: Mapping[tuple[str, str, int], int]) -> None:
    """Add to what scopes have spent by slots; ordered, so that two processes never wait crosswise."""
    rows = [(*place, pusd) for place, pusd in sorted(spent.items())]
    if connection.dialect.name == "postgresql":
        names = ("scope", "scope_id", "slot", "pusd")
        await connection.execute(_POSTGRES_SPEND, [dict(zip(names, row, strict=True)) for row in rows])
    else:
        await _SQLITE_SPEND.run(connection, rows)


async def read_counting(connection: AsyncConnection, key_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Read in which keys' budgets each key counts; its own, by the first key of its line of rotations, comes first."""
    found: dict[str, tuple[str, ...]] = {}
    for key_id in key_ids:
        row = (await connection.execute(_READ_COUNTING, {"key_id": key_id})).one_or_none()
        found[key_id] = (key_id,) if row is None else counting_of(key_id, *row)
    return found


def counting_of(key_id: str, root_id: str | None, spends_in: str) -> tuple[str, ...]:
    """Tell in which keys' budgets a key counts, by its columns."""
    return (root_id or key_id, *msgspec.json.decode(spends_in, type=tuple[str, ...]))


async def read_accounts(connection: AsyncConnection, project_ids: Iterable[str]) -> dict[str, str | None]:
    """Read whose the projects are."""
    found: dict[str, str | None] = {}
    for project_id in project_ids:
        row = (await connection.execute(_READ_ACCOUNTS, {"project_id": project_id})).one_or_none()
        found[project_id] = None if row is None else row[1]
    return found


async def read_corrected(connection: AsyncConnection) -> int:
    """Tell how often corrections were booked; see gateway.budgets.rerating."""
    return int((await connection.execute(_READ_CORRECTED)).scalar_one())


def _scope_of(budget: Budget) -> dict[str, Any]:
    return {"scope": budget.scope, "scope_id": budget.counted_id}


def _values(budget: Budget) -> dict[str, Any]:
    values = msgspec.structs.asdict(budget)
    values["thresholds"] = msgspec.json.encode(budget.thresholds).decode()
    del values["deleted_ns"], values["zone"], values["zone_changes"], values["root_id"]
    return values


def _read(row: RowMapping) -> Budget:
    return msgspec.convert({**row, "thresholds": msgspec.json.decode(row["thresholds"])}, Budget)
