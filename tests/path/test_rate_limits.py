"""The documents' rate limits (rows C7), each by the document's own request through a real gateway."""

import asyncio
import datetime
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import msgspec
import pytest
from plans import ACTOR, ENFORCE, RATE_HEADERS, Member, MinuteClock, make_member
from running import Answer, Running, Upstream, always, chat_reply, json_reply, openai_config
from waiting_clock import waiting_clock

from gateway.accounts.keys import make_key
from gateway.counters.interface import RateWindow
from gateway.limits.plans_store import WantedPlan, set_plan

pytestmark = pytest.mark.asyncio(loop_scope="module")
HELLO: dict[str, Any] = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hello!"}]}
PLANS = [("free", 10, 10_000), ("starter", 60, 100_000), ("pro", 600, 1_000_000), ("agency", 6_000, 10_000_000)]


@pytest.fixture(scope="module")
def clock() -> Iterator[MinuteClock]:
    """The time of this module."""
    clock = MinuteClock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", clock)
        yield clock


@pytest.fixture(scope="module")
def answer() -> Answer:
    """An OpenAI that tells of its own limits."""
    own = b"\r\nX-RateLimit-Limit-Requests: 5000\r\nx-ratelimit-reset: 1s\r\n"
    return always(json_reply(chat_reply()).replace(b"\r\n", own, 1))


@pytest.fixture(scope="module")
def config(shared_provider: Upstream, clock: MinuteClock) -> str:
    """A gateway that keeps the plans, by this clock."""
    return openai_config(shared_provider) + ENFORCE


@pytest.fixture
def gateway(quiet: Running, clock: MinuteClock) -> Running:
    """The gateway of this module, whose minute has just begun."""
    clock.begin_minute()
    return quiet


async def chat(gateway: Running, member: Member, **more: Any) -> httpx.Response:
    """The document's request."""
    async with gateway.client(member.key) as client:
        return await client.post("/v1/chat/completions", json={**HELLO, **more})


async def fill(gateway: Running, name: str, subject: str, period: Any, amount: int) -> None:
    """Use up a part of a window, as that many requests would."""
    window = RateWindow(policy_key=f"{name}:{subject}", period=period, limit=10**12)
    await gateway.gateway.services.counters.take((window,), (amount,), gateway.gateway.services.now_ns())


def shown(response: httpx.Response) -> list[int]:
    """The three headers, as numbers; each is there once."""
    assert all(len(response.headers.get_list(name)) == 1 for name in RATE_HEADERS)
    return [int(response.headers[name]) for name in RATE_HEADERS]


@pytest.mark.row("W52", "W53", "W54", "W55", "W56")
@pytest.mark.parametrize(("plan", "per_minute", "per_month"), PLANS)
async def test_a_plan_has_its_requests_a_minute_and_a_month(
    gateway: Running, plan: str, per_minute: int, per_month: int
) -> None:
    """The headers tell the minute; the last request of either window is the last."""
    member = await make_member(gateway, plan)
    first = await chat(gateway, member)
    reset_s = time.time_ns() // 10**9 // 60 * 60 + 60
    assert (first.status_code, shown(first)) == (200, [per_minute, per_minute - 1, reset_s])
    await fill(gateway, "proxy_per_minute", member.account_id, "minute", per_minute - 2)
    last, refused = await chat(gateway, member), await chat(gateway, member)
    assert (last.status_code, shown(last)) == (200, [per_minute, 0, reset_s])
    assert (refused.status_code, shown(refused)) == (429, [per_minute, 0, reset_s])
    other = await make_member(gateway, plan)
    await fill(gateway, "proxy_per_month", other.account_id, "month", per_month - 1)
    assert [(await chat(gateway, other)).status_code for _ in range(2)] == [200, 429]


