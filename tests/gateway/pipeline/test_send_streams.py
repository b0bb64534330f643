"""Room 5 for streams: when one is an answer, when it still has a fallback, and what leaving does before it flows."""

import asyncio
from typing import Any

import pytest
from fakes import STREAM, FakeBackend, FakeExchange, chunk, turn
from senders import Sender

from gateway.config.settings import Retries
from gateway.pipeline.tries.journey import Upstream
from providers.errors import ProviderError, Refused, Truncated


async def test_a_stream_is_an_answer_once_it_has_something_to_say(sender: Sender) -> None:
    """The relay holds what came, until the client's head is out."""
    upstream = await sender.send(FakeBackend(FakeExchange(STREAM)), stream=True)
    assert upstream.relay is not None
    assert upstream.relay.reader.events > 0


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_a_stream_that_is_refused_is_a_refusal(sender: Sender, status: int) -> None:
    """The body of the error is read whole."""
    exchange = FakeExchange(status=status, body=b'{"error":{"message":"no","type":"t","code":"c"}}')
    sender.retries = Retries(max_tries=1)
    error = (await sender.fail(FakeBackend(exchange), stream=True)).error
    assert isinstance(error, Refused)
    assert (error.upstream_status, error.message) == (status, "no")


async def test_a_stream_with_another_success_is_no_answer(sender: Sender) -> None:
    """204 has nothing to stream."""
    sender.retries = Retries(max_tries=1)
    assert isinstance((await sender.fail(FakeBackend(FakeExchange(status=204)), stream=True)).error, ProviderError)


@pytest.mark.parametrize(
    "exchange",
    [
        FakeExchange((), error=Truncated("cut")),
        FakeExchange((b"<html>\n\n",)),
        FakeExchange((b'data: {"error":{"message":"overloaded"}}\n\n',)),
        FakeExchange(()),
    ],
    ids=["cut", "html", "error", "empty"],
)
async def test_a_stream_that_breaks_before_its_first_event_has_a_fallback(
    sender: Sender, exchange: FakeExchange
) -> None:
    """The client has seen nothing yet."""
    upstream = await sender.send(
        FakeBackend(exchange, name="a"), FakeBackend(FakeExchange(STREAM), name="b"), stream=True
    )
    assert (upstream.target.backend.name, upstream.attempts) == ("b", 2)


async def test_a_stream_that_breaks_after_its_first_event_has_none(sender: Sender) -> None:
    """What the client sees may have begun already, so the break is told in the stream."""
    second = FakeBackend(FakeExchange(STREAM), name="b")
    upstream = await sender.send(
        FakeBackend(FakeExchange([chunk()], error=Truncated("cut")), name="a"), second, stream=True
    )
    assert upstream.relay is not None
    assert (isinstance(upstream.relay.reader.failure, Truncated), second.requests) == (True, [])


async def begun(sender: Sender, backend: FakeBackend) -> "asyncio.Task[Upstream]":
    """A streamed call that has been sent."""
    task = asyncio.get_running_loop().create_task(sender.send(backend, stream=True))
    while not backend.requests:
        await turn()
    return task


async def never() -> Any:
    """An answer that does not come."""
    await asyncio.get_running_loop().create_future()


async def test_leaving_before_the_head_cancels_where_that_stops_the_bill(sender: Sender) -> None:
    """The connection is closed at once instead of after the first byte."""
    task = await begun(sender, FakeBackend(never))
    sender.client.leave()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_leaving_before_the_head_changes_nothing_where_the_bill_runs_on(sender: Sender) -> None:
    """The answer is waited for, since its usage will be charged."""
    gate = asyncio.get_running_loop().create_future()

    async def later() -> Any:
        return await gate

    task = await begun(sender, FakeBackend(later, cancels=False))
    sender.client.leave()
    gate.set_result(FakeExchange(STREAM))
    upstream = await task
    assert upstream.relay is not None
    assert upstream.relay.reader.finished


async def test_leaving_between_head_and_first_event_ends_the_stream(sender: Sender) -> None:
    """The relay is abandoned and its connection closed."""
    exchange = FakeExchange(is_prompt=False)
    task = await begun(sender, FakeBackend(exchange))
    while exchange.sink is None:
        await turn()
    sender.client.leave()
    upstream = await task
    assert upstream.relay is not None
    assert (upstream.relay.is_abandoned, exchange.log) == (True, ["abort"])


async def test_a_cancelled_wait_for_the_first_event_closes_the_connection(sender: Sender) -> None:
    """A process that ends leaves no stream open."""
    exchange = FakeExchange(is_prompt=False)
    task = await begun(sender, FakeBackend(exchange))
    while exchange.sink is None:
        await turn()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchange.log == ["abort"]
