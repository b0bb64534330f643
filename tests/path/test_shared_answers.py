"""Exact answers of several gateways on one Redis: one's are the others', a restart keeps them, a purge reaches all."""

import asyncio
import base64
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from running import always, chat_reply, json_reply, openai_config, running, upstream

from gateway.caching import store
from gateway.caching.answers import Purge
from gateway.counters import link
from gateway.counters.link import LinkLimits
from gateway.db import Database
from tests.servers import RedisServer

HELLO: dict[str, Any] = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hello!"}]}
SOON_S = 20
# So patient that a busy machine is no fault of Redis.
CACHED = '[cache]\nmode = "exact"\nshared_max_wait_ms = 9_000\n'


class PatientLimits(LinkLimits, frozen=True, kw_only=True):
    """A link that waits."""

    timeout_ms: int = 20_000
    slow_ms: int = 10_000


def one_installation(redis_url: str, **more: str) -> dict[str, str]:
    """The environment of its processes."""
    key = base64.b64encode(os.urandom(32)).decode()
    return {"REDIS_URL": redis_url, "WATCHLLM_MASTER_KEY": key, **more}


async def purge(url: str, project_id: str, folder: Path) -> None:
    """Purge a project's answers."""
    database = await Database.open(url, folder)
    async with database.write() as connection:
        await store.write_purge(connection, Purge(project_id=project_id), time.time_ns())
    await database.close()


async def told_settled(gateway: Any) -> None:
    """Wait until what was kept is shared."""
    await gateway.gateway.services.caching.shared.settle()


async def test_a_restart_keeps_answers(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was paid for once is given by the next process, whole and as a stream, and its row tells what was saved."""
    monkeypatch.setattr(link, "LinkLimits", PatientLimits)
    environ = one_installation(redis_url)
    async with upstream(always(json_reply(chat_reply("Hi there.")))) as provider:
        config = openai_config(provider) + CACHED
        async with running(tmp_path, config, environ) as gateway, gateway.client() as client:
            first = await client.post("/v1/chat/completions", json=HELLO)
            await told_settled(gateway)
            key, made = gateway.live_key, gateway.rows[0]
        async with running(tmp_path, config, environ) as gateway, gateway.client(key) as client:
            again = await client.post("/v1/chat/completions", json=HELLO)
            stream = await client.post("/v1/chat/completions", json={**HELLO, "stream": True})
            other = await client.post("/v1/chat/completions", json={**HELLO, "seed": 1})
    replies = (first, again, stream, other)
    assert [reply.headers["x-watchllm-cache"] for reply in replies] == ["miss", "hit-exact", "hit-exact", "miss"]
    assert again.json()["choices"] == first.json()["choices"]
    assert again.headers["x-watchllm-cache-entry"] == f"ce_{made.request_id}"
    given = gateway.rows[0]
    assert (given.is_cached, given.cost_pusd, given.saved_pusd, given.cache_layer) == (True, 0, made.cost_pusd, "exact")
    assert len(provider.requests) == 2


async def test_a_purge_reaches_every_process(
    tmp_path: Path, redis_url: str, schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of memory and of what is shared, within a second: what is asked then is asked anew."""
    monkeypatch.setattr(link, "LinkLimits", PatientLimits)
    environ = one_installation(redis_url, DATABASE_URL=schema_url)
    one_dir, two_dir = tmp_path / "one", tmp_path / "two"
    for each in (one_dir, two_dir):
        each.mkdir()
    async with upstream(always(json_reply(chat_reply("Hi.")))) as provider:
        config = openai_config(provider) + CACHED
        async with running(one_dir, config, environ) as one, running(two_dir, config, environ) as two:
            async with one.client() as first, two.client(one.live_key) as second:
                said = [await first.post("/v1/chat/completions", json=HELLO)]
                await told_settled(one)
                said.append(await second.post("/v1/chat/completions", json=HELLO))
                # As any process of the installation does.
                await purge(schema_url, one.rows[0].project_id, tmp_path)
                began = time.monotonic()
                while any(len(each.gateway.services.caching.answers) for each in (one, two)):
                    assert time.monotonic() - began < SOON_S
                    await asyncio.sleep(0.02)
                said.append(await second.post("/v1/chat/completions", json=HELLO))
                await told_settled(two)
                said.append(await first.post("/v1/chat/completions", json=HELLO))
    assert [reply.headers["x-watchllm-cache"] for reply in said] == ["miss", "hit-exact", "miss", "hit-exact"]
    assert len(provider.requests) == 2


@pytest.mark.parametrize("has_redis", [True, False])
async def test_a_refresh_reaches_every_process(
    tmp_path: Path, redis_url: str, schema_url: str, monkeypatch: pytest.MonkeyPatch, has_redis: bool
) -> None:
    """Within a second nobody gets the older answer any more, be it kept in another process."""
    monkeypatch.setattr(link, "LinkLimits", PatientLimits)
    wish = "refresh" if has_redis else "write"
    environ = one_installation(redis_url, DATABASE_URL=schema_url)
    if not has_redis:
        del environ["REDIS_URL"]
    one_dir, two_dir = tmp_path / "one", tmp_path / "two"
    for each in (one_dir, two_dir):
        each.mkdir()
    async with upstream(always(json_reply(chat_reply("Old.")))) as provider:
        config = openai_config(provider) + CACHED
        async with running(one_dir, config, environ) as one, running(two_dir, config, environ) as two:
            async with one.client() as first, two.client(one.live_key) as second:
                for client, gateway in ((first, one), (second, two)):
                    await client.post("/v1/chat/completions", json=HELLO)
                    if has_redis:
                        await told_settled(gateway)
                provider.answer = always(json_reply(chat_reply("New.")))
                await first.post("/v1/chat/completions", json=HELLO, headers={"x-watchllm-cache": wish})
                if has_redis:
                    await told_settled(one)
                began, said = time.monotonic(), "Old."
                while said == "Old.":
                    assert time.monotonic() - began < SOON_S
                    await asyncio.sleep(0.02)
                    reply = await second.post("/v1/chat/completions", json=HELLO)
                    said = reply.json()["choices"][0]["message"]["content"]
                again = await first.post("/v1/chat/completions", json=HELLO)
    assert again.json()["choices"][0]["message"]["content"] == said == "New."
    assert [each.headers["x-watchllm-cache"] for each in (reply, again)] == [
        "hit-exact" if has_redis else "miss", "hit-exact"
    ]  # fmt: skip


async def test_calls_do_not_wait_for_a_redis_that_hangs(tmp_path: Path, redis_server: RedisServer) -> None:
    """They are misses after the time that they may wait, and then at once."""
    async with upstream(always(json_reply(chat_reply("Hi.")))) as provider:
        config = openai_config(provider) + '[cache]\nmode = "exact"\nshared_max_wait_ms = 50\n'
        environ = one_installation(redis_server.url)
        async with running(tmp_path, config, environ) as gateway, gateway.client() as client:
            redis_server.process.send_signal(signal.SIGSTOP)
            replies = [await client.post("/v1/chat/completions", json={**HELLO, "seed": seed}) for seed in range(8)]
            redis_server.process.send_signal(signal.SIGCONT)
    assert [(reply.status_code, reply.headers["x-watchllm-cache"]) for reply in replies] == [(200, "miss")] * 8


async def test_without_room_nothing_is_shared(tmp_path: Path, redis_url: str) -> None:
    """The setting 0 turns it off."""
    config = '[cache]\nmode = "exact"\nshared_max_mb = 0\n'
    async with running(tmp_path, config, one_installation(redis_url)) as gateway:
        assert gateway.gateway.services.caching.shared is None
