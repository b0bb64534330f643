"""Vercel's AI SDK through a running gateway, by its OpenAI and its compatible provider, against all four upstreams."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from clients.small_providers import ARGUMENTS, MODELS, TEXT, VECTOR
from e2e.node_process import NODE_FOLDER, run_node
from running import Running

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
every_provider = pytest.mark.parametrize("provider", MODELS)
either_package = pytest.mark.parametrize("package", ["openai", "compatible"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def report(gateway: Running, npm_packages: Path) -> AsyncIterator[dict[str, Any]]:
    """What the SDK saw, in one run of Node."""
    models = ",".join(MODELS.values())
    script = NODE_FOLDER / "vercel_ai.mjs"
    yield json.loads(await run_node(script, BASE_URL=gateway.url, API_KEY=gateway.live_key, MODELS=models))


@either_package
@every_provider
async def test_texts_are_generated_and_streamed(report: dict[str, Any], provider: str, package: str) -> None:
    """The same text, finish and tokens either way."""
    seen = report[package][MODELS[provider]]
    assert (seen["text"], seen["finish"], seen["tokens"]) == (TEXT, "stop", [15, 10])
    assert seen["streamed"] == {"text": TEXT, "finish": "stop", "tokens": 25}


@either_package
@every_provider
@pytest.mark.parametrize("way", ["agent", "streamedAgent"])
async def test_tools_are_called_and_answered(report: dict[str, Any], provider: str, package: str, way: str) -> None:
    """Two parallel calls, their results sent back, and the conclusion."""
    calls = [["get_weather", json.loads(ARGUMENTS)]] * 2
    assert report[package][MODELS[provider]][way] == {"text": TEXT, "calls": calls}


@either_package
@every_provider
async def test_output_is_structured(report: dict[str, Any], provider: str, package: str) -> None:
    """A schema goes out, an object comes back."""
    assert report[package][MODELS[provider]]["output"] == {"city": "Paris", "celsius": 21}


async def test_values_are_embedded(report: dict[str, Any]) -> None:
    """By either package."""
    assert report["vectors"] == [[VECTOR, VECTOR]] * 2


async def test_errors_have_status_and_code(report: dict[str, Any]) -> None:
    """The SDK's own error with the gateway's envelope inside."""
    assert report["failures"] == {"model": [True, 400, "invalid_model"], "key": [True, 401, "invalid_api_key"]}
