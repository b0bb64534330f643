"""Whole calls whose client leaves, through the whole gateway: on real sockets, at engines and at hosted providers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from budgeting import CHAT, home_at
from plans import Member, make_member
from running import Request, Running, Upstream, chat_reply, json_reply, openai_config, running, upstream
from streaming import until

CACHED = '[cache]\nmode = "exact"\n'
PRICED = '[[prices]]\nprovider = "own"\nmodel = "m"\neffective_from = "2020-01-01"\ninput = "1"\noutput = "2"\n'
WITHIN_S = 1.0


class Work:
    """A server that answers each request once it is told to."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def answer(self, _: Request, writer: asyncio.StreamWriter) -> None:
        """Work, then answer."""
        await self.may_end.wait()
        writer.write(json_reply(chat_reply()))


def own_config(provider: Upstream, more: str = "") -> str:
    """A configuration whose every model is an engine of the operator's own, which this upstream is."""
    engine = f'[providers.own]\ndialect = "openai"\nbase_url = "{provider.url}"\nmodels = ["*"]\n'
    return f"{engine}cancel_stops_whole_calls = true\n{more}"


@asynccontextmanager
async def asked(gateway: Running, provider: Upstream, key: str, **more: Any) -> AsyncIterator["asyncio.Task[Any]"]:
    """A call that its provider has got; its client leaves with the end of the block, if not before."""
    known = len(provider.requests)
    async with gateway.client(key) as client:
        call = asyncio.ensure_future(client.post("/v1/chat/completions", json=CHAT | more))
        await until(lambda: len(provider.requests) > known)
        yield call
        await leave(call)


async def leave(call: "asyncio.Task[Any]") -> None:
    """Close the connection of a call that is under way."""
    call.cancel()
    await asyncio.wait({call})


async def ask(gateway: Running, member: Member) -> httpx.Response:
    """Ask and wait."""
    async with gateway.client(member.key) as client:
        return await client.post("/v1/chat/completions", json=CHAT)


async def test_an_engine_and_the_slot_are_free_at_once(tmp_path: Path) -> None:
    """Its connection closes and the key's only slot is given back within a second; the row is a cancelled one."""
    work = Work()
    async with upstream(work.answer) as engine, running(tmp_path, own_config(engine)) as gateway:
        member = await make_member(gateway, concurrent=1)
        async with asked(gateway, engine, member.key) as call:
            assert (await ask(gateway, member)).status_code == 429
            await leave(call)
            await until(lambda: engine.open == 0 and bool(gateway.rows), WITHIN_S)
            work.may_end.set()
            assert (await ask(gateway, member)).status_code == 200
    left, answered = gateway.rows
    assert (left.status, left.http_status, left.is_estimated, left.provider) == ("cancelled", 499, True, "own")
    assert (left.input_tokens > 0, left.output_tokens, left.attempts) == (True, 0, 1)
    assert (answered.status, answered.total_tokens) == ("complete", 25)
    assert len(engine.requests) == 2


async def test_elsewhere_the_answer_and_the_slot_are_waited_for(tmp_path: Path) -> None:
    """A provider that works on bills all of it: its own figures are charged, and the call is still being made."""
    work = Work()
    async with upstream(work.answer) as provider:
        async with running(tmp_path, openai_config(provider, 'models = ["*"]\n')) as gateway:
            member = await make_member(gateway, concurrent=1)
            async with asked(gateway, provider, member.key):
                pass
            metrics = gateway.gateway.services.metrics
            await asyncio.sleep(0.05)
            assert (provider.open, metrics.requests_in_flight, gateway.rows) == (1, 1, [])
            assert (await ask(gateway, member)).status_code == 429
            work.may_end.set()
            await until(lambda: bool(gateway.rows))
            assert (await ask(gateway, member)).status_code == 200
    left = gateway.rows[0]
    assert (left.status, left.http_status, left.is_estimated, left.total_tokens) == ("cancelled", 499, False, 25)


