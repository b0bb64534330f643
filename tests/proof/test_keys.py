"""Keys made and revoked by another process: every running server follows within a second."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping

import asyncpg
import msgspec
import pytest
import pytest_asyncio
from faults.world import ROOT, Gateway, gateway
from proof.raw_client import Heard, RawClient
from waiting_clock import waiting_clock

# The servers are started once; each test makes keys of its own.
pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT_S = 1.0
OK, UNAUTHORIZED, FORBIDDEN = 200, 401, 403
CHAT = {"model": "any", "messages": [{"role": "user", "content": "Hello!"}]}
EMBEDDING = {"model": "all-MiniLM-L6-v2", "input": "Hello!"}


class Made(msgspec.Struct, frozen=True):
    """What ``keys create --json`` prints."""

    key: str
    key_id: str


class Site(msgspec.Struct, frozen=True):
    """An installation: its servers, and what its commands need to find it."""

    servers: tuple[Gateway, ...]
    environ: Mapping[str, str]

    async def create(self, *options: str) -> Made:
        """Make a key in a process of its own."""
        return msgspec.json.decode(await self._command("create", "--project", "proof", *options), type=Made)

    async def revoke(self, key_id: str) -> None:
        """Revoke a key in a process of its own."""
        assert json.loads(await self._command("revoke", key_id))["revoked"] is True

    async def _command(self, *words: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "keys", *words, "--json"),
            *("--data-dir", str(self.servers[0].folder / "data")),
            cwd=ROOT,
            env={**os.environ, **self.environ},
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0
        return printed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """One server on SQLite."""
    async with gateway(tmp_path_factory.mktemp("site"), "") as server:
        yield Site((server,), {})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> AsyncIterator[Site]:
    """Two servers on one PostgreSQL, with one master key."""
    schema = f"t_{os.urandom(8).hex()}"
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"CREATE SCHEMA {schema}")
    await connection.close()
    joint = "&" if "?" in postgres_url else "?"
    environ = {
        "DATABASE_URL": f"{postgres_url}{joint}search_path={schema}",
        "WATCHLLM_MASTER_KEY": "cHJvb2YtcHJvb2YtcHJvb2YtcHJvb2YtcHJvb2YtMTI=",
    }
    folders = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    async with gateway(folders[0], "", environ) as first, gateway(folders[1], "", environ) as second:
        yield Site((first, second), environ)


async def ask(server: Gateway, key: str) -> Heard:
    """One chat with the key."""
    client = RawClient(server.port)
    await client.send("/v1/chat/completions", key, CHAT)
    heard = await client.answer()
    await client.leave()
    return heard


async def seconds_until(server: Gateway, key: str, status: int) -> float:
    """How long the server takes to answer the key with this status."""
    async with waiting_clock() as clock:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10 * LIMIT_S):
                while (await ask(server, key)).status != status:
                    await asyncio.sleep(0.02)
        return clock.seconds


async def slowest(site: Site, key: str, status: int) -> float:
    """How long the slower of the servers takes."""
    return max(await asyncio.gather(*(seconds_until(server, key, status) for server in site.servers)))


async def test_a_key_made_elsewhere_is_honoured_within_a_second(site: Site) -> None:
    """``keys create`` needs no restart."""
    made = await site.create("--test")
    assert await slowest(site, made.key, OK) < LIMIT_S


async def test_a_key_revoked_elsewhere_is_refused_within_a_second(site: Site) -> None:
    """``keys revoke`` works on a key that is in use."""
    made = await site.create("--test")
    await slowest(site, made.key, OK)
    await site.revoke(made.key_id)
    assert await slowest(site, made.key, UNAUTHORIZED) < LIMIT_S


async def test_a_key_ends_when_it_expires(site: Site) -> None:
    """A key made for a second is honoured and then refused, without anybody revoking it."""
    made = await site.create("--test", "--expires-in", "2s")
    assert await slowest(site, made.key, OK) < LIMIT_S
    assert await slowest(site, made.key, UNAUTHORIZED) < 2 + LIMIT_S
    assert "has expired" in (await ask(site.servers[0], made.key)).body.decode()


async def test_a_key_is_held_to_its_models(site: Site) -> None:
    """Of two models that the gateway has, a key made for one gets that one, and sees that one."""
    allowed = await site.create("--allowed-models", "all-MiniLM-L6-v2")
    other = await site.create("--allowed-models", "gpt-4")
    await asyncio.gather(slowest(site, allowed.key, FORBIDDEN), slowest(site, other.key, FORBIDDEN))
    client = RawClient(site.servers[0].port)
    statuses: list[int] = []
    for made in (allowed, other):
        await client.send("/v1/embeddings", made.key, EMBEDDING)
        statuses.append((await client.answer()).status)
    listed = (await client.get("/v1/models", allowed.key)).json()["data"]
    await client.leave()
    assert statuses == [OK, FORBIDDEN]
    assert [card["id"] for card in listed] == ["all-MiniLM-L6-v2"]


async def test_every_process_honours_and_refuses_within_a_second(pair: Site) -> None:
    """Two servers on one database hear of a key at the same time as each other."""
    made = await pair.create("--test")
    assert await slowest(pair, made.key, OK) < LIMIT_S
    await pair.revoke(made.key_id)
    assert await slowest(pair, made.key, UNAUTHORIZED) < LIMIT_S


async def test_only_the_first_of_two_processes_makes_the_first_keys(pair: Site) -> None:
    """Both servers know the keys that one of them printed."""
    printed = [server.keys for server in pair.servers]
    keys = [keys["test_key"] for keys in printed if keys]
    assert len(keys) == 1
    assert await slowest(pair, keys[0], OK) < LIMIT_S
