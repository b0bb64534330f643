"""Room 3 through a whole gateway: caps, exclusions, missing prices, further tries, and streams that do not end."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from budgeting import CHAT, Home, budget_config, home, home_at
from running import STREAM_HEAD, Request, Running, Upstream, always, chat_reply, framed, json_reply, upstream

from gateway.db import DatabaseUnavailable
from gateway.pipeline.meter import Guard
from providers.delivered import Delivered
from providers.tokens import Tokenizers

ANSWER = always(json_reply(chat_reply()))
CAP = "x-watchllm-max-cost-usd"
TARGET = '{ provider = "openai", model = "m" }'
shared = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def config(shared_provider: Upstream) -> str:
    """A model whose second target is the first again."""
    return budget_config(shared_provider, f'[[models]]\nname = "twice"\ntargets = [{TARGET}, {TARGET}]\n')


@pytest_asyncio.fixture(loop_scope="module")
async def ann(quiet: Running) -> AsyncIterator[Home]:
    """Somebody with an account, at the gateway that these tests share."""
    async with home_at(quiet) as made:
        yield made


@shared
async def test_a_call_may_say_what_it_may_cost(ann: Home, provider: Upstream) -> None:
    """Cut, then refused, without any budget; a value that is no amount is a 400."""
    answer = await ann.chat({CAP: "0.001"}, max_tokens=4_000)
    assert answer.status_code == 200
    assert 64 <= int(answer.headers["x-watchllm-max-tokens"]) < 4_000
    answer = await ann.chat({CAP: "0.000001"})
    details = answer.json()["error"]["details"]
    assert (answer.status_code, details["budget_id"], details["limit_usd"]) == (402, None, "0.000001")
    assert answer.headers["x-should-retry"] == "false"
    assert (await ann.chat({CAP: "cheap"})).status_code == 400
    assert len(provider.requests) == 1


@shared
async def test_of_two_limits_both_say_what_is_held_for(ann: Home, provider: Upstream) -> None:
    """A provider that believes the other one would go beyond it; where no money is held nothing is touched."""
    both = {"max_completion_tokens": 100, "max_tokens": 100_000}
    for headers, limit in (({CAP: "1"}, 100), ({}, 100_000)):
        answer = await ann.chat(headers, **both, seed=limit)
        assert answer.status_code == 200
        assert "x-watchllm-max-tokens" not in answer.headers
        assert json.loads(provider.requests[-1].body) == CHAT | both | {"max_tokens": limit, "seed": limit}


@shared
async def test_a_service_tier_cannot_be_hidden_by_escapes(ann: Home) -> None:
    """It has a price of its own, which is held for however its name is written."""
    most = []
    for name in (b"x_________er", b"service_tier", b"service\\u005ftier"):
        body = b'{"model":"gpt-5","max_tokens":100000,"%b":"priority","messages":[{"role":"user"}]}' % name
        quoted = await ann.caller.post("/v1/quote", content=body, headers={"content-type": "application/json"})
        most.append(float(quoted.json()["max_cost_usd"]))
    assert most[0] * 1.9 < most[1] <= most[2]


@shared
async def test_a_cap_holds_for_all_prompts_of_a_completion_together(ann: Home, provider: Upstream) -> None:
    """A hundred prompts make a hundred answers: each may be a hundredth as long."""
    body = {"model": "m", "prompt": ["a"] * 100, "max_tokens": 1_000}
    answer = await ann.caller.post("/v1/completions", json=body, headers={CAP: "0.1"})
    assert answer.status_code == 200
    assert 64 <= json.loads(provider.requests[0].body)["max_tokens"] <= 500
    answer = await ann.caller.post("/v1/completions", json=body, headers={CAP: "0.01"})
    assert answer.status_code == 402
    assert len(provider.requests) == 1


@shared
async def test_what_has_no_bound_is_refused_where_a_budget_governs(ann: Home, provider: Upstream) -> None:
    """And goes out where none does."""
    assert (await ann.chat(web_search_options={})).status_code == 200
    made = await ann.budget("project", "100")
    answer = await ann.chat(web_search_options={})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"]["budget_id"]) == (402, "spending_limit", made["id"])
    assert "web_search" in error["message"]
    assert len(provider.requests) == 1


@pytest.mark.parametrize(("policy", "status"), [("refuse", 402), ("allow", 200)])
async def test_a_model_without_a_price_goes_by_the_policy(tmp_path: Path, policy: str, status: int) -> None:
    """[budgets] unpriced."""
    config = f'[budgets]\nunpriced = "{policy}"\n'
    config += '[[models]]\nname = "x"\ntargets = [{ provider = "openai", model = "x" }]\n'
    async with upstream(ANSWER) as provider, home(tmp_path, provider, config) as ann:
        await ann.budget("project", "100")
        assert (await ann.chat(model="x")).status_code == status


UNBOUNDED: list[dict[str, Any]] = [
    {"web_search_options": {}},
    {"best_of": 2},
    {"max_completion_tokens": 100, "max_tokens": 100_000},
    {"model": "m"},
]


@shared
@pytest.mark.parametrize("more", UNBOUNDED, ids="-".join)
async def test_a_budget_that_alerts_refuses_and_changes_nothing(
    ann: Home, provider: Upstream, more: dict[str, Any]
) -> None:
    """What has no bound goes out as it is, holds nothing, and counts and is told of once it is settled."""
    await ann.budget("project", "0.00002", action="alert", thresholds=[0.5, 1.0])
    for seed in range(2):
        answer = await ann.chat(seed=seed, **more)
        assert answer.status_code == 200, answer.text
        assert "x-watchllm-max-tokens" not in answer.headers
        assert json.loads(provider.requests[-1].body) == CHAT | more | {"seed": seed}
    (state,) = await ann.budgets()
    assert (state["held_usd"], state["spent_usd"]) == ("0", "0.00007")
    (standing,) = [
        found
        for found in ann.running.gateway.services.budgets.books.directory.all()
        if found.budget.budget_id == state["id"]
    ]
    assert standing.notified[1] == 2


async def test_a_model_without_a_price_is_not_refused_by_a_budget_that_alerts(tmp_path: Path) -> None:
    """It costs nothing that anybody knows of; a further try is made, and a cap refuses all the same."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if len(provider.requests) == 1:
            writer.close()
            raise ConnectionResetError
        writer.write(json_reply(chat_reply()))

    twice = ", ".join(['{ provider = "openai", model = "x" }'] * 2)
    config = f'[[models]]\nname = "x"\ntargets = [{twice}]\n'
    async with upstream(answer) as provider, home(tmp_path, provider, config) as ann:
        await ann.budget("project", "0", action="alert")
        reply = await ann.chat(model="x")
        assert reply.status_code == 200, reply.text
        (row,) = ann.running.rows
        assert (row.cost_pusd, row.cost_basis, row.attempts) == (0, "unpriced", 2)
        assert (await ann.chat({CAP: "1"}, model="x")).status_code == 402


