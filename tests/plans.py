"""Accounts on plans, with keys, in the database of a running gateway whose minute has just begun."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from running import Running
from sqlalchemy import text

from gateway.accounts import store
from gateway.accounts.audit import Actor
from gateway.accounts.keys import KeyDigester
from gateway.accounts.master import API_KEYS, derive_key, load_master_key
from gateway.accounts.tenancy import people_store
from gateway.db import Database
from gateway.limits.plans_store import WantedPlan, set_plan

ACTOR = Actor(kind="command", actor_id=None, origin="")
MINUTE_S, NS_PER_S = 60, 1_000_000_000
ENFORCE = "[limits]\nenforce = true\n"
RATE_HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")

_PROJECT = text("SELECT project_id FROM projects WHERE account_id = :account_id")
_LIMIT = text(
    "UPDATE keys SET requests_per_minute = :requests, tokens_per_minute = :tokens, max_concurrent = :concurrent "
    "WHERE key_id = :key_id"
)


def begin_minute(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Set the clock back to the beginning of the minute, so that no test sees it end; gives the clock."""
    real_ns = time.time_ns
    begun_ns = real_ns()
    offset_ns = begun_ns % (MINUTE_S * NS_PER_S)

    def now_ns() -> int:
        return real_ns() - offset_ns

    monkeypatch.setattr(time, "time_ns", now_ns)
    return now_ns


class MinuteClock:
    """A clock for tests that share a gateway: for each of them a minute begins, so that no test sees it end."""

    def __init__(self) -> None:
        self._real_ns = time.time_ns
        self._ahead_ns = 0

    def __call__(self) -> int:
        """The time, ns since the epoch."""
        return self._real_ns() + self._ahead_ns

    def begin_minute(self) -> None:
        """Go on to the beginning of the next minute; time never goes back."""
        self._ahead_ns += -self() % (MINUTE_S * NS_PER_S)


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """An account with a key."""

    account_id: str
    project_id: str
    key_id: str
    key: str


async def make_member(
    gateway: Running,
    plan: str = "free",
    *,
    kind: Any = "live",
    overrides: dict[str, int] | None = None,
    account_id: str | None = None,
    scopes: frozenset[str] = store.DEFAULT_SCOPES,
    **limits: int,
) -> Member:
    """Make an account on a plan, or use one, and a key of it; ``limits``: requests, tokens, concurrent."""
    inside = gateway.gateway
    settings, services = inside.services.settings, inside.services
    database: Database = inside.app.state.database
    given = settings.master_key
    master = load_master_key(given.reveal() if given else None, settings.data_dir)
    digester = KeyDigester(derive_key(master, API_KEYS))
    if account_id is None:
        async with database.write() as connection:
            account_id = await people_store.insert_account(connection, plan, services.now_ns())
        await set_plan(
            database,
            WantedPlan(account_id=account_id, plan=plan, rate_overrides=overrides or {}),
            ACTOR,
            services.now_ns(),
        )
    project_id = await find_project_id(database, account_id)
    wanted = store.NewKey(project_id=project_id, kind=kind, scopes=scopes)
    made = await store.create_key(database, digester, wanted, services.now_ns())
    if limits:
        values = {"requests": None, "tokens": None, "concurrent": None, **limits, "key_id": made.key_id}
        async with database.write() as connection:
            await connection.execute(_LIMIT, values)
    await services.directory.refresh()
    return Member(account_id=account_id, project_id=project_id, key_id=made.key_id, key=made.key)


async def find_project_id(database: Database, account_id: str) -> str:
    """The account's project."""
    async with database.read() as connection:
        project_id: str = (await connection.execute(_PROJECT, {"account_id": account_id})).scalar_one()
    return project_id
