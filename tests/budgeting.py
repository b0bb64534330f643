"""A gateway with a person, a project and a key of that person's account, for tests of budgets."""

from collections.abc import AsyncIterator
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

    async def chat(self, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        """Call the model."""
        return await self.caller.post("/v1/chat/completions", json=CHAT | more, headers=headers)

    async def sum_ledger_pusd(self) -> int:
        """What every row in the database costs, once all are there."""
        await self.running.gateway.services.recorder.flush()
        async with self.database.read() as connection:
            found = (await connection.execute(text("SELECT COALESCE(SUM(cost_pusd), 0) FROM usage"))).scalar_one()
            return int(found)


@asynccontextmanager
async def home(folder: Path, provider: Upstream, more: str = "") -> AsyncIterator[Home]:
    """Start a gateway before this upstream, and register somebody."""
    config = more + openai_config(provider) + PRICES + MODELS
    async with running(folder, config) as gateway:
        database = gateway.gateway.app.state.database
        async with gateway.client() as caller, gateway.client() as person:
            del person.headers["authorization"]
            yield await make_home(gateway, database, caller, person, folder / "data")


async def make_home(
    gateway: Running, database: Database, caller: httpx.AsyncClient, person: httpx.AsyncClient, data_dir: Path
) -> Home:
    """Register somebody at a gateway and give them a project and a key."""
    wanted = {"email": "ann@example.com", "password": PASSWORD, "name": "Ann"}
    signed_in = (await person.post("/api/v1/auth/register", json=wanted)).json()
    person.headers["authorization"] = f"Bearer {signed_in['access_token']}"
    async with database.read() as connection:
        found = await connection.execute(
            text("SELECT project_id, account_id FROM projects WHERE account_id IS NOT NULL")
        )
        project_id, account_id = found.one()
    digester = KeyDigester(derive_key(load_master_key(None, data_dir), API_KEYS))
    made = await store.create_key(database, digester, NewKey(project_id=project_id, name="k"), 1)
    await gateway.gateway.services.directory.refresh()
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
