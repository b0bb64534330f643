"""Every recorded answer of the four providers, replayed through the running gateway over HTTP."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from recordings import CASSETTES, load, recordings
from replay import judging
from replay.configuration import ENDPOINTS, Item, alias, config
from replay.heard import Heard, hear
from running import Running, running

from gateway.ledger.row import UsageRow
from providers import splice
from providers.openai.dialect import ask_for_usage
from providers.registry import PROVIDERS

AT_ONCE = 16
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


async def ask(client: httpx.AsyncClient, item: Item, request: dict[str, Any], turns: asyncio.Semaphore) -> Heard:
    """Send one request and hear its answer."""
    async with turns:
        response = await client.post(f"/v1/{ENDPOINTS[item['endpoint']]}", content=json.dumps(request))
    return hear(response.status_code, dict(response.headers), response.content)


async def replay(gateway: Running, control: httpx.AsyncClient, items: list[Item]) -> dict[str, list[str]]:
    """Replay recordings and tell, by id, what is wrong."""
    requests = [judging.request_of(item, alias(item)) for item in items]
    turns = asyncio.Semaphore(AT_ONCE)
    async with gateway.client() as client:
        client.headers["content-type"] = "application/json"
        asked = (ask(client, item, request, turns) for item, request in zip(items, requests, strict=True))
        answers = await asyncio.gather(*asked)
    log = {entry["id"]: entry for entry in (await control.get("/_replay/log")).json()}
    rows: dict[str, list[UsageRow]] = {}
    for row in gateway.rows:
        rows.setdefault(row.model, []).append(row)
    found = {}
    for item, request, heard in zip(items, requests, answers, strict=True):
        wrong = judging.judge(item, request, heard, rows.get(alias(item), []))
        found[item["id"]] = wrong + judge_request(item, request, log.get(item["id"]))
    return {name: wrong for name, wrong in found.items() if wrong}


def judge_request(item: Item, request: dict[str, Any], entry: Item | None) -> list[str]:
    """The provider got the client's bytes with the model replaced and the wish for usage added."""
    if entry is None:
        return ["nothing was sent"]
    if item["provider"] == "anthropic":
        return []
    sent = json.dumps(request).replace(json.dumps(alias(item)), json.dumps(item["id"]), 1).encode()
    if request.get("stream") and not judging.wants_usage(request):
        sent = ask_for_usage(sent)
    for quirk in PROVIDERS[item["provider"]].quirks:
        is_null = quirk.when == "null" and quirk.endpoint == ENDPOINTS[item["endpoint"]]
        if is_null and request.get(quirk.param, 0) is None:
            sent = splice.remove(sent, quirk.param)
    wrong = [] if entry["matches_recorded"] is not False else ["the request differs from the recorded one"]
    got = base64.b64decode(entry["body"])
    return wrong if got == sent else [*wrong, f"the provider got {got[:300]!r} for {sent[:300]!r}"]


async def run_folder(tmp_path: Path, replay_url: str, folder: str, cut: str, items: list[Item]) -> None:
    """Replay a folder's recordings in one cut; every fault is named with the recording's id."""
    async with (
        httpx.AsyncClient(base_url=replay_url, timeout=30, trust_env=False) as control,
        running(tmp_path, config(replay_url, folder.split("/", maxsplit=1)[0], items)) as gateway,
    ):
        await control.post(f"/_replay/cut/{cut}")
        await control.post("/_replay/reset")
        wrong = await replay(gateway, control, items)
    print(f"{folder}, {cut}: {len(items) - len(wrong)} of {len(items)} recordings passed")
    assert "\n".join(f"{name}: {what}" for name, what in wrong.items()) == ""


def streams(folder: str) -> list[Item]:
    """The recordings of a folder that are streams."""
    return [item for item in map(load, recordings(folder)) if judging.is_streamed(item)]


if CASSETTES.is_dir():

    @pytest.mark.parametrize("folder", FOLDERS)
    async def test_every_recording_replays(tmp_path: Path, replay_url: str, folder: str) -> None:
        """Text, calls, finish, usage, errors and the request itself are those of the recording."""
        await run_folder(tmp_path, replay_url, folder, "whole", list(map(load, recordings(folder))))

    @pytest.mark.parametrize("folder", STREAMED)
    async def test_every_stream_replays_cut_at_random(tmp_path: Path, replay_url: str, folder: str) -> None:
        """Where the network cuts the bytes changes nothing."""
        await run_folder(tmp_path, replay_url, folder, "random", streams(folder))

    @pytest.mark.parametrize("folder", STREAMED)
    async def test_a_sample_of_streams_replays_byte_by_byte(tmp_path: Path, replay_url: str, folder: str) -> None:
        """Not even one byte at a time; the long suite does it with all of them."""
        await run_folder(tmp_path, replay_url, folder, "bytes", streams(folder)[::16])

    @pytest.mark.long
    @pytest.mark.parametrize("folder", STREAMED)
    async def test_every_stream_replays_byte_by_byte(tmp_path: Path, replay_url: str, folder: str) -> None:
        """Not even one byte at a time."""
        await run_folder(tmp_path, replay_url, folder, "bytes", streams(folder))
