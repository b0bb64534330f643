"""What a client that leaves does to who waits for it."""

import asyncio

import pytest
from fakes import FakeClient, turn

from gateway.backends.leaving import ignore_leaving, pause, stop_on_leaving


async def wait_for_ever(client: FakeClient, *, is_ignored: bool) -> None:
    """Be a call that waits for its provider."""
    stop_on_leaving(client, asyncio.get_running_loop())
    if is_ignored:
        ignore_leaving(client)
    await asyncio.Event().wait()


@pytest.mark.parametrize("leaves_before", [True, False])
async def test_a_call_ends_with_its_client(leaves_before: bool) -> None:
    """Also with one that had left before anybody looked."""
    client = FakeClient()
    if leaves_before:
        client.leave()
    task = asyncio.get_running_loop().create_task(wait_for_ever(client, is_ignored=False))
    await turn()
    client.leave()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_may_go_on_without_its_client() -> None:
    """For its outcome, which is billed."""
    client = FakeClient()
    task = asyncio.get_running_loop().create_task(wait_for_ever(client, is_ignored=True))
    await turn()
    client.leave()
    await turn()
    assert not task.done()
    task.cancel()


async def test_a_pause_ends_with_its_client() -> None:
    """Nobody waits for the next try."""
    client = FakeClient()
    task = asyncio.get_running_loop().create_task(pause(client, 60_000))
    await turn()
    client.leave()
    async with asyncio.timeout(5):
        await task


async def test_a_pause_is_as_long_as_it_is_to_be() -> None:
    """And nobody watches the client behind it."""
    client, loop = FakeClient(), asyncio.get_running_loop()
    began_s = loop.time()
    await pause(client, 20)
    assert loop.time() - began_s >= 0.019
    client.leave()
