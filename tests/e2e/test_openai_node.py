"""The official Node client through a running gateway, against all four providers."""

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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def report(gateway: Running, npm_packages: Path) -> AsyncIterator[dict[str, Any]]:
    """What the client saw, in one run of Node."""
    models = ",".join(MODELS.values())
    script = NODE_FOLDER / "openai_node.mjs"
    yield json.loads(await run_node(script, BASE_URL=gateway.url, API_KEY=gateway.live_key, MODELS=models))


@pytest.mark.parametrize("provider", MODELS)
async def test_a_provider_is_used_as_openai(report: dict[str, Any], provider: str) -> None:
    """Chat, stream, parallel tools and parsed output, with usage and the gateway's own figures."""
    seen = report["models"][MODELS[provider]]
    assert (seen["text"], seen["usage"], seen["provider"]) == (TEXT, [15, 10], provider)
    assert float(seen["cost"]) > 0
    assert seen["streamed"] == {"text": TEXT, "finish": "stop", "cached": False}
    arguments = json.loads(ARGUMENTS)
    assert seen["calls"] == [["call_1", "get_weather", arguments], ["call_2", "get_weather", arguments]]
    assert seen["parsed"] == {"city": "Paris", "celsius": 21}


async def test_the_other_endpoints_answer(report: dict[str, Any]) -> None:
    """Embeddings, legacy completions and the list of models."""
    assert report["vectors"] == [VECTOR, VECTOR]
    assert report["legacy"] == " there was a kingdom..."
    assert report["listed"] is True


async def test_errors_are_the_clients_own_classes(report: dict[str, Any]) -> None:
    """Each with status and code."""
    assert report["failures"] == {
        "stranger": ["AuthenticationError", 401, "invalid_api_key"],
        "model": ["BadRequestError", 400, "invalid_model"],
        "lookup": ["NotFoundError", 404, "not_found"],
    }
