"""The document's own curl commands, word for word but for host and key, against a running gateway."""

import asyncio
import json
import os
from typing import Any

import pytest
from clients.examples import aimed
from clients.small_providers import TEXT, VECTOR
from running import Running, Upstream

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.row("W59")]


async def shell(command: str, key: str) -> Any:
    """Run a command as a user's shell does and decode what it prints."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        command,
        env={"PATH": os.environ["PATH"], "WatchLLM_API_KEY": key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return json.loads(printed)


@pytest.mark.parametrize("title", ["1 cURL", "8.3 cURL Chat completion"])
async def test_the_chat_command_prints_a_completion(gateway: Running, providers: Upstream, title: str) -> None:
    """Sections 1 and 8.3: the answer, and what was sent reaches the provider as it was typed."""
    body = await shell(aimed(title, gateway.url, gateway.live_key), gateway.live_key)
    assert body["choices"][0]["message"] == {"role": "assistant", "content": TEXT}
    assert (body["x-WatchLLM-cached"], body["x-WatchLLM-cost-usd"]) == (False, "0.00105")
    typed = aimed(title, gateway.url, gateway.live_key).split("-d '")[1].split("'")[0]
    assert providers.requests[-1].body.decode() == typed


async def test_the_embeddings_command_prints_a_vector(gateway: Running) -> None:
    """Section 8.3: the older embedding model, as floats."""
    body = await shell(aimed("8.3 cURL Embeddings", gateway.url, gateway.live_key), gateway.live_key)
    assert body["data"] == [{"object": "embedding", "index": 0, "embedding": VECTOR}]
    assert body["model"] == "text-embedding-ada-002"
