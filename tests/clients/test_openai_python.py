"""The official Python client through a running gateway, synchronous and asynchronous, against all four providers."""

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, cast

import openai
import pytest
import pytest_asyncio
from clients.small_providers import ARGUMENTS, MODELS, TEXT, THOUGHT, VECTOR
from openai import AsyncOpenAI, OpenAI
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel
from running import Running, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")
Client = OpenAI | AsyncOpenAI
HELLO: list[Any] = [{"role": "user", "content": "Hello!"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
# Where a provider's thoughts stand in an answer; OpenAI shows only how many tokens they took.
THOUGHTS = {"anthropic": "reasoning_content", "groq": "reasoning", "openrouter": "reasoning"}
every_provider = pytest.mark.parametrize("provider", MODELS)


class Weather(BaseModel):
    """A structured answer."""

    city: str
    celsius: int


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=[pytest.param("sync", marks=pytest.mark.long), "async"]
)
async def client(request: pytest.FixtureRequest, gateway: Running) -> AsyncIterator[Client]:
    """Either client, configured as its documentation says; the two differ in their own code only."""
    if request.param == "sync":
        with OpenAI(
            api_key=gateway.live_key, base_url=gateway.url, http_client=openai.DefaultHttpxClient(trust_env=False)
        ) as blocking:
            yield blocking
        return
    inner = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(api_key=gateway.live_key, base_url=gateway.url, http_client=inner) as waiting:
        yield waiting


async def call(client: Client, method: str, **arguments: Any) -> Any:
    """Call a dotted method of either client; a stream comes as the list of its chunks."""

    def in_thread() -> Any:
        result = find_method(client, method)(**arguments)
        return list(cast("Iterable[Any]", result)) if isinstance(result, openai.Stream) else result

    if isinstance(client, OpenAI):
        # The gateway runs in this very loop.
        return await asyncio.to_thread(in_thread)
    result = await find_method(client, method)(**arguments)
    if isinstance(result, openai.AsyncStream):
        return [chunk async for chunk in cast("AsyncIterable[Any]", result)]
    return result


def find_method(client: Client, dotted: str) -> Any:
    """Look up ``chat.completions.create`` and the like."""
    found: Any = client
    for name in dotted.split("."):
        found = getattr(found, name)
    return found


@every_provider
async def test_a_chat_is_answered(client: Client, provider: str) -> None:
    """Text, finish and usage are those of the provider, whatever its protocol."""
    reply: ChatCompletion = await call(client, "chat.completions.create", model=MODELS[provider], messages=HELLO)
    choice = reply.choices[0]
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", TEXT, "stop")
    assert reply.object == "chat.completion"
    assert reply.usage is not None
    counts = (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens)
    assert counts == (15, 10, 25)


@every_provider
async def test_a_stream_says_the_same(client: Client, provider: str) -> None:
    """Every chunk has a choice, the pieces add up to the text, and the last chunk has the finish."""
    chunks: list[ChatCompletionChunk] = await call(
        client, "chat.completions.create", model=MODELS[provider], messages=HELLO, stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert len([chunk for chunk in chunks if chunk.choices[0].delta.content]) > 1
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in chunks)


@every_provider
async def test_a_stream_has_its_usage_when_asked(client: Client, provider: str) -> None:
    """With include_usage the last chunk has no choice and the usage of the whole call."""
    chunks: list[ChatCompletionChunk] = await call(
        client,
        "chat.completions.create",
        model=MODELS[provider],
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (15, 10)


@pytest.mark.row("W60")
@every_provider
async def test_the_figures_are_attributes_of_the_answer(client: Client, provider: str) -> None:
    """Names with underscores can be read from the client's own objects, those with hyphens from model_extra."""
    reply: Any = await call(client, "chat.completions.create", model=MODELS[provider], messages=HELLO)
    assert reply.x_WatchLLM_cached is False
    assert isinstance(reply.x_WatchLLM_cost_usd, str)
    assert float(reply.x_WatchLLM_cost_usd) > 0
    assert reply.model_extra["x-WatchLLM-cost-usd"] == reply.x_WatchLLM_cost_usd
    assert isinstance(reply.x_WatchLLM_latency_ms, int)


@every_provider
async def test_the_figures_of_a_stream_are_in_its_last_chunk(client: Client, provider: str) -> None:
    """The chunk with the finish_reason carries what the call has cost."""
    chunks: list[Any] = await call(
        client, "chat.completions.create", model=MODELS[provider], messages=HELLO, stream=True
    )
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].x_WatchLLM_cached is False
    assert float(chunks[-1].x_WatchLLM_cost_usd) > 0
    assert all("x_WatchLLM_cached" not in (chunk.model_extra or {}) for chunk in chunks[:-1])


@every_provider
@pytest.mark.parametrize(("prompt", "ids"), [("one", ["call_1"]), ("both", ["call_1", "call_2"])])
async def test_tools_are_called_one_or_several_at_once(
    client: Client, provider: str, prompt: str, ids: list[str]
) -> None:
    """Id, name and arguments arrive as OpenAI's tool calls."""
    reply: ChatCompletion = await call(
        client,
        "chat.completions.create",
        model=MODELS[provider],
        messages=[{"role": "user", "content": prompt}],
        tools=[WEATHER],
    )
    calls = reply.choices[0].message.tool_calls or []
    assert [(made.id, made.type) for made in calls] == [(call_id, "function") for call_id in ids]
    for made in calls:
        assert made.type == "function"
        assert (made.function.name, json.loads(made.function.arguments)) == ("get_weather", json.loads(ARGUMENTS))
    assert reply.choices[0].finish_reason == "tool_calls"


@every_provider
@pytest.mark.parametrize(("prompt", "count"), [("one", 1), ("both", 2)])
async def test_streamed_tool_calls_add_up(client: Client, provider: str, prompt: str, count: int) -> None:
    """Each call's first piece names id, index and tool; the arguments' pieces make one JSON."""
    chunks: list[ChatCompletionChunk] = await call(
        client,
        "chat.completions.create",
        model=MODELS[provider],
        messages=[{"role": "user", "content": prompt}],
        tools=[WEATHER],
        stream=True,
    )
    pieces = [piece for chunk in chunks for piece in chunk.choices[0].delta.tool_calls or ()]
    for index in range(count):
        own = [piece for piece in pieces if piece.index == index]
        assert own[0].id == f"call_{index + 1}"
        functions = [piece.function for piece in own if piece.function]
        assert functions[0].name == "get_weather"
        assert "".join(function.arguments or "" for function in functions) == ARGUMENTS
    assert {piece.index for piece in pieces} == set(range(count))
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@every_provider
async def test_a_tools_result_goes_back(client: Client, providers: Upstream, provider: str) -> None:
    """The client's own message objects, tool calls and all, can be sent again with the result."""
    messages: list[Any] = [{"role": "user", "content": "one"}]
    asked = {"model": MODELS[provider], "tools": [WEATHER]}
    first: ChatCompletion = await call(client, "chat.completions.create", messages=messages, **asked)
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"}]
    second: ChatCompletion = await call(client, "chat.completions.create", messages=messages, **asked)
    assert second.choices[0].message.content == TEXT
    sent = providers.requests[-1].body.decode()
    assert "21 degrees" in sent
    assert "call_1" in sent


@every_provider
async def test_structured_output_is_parsed(client: Client, provider: str) -> None:
    """``.parse`` sends a JSON schema and makes the answer an object of the given class."""
    reply = await call(
        client, "chat.completions.parse", model=MODELS[provider], messages=HELLO, response_format=Weather
    )
    assert reply.choices[0].message.parsed == Weather(city="Paris", celsius=21)


@every_provider
async def test_reasoning_stands_beside_the_text(client: Client, provider: str) -> None:
    """What a provider shows of its thoughts is in the message, apart from the content."""
    asked = {"model": MODELS[provider], "messages": [{"role": "user", "content": "think first"}]}
    reply: Any = await call(client, "chat.completions.create", reasoning_effort="low", **asked)
    message = reply.choices[0].message
    assert message.content == TEXT
    if provider in THOUGHTS:
        assert getattr(message, THOUGHTS[provider]) == THOUGHT
    else:
        assert reply.usage.completion_tokens_details.reasoning_tokens == 4


@every_provider
async def test_streamed_reasoning_stands_beside_the_text(client: Client, provider: str) -> None:
    """The same in pieces."""
    asked = {"model": MODELS[provider], "messages": [{"role": "user", "content": "think first"}], "stream": True}
    chunks: list[Any] = await call(client, "chat.completions.create", **asked)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == TEXT
    thoughts = "".join(getattr(delta, THOUGHTS.get(provider, "reasoning"), None) or "" for delta in deltas)
    assert thoughts == (THOUGHT if provider in THOUGHTS else "")


@pytest.mark.parametrize("encoding", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
async def test_embeddings_come_in_either_encoding(client: Client, encoding: dict[str, str]) -> None:
    """The client asks for base64 when nothing is said and decodes it; what is asked for explicitly comes as it is."""
    reply = await call(client, "embeddings.create", model="text-embedding-3-small", input=["a", "b"], **encoding)
    vector = "AACAPgAAAL8AAIA/" if encoding.get("encoding_format") == "base64" else VECTOR
    assert [list(item.embedding) if isinstance(vector, list) else item.embedding for item in reply.data] == [vector] * 2
    assert [item.index for item in reply.data] == [0, 1]
    assert reply.usage.prompt_tokens == 16


async def test_a_legacy_completion_is_answered(client: Client) -> None:
    """The document's older endpoint."""
    reply: Completion = await call(
        client, "completions.create", model="gpt-3.5-turbo-instruct", prompt="Once upon a time", max_tokens=50
    )
    assert (reply.object, reply.choices[0].text) == ("text_completion", " there was a kingdom...")


async def test_a_legacy_completion_is_streamed(client: Client) -> None:
    """Its chunks have a text each."""
    chunks: list[Completion] = await call(
        client, "completions.create", model="gpt-3.5-turbo-instruct", prompt="Once upon a time", stream=True
    )
    assert "".join(chunk.choices[0].text for chunk in chunks) == " there was a kingdom..."
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_models_are_listed_and_looked_up(client: Client) -> None:
    """What the list names can be retrieved and called."""
    listed = await call(client, "models.list")
    names = {model.id for model in listed.data}
    assert {"gpt-4", "claude-3-5-sonnet", "llama-3-70b"} <= names
    found = await call(client, "models.retrieve", model="claude-3-5-sonnet")
    assert (found.id, found.object, found.owned_by) == ("claude-3-5-sonnet", "model", "anthropic")


async def test_raw_responses_show_the_headers(client: Client) -> None:
    """``with_raw_response`` gives the headers, and ``_request_id`` the request id where the provider sends one."""
    raw = await call(client, "chat.completions.with_raw_response.create", model="gpt-4o", messages=HELLO)
    assert raw.headers["x-watchllm-provider"] == "openai"
    assert raw.headers["x-watchllm-cached"] == "false"
    assert raw.headers["x-watchllm-request-id"]


async def test_unknown_parameters_reach_the_provider(client: Client, providers: Upstream) -> None:
    """``extra_body`` passes unread."""
    await call(
        client, "chat.completions.create", model="gpt-4o", messages=HELLO, extra_body={"brand_new": {"deep": [1, None]}}
    )
    assert providers.requests[-1].json()["brand_new"] == {"deep": [1, None]}
