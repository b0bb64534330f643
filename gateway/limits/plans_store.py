"""The SQL of accounts' plans: which one an account is on, and putting it on another.

Failure behavior: raises DatabaseUnavailable as gateway.db does; nothing is half done.
"""

import msgspec
from sqlalchemy import text

from gateway.accounts.audit import Actor, Deed, append_entry
from gateway.accounts.store import take_revision
from gateway.db import Database
from gateway.limits.plans import LEAST, check_plan

_READ = text("SELECT plan, rate_overrides FROM accounts WHERE account_id = :account_id")
_LIST = text("SELECT account_id, name, plan, rate_overrides FROM accounts ORDER BY created_ns, account_id")
_SET = text("UPDATE accounts SET plan = :plan, rate_overrides = :rate_overrides WHERE account_id = :account_id")
_TOUCH_KEYS = text(
    "UPDATE keys SET revision = :revision "
    "WHERE project_id IN (SELECT project_id FROM projects WHERE account_id = :account_id)"
)


class WantedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What an account shall be on."""

    account_id: str
    plan: str
    # Figures that differ from the plan's, by the names of gateway.limits.plans.
    rate_overrides: dict[str, int] = {}


class AccountPlan(WantedPlan, frozen=True, kw_only=True):
    """What an account is on."""

    name: str


async def read_plan(database: Database, account_id: str) -> tuple[str, dict[str, int]]:
    """Read an account's plan and overrides; of one that is not there, the least plan."""
    async with database.read() as connection:
        row = (await connection.execute(_READ, {"account_id": account_id})).one_or_none()
    return (LEAST, {}) if row is None else (row.plan, _decode(row.rate_overrides))


async def list_plans(database: Database) -> list[AccountPlan]:
    """List every account, oldest first."""
    async with database.read() as connection:
        rows = (await connection.execute(_LIST)).all()
    return [
        AccountPlan(account_id=row.account_id, name=row.name, plan=row.plan, rate_overrides=_decode(row.rate_overrides))
        for row in rows
    ]


async def set_plan(database: Database, wanted: WantedPlan, actor: Actor, now_ns: int) -> bool:
    """Put an account on a plan; every process follows within 1 s. False: there is no such account.

    The overrides replace those that it had. Raises InvalidPlan.
    """
    account_id, plan, overrides = wanted.account_id, wanted.plan, wanted.rate_overrides
    check_plan(plan, overrides)
    stored = msgspec.json.encode(overrides).decode() if overrides else None
    async with database.write() as connection:
        values = {"account_id": account_id, "plan": plan, "rate_overrides": stored}
        if not (await connection.execute(_SET, values)).rowcount:
            return False
        revision = await take_revision(connection)
        await connection.execute(_TOUCH_KEYS, {"account_id": account_id, "revision": revision})
        deed = Deed(account_id=account_id, action="account.plan", object_id=account_id, detail=plan)
        await append_entry(connection, actor, deed, now_ns)
    return True


def _decode(stored: str | None) -> dict[str, int]:
    return {} if stored is None else msgspec.json.decode(stored, type=dict[str, int])
