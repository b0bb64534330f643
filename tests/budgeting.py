"""A gateway with a person, a project and a key of that person's account, for tests of budgets."""

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from sqlalchemy import text

from gateway.accounts import store
from gateway.accounts.keys import KeyDigester
from gateway.accounts.master import API_KEYS, derive_key, load_master_key
from gateway.accounts.store import NewKey
from gateway.db import Database
from tests.running import Running, Upstream, openai_config, running

PASSWORD = "correct horse battery"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
# 1 and 2 USD a million: a picodollar times a million per token.
PRICES = '[[prices]]\nprovider = "openai"\nmodel = "m"\neffective_from = "2020-01-01"\ninput = "1"\noutput = "2"\n'
MODELS = '[[models]]\nname = "m"\ntargets = [{ provider = "openai", model = "m" }]\n'
_FIND_OWN = text(
    "SELECT project_id, account_id FROM projects JOIN members USING (account_id) JOIN users USING (user_id) "
    "WHERE email = :email"
)
_numbers = itertools.count()


def make_email(name: str) -> str:
    """An address that nobody has."""
    return f"{name}{next(_numbers)}@example.com"


class Home(msgspec.Struct, kw_only=True):
    """One account: who signs in, what calls, and the gateway that they use."""

    running: Running
    account_id: str
    project_id: str
    key_id: str
    key: str
    person: httpx.AsyncClient
    caller: httpx.AsyncClient
    database: Database

    async def budget(self, scope: str, limit_usd: str, window: str = "total", **more: Any) -> dict[str, Any]:
        """Make a budget."""
        ids = {"project": self.project_id, "key": self.key_id}
        body = {"scope": scope, "scope_id": ids.get(scope), "window": window, "limit_usd": limit_usd, **more}
        answer = await self.person.post("/api/budgets", json={k: v for k, v in body.items() if v is not None})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def budgets(self) -> list[dict[str, Any]]:
        """List the budgets."""
        answer = await self.person.get("/api/budgets")
        assert answer.status_code == 200, answer.text
        listed: list[dict[str, Any]] = answer.json()["budgets"]
        return listed

    async def chat(self, headers: Mapping[str, str | bytes] | None = None, **more: Any) -> httpx.Response:
        """Call the model."""
        lines = [
            (name, value if isinstance(value, bytes) else value.encode()) for name, value in (headers or {}).items()
        ]
        return await self.caller.post(
            "/v1/chat/completions", json=CHAT | more, headers=[(name.encode(), value) for name, value in lines]
        )

    async def sum_ledger_pusd(self) -> int:
        """What every row of the project costs, once all are in the database."""
        await self.running.gateway.services.recorder.flush()
        statement = text("SELECT COALESCE(SUM(cost_pusd), 0) FROM usage WHERE project_id = :project_id")
        async with self.database.read() as connection:
            return int((await connection.execute(statement, {"project_id": self.project_id})).scalar_one())


def budget_config(provider: Upstream, more: str = "") -> str:
    """A configuration with one priced model of this upstream."""
    return more + openai_config(provider) + PRICES + MODELS


@asynccontextmanager
async def home(folder: Path, provider: Upstream, more: str = "") -> AsyncIterator[Home]:
    """Start a gateway before this upstream, and register somebody."""
    async with running(folder, budget_config(provider, more)) as gateway, home_at(gateway) as ann:
        yield ann


@asynccontextmanager
async def home_at(gateway: Running) -> AsyncIterator[Home]:
    """Register somebody whom the gateway has not met, and give them a project and a key."""
    async with gateway.client() as caller, gateway.client() as person:
        del person.headers["authorization"]
        yield await _move_in(gateway, caller, person)


async def _move_in(gateway: Running, caller: httpx.AsyncClient, person: httpx.AsyncClient) -> Home:
    inside = gateway.gateway
    database: Database = inside.app.state.database
    wanted = {"email": make_email("ann"), "password": PASSWORD, "name": "Ann"}
    signed_in = (await person.post("/api/v1/auth/register", json=wanted)).json()
    person.headers["authorization"] = f"Bearer {signed_in['access_token']}"
    async with database.read() as connection:
        project_id, account_id = (await connection.execute(_FIND_OWN, {"email": wanted["email"]})).one()
    digester = KeyDigester(derive_key(load_master_key(None, inside.services.settings.data_dir), API_KEYS))
    made = await store.create_key(database, digester, NewKey(project_id=project_id, name="k"), 1)
    await inside.services.directory.refresh()
    caller.headers["authorization"] = f"Bearer {made.key}"
    return Home(
        running=gateway,
        account_id=account_id,
        project_id=project_id,
        key_id=made.key_id,
        key=made.key,
        person=person,
        caller=caller,
        database=database,
    )
