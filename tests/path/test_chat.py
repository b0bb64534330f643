"""A chat through the whole gateway: what the client gets, what the provider got, what the ledger keeps."""

import json
from pathlib import Path
from typing import Any

import pytest
from running import always, chat_reply, json_reply, openai_config, running, upstream

HELLO = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hello!"}]}


@pytest.mark.row("W6")
@pytest.mark.row("W7")
async def test_a_chat_is_answered_with_openai_body_and_the_gateways_figures(tmp_path: Path) -> None:
    """The document's request gets OpenAI's answer plus the three members, in both spellings."""
    request = {
        "model": "gpt-4",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "Hello!"},
        ],
        "temperature": 0.7,
        "max_tokens": 100,
        "stream": False,
    }
    async with upstream(always(json_reply(chat_reply("Hello! How can I help you today?")))) as provider:
        async with running(tmp_path, openai_config(provider)) as gateway, gateway.client() as client:
            response = await client.post("/v1/chat/completions", json=request)
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    for name, value in chat_reply("Hello! How can I help you today?").items():
        assert body[name] == value
    # 15 tokens at 30 USD and 10 at 60 USD a million: exact.
    for prefix in ("x-WatchLLM-", "x_WatchLLM_"):
        separator = prefix[-1]
        assert body[f"{prefix}cached"] is False
        assert body[f"{prefix}cost{separator}usd"] == "0.00105"
        assert isinstance(body[f"{prefix}latency{separator}ms"], int)
    assert provider.requests[0].json() == request
    assert provider.requests[0].headers["authorization"] == "Bearer sk-upstream-secret"
    assert [(row.cost_pusd, row.status, row.total_tokens) for row in gateway.rows] == [(1_050_000_000, "complete", 25)]
    assert json.loads(response.content) == body