@shared
@pytest.mark.parametrize(("action", "status"), [("alert", 200), ("block", 503)])
async def test_what_cannot_be_asked_refuses_nothing_that_only_alerts(
    ann: Home, monkeypatch: pytest.MonkeyPatch, action: str, status: int
) -> None:
    """The ledger cannot be read, so no line can begin."""

    async def fail(*_: Any) -> Any:
        raise DatabaseUnavailable("away")

    await ann.budget("project", "1", action=action)
    monkeypatch.setattr(ann.running.gateway.services.budgets.treasury.spending, "read", fail)
    assert (await ann.chat(max_tokens=10)).status_code == status


@shared
async def test_a_stream_is_not_cut_by_a_budget_that_alerts(ann: Home, provider: Upstream) -> None:
    """Though it goes beyond the limit that its caller set."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for reason in [None] * 20 + ["stop"]:
            delta: dict[str, Any] = {"index": 0, "delta": {"content": " hello"}, "finish_reason": reason}
            writer.write(framed(b"data: " + json.dumps({"id": "c", "choices": [delta]}).encode() + b"\n\n"))
        writer.write(framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    provider.answer = answer
    await ann.budget("project", "1", action="alert")
    reply = await ann.chat(stream=True, max_tokens=2)
    assert (reply.text.count(" hello"), "[DONE]" in reply.text) == (21, True)


@shared
async def test_an_answer_of_no_use_is_charged_as_it_says(ann: Home, provider: Upstream) -> None:
    """Not as was held for it: what it used is known."""
    provider.answer = always(json_reply(chat_reply() | {"choices": []}))
    await ann.budget("project", "1")
    assert (await ann.chat(model="twice", max_tokens=10)).status_code == 502
    (row,) = ann.running.rows
    assert (row.status, row.attempts) == ("failed", 2)
    assert (row.lost_pusd, row.cost_pusd, row.cost_basis) == (35 * 10**6, 70 * 10**6, "operator")
    (state,) = await ann.budgets()
    assert (state["held_usd"], round(float(state["spent_usd"]) * 10**12)) == ("0", row.cost_pusd)


@shared
async def test_a_try_that_may_be_billed_is_charged_beside_the_next(ann: Home, provider: Upstream) -> None:
    """The first provider breaks off after it was asked; its cost stands in the row, held beforehand."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if len(provider.requests) == 1:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{")
            await writer.drain()
            writer.close()
            raise ConnectionResetError
        writer.write(json_reply(chat_reply()))

    provider.answer = answer
    await ann.budget("project", "1")
    most = (await ann.caller.post("/v1/quote", json=CHAT | {"max_tokens": 10, "model": "twice"})).json()
    answer_ = await ann.chat(model="twice", max_tokens=10)
    assert answer_.status_code == 200, answer_.text
    (row,) = ann.running.rows
    assert row.attempts == 2
    assert row.lost_pusd == round(float(most["max_cost_per_try_usd"]) * 10**12)
    assert row.cost_pusd == row.lost_pusd + 35 * 10**6
    (state,) = await ann.budgets()
    assert round(float(state["spent_usd"]) * 10**12) == row.cost_pusd == await ann.sum_ledger_pusd()
    assert state["held_usd"] == "0"


