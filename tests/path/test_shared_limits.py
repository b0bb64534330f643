"""Rate limits of several gateways on one Redis: one count, exactly; and what a Redis that is slow or gone costs."""

import asyncio
import base64
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from plans import ENFORCE, Member, begin_minute, make_member
from running import Running, running
from waiting_clock import waiting_clock

from gateway.counters import link
from gateway.counters.link import LinkLimits
from tests.servers import RedisServer

HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello!"}]}
SANDBOX = 'providers.toy = { dialect = "sandbox", models = ["m"] }\n' + ENFORCE
QUICK = {"role": "user", "content": "sandbox:delay:400"}
SLOW: dict[str, Any] = {**HELLO, "messages": [{"role": "user", "content": "sandbox:delay:2000"}]}


@asynccontextmanager
async def gateways(folder: Path, count: int, redis: str, database: str | None = None) -> AsyncIterator[list[Running]]:
    """So many gateways that are one."""
    environ = {"REDIS_URL": redis, "WATCHLLM_MASTER_KEY": base64.b64encode(os.urandom(32)).decode()}
    if database is not None:
        environ["DATABASE_URL"] = database
    async with contextlib.AsyncExitStack() as stack:
        opened: list[Running] = []
        for number in range(count):
            place = folder / f"host-{number}"
            place.mkdir()
            opened.append(await stack.enter_async_context(running(place, SANDBOX, environ)))
        yield opened


class PatientLimits(LinkLimits, frozen=True, kw_only=True):
    """A link that waits."""

    timeout_ms: int = 20_000
    slow_ms: int = 10_000


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine be no fault of Redis."""
    monkeypatch.setattr(link, "LinkLimits", PatientLimits)


async def ask(client: httpx.AsyncClient, body: dict[str, Any] | None = None) -> httpx.Response:
    """One call."""
    return await client.post("/v1/chat/completions", json=body or HELLO)


async def flood(hosts: list[Running], member: Member, each: int) -> list[httpx.Response]:
    """So many calls to each gateway, all at once."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(host.client(member.key)) for host in hosts]
        return await asyncio.gather(*(ask(client) for _ in range(each) for client in clients))


async def test_two_gateways_admit_exactly_the_limit(
    tmp_path: Path, redis_url: str, schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published drift is 0: of 160 calls at once to both, a plan of 60 a minute lets 60 pass."""
    begin_minute(monkeypatch)
    be_patient(monkeypatch)
    async with gateways(tmp_path, 2, redis_url, schema_url) as hosts:
        member = await make_member(hosts[0], "starter")
        await hosts[1].gateway.services.directory.refresh()
        answers = await flood(hosts, member, 80)
    admitted = [answer for answer in answers if answer.status_code == 200]
    assert (len(admitted), {answer.status_code for answer in answers}) == (60, {200, 429})
    remaining = sorted(int(answer.headers["x-ratelimit-remaining"]) for answer in admitted)
    assert remaining == list(range(60))


async def test_two_gateways_share_a_keys_slots(
    tmp_path: Path, redis_url: str, schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls under way are counted across processes, and are free as soon as their answer is there."""
    be_patient(monkeypatch)
    async with gateways(tmp_path, 2, redis_url, schema_url) as hosts:
        member = await make_member(hosts[0], "enterprise", concurrent=1)
        await hosts[1].gateway.services.directory.refresh()
        async with hosts[0].client(member.key) as first, hosts[1].client(member.key) as second:
            slow = asyncio.get_running_loop().create_task(ask(first, SLOW))
            while not hosts[0].gateway.services.metrics.requests_in_flight:
                await asyncio.sleep(0.005)
            assert (await ask(second)).status_code == 429
            assert (await slow).status_code == 200
            alternating = [(await ask(client)).status_code for _ in range(20) for client in (first, second)]
    assert set(alternating) == {200}


@pytest.mark.parametrize("fault", ["frozen", "killed"])
async def test_a_redis_that_is_away_costs_little_and_refuses_nobody(
    tmp_path: Path, redis_server: RedisServer, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most five calls wait for it, none longer than 250 ms; then none does, and each process counts by itself."""
    begin_minute(monkeypatch)
    async with gateways(tmp_path, 1, redis_server.url) as (host,):
        member = await make_member(host, "starter", concurrent=5, tokens=100_000)
        async with host.client(member.key) as client:
            usual = [await timed(client) for _ in range(5)]
            redis_server.process.send_signal(signal.SIGSTOP if fault == "frozen" else signal.SIGKILL)
            away = [await timed(client) for _ in range(70)]
    base_s = sorted(spent for _, spent in usual)[2]
    waits = [spent - base_s for _, spent in away if spent - base_s > 0.2]
    assert [status for status, _ in usual] == [200] * 5
    # What it had counted before is not known; the limit itself holds.
    assert [status for status, _ in away] == [200] * 60 + [429] * 10
    assert len(waits) <= 5
    assert all(spent < 1 for spent in waits), waits


async def timed(client: httpx.AsyncClient) -> tuple[int, float]:
    """A call's status, and how long it took."""
    async with waiting_clock() as clock:
        answer = await ask(client)
        return answer.status_code, clock.seconds


async def test_a_redis_that_comes_back_is_used_again(
    tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it had counted."""
    begin_minute(monkeypatch)
    async with gateways(tmp_path, 1, redis_server.url) as (host,):
        member = await make_member(host, "starter")
        async with host.client(member.key) as client:
            before = [await ask(client) for _ in range(3)][-1]
            redis_server.process.send_signal(signal.SIGSTOP)
            during = [await ask(client) for _ in range(8)]
            redis_server.process.send_signal(signal.SIGCONT)
            deadline = time.monotonic() + 10
            while int((after := await ask(client)).headers["x-ratelimit-remaining"]) > 56:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
    assert (before.headers["x-ratelimit-remaining"], {answer.status_code for answer in during}) == ("57", {200})
    assert after.status_code == 200


async def test_a_pause_of_redis_keeps_no_slot_taken(
    tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of a call that it let in too late nor of one that left meanwhile; their leases would last ten minutes."""
    begin_minute(monkeypatch)
    async with gateways(tmp_path, 1, redis_server.url) as (host,):
        member = await make_member(host, "starter", concurrent=1)
        async with host.client(member.key) as client:
            running_call = asyncio.ensure_future(ask(client, {**SLOW, "messages": [QUICK]}))
            await asyncio.sleep(0.2)
            redis_server.process.send_signal(signal.SIGSTOP)
            answers = [await running_call, *[await ask(client) for _ in range(2)]]
            redis_server.process.send_signal(signal.SIGCONT)
            deadline = time.monotonic() + 15
            while (await ask(client)).status_code != 200:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
    assert [answer.status_code for answer in answers] == [200] * 3
