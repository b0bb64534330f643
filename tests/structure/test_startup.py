"""Importing the gateway is quick, loads no vendor's SDK and touches no network."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from machine_speed import STANDARD, STANDARD_MS, Import, import_modules

MAX_IMPORT_MS = 800
# Comparisons at least and at most.
FEW, MANY = 3, 12
HEAVY = (
    "openai", "anthropic", "groq", "stripe", "torch", "transformers", "sentence_transformers", "onnxruntime",
    "tokenizers", "tiktoken", "faiss",
)  # fmt: skip


@pytest.mark.timeout(180)
def test_the_application_is_imported_quickly_and_alone() -> None:
    """``import gateway.app`` takes less than 0.8 s and brings no vendor SDK, model or connection.

    It is the processor's time, here or, on a slower machine, at the speed at which the standard library was imported
    just before or after, whichever was quicker; of some tries the least: a neighbour can only add to what an import
    takes, and a machine whose speed changes from one second to the next is compared with itself at that moment.
    """
    own: list[Import] = []
    beside = [import_modules(*STANDARD).ms]
    taken_ms = float("inf")
    for count in range(1, MANY + 1):
        own.append(import_modules("gateway.app"))
        beside.append(import_modules(*STANDARD).ms)
        taken_ms = min(taken_ms, own[-1].ms * min(1, STANDARD_MS / min(beside[-2:])))
        if count >= FEW and taken_ms < MAX_IMPORT_MS:
            break
    assert sorted(own[0].modules & set(HEAVY)) == []
    assert own[0].dialled == []
    assert taken_ms < MAX_IMPORT_MS


# A gateway that answers an exact repeat from its cache, and tells what that has loaded.
EXACT = """
import asyncio, json, sys, tempfile
from pathlib import Path
sys.path[:0] = {paths!r}
from running import always, chat_reply, json_reply, openai_config, running, upstream

async def main():
    async with upstream(always(json_reply(chat_reply("Hi.")))) as provider:
        config = openai_config(provider) + '[cache]\\nmode = "exact"\\n'
        async with running(Path(tempfile.mkdtemp()), config) as gateway, gateway.client() as client:
            body = {{"model": "gpt-4", "messages": [{{"role": "user", "content": "Hello!"}}]}}
            said = [(await client.post("/v1/chat/completions", json=body)).headers for _ in range(2)]
            assert said[1]["x-watchllm-cache"] == "hit-exact", said
            await client.get("/metrics")
            report = await client.get(f"/api/projects/{{gateway.rows[0].project_id}}/cache/report")
            assert report.json()["requests"] == 0, report.text

asyncio.run(main())
print(json.dumps(sorted(sys.modules)))
"""


def test_exact_repeats_need_no_vectors() -> None:
    """In the default mode neither numpy nor FAISS nor a model is ever loaded, also not by the report, nor pydantic."""
    root = Path(__file__).parents[2]
    program = EXACT.format(paths=[str(root), str(root / "tests")])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & {"numpy", "faiss", "onnxruntime", "tokenizers", "cache.semantic.engine", "pydantic"}
