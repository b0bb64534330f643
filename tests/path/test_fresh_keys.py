"""A key that another process has just made, as 'watchllm keys create' and other workers do, works at once."""

import time
from typing import Any

import httpx
import pytest
from running import Running

from gateway.accounts import store
from gateway.accounts.keys import KeyDigester, make_key
from gateway.accounts.master import API_KEYS, derive_key, load_master_key

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUNDS = 8


async def make_elsewhere(running: Running) -> str:
    """Make a key beside the gateway's own way, so that nobody tells its directory."""
    services = running.gateway.services
    digester = KeyDigester(derive_key(load_master_key(None, services.settings.data_dir), API_KEYS))
    database = running.gateway.app.state.database
    project = await store.find_or_create_project(database, "elsewhere", time.time_ns())
    made = await store.create_key(
        database, digester, store.NewKey(project_id=project.project_id, kind="test"), time.time_ns()
    )
    return made.key


async def call(client: httpx.AsyncClient, key: str, **more: Any) -> httpx.Response:
    """Chat with a key."""
    body = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}], **more}
    return await client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})


@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_of_a_moment_ago_is_known(gateway: Running, stream: bool) -> None:
    """Each of several, whole and streamed, and from then on by the short way."""
    async with gateway.client("") as client:
        for _ in range(ROUNDS):
            key = await make_elsewhere(gateway)
            answers = [await call(client, key, stream=stream) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
            assert "x-watchllm-request-id" in answers[0].headers


async def test_a_key_of_a_moment_ago_opens_other_routes(gateway: Running) -> None:
    """Those of the proxy and those of projects."""
    async with gateway.client("") as client:
        for path in ("/v1/models", "/v1/usage"):
            headers = {"authorization": f"Bearer {await make_elsewhere(gateway)}"}
            assert (await client.get(path, headers=headers)).status_code == 200


async def test_a_key_that_nobody_made_is_refused_as_ever(gateway: Running) -> None:
    """In the documents' envelope, and the connection goes on."""
    key = await make_elsewhere(gateway)
    async with gateway.client("") as client:
        for _ in range(2):
            refused = await call(client, make_key("live"))
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
            assert "is not known here" in refused.json()["error"]["message"]
        assert (await call(client, key)).status_code == 200
