"""Streams through the whole gateway when a side fails: the provider breaks off, the client leaves, another helps."""

import asyncio
from pathlib import Path

import pytest
from running import STREAM_HEAD, Answer, Request, Running, Upstream, framed, openai_config, running, upstream
from streaming import (
    DONE,
    END_OF_BODY,
    GOOD,
    HEL,
    HELLO,
    LO,
    STOP,
    USAGE,
    dying,
    event,
    events_of,
    one_after_another,
    overloaded,
    ponder,
    stream_whole,
    streaming,
    until,
    vanish,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
FAILURES: dict[str, Answer] = {
    "status": overloaded,
    "no event": streaming(),
    "closed": dying(),
    "not a stream": streaming(b"<html>busy</html>"),
}
QUICK = "[retries]\nbase_backoff_ms = 1\n"


@pytest.fixture(scope="module")
def config(shared_provider: Upstream) -> str:
    """A gateway that does not wait long before it tries again."""
    return openai_config(shared_provider, QUICK)


def two_targets(first: Upstream, second: Upstream) -> str:
    """A configuration whose gpt-4 has a second home."""
    return openai_config(
        first,
        f'[providers.other]\ndialect = "openai"\nbase_url = "{second.url}"\napi_key = "sk-other"\n'
        '[[models]]\nname = "gpt-4"\n'
        'targets = [{ provider = "openai", model = "gpt-4-turbo" }, { provider = "other", model = "o/gpt-4" }]\n',
    )


@pytest.mark.parametrize("ending", ["closed", "ended"])
async def test_a_truncated_stream_ends_with_an_error(gateway: Running, provider: Upstream, ending: str) -> None:
    """Whether the connection breaks or the body ends cleanly: without its end the answer is not one."""
    provider.answer = dying(HEL, LO) if ending == "closed" else streaming(HEL, LO)
    body = (await stream_whole(gateway)).content
    assert body.startswith(HEL + LO)
    last = events_of(body)[-1]
    assert (last["error"]["code"], last["error"]["type"]) == ("upstream_truncated", "provider_error")
    # Where the provider is reached is the operator's business.
    assert last["error"]["message"].startswith("openai: ")
    assert "127.0.0.1" not in last["error"]["message"]
    assert [(row.status, row.error_code) for row in gateway.rows] == [("incomplete", "upstream_truncated")]
    assert gateway.rows[0].is_estimated
    assert gateway.rows[0].cost_pusd > 0


async def test_a_silent_stream_ends_with_an_error(tmp_path: Path) -> None:
    """Comments are no progress: the idle time counts events."""

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(HEL))
        while True:
            writer.write(framed(b": still here\n\n"))
            await asyncio.sleep(0.02)

    config = "[timeouts]\nidle_ms = 200\n"
    async with upstream(answer) as provider, running(tmp_path, openai_config(provider, config)) as gateway:
        body = (await stream_whole(gateway)).content
        await until(lambda: provider.open == 0)
    assert body.startswith(HEL + b'data: {"error":')
    assert b"127.0.0.1" not in body
    assert [(row.status, row.error_code) for row in gateway.rows] == [("incomplete", "upstream_timeout")]


async def endless(_: Request, writer: asyncio.StreamWriter) -> None:
    """A stream of 60 words, and then silence."""
    writer.write(STREAM_HEAD + framed(event({"content": " word"}) * 60))
    await asyncio.sleep(30)


async def leave_after(gateway: Running, words: int) -> None:
    """Read so many chunks of a stream, then close the connection."""
    async with gateway.client() as client, client.stream("POST", "/v1/chat/completions", json=HELLO) as response:
        heard = b""
        async for part in response.aiter_raw():
            heard += part
            if heard.count(b" word") >= words:
                break


async def leave_once_asked(gateway: Running, provider: Upstream) -> None:
    """Close the connection as soon as the provider has the request."""
    async with gateway.client() as client:
        call = asyncio.ensure_future(client.post("/v1/chat/completions", json=HELLO))
        await until(lambda: bool(provider.requests))
        call.cancel()
        await asyncio.wait({call})


async def test_a_client_that_leaves_ends_the_providers_work(tmp_path: Path) -> None:
    """Where closing stops the billing the connection is closed within a second; what was produced is charged once."""
    async with upstream(endless) as provider, running(tmp_path, openai_config(provider)) as gateway:
        await leave_after(gateway, 60)
        await until(lambda: provider.open == 0, within_s=1.0)
        await until(lambda: bool(gateway.rows))
    assert [(row.status, row.http_status, row.is_estimated) for row in gateway.rows] == [("cancelled", 499, True)]
    assert gateway.rows[0].output_tokens >= 60
    assert gateway.rows[0].cost_pusd > 60 * 60_000_000


