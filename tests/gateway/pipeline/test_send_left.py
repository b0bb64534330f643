"""A call's tries once its client has left: none follows."""

import asyncio

import pytest
from fakes import FakeBackend, FakeClient, make_inbound, make_route, make_services, make_target, turn, whole
from senders import Sender

from gateway.pipeline.send import send
from gateway.pipeline.tries.journey import Journey, SendFailed
from providers.errors import Refused

DOWN = Refused("down", upstream_status=503)


async def test_a_client_that_left_stops_the_tries(sender: Sender) -> None:
    """Nobody waits for a further one."""
    sender.client.is_gone = True
    failed = await sender.fail(FakeBackend(DOWN, whole()))
    assert (failed.attempts, sender.waits_ms) == (1, [])


async def test_a_client_that_left_stops_the_fallbacks(sender: Sender) -> None:
    """The next provider would work for nobody."""
    sender.client.is_gone = True
    second = FakeBackend(whole(), name="b")
    await sender.fail(FakeBackend(DOWN, name="a"), second)
    assert second.requests == []


@pytest.mark.parametrize("again", ["there", "elsewhere"])
async def test_a_client_that_leaves_while_a_lost_try_is_accounted_for_stops_the_next(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    """Nobody would read what it brings."""

    async def cover(*_: object) -> int:
        sender.client.leave()
        return 0

    monkeypatch.setattr("gateway.pipeline.budget.cover", cover)
    monkeypatch.setattr("gateway.pipeline.budget.may_be_billed", lambda *_: True)
    second = FakeBackend(whole(), name="b")
    if again == "there":
        await sender.fail(first := FakeBackend(DOWN, whole()))
    else:
        await sender.fail(first := FakeBackend(DOWN, name="a"), second)
    assert (len(first.requests), second.requests) == (1, [])


async def test_a_client_that_leaves_during_a_wait_ends_it() -> None:
    """The wait is over at once, and there is no further try."""
    backend, client = FakeBackend(Refused("busy", upstream_status=429, retry_after_ms=9_000), whole()), FakeClient()
    journey = Journey(make_inbound(), client, make_services())
    task = asyncio.get_running_loop().create_task(send(journey, make_route(make_target(backend))))
    while not backend.requests:
        await turn()
    await turn()
    client.leave()
    async with asyncio.timeout(5):
        with pytest.raises(SendFailed) as failed:
            await task
    assert failed.value.attempts == 1
