"""The vault's keys are rotated while calls use what is stored: no call fails, and all are sent with the right key."""

import asyncio
import base64
import contextlib
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from faults.world import ROOT, Gateway, gateway
from proof.raw_client import RawClient
from running import Request, Upstream, chat_reply, json_reply, upstream

from gateway.accounts.vault import Vault

OLD, NEW = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
PROJECTS, OPERATORS, CONFIGURED = "sk-projects-0123456789", "sk-operators-0123456789", "sk-configured-0123456789"
CALLERS = 8
LIMIT_S = 20


async def echo(request: Request, writer: asyncio.StreamWriter) -> None:
    """Answer anybody; the upstream remembers with which key it was asked."""
    await asyncio.sleep(0.002)
    writer.write(json_reply(chat_reply()))


def config(provider: Upstream) -> str:
    """One provider with a key of the configuration's."""
    return f'[providers.openai]\nbase_url = "{provider.url}"\napi_key = "{CONFIGURED}"\n'


async def command(folder: Path, *words: str, typed: str = "", environ: Mapping[str, str] | None = None) -> str:
    """Run a command beside the gateway; gives what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *words, "--data-dir", str(folder / "data"), "--json",
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"WATCHLLM_MASTER_KEY": OLD, **(environ or {})},
    )  # fmt: skip
    out, told = await process.communicate(typed.encode())
    assert process.returncode == 0, told
    return out.decode()


async def store_projects_key(running: Gateway) -> str:
    """Sign up and store a provider's key for a project; gives a key of the project's."""
    client = RawClient(running.port)

    async def send(path: str, bearer: str, body: object) -> dict[str, str]:
        await client.send(path, bearer, body)
        return json.loads((await client.answer()).body)  # type: ignore[no-any-return]

    person = {"email": "a@example.com", "password": "correct horse", "name": "A"}
    token = (await send("/api/v1/auth/register", "", person))["access_token"]
    project = await send("/api/projects", token, {"name": "shop"})
    await send(f"/api/projects/{project['id']}/providers", token, {"provider": "openai", "api_key": PROJECTS})
    await client.leave()
    return project["api_key"]


class Load:
    """Callers that call again and again, and what they were answered."""

    def __init__(self, port: int, keys: list[str]) -> None:
        self.statuses: dict[int, int] = {}
        self._stopped = False
        self._callers = [self._call(RawClient(port), keys[number % len(keys)]) for number in range(CALLERS)]

    async def _call(self, client: RawClient, key: str) -> None:
        body = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}]}
        while not self._stopped:
            await client.send("/v1/chat/completions", key, body)
            status = (await client.answer()).status
            self.statuses[status] = self.statuses.get(status, 0) + 1
        await client.leave()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For as long as something else happens, and a moment longer."""
        async with asyncio.TaskGroup() as group:
            for caller in self._callers:
                group.create_task(caller)
            yield
            await asyncio.sleep(0.5)
            self._stopped = True


@pytest.mark.long
async def test_the_vault_rotates_under_load_and_no_call_fails(tmp_path: Path) -> None:
    """New versions of the key, twice, then another master key by way of a restart; each call has the key it should."""
    async with upstream(echo) as provider:
        async with gateway(tmp_path, config(provider), {"WATCHLLM_MASTER_KEY": OLD}) as running:
            own = await store_projects_key(running)
            await command(tmp_path, "credentials", "set", "openai", typed=f"{OPERATORS}\n")
            others = running.keys["api_key"]
            await asyncio.sleep(1.0)
            before = len(provider.requests)
            load = Load(running.port, [own, others])
            async with asyncio.timeout(LIMIT_S), load.running():
                for _ in range(2):
                    told = json.loads(await command(tmp_path, "vault", "rotate", "--new-version"))
                    assert (told["rewrapped"], told["behind"]) == (2, 0)
            assert load.statuses.keys() == {200}
            assert load.statuses[200] > CALLERS
            sent = {request.headers["authorization"] for request in provider.requests[before:]}
            assert sent == {f"Bearer {PROJECTS}", f"Bearer {OPERATORS}"}
            assert await count_sealed(running, Vault(base64.b64decode(OLD)).name_key(3)) == 2
        await restart_under_another_master_key(tmp_path, provider)


async def count_sealed(running: Gateway, key_name: bytes) -> int:
    """How many seals in the database begin with this key's name, and hold neither secret."""
    database_file = running.folder / "data" / "watchllm.db"

    with contextlib.closing(sqlite3.connect(f"file:{database_file}?mode=ro", uri=True)) as database:
        seals = [bytes(seal) for (seal,) in database.execute("SELECT secret FROM credentials")]
    assert not any(secret.encode() in seal for seal in seals for secret in (PROJECTS, OPERATORS))
    return sum(seal.startswith(key_name) for seal in seals)


async def restart_under_another_master_key(folder: Path, provider: Upstream) -> None:
    """With the old one beside it everything opens, and may be rotated; without it the start is refused clearly."""
    both = {"WATCHLLM_MASTER_KEY": NEW, "WATCHLLM_PREVIOUS_MASTER_KEYS": OLD}
    alone = {"WATCHLLM_MASTER_KEY": NEW}
    with pytest.raises(AssertionError, match="encrypted under another master key"):
        async with gateway(folder, config(provider), alone):
            pass
    async with gateway(folder, config(provider), both):
        told = json.loads(await command(folder, "vault", "rotate", environ=both))
        assert (told["rewrapped"], told["behind"]) == (2, 0)
    async with gateway(folder, config(provider), alone) as running:
        assert await count_sealed(running, Vault(base64.b64decode(NEW)).name_key(3)) == 2
