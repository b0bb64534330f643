"""Budgets of two gateways on one Redis: one count; and what a Redis that is slow or gone means for money."""

import asyncio
import base64
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cluster.spending import Biller, Person, configure, register
from proof.budget_load import to_pusd
from running import Running, running, upstream

from gateway.counters import link
from gateway.counters.link import LinkLimits
from tests.servers import RedisServer, restart_redis

MAX_TOKENS = 40


class PatientLimits(LinkLimits, frozen=True, kw_only=True):
    """A link that waits: a busy machine is no fault of Redis."""

    timeout_ms: int = 20_000
    slow_ms: int = 10_000


@asynccontextmanager
async def gateways(
    folder: Path, count: int, biller: Biller, redis_url: str, database_url: str
) -> AsyncIterator[list[Running]]:
    """So many gateways that are one, before one provider."""
    environ = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "WATCHLLM_MASTER_KEY": base64.b64encode(os.urandom(32)).decode(),
    }
    async with contextlib.AsyncExitStack() as stack:
        listening = await stack.enter_async_context(upstream(biller.answer))
        opened: list[Running] = []
        for number in range(count):
            place = folder / f"host-{number}"
            place.mkdir()
            config = configure(listening.url)
            opened.append(await stack.enter_async_context(running(place, config, environ)))
        yield opened


async def chat(client: httpx.AsyncClient, number: int) -> httpx.Response:
    """One call with this number."""
    messages = [{"role": "user", "content": f"call-{number}"}]
    body = {"model": "m", "max_tokens": MAX_TOKENS, "messages": messages}
    return await client.post("/v1/chat/completions", json=body)


async def follow(hosts: list[Running]) -> None:
    """Let every gateway know the keys and the budgets of now."""
    for host in hosts:
        await host.gateway.services.directory.refresh()
        await host.gateway.services.budgets.books.directory.refresh()


async def ann_of(hosts: list[Running], limit_usd: str) -> Person:
    """Somebody with a key and a budget that every gateway knows."""
    ann = await register(hosts[0].port)
    await ann.budget(hosts[0].port, limit_usd)
    await follow(hosts)
    return ann


async def test_two_gateways_spend_from_one_budget(
    tmp_path: Path, redis_url: str, schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty callers at once through both: never over the limit at the provider, and what is left can be spent."""
    monkeypatch.setattr(link, "LinkLimits", PatientLimits)
    biller, limit_pusd = Biller(0.01), to_pusd("0.002")
    async with gateways(tmp_path, 2, biller, redis_url, schema_url) as hosts:
        ann = await ann_of(hosts, "0.002")
        async with hosts[0].client(ann.key) as first, hosts[1].client(ann.key) as second:
            clients = (first, second)
            answers = await asyncio.gather(*(chat(clients[number % 2], number) for number in range(40)))
            assert {answer.status_code for answer in answers} == {200, 402}
            number = 40
            while (await chat(clients[number % 2], number)).status_code == 200:
                number += 1
            quote = await first.post(
                "/v1/quote",
                json={"model": "m", "max_tokens": MAX_TOKENS, "messages": [{"role": "user", "content": "c"}]},
            )
        stands = {await ann.stand(host.port) for host in hosts}
    assert stands == {(biller.billed_pusd, 0)}
    assert biller.billed_pusd <= limit_pusd
    assert limit_pusd - biller.billed_pusd < to_pusd(quote.json()["max_cost_usd"])


async def timed(client: httpx.AsyncClient, number: int) -> tuple[httpx.Response, float]:
    """A call's answer, and how long it took in seconds."""
    begun_s = time.perf_counter()
    return await chat(client, number), time.perf_counter() - begun_s


@pytest.mark.parametrize("fault", ["frozen", "killed"])
async def test_without_redis_money_is_refused_and_comes_back_exact(
    tmp_path: Path, redis_server: RedisServer, schema_url: str, fault: str
) -> None:
    """503 at once for what a budget governs, everybody else is served, and afterwards every charge is there once."""
    biller = Biller(0)
    async with gateways(tmp_path, 1, biller, redis_server.url, schema_url) as hosts:
        (host,) = hosts
        ann = await ann_of(hosts, "1")
        async with (
            host.client(ann.key) as client,
            host.client(host.live_key) as free,
            contextlib.AsyncExitStack() as stack,
        ):
            usual = [await timed(client, number) for number in range(5)]
            redis_server.process.send_signal(signal.SIGSTOP if fault == "frozen" else signal.SIGKILL)
            away = [await timed(client, 100 + number) for number in range(30)]
            others = [(await chat(free, 200 + number)).status_code for number in range(5)]
            if fault == "frozen":
                redis_server.process.send_signal(signal.SIGCONT)
            else:
                stack.enter_context(restart_redis(redis_server))
            deadline_s = time.monotonic() + 20
            number = 300
            while (after := await chat(client, number)).status_code == 503:
                assert time.monotonic() < deadline_s
                number += 1
                await asyncio.sleep(0.05)
            assert after.status_code == 200, after.text
            async with asyncio.timeout(20):
                while (stand := await ann.stand(host.port))[1]:
                    await asyncio.sleep(0.05)
    base_s = sorted(spent_s for _, spent_s in usual)[2]
    assert [answer.status_code for answer, _ in usual] == [200] * 5
    assert {answer.status_code for answer, _ in away} == {503}
    assert {answer.json()["error"]["code"] for answer, _ in away} == {"service_unavailable"}
    assert sum(spent_s - base_s > 0.2 for _, spent_s in away) <= 5
    assert others == [200] * 5
    # Nothing was sent while nobody could tell what was left.
    assert biller.bills.keys().isdisjoint(range(100, 130))
    governed = sum(cost for called, cost in biller.bills.items() if called < 100 or called >= 300)
    assert stand == (governed, 0)


async def test_a_budget_governs_every_call_that_is_sent_after_its_answer(
    tmp_path: Path, redis_url: str, schema_url: str
) -> None:
    """Whichever process is asked: it refuses what the budget has no room for, and nothing more once that is gone."""
    biller = Biller(0)
    async with gateways(tmp_path, 2, biller, redis_url, schema_url) as hosts:
        ann = await register(hosts[0].port)
        await follow(hosts)
        async with hosts[1].client(ann.key) as other:
            statuses: list[list[int]] = []
            for turn in range(4):
                await ann.budget(hosts[0].port, "0")
                stopped = await asyncio.gather(*(chat(other, 10 * turn + number) for number in range(8)))
                await ann.ask(hosts[0].port, "DELETE", f"/api/budgets/{ann.budget_id}")
                free = await chat(other, 10 * turn + 9)
                statuses.append([*{answer.status_code for answer in stopped}, free.status_code])
    assert statuses == [[402, 200]] * 4
    assert set(biller.bills) == {9, 19, 29, 39}
