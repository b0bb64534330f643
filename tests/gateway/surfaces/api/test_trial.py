"""The test call: a real call of a few tokens to exactly one provider, told as it went, and in the ledger."""

from typing import Any

import pytest
from offices import Office
from running import Answer, Request, Upstream, chat_reply, json_reply, openai_config

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def refuse_one_key(request: Request, writer: Any) -> None:
    """What a provider says: a refusal of one key, an answer to all others."""
    if request.headers.get("authorization") == "Bearer sk-wrong":
        error = {"error": {"message": "Incorrect API key provided.", "type": "invalid_request_error", "code": "bad"}}
        writer.write(json_reply(error, status=401))
    else:
        writer.write(json_reply(chat_reply("OK.")))


@pytest.fixture(scope="module")
def answer() -> Answer:
    """What the provider does."""
    return refuse_one_key


@pytest.fixture(scope="module")
def config(shared_provider: Upstream) -> str:
    """OpenAI, a provider that gives its own names, and one that serves any."""
    more = f'[providers.other]\ndialect = "openai"\nmodels = ["own"]\nbase_url = "{shared_provider.url}/other"\n'
    more += f'[providers.any]\ndialect = "openai"\nmodels = ["*"]\nbase_url = "{shared_provider.url}/any"\n'
    return openai_config(shared_provider, more)


async def test_a_call_of_a_few_tokens_is_made(ann: Office, provider: Upstream) -> None:
    """To the provider's cheapest model where none is named; it is charged, past the cache, and has a row."""
    path, _ = await ann.project()
    told = await ann.give("POST", f"{path}/providers/openai/test", {})
    assert (told["ok"], told["provider"], told["http_status"], told["error_code"]) == (True, "openai", 200, None)
    assert float(told["cost_usd"]) > 0
    assert b'"max_tokens":16' in provider.requests[-1].body
    await ann.give("POST", f"{path}/providers/openai/test", {})
    assert len(provider.requests) == 2
    row = ann.gateway.rows[0]
    assert (row.request_id, row.upstream_model, row.tags) == (told["request_id"], told["model"], "test-call")
    assert row.key_id.startswith("user_")


async def test_a_model_can_be_named(ann: Office, provider: Upstream) -> None:
    """One of the catalogue, or of the configuration's own list."""
    path, _ = await ann.project()
    told = await ann.give("POST", f"{path}/providers/openai/test", {"model": "gpt-4o"})
    assert told["model"] == "gpt-4o"
    told = await ann.give("POST", f"{path}/providers/other/test", {})
    assert (told["ok"], told["model"]) == (True, "own")
    assert provider.requests[-1].path.startswith("/v1/other/")


async def test_what_the_provider_says_is_told(ann: Office, provider: Upstream) -> None:
    """The key that the project's calls are sent with is the one that is tried."""
    path, _ = await ann.project()
    await ann.give("POST", f"{path}/providers", {"provider": "openai", "api_key": "sk-wrong", "base_url": None})
    told = await ann.give("POST", f"{path}/providers/openai/test", {"model": "gpt-4o"})
    assert (told["ok"], told["cost_usd"]) == (False, "0")
    assert told["http_status"] >= 400
    assert told["error_code"]
    assert "sk-wrong" not in str(told)


@pytest.mark.parametrize(("name", "status", "code"), [("nobody", 404, "not_found"), ("any", 400, "invalid_model")])
async def test_what_cannot_be_called_is_refused(
    ann: Office, provider: Upstream, name: str, status: int, code: str
) -> None:
    """Nothing is sent; a provider that serves any name has none of its own to try."""
    path, _ = await ann.project()
    refused = await ann.ask("POST", f"{path}/providers/{name}/test", {})
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert provider.requests == []
    assert (await ann.give("POST", f"{path}/providers/any/test", {"model": "theirs"}))["model"] == "theirs"
