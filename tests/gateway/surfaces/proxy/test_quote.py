"""A quote is never below what the call then costs, and asks nobody."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from budgeting import CHAT, Home, budget_config, home_at
from running import Running, Upstream, always, chat_reply, json_reply

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def config(shared_provider: Upstream) -> str:
    """One model with a price, one without, and a route of two targets."""
    more = '[[models]]\nname = "free-of-price"\ntargets = [{ provider = "openai", model = "x" }]\n'
    target = '{ provider = "openai", model = "m" }'
    more += f'[[models]]\nname = "twice"\ntargets = [{target}, {target}]\n'
    return budget_config(shared_provider, more)


@pytest_asyncio.fixture(loop_scope="module")
async def ann(quiet: Running) -> AsyncIterator[Home]:
    """Somebody with an account, at the gateway that these tests share."""
    async with home_at(quiet) as made:
        yield made


async def quote(ann: Home, **more: Any) -> tuple[int, Any]:
    """Ask what a chat would cost."""
    answer = await ann.caller.post("/v1/quote", json=CHAT | more)
    return answer.status_code, answer.json()


async def test_a_quote_is_an_upper_bound(ann: Home, provider: Upstream) -> None:
    """With what it is made of; the provider hears nothing of it."""
    provider.answer = always(json_reply(chat_reply(prompt=15, completion=40)))
    status, told = await quote(ann, max_tokens=20, n=2)
    assert status == 200
    assert provider.requests == []
    assert (told["max_output_tokens"], told["n"], told["unbounded"]) == (20, 2, [])
    one_try = told["max_cost_per_try_usd"]
    assert told["targets"] == [{"provider": "openai", "model": "m", "max_cost_usd": one_try}]
    answer = await ann.chat(max_tokens=20, n=2)
    assert float(answer.headers["x-watchllm-cost-usd"]) <= float(told["max_cost_usd"])
    assert one_try == f"{(told['max_input_tokens'] + 2 * 2 * 20) / 10**6:.6f}".rstrip("0")


@pytest.mark.parametrize("is_governed", [True, False])
@pytest.mark.parametrize(("stream", "tries"), [(True, 3), (False, 2)])
async def test_a_quote_covers_every_try_that_may_be_billed(
    ann: Home, provider: Upstream, is_governed: bool, stream: bool, tries: int
) -> None:
    """What cannot be read is asked of the next target, and a stream that says nothing of the last one again."""
    if is_governed:
        await ann.budget("project", "1")
    provider.answer = always(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 0\r\n\r\n")
    asked: dict[str, Any] = {"model": "twice", "max_tokens": 20, "stream": stream}
    _, told = await quote(ann, **asked)
    assert (await ann.chat(**asked)).status_code == 502
    most_pusd, one_pusd = (round(float(told[name]) * 10**12) for name in ("max_cost_usd", "max_cost_per_try_usd"))
    assert told["max_billed_tries"] == len(provider.requests) == tries
    assert most_pusd == one_pusd * tries
    assert await ann.sum_ledger_pusd() == most_pusd if is_governed else await ann.sum_ledger_pusd() <= most_pusd


async def test_what_has_no_bound_is_named(ann: Home) -> None:
    """Exclusions and missing prices; then there is no figure."""
    _, told = await quote(ann, plugins=[{"id": "web"}])
    assert told["max_cost_usd"] is None
    assert told["unbounded"][0].startswith("web_search")
    _, told = await quote(ann, model="free-of-price")
    assert told["unbounded"] == ["unpriced: openai/x has no price"]


async def test_a_test_key_pays_nothing(ann: Home) -> None:
    """The sandbox is free."""
    ann.caller.headers["authorization"] = f"Bearer {ann.running.test_key}"
    assert (await quote(ann))[1]["max_cost_usd"] == "0"


async def test_what_is_no_chat_is_refused(ann: Home) -> None:
    """As the chat endpoint would."""
    assert (await quote(ann, model="nobody-has-it"))[1]["error"]["code"] == "invalid_model"
    assert (await quote(ann, messages=[]))[0] == 400
    assert (await ann.caller.post("/v1/quote", content=b"")).status_code == 400
