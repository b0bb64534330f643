"""A real llama.cpp server behind the gateway, end to end: no recording, no stand-in."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from clients.llama_server import llama_server
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from running import Running, running
from streaming import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
GREETING: list[Any] = [{"role": "user", "content": "Say hello."}]
CHAT: dict[str, Any] = {"model": "smollm2", "messages": GREETING, "max_tokens": 8, "temperature": 0}
PRICE = """
[[prices]]
provider = "llama"
model = "smollm2"
effective_from = "2024-01-01"
input = "0.5"
output = "2"
"""


@pytest.fixture(scope="module")
def llama_url() -> Iterator[str]:
    """One server for all tests of this module."""
    with llama_server() as address:
        yield address


def config(llama_url: str, more: str = "") -> str:
    """How an operator configures it: an address, a protocol, a name; no key."""
    engine = f'[providers.llama]\ndialect = "openai"\nbase_url = "{llama_url}/v1"\nmodels = ["smollm2"]\n'
    return f"{engine}cancel_stops_whole_calls = true\n{more}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, llama_url: str) -> AsyncIterator[Running]:
    """A gateway in front of it."""
    async with running(tmp_path_factory.mktemp("llama"), config(llama_url)) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(gateway: Running) -> AsyncIterator[AsyncOpenAI]:
    """The official client."""
    inner = DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(api_key=gateway.live_key, base_url=gateway.url, http_client=inner) as asking:
        yield asking


async def test_a_real_model_answers(client: AsyncOpenAI, gateway: Running) -> None:
    """A text, the server's own count of tokens, and a row that says that nobody knows the price."""
    reply: Any = await client.chat.completions.create(**CHAT)
    assert reply.choices[0].message.content.strip()
    row = gateway.rows[-1]
    assert (row.input_tokens + row.cache_read_tokens, row.output_tokens) == (
        reply.usage.prompt_tokens,
        reply.usage.completion_tokens,
    )
    assert (row.cost_basis, row.cost_pusd, row.is_estimated, row.status) == ("unpriced", 0, False, "complete")


async def test_a_real_model_streams(gateway: Running) -> None:
    """Pieces of text, one finish with the figures, no usage chunk that nobody asked for, and [DONE]."""
    async with gateway.client() as client:
        response = await client.post("/v1/chat/completions", json=CHAT | {"stream": True})
    *events, end = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line.startswith("data: ")]
    assert end == "[DONE]"
    chunks: list[dict[str, Any]] = [json.loads(event) for event in events]
    assert all(chunk["choices"] for chunk in chunks)
    pieces = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks]
    assert len([piece for piece in pieces if piece]) > 2
    assert chunks[-1]["choices"][0]["finish_reason"] in ("stop", "length")
    assert chunks[-1]["x-WatchLLM-cached"] is False
    row = gateway.rows[-1]
    assert (row.status, row.is_estimated, row.output_tokens > 2) == ("complete", False, True)


async def test_the_operators_price_is_charged(tmp_path: Path, llama_url: str) -> None:
    """With a [[prices]] entry the answer costs its tokens, to the picodollar."""
    async with running(tmp_path, config(llama_url, PRICE)) as gateway, gateway.client() as client:
        body = (await client.post("/v1/chat/completions", json=CHAT)).json()
    row = gateway.rows[-1]
    given, made = body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]
    # 0.5 and 2 USD a million tokens; cached input has no price of its own here.
    assert row.cost_pusd == given * 500_000 + made * 2_000_000
    assert row.cost_basis == "operator"
    assert body["x-WatchLLM-cost-usd"] == f"{row.cost_pusd / 1e12:.12f}".rstrip("0")


async def test_leaving_stops_the_generation(client: AsyncOpenAI, gateway: Running, llama_url: str) -> None:
    """A client that leaves mid-stream frees the model within a second, and what was produced is counted."""
    gateway.rows.clear()
    # llama.cpp's own parameter: it goes on until max_tokens.
    endless: dict[str, Any] = CHAT | {"max_tokens": 1_500, "stream": True, "extra_body": {"ignore_eos": True}}
    stream = await client.chat.completions.create(**endless)
    heard, began_s = 0, 0.0
    async for _ in stream:
        heard += 1
        began_s = began_s or time.monotonic()
        if heard == 4:
            break
    # A second, or on a busy machine what a hundred of the 1,500 tokens would take at this pace.
    within_s = max(1.0, 100 * (time.monotonic() - began_s) / (heard - 1))
    async with httpx.AsyncClient(base_url=llama_url, trust_env=False) as server:
        assert await is_generating(server)
        await stream.close()
        async with asyncio.timeout(within_s):
            while await is_generating(server) or not gateway.rows:
                await asyncio.sleep(0.02)
    (row,) = gateway.rows
    assert (row.status, row.is_estimated) == ("cancelled", True)
    assert 0 < row.output_tokens < 100


async def test_leaving_a_whole_call_stops_the_generation(gateway: Running, llama_url: str) -> None:
    """The gateway is done with it within a second; llama.cpp finds its connection closed after a quiet second."""
    gateway.rows.clear()
    endless: dict[str, Any] = CHAT | {"max_tokens": 1_900, "ignore_eos": True}
    async with httpx.AsyncClient(base_url=llama_url, trust_env=False) as server, gateway.client() as client:
        call = asyncio.ensure_future(client.post("/v1/chat/completions", json=endless))
        while not await is_generating(server):
            await asyncio.sleep(0.02)
        call.cancel()
        await until(lambda: bool(gateway.rows))
        looks = 0
        # Nearer looks would keep it from looking itself; all 1,900 tokens take longer than these three.
        while looks < 3 and (looks == 0 or await is_generating(server)):
            await asyncio.sleep(1.2)
            looks += 1
        assert not await is_generating(server)
    (row,) = gateway.rows
    assert (row.status, row.is_estimated, row.output_tokens) == ("cancelled", True, 0)
    assert row.input_tokens > 0


async def is_generating(server: httpx.AsyncClient) -> bool:
    """Ask llama.cpp whether its only slot is busy."""
    slots = (await server.get("/slots")).json()
    return bool(slots[0]["is_processing"])
