"""The test call: a real call of a few tokens to exactly one provider, told as it went, and in the ledger."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from offices import Office, office
from running import Request, Upstream, chat_reply, json_reply, openai_config, upstream


async def answer(request: Request, writer: Any) -> None:
    """What a provider says: a refusal of one key, an answer to all others."""
    if request.headers.get("authorization") == "Bearer sk-wrong":
        error = {"error": {"message": "Incorrect API key provided.", "type": "invalid_request_error", "code": "bad"}}
        writer.write(json_reply(error, status=401))
    else:
        writer.write(json_reply(chat_reply("OK.")))


@pytest.fixture
async def openai() -> AsyncIterator[Upstream]:
    """A provider."""
    async with upstream(answer) as provider:
        yield provider


@pytest.fixture
async def ann(tmp_path: Path, openai: Upstream) -> AsyncIterator[Office]:
    """Ann's office; its OpenAI is configured, and so is a provider that gives its own names."""
    more = f'[providers.other]\ndialect = "openai"\nmodels = ["own"]\nbase_url = "{openai.url}/other"\n'
    more += f'[providers.any]\ndialect = "openai"\nmodels = ["*"]\nbase_url = "{openai.url}/any"\n'
    async with office(tmp_path, openai_config(openai, more)) as ann:
        yield ann


async def test_a_call_of_a_few_tokens_is_made(ann: Office, openai: Upstream) -> None:
    """To the provider's cheapest model where none is named; it is charged, past the cache, and has a row."""
    path, _ = await ann.project()
    told = await ann.give("POST", f"{path}/providers/openai/test", {})
    assert (told["ok"], told["provider"], told["http_status"], told["error_code"]) == (True, "openai", 200, None)
    assert float(told["cost_usd"]) > 0
    assert b'"max_tokens":16' in openai.requests[-1].body
    await ann.give("POST", f"{path}/providers/openai/test", {})
    assert len(openai.requests) == 2
    row = ann.gateway.rows[0]
    assert (row.request_id, row.upstream_model, row.tags) == (told["request_id"], told["model"], "test-call")
    assert row.key_id.startswith("user_")


async def test_a_model_can_be_named(ann: Office, openai: Upstream) -> None:
    """One of the catalogue, or of the configuration's own list."""
    path, _ = await ann.project()
    told = await ann.give("POST", f"{path}/providers/openai/test", {"model": "gpt-4o"})
    assert told["model"] == "gpt-4o"
    told = await ann.give("POST", f"{path}/providers/other/test", {})
    assert (told["ok"], told["model"]) == (True, "own")
    assert openai.requests[-1].path.startswith("/v1/other/")


async def test_what_the_provider_says_is_told(ann: Office, openai: Upstream) -> None:
    """The key that the project's calls are sent with is the one that is tried."""
    path, _ = await ann.project()
    await ann.give("POST", f"{path}/providers", {"provider": "openai", "api_key": "sk-wrong", "base_url": None})
    told = await ann.give("POST", f"{path}/providers/openai/test", {"model": "gpt-4o"})
    assert (told["ok"], told["cost_usd"]) == (False, "0")
    assert told["http_status"] >= 400
    assert told["error_code"]
    assert "sk-wrong" not in str(told)


@pytest.mark.parametrize(("provider", "status", "code"), [("nobody", 404, "not_found"), ("any", 400, "invalid_model")])
async def test_what_cannot_be_called_is_refused(
    ann: Office, openai: Upstream, provider: str, status: int, code: str
) -> None:
    """Nothing is sent; a provider that serves any name has none of its own to try."""
    path, _ = await ann.project()
    refused = await ann.ask("POST", f"{path}/providers/{provider}/test", {})
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert openai.requests == []
    assert (await ann.give("POST", f"{path}/providers/any/test", {"model": "theirs"}))["model"] == "theirs"
