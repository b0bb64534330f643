"""A provider that bills by its own book, and callers who spend from one budget as fast as they can."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import msgspec
from running import Request, json_reply
from sqlalchemy import text

from gateway.accounts import store
from gateway.accounts.keys import KeyDigester
from gateway.accounts.master import API_KEYS, derive_key, load_master_key
from gateway.accounts.store import NewKey
from gateway.db import Database

INPUT_PUSD, OUTPUT_PUSD = 1_000_000, 2_000_000
PROMPT_TOKENS = 12
MAX_TOKENS = 40
CHAT = {"model": "m", "max_tokens": MAX_TOKENS, "messages": [{"role": "user", "content": "Hi"}]}
PASSWORD = "correct horse battery"
USED_UP = 402


class Biller:
    """Answers with as many tokens as it may, after a while; it bills what arrives, whoever waits for it."""

    def __init__(self, wait_s: float = 0.01) -> None:
        self.billed_pusd = 0
        self.calls = 0
        self._wait_s = wait_s

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """See running.upstream."""
        tokens: int = json.loads(request.body)["max_tokens"]
        self.calls += 1
        self.billed_pusd += PROMPT_TOKENS * INPUT_PUSD + tokens * OUTPUT_PUSD
        await asyncio.sleep(self._wait_s)
        message = {"role": "assistant", "content": "x"}
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": tokens, "total_tokens": PROMPT_TOKENS + tokens}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        writer.write(
            json_reply({"id": "r", "object": "o", "created": 1, "model": "m", "choices": choices, "usage": usage})
        )


def configure(url: str) -> str:
    """One provider with one price."""
    return (
        f'[providers.openai]\nbase_url = "{url}"\napi_key = "k"\n'
        '[[prices]]\nprovider = "openai"\nmodel = "m"\neffective_from = "2020-01-01"\ninput = "1"\noutput = "2"\n'
        '[[models]]\nname = "m"\ntargets = [{ provider = "openai", model = "m" }]\n'
        "[timeouts]\ntotal_ms = 3_000\nfirst_byte_ms = 2_000\n"
    )


class Account(msgspec.Struct, kw_only=True):
    """A person with a key and a budget."""

    token: str
    key: str
    budget_id: str

    async def stand(self, port: int) -> dict[str, Any]:
        """How the budget stands."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            answer = await client.get("/api/budgets", headers={"authorization": f"Bearer {self.token}"})
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()["budgets"][0]
            return found

    async def set_zone(self, port: int, zone: str) -> None:
        """Let the account's days begin elsewhere."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            headers = {"authorization": f"Bearer {self.token}"}
            answer = await client.patch("/api/account", json={"zone": zone}, headers=headers)
            assert answer.status_code == 200, answer.text


async def open_account(
    port: int, data_dir: Path, limit_usd: str, database_url: str | None = None, window: str = "total"
) -> Account:
    """Register somebody, give them a key and a budget."""
    database = await Database.open(database_url, data_dir)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            wanted = {"email": "ann@example.com", "password": PASSWORD, "name": "Ann"}
            token = (await client.post("/api/v1/auth/register", json=wanted)).json()["access_token"]
            async with database.read() as connection:
                asked = text("SELECT project_id FROM projects WHERE account_id IS NOT NULL")
                project_id = (await connection.execute(asked)).scalar_one()
            digester = KeyDigester(derive_key(load_master_key(None, data_dir), API_KEYS))
            made = await store.create_key(database, digester, NewKey(project_id=project_id, name="k"), 1)
            body = {"scope": "account", "window": window, "limit_usd": limit_usd}
            budget = await client.post("/api/budgets", json=body, headers={"authorization": f"Bearer {token}"})
            assert budget.status_code == 201, budget.text
    finally:
        await database.close()
    await asyncio.sleep(1)
    return Account(token=token, key=made.key, budget_id=budget.json()["id"])


async def call_until_dead(port: int, key: str, callers: int) -> dict[int, int]:
    """Call until the budget is used up or the gateway is gone; counts the answers by status."""
    statuses: dict[int, int] = {}
    refused_in_a_row = 0

    async def call(client: httpx.AsyncClient) -> None:
        nonlocal refused_in_a_row
        while refused_in_a_row < 3 * callers:
            try:
                answer = await client.post(
                    "/v1/chat/completions", json=CHAT, headers={"authorization": f"Bearer {key}"}
                )
            except httpx.HTTPError:
                return
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            refused_in_a_row = refused_in_a_row + 1 if answer.status_code == USED_UP else 0

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
        await asyncio.gather(*(call(client) for _ in range(callers)))
    return statuses


def to_pusd(usd: str) -> int:
    """Read an exact decimal."""
    whole, _, rest = usd.partition(".")
    assert re.fullmatch(r"\d*", rest)
    return int(whole) * 10**12 + int(rest.ljust(12, "0") or 0)
