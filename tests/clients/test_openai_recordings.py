"""Real answers of the four providers, where they lie beside the project, as the official client understands them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion
from recordings import CASSETTES, digest, load, recordings
from replay.conftest import replay_url as replay_url  # noqa: PLC0414 - a fixture, asked for by its name
from replay.judging import CONCATENATED, SPLICED, is_streamed
from running import running

from providers.anthropic.reply import FINISH_REASONS

# tests/replay/test_openai_client.py asks a sample of the same recordings in the fast suite.
pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]
FOLDERS = ("openai/chat", "groq/chat", "openrouter/chat", "anthropic/messages")
# Recordings of each kind (streamed, number of calls, reasoning) and provider.
OF_A_KIND = 2
Item = dict[str, Any]


def is_whole(item: Item) -> bool:
    """Whether a recording is one answer that ends well, with a single choice."""
    golden: Item = item.get("golden") or {}
    if item["response"]["status"] != 200 or "error" in item["features"] or item["id"] in CONCATENATED | SPLICED:
        return False
    # OpenAI's custom tools have no name where function calls have theirs.
    is_named = all(call["name"] for call in golden.get("tool_calls") or ())
    return is_named and golden.get("n_choices", 1) == 1 and bool(golden.get("text_sha256") and golden.get("finish"))


def sample(folder: str) -> list[Path]:
    """The first recordings of each kind."""
    kinds: dict[tuple[bool, int, bool], list[Path]] = {}
    for path in recordings(folder):
        item = load(path)
        if is_whole(item):
            calls = len(item["golden"].get("tool_calls") or ())
            kinds.setdefault((is_streamed(item), min(calls, 2), "reasoning" in item["features"]), []).append(path)
    return [path for paths in kinds.values() for path in paths[:OF_A_KIND]]


SAMPLES = {folder: sample(folder) for folder in FOLDERS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory, replay_url: str) -> AsyncIterator[AsyncOpenAI]:
    """The client in front of a gateway in front of the recordings, each of which is a model."""
    lines = [
        f'[providers.{folder.split("/")[0]}]\nbase_url = "{replay_url}/v1"\napi_key = "sk-replayed"\n'
        f"models = {json.dumps([path.stem for path in paths])}\n"
        for folder, paths in SAMPLES.items()
    ]
    inner = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with running(tmp_path_factory.mktemp("replaying"), "".join(lines)) as gateway:
        async with AsyncOpenAI(api_key=gateway.live_key, base_url=gateway.url, http_client=inner) as asking:
            yield asking


async def ask(client: AsyncOpenAI, item: Item) -> ChatCompletion:
    """Ask for a recording; a stream is added up by the client's own accumulator."""
    said: Any = {"model": item["id"], "messages": [{"role": "user", "content": "Hello!"}]}
    if not is_streamed(item):
        return cast("ChatCompletion", await client.chat.completions.create(**said))
    async with client.chat.completions.stream(**said) as stream:
        async for _ in stream:
            pass
        try:
            return await stream.get_final_completion()
        except openai.LengthFinishReasonError as cut_short:
            return cut_short.completion


if CASSETTES.is_dir():

    @pytest.mark.parametrize("path", [path for paths in SAMPLES.values() for path in paths], ids=lambda path: path.stem)
    async def test_a_recording_means_the_same_to_the_client(client: AsyncOpenAI, path: Path) -> None:
        """Text, tool calls and finish of the client's object are those of the recording."""
        item = load(path)
        golden: Item = item["golden"]
        choice = (await ask(client, item)).choices[0]
        assert digest(choice.message.content or "") == golden["text_sha256"]
        calls = [made.function for made in choice.message.tool_calls or () if made.type == "function"]
        assert [call.name for call in calls] == [call["name"] for call in golden["tool_calls"] or ()]
        for call, recorded in zip(calls, golden["tool_calls"] or (), strict=True):
            assert json.loads(call.arguments or "{}") == json.loads(recorded["args"] or "{}")
        is_anthropic = item["provider"] == "anthropic"
        assert choice.finish_reason == (FINISH_REASONS[golden["finish"]] if is_anthropic else golden["finish"])
