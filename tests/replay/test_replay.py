"""Every recorded answer of the four providers, replayed through the running gateway over HTTP."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from recordings import CASSETTES, load, recordings
from running import Running, running

from gateway.ledger.row import UsageRow
from providers import splice
from providers.openai.dialect import ask_for_usage
from providers.registry import PROVIDERS
from replay import judging
from replay.heard import Heard, hear

AT_ONCE = 16
ENDPOINTS = {
    "chat": "chat/completions",
    "messages": "chat/completions",
    "completions": "completions",
    "embeddings": "embeddings",
}
FOLDERS = (
    "openai/chat",
    "openai/completions",
    "openai/embeddings",
    "groq/chat",
    "openrouter/chat",
    "openrouter/embeddings",
    "anthropic/messages",
)
STREAMED = ("openai/chat", "openai/completions", "groq/chat", "openrouter/chat", "anthropic/messages")
Item = dict[str, Any]


def alias(item: Item) -> str:
    """The name that the client uses, unlike the recording's id so that the gateway has to replace it."""
    return f"replay:{item['id']}"


def config(replay_url: str, folder: str, items: list[Item]) -> str:
    """A configuration whose provider is the replaying upstream, with a name for every recording."""
    provider = folder.split("/")[0]
    lines = [f'[providers.{provider}]\nbase_url = "{replay_url}/v1"\napi_key = "sk-replayed"\n']
    for item in items:
        target = f'{{ provider = "{provider}", model = "{item["id"]}" }}'
        lines.append(f'[[models]]\nname = "{alias(item)}"\ntargets = [{target}]\n')
    return "\n".join(lines) + "\n[retries]\nmax_tries = 1\n[breaker]\nfailures = 1000\n"


async def ask(client: httpx.AsyncClient, path: str, request: dict[str, Any], turns: asyncio.Semaphore) -> Heard:
    """Send one request and hear its answer."""
    async with turns:
        response = await client.post(path, content=json.dumps(request))
    return hear(response.status_code, dict(response.headers), response.content)


async def replay(gateway: Running, replay_url: str, folder: str, items: list[Item]) -> dict[str, list[str]]:
    """Replay recordings and tell, by id, what is wrong."""
    requests = [judging.request_of(item, alias(item)) for item in items]
    turns = asyncio.Semaphore(AT_ONCE)
    path = f"/v1/{ENDPOINTS[folder.split('/')[1]]}"
    async with gateway.client() as client, httpx.AsyncClient(base_url=replay_url, trust_env=False) as control:
        client.headers["content-type"] = "application/json"
        await control.post("/_replay/reset")
        answers = await asyncio.gather(*(ask(client, path, request, turns) for request in requests))
        log = {entry["id"]: entry for entry in (await control.get("/_replay/log", timeout=30)).json()}
    rows: dict[str, list[UsageRow]] = {}
    for row in gateway.rows:
        rows.setdefault(row.model, []).append(row)
    found = {}
    for item, request, heard in zip(items, requests, answers, strict=True):
        wrong = judging.judge(item, request, heard, rows.get(alias(item), []))
        if item["provider"] != "anthropic":
            wrong += judge_request(item, request, log.get(item["id"]))
        found[item["id"]] = wrong
    return {name: wrong for name, wrong in found.items() if wrong}


def judge_request(item: Item, request: dict[str, Any], entry: Item | None) -> list[str]:
    """The provider got the client's bytes with the model replaced and the wish for usage added."""
    if entry is None:
        return ["nothing was sent"]
    sent = json.dumps(request).replace(json.dumps(alias(item)), json.dumps(item["id"]), 1).encode()
    if request.get("stream") and not judging.wants_usage(request):
        sent = ask_for_usage(sent)
    for quirk in PROVIDERS[item["provider"]].quirks:
        if quirk.when == "null" and quirk.endpoint == ENDPOINTS[item["endpoint"]] and request.get(quirk.param, 0) is None:
            sent = splice.remove(sent, quirk.param)
    wrong = [] if entry["matches_recorded"] is not False else ["the request differs from the recorded one"]
    got = base64.b64decode(entry["body"])
    return wrong if got == sent else [*wrong, f"the provider got {got[:300]!r} for {sent[:300]!r}"]


async def run_folder(tmp_path: Path, replay_url: str, folder: str, cut: str, items: list[Item]) -> None:
    """Replay a folder's recordings in one cut."""
    async with httpx.AsyncClient(base_url=replay_url, trust_env=False) as control:
        await control.post(f"/_replay/cut/{cut}")
    async with running(tmp_path, config(replay_url, folder, items)) as gateway:
        wrong = await replay(gateway, replay_url, folder, items)
    print(f"{folder} {cut}: {len(items) - len(wrong)} of {len(items)} recordings passed")
    assert "\n".join(f"{name}: {what}" for name, what in wrong.items()) == ""


def items_of(folder: str, *, streams_only: bool = False) -> list[Item]:
    """The recordings of a folder."""
    items = [load(path) for path in recordings(folder)]
    return [item for item in items if judging.is_streamed(item)] if streams_only else items


if CASSETTES.is_dir():

    @pytest.mark.parametrize("folder", FOLDERS)
    async def test_every_recording_replays(tmp_path: Path, replay_url: str, folder: str) -> None:
        """Text, calls, finish, usage, errors and the request itself are those of the recording."""
        await run_folder(tmp_path, replay_url, folder, "whole", items_of(folder))

    @pytest.mark.parametrize("cut", ["bytes", "random"])
    @pytest.mark.parametrize("folder", STREAMED)
    async def test_every_stream_replays_however_it_is_cut(tmp_path: Path, replay_url: str, folder: str, cut: str) -> None:
        """Where the network cuts the bytes changes nothing."""
        await run_folder(tmp_path, replay_url, folder, cut, items_of(folder, streams_only=True))
