"""The official client against what the gateway answers itself: the sandbox and the bundled embedding model."""

import math
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from running import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
HELLO: list[Any] = [{"role": "user", "content": "Hello!"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bare(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A gateway without any provider, as a first start without configuration gives it."""
    async with running(tmp_path_factory.mktemp("bare")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(bare: Running) -> AsyncIterator[AsyncOpenAI]:
    """The client with the test key."""
    inner = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(api_key=bare.test_key, base_url=bare.url, http_client=inner) as client:
        yield client


def dot(one: list[float], other: list[float]) -> float:
    """How near two vectors of length one are."""
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.row("W4")
@pytest.mark.row("U8")
async def test_the_sandbox_answers_any_model(sandbox: AsyncOpenAI) -> None:
    """A test key chats without a provider, free of charge."""
    reply: Any = await sandbox.chat.completions.create(model="gpt-4", messages=HELLO)
    assert reply.choices[0].message.content
    assert reply.usage.completion_tokens > 0
    assert reply.x_WatchLLM_cost_usd == "0"


async def test_the_sandbox_streams(sandbox: AsyncOpenAI) -> None:
    """Pieces add up to what the whole answer says."""
    whole = await sandbox.chat.completions.create(model="gpt-4", messages=HELLO)
    stream = await sandbox.chat.completions.create(model="gpt-4", messages=HELLO, stream=True)
    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(pieces) == whole.choices[0].message.content
    assert len(pieces) > 2


async def test_the_sandbox_calls_tools(sandbox: AsyncOpenAI) -> None:
    """A magic prompt asks for a call."""
    messages: list[Any] = [{"role": "user", "content": "sandbox:tool:get_weather"}]
    reply = await sandbox.chat.completions.create(model="gpt-4", messages=messages, tools=TOOLS)
    calls = reply.choices[0].message.tool_calls or []
    assert [made.function.name for made in calls if made.type == "function"] == ["get_weather"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_the_sandbox_raises_every_class_of_error(
    sandbox: AsyncOpenAI, status: int, kind: type[openai.APIStatusError]
) -> None:
    """A developer can try each without spending."""
    messages: list[Any] = [{"role": "user", "content": f"sandbox:error:{status}"}]
    with pytest.raises(kind) as raised:
        await sandbox.with_options(max_retries=0).chat.completions.create(model="gpt-4", messages=messages)
    assert raised.value.status_code == status


async def test_an_error_that_was_asked_for_comes_at_once(bare: Running, sandbox: AsyncOpenAI) -> None:
    """It is the answer: trying again would only make the developer wait for it."""
    messages: list[Any] = [{"role": "user", "content": "sandbox:error:500"}]
    with pytest.raises(openai.InternalServerError):
        await sandbox.with_options(max_retries=0).chat.completions.create(model="gpt-4", messages=messages)
    assert bare.rows[-1].attempts == 1


async def test_the_sandbox_breaks_a_stream(sandbox: AsyncOpenAI) -> None:
    """The client raises on the error event."""
    messages: list[Any] = [{"role": "user", "content": "sandbox:error:mid-stream"}]
    stream = await sandbox.chat.completions.create(model="gpt-4", messages=messages, stream=True)
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass


@pytest.mark.row("U8")
async def test_the_bundled_model_embeds(bare: Running) -> None:
    """384 numbers of length one; alike texts are near each other, and a live key needs no provider for it."""
    inner = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(api_key=bare.live_key, base_url=bare.url, http_client=inner) as client:
        reply = await client.embeddings.create(
            model="all-MiniLM-L6-v2",
            input=["A cat sits on the mat.", "A kitten is on the rug.", "Interest rates rose."],
        )
    cat, kitten, rates = (item.embedding for item in reply.data)
    assert len(cat) == 384
    assert math.isclose(math.hypot(*cat), 1, abs_tol=1e-3)
    assert dot(cat, kitten) > 0.5 > dot(cat, rates)
    assert reply.usage.prompt_tokens > 10
