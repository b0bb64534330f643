"""What the official Python client raises when something goes wrong, and that it does not repeat what is settled."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio
from clients.small_providers import event, frame
from openai import AsyncOpenAI
from running import (
    STREAM_HEAD,
    Answer,
    Request,
    Running,
    Upstream,
    always,
    framed,
    json_reply,
    openai_config,
    running,
    upstream,
)
from streaming import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
HELLO: list[Any] = [{"role": "user", "content": "Hello!"}]
CHAT: dict[str, Any] = {"model": "gpt-4", "messages": HELLO}
ONE_TRY = "[retries]\nmax_tries = 1\n"


def refusal(status: int, **headers: str) -> Answer:
    """A provider that answers everything with an error of its own."""
    error = {"message": "no, because", "type": "some_error", "param": None, "code": "some_code"}
    return always(json_reply({"error": error}, status, **headers))


@pytest.fixture(scope="module")
def config(shared_provider: Upstream) -> str:
    """A gateway that does not try again."""
    return openai_config(shared_provider, ONE_TRY)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asking(shared_gateway: Running) -> AsyncIterator[AsyncOpenAI]:
    """The client with its ordinary two retries."""
    async with asking_at(shared_gateway) as client:
        yield client


@pytest.fixture
def client(asking: AsyncOpenAI, quiet: Running) -> AsyncOpenAI:
    """The same, in front of a gateway that nobody has asked anything."""
    return asking


@asynccontextmanager
async def asking_at(gateway: Running) -> AsyncGenerator[AsyncOpenAI]:
    """The client in front of this gateway."""
    inner = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(api_key=gateway.live_key, base_url=gateway.url, http_client=inner) as client:
        yield client


@asynccontextmanager
async def calling(tmp_path: Path, answer: Answer, more: str = ONE_TRY) -> AsyncGenerator[tuple[AsyncOpenAI, Upstream]]:
    """The client in front of a gateway of its own, in front of this provider."""
    async with upstream(answer) as provider, running(tmp_path, openai_config(provider, more)) as gateway:
        async with asking_at(gateway) as client:
            yield client, provider


@pytest.mark.parametrize("key", ["lgw_proj_unknown", "sk-of-someone-else"])
async def test_a_wrong_key_is_an_authentication_error(client: AsyncOpenAI, provider: Upstream, key: str) -> None:
    """401 with the document's code, and nothing is sent to the provider."""
    provider.answer = refusal(500)
    with pytest.raises(openai.AuthenticationError) as raised:
        await client.with_options(api_key=key).chat.completions.create(**CHAT)
    assert (raised.value.status_code, raised.value.code) == (401, "invalid_api_key")
    assert provider.requests == []


async def test_an_unknown_model_is_a_bad_request(client: AsyncOpenAI, provider: Upstream) -> None:
    """400 with the document's code; the message and ``param`` say what is wrong."""
    provider.answer = refusal(500)
    with pytest.raises(openai.BadRequestError, match="no-such-model") as raised:
        await client.chat.completions.create(model="no-such-model", messages=HELLO)
    assert (raised.value.code, raised.value.param, raised.value.type) == (
        "invalid_model",
        "model",
        "invalid_request_error",
    )
    assert provider.requests == []


async def test_a_model_that_is_looked_up_in_vain_is_not_found(client: AsyncOpenAI, provider: Upstream) -> None:
    """404, as at OpenAI."""
    provider.answer = refusal(500)
    with pytest.raises(openai.NotFoundError) as raised:
        await client.models.retrieve("no-such-model")
    assert raised.value.code == "not_found"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
    ],
)
async def test_a_refusal_of_the_request_passes_as_the_provider_said_it(
    client: AsyncOpenAI, provider: Upstream, status: int, kind: type[openai.APIStatusError]
) -> None:
    """Status, message, type and code are the provider's own, as is its word that asking again is of no use."""
    provider.answer = refusal(status, x_should_retry="false")
    with pytest.raises(kind, match="no, because") as raised:
        await client.chat.completions.create(**CHAT)
    assert (raised.value.status_code, raised.value.type, raised.value.code) == (status, "some_error", "some_code")
    assert len(provider.requests) == 1