async def test_a_try_of_which_nobody_knows_is_in_doubt(tmp_path: Path) -> None:
    """Charged as held; the failure is told as before."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.close()
        raise ConnectionResetError

    async with upstream(answer) as provider, home(tmp_path, provider, "[retries]\nmax_tries = 1\n") as ann:
        await ann.budget("project", "1")
        assert (await ann.chat(max_tokens=10)).status_code == 502
        (row,) = ann.running.rows
        assert (row.status, row.cost_basis, row.is_estimated) == ("in_doubt", "bound", True)
        (state,) = await ann.budgets()
        assert round(float(state["spent_usd"]) * 10**12) == row.cost_pusd > 0


@shared
async def test_a_stream_that_goes_beyond_its_limit_is_cut(ann: Home, provider: Upstream) -> None:
    """By an error event and without [DONE]; it is charged no more than was held."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for _ in range(5_000):
            delta: dict[str, Any] = {"index": 0, "delta": {"content": " hello"}, "finish_reason": None}
            writer.write(framed(b"data: " + json.dumps({"id": "c", "choices": [delta]}).encode() + b"\n\n"))
            await writer.drain()
            await asyncio.sleep(0.001)

    provider.answer = answer
    await ann.budget("project", "1")
    reply = await ann.chat(stream=True, max_tokens=100)
    assert "[DONE]" not in reply.text
    assert '"code":"spending_limit"' in reply.text
    assert 100 <= reply.text.count(" hello") <= 200
    (row,) = ann.running.rows
    quote = (await ann.caller.post("/v1/quote", json=CHAT | {"max_tokens": 100, "stream": True})).json()
    assert row.status == "incomplete"
    assert row.cost_pusd <= round(float(quote["max_cost_per_try_usd"]) * 10**12)


@shared
async def test_a_stream_that_goes_beyond_a_calls_own_cap_costs_no_more(ann: Home, provider: Upstream) -> None:
    """As with a budget: an estimate is never above what was held."""
    say = {"id": "c", "choices": [{"index": 0, "delta": {"content": " hello" * 5_000}, "finish_reason": None}]}

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(b"data: " + json.dumps(say).encode() + b"\n\n"))

    provider.answer = answer
    reply = await ann.chat({CAP: "0.001"}, stream=True, max_tokens=4_000)
    assert '"code":"spending_limit"' in reply.text
    (row,) = ann.running.rows
    assert (row.status, row.cost_basis) == ("incomplete", "bound")
    assert 0 < row.cost_pusd <= 10**9


@shared
async def test_what_is_reported_beyond_the_limit_is_charged_and_marked(ann: Home, provider: Upstream) -> None:
    """It will be billed; a budget that counted less would let more such calls out."""
    provider.answer = always(json_reply(chat_reply(completion=1_000_000)))
    await ann.budget("project", "0.01")
    assert (await ann.chat(max_tokens=100)).status_code == 200
    (row,) = ann.running.rows
    assert (row.is_anomalous, row.is_estimated, row.cost_pusd) == (True, False, 15 * 10**6 + 2 * 10**12)
    (state,) = await ann.budgets()
    assert (state["held_usd"], round(float(state["spent_usd"]) * 10**12)) == ("0", row.cost_pusd)
    assert (await ann.chat(max_tokens=100)).status_code == 402


