"""A sample of the recordings through OpenAI's own Python client, which must not notice the gateway."""

from pathlib import Path
from typing import Any

import pytest
from openai import APIError, APIStatusError, AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from recordings import CASSETTES, load, recordings
from replay import judging
from replay.configuration import Item, alias, config
from replay.heard import FIGURES, Heard, add_chunk, add_whole
from running import running

from gateway.ledger.row import UsageRow

# How many recordings of each folder, a quarter of them errors where there are as many.
SAMPLES = {"openai/chat": 14, "groq/chat": 8, "openrouter/chat": 8, "anthropic/messages": 14}
# Parameters of the client's method that take the place of the body's members.
NAMED = ("model", "messages", "stream")


def sample(folder: str) -> list[Item]:
    """Recordings spread evenly over a folder, its errors first."""
    items = [load(path) for path in recordings(folder)]
    failed = [item for item in items if item["response"]["status"] != 200 or "error" in item["features"]]
    chosen = failed[: SAMPLES[folder] // 4]
    rest = [item for item in items if item not in failed]
    wanted = SAMPLES[folder] - len(chosen)
    return chosen + rest[:: len(rest) // wanted][:wanted]


async def ask(client: AsyncOpenAI, request: dict[str, Any]) -> Heard:
    """Make the call as a program does, reading ``choices[0]`` of every chunk where usage was not asked for."""
    heard = Heard(status=200, headers={}, body=b"")
    named: dict[str, Any] = {name: request[name] for name in NAMED if name in request}
    rest = {name: value for name, value in request.items() if name not in NAMED}
    try:
        answer = await client.chat.completions.create(**named, extra_body=rest)
        if isinstance(answer, ChatCompletion):
            add_whole(heard, answer.model_dump(exclude_unset=True, warnings=False))
            return heard
        async for chunk in answer:
            _add(heard, chunk, wants_usage=judging.wants_usage(request))
    except APIStatusError as refused:
        heard.status = refused.status_code
        heard.error = refused.body if isinstance(refused.body, dict) else None
    except APIError as broken:
        heard.error = broken.body if isinstance(broken.body, dict) else None
    return heard


def _add(heard: Heard, chunk: ChatCompletionChunk, *, wants_usage: bool) -> None:
    if not wants_usage:
        assert chunk.choices[0].delta is not None
    add_chunk(heard, chunk.model_dump(exclude_unset=True, warnings=False))


def judge(item: Item, request: dict[str, Any], heard: Heard, rows: list[UsageRow]) -> list[str]:
    """Tell what is wrong with what the client's program got."""
    status = item["response"]["status"]
    if status != 200:
        return [] if heard.status == judging.SHOWN_STATUS.get(status, status) and heard.error else [f"{heard.status}"]
    if "error" in item["features"] or item["id"] in judging.SPLICED:
        return [] if heard.error is not None else ["no error was raised"]
    wrong = [] if heard.error is None else [f"error {heard.error}"]
    if item["id"] not in judging.CONCATENATED:
        wrong += judging.judge_content(item, heard) + judging.judge_usage(item, request, heard, rows[0])
    return wrong if set(heard.figures) == set(FIGURES) else [*wrong, f"figures {heard.figures}"]


if CASSETTES.is_dir():

    @pytest.mark.parametrize("folder", SAMPLES)
    async def test_a_sample_replays_through_openais_client(tmp_path: Path, replay_url: str, folder: str) -> None:
        """Text, calls, finish, usage and figures are there where a program looks for them."""
        items = sample(folder)
        wrong: list[str] = []
        async with running(tmp_path, config(replay_url, folder.split("/", maxsplit=1)[0], items)) as gateway:
            async with AsyncOpenAI(base_url=gateway.url, api_key=gateway.live_key, max_retries=0) as client:
                for item in items:
                    request = judging.request_of(item, alias(item))
                    heard = await ask(client, request)
                    rows = [row for row in gateway.rows if row.model == alias(item)]
                    wrong += [f"{item['id']}: {what}" for what in judge(item, request, heard, rows)]
        print(f"{folder}: {len(items)} recordings through OpenAI's client, {len(wrong)} faults")
        assert "\n".join(wrong) == ""