@pytest.mark.parametrize("leader_goes_first", [True, False])
async def test_an_engine_works_as_long_as_anybody_waits(tmp_path: Path, leader_goes_first: bool) -> None:
    """Who leads and who follows may leave in any order: the last to leave ends it, within a second, for both slots."""
    work = Work()
    async with upstream(work.answer) as engine, running(tmp_path, own_config(engine, CACHED)) as gateway:
        member = await make_member(gateway, concurrent=2)
        async with asked(gateway, engine, member.key) as leader:
            async with gateway.client(member.key) as client:
                follower = asyncio.ensure_future(client.post("/v1/chat/completions", json=CHAT))
                metrics = gateway.gateway.services.metrics
                await until(lambda: metrics.requests_in_flight == 2)
                first, last = (leader, follower) if leader_goes_first else (follower, leader)
                await leave(first)
                await asyncio.sleep(0.05)
                assert (engine.open, len(engine.requests)) == (1, 1)
                await leave(last)
                await until(lambda: engine.open == 0 and metrics.requests_in_flight == 0, WITHIN_S)
                work.may_end.set()
                answers = await asyncio.gather(ask(gateway, member), ask(gateway, member))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert sorted(row.status for row in gateway.rows) == ["cancelled"] * 2 + ["complete"] * 2
    assert sum(row.input_tokens > 0 for row in gateway.rows if row.status == "cancelled") == 1


async def test_who_follows_has_the_answer_of_a_leader_that_left(tmp_path: Path) -> None:
    """It is asked for once, and charged to the one who left."""
    work = Work()
    async with upstream(work.answer) as engine, running(tmp_path, own_config(engine, CACHED)) as gateway:
        member = await make_member(gateway)
        async with asked(gateway, engine, member.key) as leader:
            async with gateway.client(member.key) as client:
                follower = asyncio.ensure_future(client.post("/v1/chat/completions", json=CHAT))
                await until(lambda: gateway.gateway.services.metrics.requests_in_flight == 2)
                await leave(leader)
                await asyncio.sleep(0.05)
                work.may_end.set()
                answer = await follower
    assert (answer.status_code, answer.headers["x-watchllm-cache"], len(engine.requests)) == (200, "hit-exact", 1)
    assert sorted((row.status, row.is_cached, row.total_tokens) for row in gateway.rows) == [
        ("cancelled", False, 25),
        ("complete", True, 25),
    ]


@pytest.mark.parametrize("follows", [False, True])
async def test_what_was_held_of_a_budget_is_settled(tmp_path: Path, follows: bool) -> None:
    """To the estimate of what was sent, never to more than was held; the counter is the ledger's sum."""
    work = Work()
    async with upstream(work.answer) as engine, running(tmp_path, own_config(engine, CACHED + PRICED)) as gateway:
        async with home_at(gateway) as ann:
            await ann.budget("project", "1")
            async with asked(gateway, engine, ann.key, max_tokens=1_000) as leader:
                async with gateway.client(ann.key) as client:
                    (state,) = await ann.budgets()
                    held_usd = float(state["held_usd"])
                    assert held_usd > 0.002
                    if follows:
                        body = CHAT | {"max_tokens": 1_000}
                        follower = asyncio.ensure_future(client.post("/v1/chat/completions", json=body))
                        await until(lambda: gateway.gateway.services.metrics.requests_in_flight == 2)
                        await leave(leader)
                        await leave(follower)
                await leave(leader)
                await until(lambda: gateway.gateway.services.metrics.holds_open == 0, WITHIN_S)
            (state,) = await ann.budgets()
            spent = await ann.sum_ledger_pusd()
    assert (state["held_usd"], engine.open) == ("0", 0)
    assert 0 < spent == round(float(state["spent_usd"]) * 10**12) < held_usd * 10**12
    rows = [row for row in gateway.rows if row.cost_pusd]
    assert [(row.status, row.is_estimated, row.cost_pusd) for row in rows] == [("cancelled", True, spent)]
    assert len(gateway.rows) == 1 + follows