@shared
async def test_what_is_reported_within_the_limit_is_not_marked(ann: Home, provider: Upstream) -> None:
    """Of all answers together, and where nothing is held."""
    provider.answer = always(json_reply(chat_reply(completion=200)))
    assert (await ann.chat(max_tokens=100)).status_code == 200
    await ann.budget("project", "1")
    assert (await ann.chat(max_tokens=100, n=2)).status_code == 200
    assert [row.is_anomalous for row in ann.running.rows] == [False, False]


def test_a_stream_within_its_limit_is_never_cut() -> None:
    """Whatever another model's tokenizer counts."""

    class Reader:
        """A stream of a hundred words."""

        def delivered(self) -> Any:
            """What was said."""
            said = Delivered()
            said.add([" hello"] * 100)
            return said

    tokenizers = Tokenizers()
    for model in ("gpt-4o", "claude-sonnet-4-5", "unheard-of"):
        assert Guard(tokenizers, model, 100)(Reader()) is None  # type: ignore[arg-type]
        assert Guard(tokenizers, model, 50)(Reader()) is not None  # type: ignore[arg-type]


UNREADABLE = {
    "coding": b"content-encoding: br\r\ncontent-length: 2\r\n\r\n{}",
    "framings": b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "lengths": b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "page": b"content-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
}


@shared
@pytest.mark.parametrize("form", UNREADABLE)
@pytest.mark.parametrize("has_budget", [True, False])
async def test_a_success_that_cannot_be_read_is_paid_once(
    ann: Home, provider: Upstream, form: str, has_budget: bool
) -> None:
    """Its input, or what a budget held for it: the same target is not asked again."""
    provider.answer = always(b"HTTP/1.1 200 OK\r\n" + UNREADABLE[form])
    if has_budget:
        await ann.budget("project", "1")
    assert (await ann.chat(max_tokens=10)).json()["error"]["code"] == "upstream_invalid"
    quote = (await ann.caller.post("/v1/quote", json=CHAT | {"max_tokens": 10})).json()
    (row,) = ann.running.rows
    assert (len(provider.requests), row.attempts, row.is_estimated, row.input_tokens > 0) == (1, 1, True, True)
    most_pusd = round(float(quote["max_cost_per_try_usd"]) * 10**12)
    assert row.cost_pusd == most_pusd if has_budget else 0 < row.cost_pusd < most_pusd


async def test_a_figure_that_no_call_can_have_ends_what_is_held(tmp_path: Path) -> None:
    """The gateway counts itself then: one row, and nothing stays held."""
    said = {"type": "message", "role": "assistant", "id": "m", "content": [{"type": "text", "text": "hello"}]}
    message = said | {"stop_reason": "end_turn", "usage": {"input_tokens": 10, "output_tokens": 1e13}}
    async with upstream(always(json_reply(message))) as provider, home(tmp_path, provider, _claude(provider)) as ann:
        await ann.budget("project", "0.01")
        answer = await ann.chat(model="claude", max_tokens=100)
        assert (answer.status_code, "usage" in answer.json()) == (200, False)
        (row,) = ann.running.rows
        assert (row.is_anomalous, row.is_estimated, 0 < row.output_tokens < 10) == (True, True, True)
        (state,) = await ann.budgets()
        assert (state["held_usd"], round(float(state["spent_usd"]) * 10**12)) == ("0", row.cost_pusd)
        assert await ann.sum_ledger_pusd() == row.cost_pusd


async def test_a_call_that_cannot_be_settled_is_charged_what_was_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong in here: nothing stays held, and nothing is freed in silence."""

    def fail(*_: object) -> None:
        raise ValueError("a bug")

    async with upstream(ANSWER) as provider, home(tmp_path, provider) as ann:
        await ann.budget("project", "0.01")
        monkeypatch.setattr("gateway.pipeline.record.compose", fail)
        with contextlib.suppress(httpx.HTTPError):
            assert (await ann.chat(max_tokens=100)).status_code == 500
        (row,) = ann.running.rows
        assert (row.status, row.cost_basis, row.cost_pusd > 0) == ("in_doubt", "bound", True)
        (state,) = await ann.budgets()
        assert (state["held_usd"], round(float(state["spent_usd"]) * 10**12)) == ("0", row.cost_pusd)
        assert ann.running.gateway.services.metrics.holds_open == 0
        assert await ann.sum_ledger_pusd() == row.cost_pusd


def _claude(provider: Upstream) -> str:
    """A model that is asked in Anthropic's words."""
    target = f'[providers.anthropic]\nbase_url = "{provider.url}"\napi_key = "sk-ant"\n'
    model = '[[models]]\nname = "claude"\ntargets = [{ provider = "anthropic", model = "claude-sonnet-4-5" }]\n'
    return target + model