@pytest.mark.row("W46")
async def test_too_many_requests_are_told_as_the_document_says(gateway: Running) -> None:
    """Section 6: code, message and details; section 7: when to come back."""
    member = await make_member(gateway, "starter")
    await fill(gateway, "proxy_per_minute", member.account_id, "minute", 60)
    response = await chat(gateway, member)
    error = response.json()["error"]
    reset_s = shown(response)[2]
    moment = datetime.datetime.fromtimestamp(reset_s, datetime.UTC)
    assert (response.status_code, error["code"], error["type"]) == (429, "rate_limit_exceeded", "rate_limit_error")
    assert error["details"] == {"plan": "starter", "limit": 60, "reset_at": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
    assert error["message"].startswith("You have exceeded your plan's rate limit")
    wait_s = reset_s - time.time_ns() / 1e9
    assert wait_s <= int(response.headers["retry-after"]) <= wait_s + 2
    assert "x-should-retry" not in response.headers


@pytest.mark.row("W47")
async def test_a_spent_month_is_a_quota_and_nothing_to_retry(gateway: Running) -> None:
    """429, and ``x-should-retry: false``, which the official clients obey."""
    member = await make_member(gateway)
    await fill(gateway, "proxy_per_month", member.account_id, "month", 10_000)
    response = await chat(gateway, member)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (429, "quota_exceeded")
    assert response.headers["x-should-retry"] == "false"
    assert (error["details"]["plan"], error["details"]["limit"]) == ("free", 10_000)
    assert error["details"]["reset_at"].endswith("-01T00:00:00Z")
    assert int(response.headers["retry-after"]) > 0


@pytest.mark.row("W56")
async def test_every_answer_tells_the_limits(gateway: Running) -> None:
    """Whole, streamed, refused for its body or its head, a list of models, a foreign thing: each counts, each tells."""
    member = await make_member(gateway, "starter")
    async with gateway.client(member.key) as client:
        answers = [
            await client.post("/v1/chat/completions", json=HELLO),
            await client.post("/v1/chat/completions", json={**HELLO, "model": "sandbox/x", "stream": True}),
            await client.post("/v1/chat/completions", content=b"{"),
            await client.post("/v1/chat/completions", content=b""),
            await client.post("/v1/chat/completions", content=b"{}", headers={"content-type": "text/plain"}),
            await client.post("/v1/chat/completions", json={**HELLO, "model": "no-such-model"}),
            await client.get("/v1/models"),
            await client.get("/v1/models/nothing"),
        ]
        elsewhere = [await client.get(f"/api/projects/{name}/usage") for name in (member.project_id, "proj_x")]
    remaining = [shown(answer)[:2] for answer in answers]
    assert remaining == [[60, 60 - count] for count in range(1, 9)]
    assert [answer.status_code for answer in answers[2:6]] == [400, 400, 415, 400]
    assert [(answer.status_code, shown(answer)[:2]) for answer in elsewhere] == [(200, [60, 59]), (404, [60, 58])]


async def test_what_is_not_there_counts_and_tells_the_limits_too(gateway: Running) -> None:
    """An unknown path and a method that a path does not take, for who is known; a stranger is told nothing of them."""
    member = await make_member(gateway, "starter")
    async with gateway.client(member.key) as client:
        answers = [await client.get("/v1/nothing"), await client.delete("/v1/models")]
    assert [(answer.status_code, shown(answer)[:2]) for answer in answers] == [(404, [60, 59]), (405, [60, 58])]
    async with gateway.client(make_key("live")) as stranger:
        assert "x-ratelimit-limit" not in (await stranger.get("/v1/nothing")).headers


async def too_much() -> AsyncIterator[bytes]:
    """A body that does not say how long it is."""
    for _ in range(11):
        yield b" " * 1_048_576


@pytest.mark.row("W56")
async def test_what_is_refused_before_its_body_is_read_counts_and_tells_the_limits_too(gateway: Running) -> None:
    """A method that the calls do not take, a body too large, a key that may not call; on both ways, as on any route."""
    member = await make_member(gateway, "starter")
    large = b" " * 10_485_761
    async with gateway.client(member.key) as client:
        answers = [
            await client.get("/v1/chat/completions"),
            await client.put("/v1/embeddings", content=b"{}"),
            await client.post("/v1/chat/completions", content=large),
            await client.post("/v1/chat/completions", content=too_much()),
            await client.put("/v1/chat/completions", content=large),
            await client.post("/v1/quote", content=large),
            await client.request("GET", "/v1/models", content=large),
        ]
        elsewhere = [await client.request("GET", f"/api/projects/{member.project_id}/usage", content=large)]
    assert [answer.status_code for answer in answers] == [405, 405, 413, 413, 405, 413, 413]
    assert [shown(answer)[:2] for answer in answers] == [[60, 60 - count] for count in range(1, 8)]
    assert [(answer.status_code, shown(answer)[:2]) for answer in elsewhere] == [(413, [60, 59])]
    async with gateway.client(make_key("live")) as stranger:
        refused = [
            await stranger.get("/v1/chat/completions"),
            await stranger.post("/v1/chat/completions", content=large),
        ]
    assert [answer.status_code for answer in refused] == [405, 413]
    assert not [answer for answer in refused if "x-ratelimit-limit" in answer.headers]


@pytest.mark.row("W56")
async def test_a_key_that_may_not_call_is_told_its_limits(gateway: Running) -> None:
    """403 counts as any refusal does."""
    member = await make_member(gateway, "starter", scopes=frozenset())
    refused = [await chat(gateway, member) for _ in range(2)]
    assert [(answer.status_code, shown(answer)[:2]) for answer in refused] == [(403, [60, 59]), (403, [60, 58])]


async def test_a_stream_tells_the_limits_in_its_head(gateway: Running) -> None:
    """Before its first chunk."""
    member = await make_member(gateway, "starter", kind="test")
    response = await chat(gateway, member, stream=True)
    assert response.text.endswith("data: [DONE]\n\n")
    assert shown(response)[:2] == [60, 59]


async def test_the_providers_own_limits_give_way(gateway: Running) -> None:
    """They speak of the operator's account; an unlimited caller still gets them."""
    member = await make_member(gateway, "starter")
    ours = [name for name in (await chat(gateway, member)).headers if "ratelimit" in name]
    async with gateway.client() as client:
        theirs = (await client.post("/v1/chat/completions", json=HELLO)).headers
    assert sorted(ours) == sorted(RATE_HEADERS)
    assert theirs["x-ratelimit-limit-requests"] == "5000"


@pytest.mark.row("W4")
async def test_a_sandbox_key_is_free_and_limited(gateway: Running) -> None:
    """``lgw_test_…``: the plan's limit, in a counter of its own, and nothing is charged."""
    live = await make_member(gateway)
    tester = await make_member(gateway, kind="test", account_id=live.account_id)
    assert tester.key.startswith("lgw_test_")
    answers = [await chat(gateway, tester) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert {answer.json()["x-WatchLLM-cost-usd"] for answer in answers[:10]} == {"0"}
    assert shown(await chat(gateway, live))[:2] == [10, 9]


async def test_an_accounts_keys_share_its_plan(gateway: Running) -> None:
    """More keys are no more requests."""
    first = await make_member(gateway)
    second = await make_member(gateway, account_id=first.account_id)
    await chat(gateway, first)
    assert shown(await chat(gateway, second))[:2] == [10, 8]


async def test_surfaces_are_counted_apart(gateway: Running) -> None:
    """``/v1/*`` does not lower what ``/api/*`` may, whatever the key's prefix."""
    member = await make_member(gateway)
    await fill(gateway, "proxy_per_minute", member.account_id, "minute", 10)
    assert (await chat(gateway, member)).status_code == 429
    async with gateway.client(member.key) as client:
        usage = await client.get(f"/api/projects/{member.project_id}/usage")
    assert (usage.status_code, shown(usage)[:2]) == (200, [10, 9])


async def test_an_operators_project_has_no_plan(gateway: Running) -> None:
    """The keys of the first start are limited by nothing."""
    async with gateway.client() as client:
        answers = [await client.post("/v1/chat/completions", json=HELLO) for _ in range(12)]
    assert {answer.status_code for answer in answers} == {200}
    assert "x-ratelimit-limit" not in answers[0].headers


async def test_an_account_follows_its_plan_within_a_second(gateway: Running) -> None:
    """Every process reads that its keys changed."""
    member = await make_member(gateway)
    before = shown(await chat(gateway, member))
    database = gateway.gateway.app.state.database
    await set_plan(database, WantedPlan(account_id=member.account_id, plan="pro"), ACTOR, time.time_ns())
    async with waiting_clock() as clock:
        while (after := shown(await chat(gateway, member)))[0] == before[0] and clock.seconds < 1:
            await asyncio.sleep(0.02)
    assert (before[0], after[0]) == (10, 600)


async def test_overrides_are_an_enterprises_own_figures(gateway: Running) -> None:
    """Where it has none, nothing limits it."""
    some = await make_member(gateway, "enterprise", overrides={"proxy_per_minute": 2})
    none = await make_member(gateway, "enterprise")
    assert [(await chat(gateway, some)).status_code for _ in range(3)] == [200, 200, 429]
    assert "x-ratelimit-limit" not in (await chat(gateway, none)).headers


async def test_strangers_are_limited_by_their_address(gateway: Running) -> None:
    """On the short way and on every other route; what they say of where they come from changes nothing."""
    stranger = msgspec.structs.replace(await make_member(gateway), key="lgw_proj_" + "x" * 49)
    async with gateway.client(stranger.key) as client:
        proxied = [
            await client.post("/v1/chat/completions", json=HELLO, headers={"x-forwarded-for": f"192.0.2.{count}"})
            for count in range(6)
        ]
        listed = [await client.get("/v1/models", headers={"x-forwarded-for": f"192.0.2.{n}"}) for n in range(12)]
    assert {answer.status_code for answer in proxied} == {401}
    assert shown(proxied[-1])[:2] == [10, 4]
    assert [answer.status_code for answer in listed] == [401] * 4 + [429] * 8
    assert listed[-1].json()["error"]["code"] == "rate_limit_exceeded"