async def test_a_rate_limit_says_when_to_come_back(client: AsyncOpenAI, provider: Upstream) -> None:
    """429 with the provider's Retry-After, once."""
    provider.answer = refusal(429, retry_after="30")
    with pytest.raises(openai.RateLimitError) as raised:
        await client.chat.completions.create(**CHAT)
    assert raised.value.response.headers["retry-after"] == "30"
    assert len(provider.requests) == 1


async def test_an_error_keeps_the_providers_own_headers(client: AsyncOpenAI, provider: Upstream) -> None:
    """The client shows its request id, and the limits that it reads."""
    limits = {"x_request_id": "req_upstream", "x_ratelimit_remaining_requests": "0"}
    provider.answer = refusal(429, **limits)
    with pytest.raises(openai.RateLimitError) as raised:
        await client.chat.completions.create(**CHAT)
    assert raised.value.request_id == "req_upstream"
    assert raised.value.response.headers["x-ratelimit-remaining-requests"] == "0"


@pytest.mark.parametrize("status", [500, 503, 529])
async def test_a_failing_provider_is_an_internal_server_error(
    client: AsyncOpenAI, provider: Upstream, status: int
) -> None:
    """502, and the client's two retries stay at home: the gateway has tried already."""
    provider.answer = refusal(status)
    with pytest.raises(openai.InternalServerError) as raised:
        await client.chat.completions.create(**CHAT)
    assert (raised.value.status_code, raised.value.code) == (502, "provider_error")
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert len(provider.requests) == 1


async def test_a_refused_credential_of_the_gateway_is_not_the_callers(client: AsyncOpenAI, provider: Upstream) -> None:
    """A provider's 401 must not look as if the caller's key were wrong."""
    provider.answer = refusal(401)
    with pytest.raises(openai.InternalServerError) as raised:
        await client.chat.completions.create(**CHAT)
    assert (raised.value.status_code, raised.value.code) == (502, "upstream_auth")


async def test_a_silent_provider_is_a_timeout(tmp_path: Path) -> None:
    """504, once."""

    async def never(_: Request, __: asyncio.StreamWriter) -> None:
        await asyncio.get_running_loop().create_future()

    async with calling(tmp_path, never, f"{ONE_TRY}[timeouts]\nfirst_byte_ms = 50\n") as (client, provider):
        with pytest.raises(openai.InternalServerError) as raised:
            await client.chat.completions.create(**CHAT)
    assert (raised.value.status_code, raised.value.code) == (504, "upstream_timeout")
    assert len(provider.requests) == 1


async def test_a_broken_stream_raises_after_what_was_said(client: AsyncOpenAI, provider: Upstream) -> None:
    """A client takes a stream that merely stops for a success; the gateway's error event makes it raise."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": "Half"}, "finish_reason": None}
    chunk = event(frame("chat.completion.chunk", {"model": "gpt-4"}) | {"choices": [choice]})
    heard: list[str | None] = []
    provider.answer = always(STREAM_HEAD + framed(chunk) + b"0\r\n\r\n")
    stream = await client.chat.completions.create(**CHAT, stream=True)
    with pytest.raises(openai.APIError) as raised:
        async for piece in stream:
            heard.append(piece.choices[0].delta.content)
    assert heard == ["Half"]
    assert (raised.value.code, raised.value.type) == ("upstream_truncated", "provider_error")
    assert len(provider.requests) == 1


async def test_an_error_before_the_first_chunk_of_a_stream_has_a_status(
    client: AsyncOpenAI, provider: Upstream
) -> None:
    """Nothing has been sent yet, so the client gets a plain error instead of a stream."""
    provider.answer = refusal(500)
    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(**CHAT, stream=True)
    assert len(provider.requests) == 1


async def test_a_client_that_leaves_closes_the_call_to_the_provider(tmp_path: Path) -> None:
    """Closing the client's stream ends the provider's within a second."""
    choice = {"index": 0, "delta": {"content": "and on "}, "finish_reason": None}
    chunk = event(frame("chat.completion.chunk", {"model": "gpt-4"}) | {"choices": [choice]})

    async def forever(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        while True:
            writer.write(framed(chunk))
            await writer.drain()
            await asyncio.sleep(0.01)

    async with calling(tmp_path, forever) as (client, provider):
        stream = await client.chat.completions.create(**CHAT, stream=True)
        async for _ in stream:
            break
        await stream.close()
        await until(lambda: not provider.open)
    assert len(provider.requests) == 1
