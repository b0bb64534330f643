"""LangChain's OpenAI integration through a running gateway, against all four providers."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from clients.small_providers import MODELS, TEXT, VECTOR
from openai import DefaultAsyncHttpxClient
from pydantic import SecretStr
from running import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")
every_provider = pytest.mark.parametrize("provider", MODELS)


@pytest.fixture(scope="module")
def langchain() -> Any:
    """What is taken from LangChain, imported by the one process that runs these tests."""
    from clients import langchain_parts  # noqa: PLC0415 - all processes import this file

    return langchain_parts


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire() -> AsyncIterator[DefaultAsyncHttpxClient]:
    """The connections, closed at the end."""
    async with DefaultAsyncHttpxClient(trust_env=False) as client:
        yield client


@pytest.fixture
def options(gateway: Running, wire: DefaultAsyncHttpxClient) -> dict[str, Any]:
    """What turns LangChain to the gateway."""
    return {"base_url": gateway.url, "api_key": SecretStr(gateway.live_key), "http_async_client": wire}


@every_provider
async def test_a_message_is_answered(langchain: Any, options: dict[str, Any], provider: str) -> None:
    """Text and usage, with cached input where the provider reports it."""
    reply = await langchain.ChatOpenAI(model=MODELS[provider], **options).ainvoke("Hello!")
    assert reply.content == TEXT
    assert reply.usage_metadata is not None
    assert (reply.usage_metadata["input_tokens"], reply.usage_metadata["output_tokens"]) == (15, 10)


@every_provider
async def test_a_message_is_streamed(langchain: Any, options: dict[str, Any], provider: str) -> None:
    """Pieces add up; LangChain asks for the usage chunk where it is told to."""
    chunks = [
        chunk
        async for chunk in langchain.ChatOpenAI(model=MODELS[provider], stream_usage=True, **options).astream("Hi")
    ]
    assert "".join(str(chunk.content) for chunk in chunks) == TEXT
    usages = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert [usage["total_tokens"] for usage in usages] == [25]


@every_provider
async def test_tools_are_bound_called_and_answered(langchain: Any, options: dict[str, Any], provider: str) -> None:
    """One turn of an agent: the model calls, the tool runs, the model concludes."""
    chat = langchain.ChatOpenAI(model=MODELS[provider], **options).bind_tools([langchain.get_weather])
    asked = langchain.HumanMessage("both")
    called = await chat.ainvoke([asked])
    assert [(made["name"], made["args"]) for made in called.tool_calls] == [("get_weather", {"city": "Paris"})] * 2
    results = [
        langchain.ToolMessage(langchain.get_weather.invoke(made["args"]), tool_call_id=made["id"])
        for made in called.tool_calls
    ]
    assert (await chat.ainvoke([asked, called, *results])).content == TEXT


@every_provider
async def test_structured_output_is_an_object(langchain: Any, options: dict[str, Any], provider: str) -> None:
    """LangChain's default way: a JSON schema."""
    chat = langchain.ChatOpenAI(model=MODELS[provider], **options).with_structured_output(langchain.Weather)
    assert await chat.ainvoke("How is Paris?") == langchain.Weather(city="Paris", celsius=21)


async def test_documents_are_embedded(langchain: Any, options: dict[str, Any]) -> None:
    """It sends lists of token ids, not texts, unless told otherwise."""
    embedder = langchain.OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False, **options)
    assert await embedder.aembed_documents(["a", "b"]) == [VECTOR, VECTOR]