async def test_a_client_that_leaves_before_the_answer_ends_it_too(tmp_path: Path) -> None:
    """The provider that has not answered yet is told as well, and the prompt is charged."""

    async with upstream(ponder) as provider, running(tmp_path, openai_config(provider)) as gateway:
        await leave_once_asked(gateway, provider)
        await until(lambda: provider.open == 0, within_s=1.0)
        await until(lambda: bool(gateway.rows))
    assert [(row.status, row.http_status, row.is_estimated) for row in gateway.rows] == [("cancelled", 499, True)]
    assert gateway.rows[0].input_tokens > 0


async def test_a_left_stream_is_read_to_its_end_where_closing_saves_nothing(tmp_path: Path) -> None:
    """The provider bills on, so its own figures are worth more than an estimate."""
    go_on = asyncio.Event()

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(event({"content": " word"})))
        await go_on.wait()
        writer.write(framed(STOP) + framed(USAGE) + framed(DONE) + END_OF_BODY)

    config = "cancel_stops_billing = false\n"
    async with upstream(answer) as provider, running(tmp_path, openai_config(provider, config)) as gateway:
        await leave_after(gateway, 1)
        # The gateway has seen the client leave; the provider's connection is still there.
        await asyncio.sleep(0.05)
        assert provider.open == 1
        go_on.set()
        await until(lambda: bool(gateway.rows))
    assert [(row.status, row.total_tokens, row.is_estimated) for row in gateway.rows] == [("cancelled", 25, False)]


@pytest.mark.parametrize("failure", FAILURES)
async def test_before_the_first_byte_a_failure_is_tried_again(
    gateway: Running, provider: Upstream, failure: str
) -> None:
    """The client sees one clean stream."""
    provider.answer = one_after_another(FAILURES[failure], GOOD)
    response = await stream_whole(gateway)
    assert (response.status_code, len(events_of(response.content))) == (200, 4)
    assert response.content.startswith(HEL + LO)
    assert [(row.status, row.attempts, row.total_tokens) for row in gateway.rows] == [("complete", 2, 25)]


async def test_after_the_first_byte_nothing_is_tried_again(gateway: Running, provider: Upstream) -> None:
    """A second try would say the beginning twice."""
    provider.answer = one_after_another(dying(HEL), GOOD)
    body = (await stream_whole(gateway)).content
    assert len(provider.requests) == 1
    assert body.count(b'"Hel"') == 1


@pytest.mark.parametrize("failure", [*FAILURES, "no answer"])
async def test_the_next_target_answers_where_the_first_fails(tmp_path: Path, failure: str) -> None:
    """In order, before the first byte, each asked for its own name of the model."""
    async with upstream(FAILURES.get(failure, vanish)) as first, upstream(GOOD) as second:
        async with running(tmp_path, two_targets(first, second)) as gateway:
            response = await stream_whole(gateway)
    assert response.content.startswith(HEL + LO + STOP[:-3])
    assert [request.json()["model"] for request in first.requests + second.requests] == ["gpt-4-turbo", "o/gpt-4"]
    assert (response.headers["x-watchllm-provider"], response.headers["x-watchllm-model"]) == ("other", "o/gpt-4")
    assert [(row.provider, row.upstream_model, row.model, row.attempts) for row in gateway.rows] == [
        ("other", "o/gpt-4", "gpt-4", 2)
    ]


async def test_leaving_at_the_second_target_is_charged_there(tmp_path: Path) -> None:
    """The row names who was asked last, and how many were asked."""
    async with upstream(overloaded) as first, upstream(ponder) as second:
        async with running(tmp_path, two_targets(first, second)) as gateway:
            await leave_once_asked(gateway, second)
            await until(lambda: bool(gateway.rows))
    assert [(row.provider, row.attempts, row.status) for row in gateway.rows] == [("other", 2, "cancelled")]


async def test_without_an_answer_the_same_target_is_not_asked_twice(tmp_path: Path) -> None:
    """The request was out when the connection broke: it may have been executed, and would be paid twice."""
    async with upstream(vanish) as provider, running(tmp_path, openai_config(provider, QUICK)) as gateway:
        response = await stream_whole(gateway)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_unreachable")
    assert (response.headers["x-should-retry"], len(provider.requests)) == ("false", 1)
    assert [(row.status, row.attempts) for row in gateway.rows] == [("failed", 1)]
