"""A handoff is a future as any other, but that its outcome reaches a taker inside the call that brings it."""

import asyncio
from collections.abc import Callable

import pytest

from providers.handoff import Handoff


class Boom(Exception):
    """An error of the test's own."""


def hand(handoff: Handoff[int]) -> None:
    """Bring a result."""
    handoff.hand(7)


def fail(handoff: Handoff[int]) -> None:
    """Bring an error."""
    handoff.fail(Boom())


def cancel(handoff: Handoff[int]) -> None:
    """Give up, as who waits for any future may."""
    handoff.cancel()


async def take(handoff: Handoff[int]) -> int | str:
    """Wait as an ordinary task does, and tell what came."""
    try:
        return await handoff
    except Boom:
        return "boom"


BRINGS = pytest.mark.parametrize("bring", [hand, fail])


async def test_hand_resolves_with_the_result() -> None:
    """What is handed over is the future's result."""
    handoff: Handoff[int] = Handoff()
    handoff.hand(7)
    assert (handoff.done(), handoff.result()) == (True, 7)


async def test_fail_resolves_with_the_error() -> None:
    """The very error is the future's exception."""
    handoff: Handoff[int] = Handoff()
    error = Boom()
    handoff.fail(error)
    assert (handoff.done(), handoff.exception()) == (True, error)


@BRINGS
async def test_the_taker_runs_once_inside_the_call_and_finds_the_outcome(bring: Callable[[Handoff[int]], None]) -> None:
    """The outcome is set before the taker is called, and the call returns only when the taker has."""
    handoff: Handoff[int] = Handoff()
    found: list[object] = []
    handoff.taker = lambda: found.append(handoff.exception() is None)
    bring(handoff)
    assert found == [bring is hand]
    await asyncio.sleep(0)
    assert found == [bring is hand]


@BRINGS
@pytest.mark.parametrize("earlier", [hand, fail, cancel])
async def test_an_outcome_is_final(
    earlier: Callable[[Handoff[int]], None], bring: Callable[[Handoff[int]], None]
) -> None:
    """A second outcome is refused as any future refuses it, and no taker hears of it."""
    handoff: Handoff[int] = Handoff()
    earlier(handoff)
    takes: list[str] = []
    handoff.taker = lambda: takes.append("taken")
    with pytest.raises(asyncio.InvalidStateError):
        bring(handoff)
    assert takes == []
    if earlier is fail:
        assert isinstance(handoff.exception(), Boom)


async def test_a_taker_is_of_one_handoff() -> None:
    """No other handoff calls it."""
    takes: list[str] = []
    taken: Handoff[int] = Handoff()
    taken.taker = lambda: takes.append("taken")
    Handoff[int]().hand(7)
    assert takes == []
    taken.hand(7)
    assert takes == ["taken"]


@BRINGS
async def test_ordinary_tasks_wait_for_it_as_for_a_future(bring: Callable[[Handoff[int]], None]) -> None:
    """Any number of tasks get the outcome, by way of the loop and not inside the call."""
    handoff: Handoff[int] = Handoff()
    tasks = [asyncio.ensure_future(take(handoff)) for _ in range(2)]
    await asyncio.sleep(0)
    bring(handoff)
    assert [task.done() for task in tasks] == [False, False]
    assert await asyncio.gather(*tasks) == [7 if bring is hand else "boom"] * 2


@BRINGS
async def test_a_task_and_a_taker_get_the_same_outcome(bring: Callable[[Handoff[int]], None]) -> None:
    """The taker is the quicker one of two that wait."""
    handoff: Handoff[int] = Handoff()
    task = asyncio.ensure_future(take(handoff))
    await asyncio.sleep(0)
    taken: list[bool] = []
    handoff.taker = lambda: taken.append(task.done())
    bring(handoff)
    assert taken == [False]
    assert await task == (7 if bring is hand else "boom")


@BRINGS
async def test_callbacks_are_told_at_the_next_turn(bring: Callable[[Handoff[int]], None]) -> None:
    """Callbacks are never called inside the call, as with every future."""
    handoff: Handoff[int] = Handoff()
    told: list[asyncio.Future[int]] = []
    handoff.add_done_callback(told.append)
    bring(handoff)
    assert told == []
    await asyncio.sleep(0)
    assert told == [handoff]
    assert (handoff.exception() is None) == (bring is hand)


@BRINGS
def test_an_outcome_that_is_here_is_not_waited_for(bring: Callable[[Handoff[int]], None]) -> None:
    """Awaiting does not suspend when the outcome came first."""
    loop = asyncio.new_event_loop()
    handoff: Handoff[int] = Handoff(loop=loop)
    bring(handoff)
    with pytest.raises(StopIteration) as end:
        take(handoff).send(None)
    assert end.value.value == (7 if bring is hand else "boom")
    loop.close()


async def test_who_waits_for_a_cancelled_one_is_cancelled() -> None:
    """A task that waits for it ends as with any cancelled future."""
    handoff: Handoff[int] = Handoff()
    task = asyncio.ensure_future(take(handoff))
    await asyncio.sleep(0)
    assert handoff.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_task_that_is_cancelled_cancels_it() -> None:
    """A task that no longer waits gives its future up."""
    handoff: Handoff[int] = Handoff()
    task = asyncio.ensure_future(take(handoff))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert handoff.cancelled()


async def test_a_timeout_gives_it_up() -> None:
    """asyncio.wait_for ends it as it ends every future."""
    handoff: Handoff[int] = Handoff()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(handoff, 0)
    assert handoff.cancelled()


async def test_a_shielded_one_outlives_its_waiter() -> None:
    """Behind asyncio.shield it may still be handed over, to others."""
    handoff: Handoff[int] = Handoff()
    shielded = asyncio.shield(handoff)
    shielded.cancel()
    handoff.hand(7)
    assert await handoff == 7


async def test_several_are_gathered_and_waited_for() -> None:
    """asyncio.gather and asyncio.wait take them as futures."""
    handoffs = [Handoff[int](), Handoff[int]()]
    loop = asyncio.get_running_loop()
    for number, handoff in enumerate(handoffs):
        loop.call_soon(handoff.hand, number)
    assert await asyncio.gather(*handoffs) == [0, 1]
    done, pending = await asyncio.wait(handoffs)
    assert (done, pending) == (set(handoffs), set())


async def test_a_failure_nobody_asks_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An error does not vanish with its future."""
    Handoff[int]().fail(Boom())
    assert [record.message.partition("\n")[0] for record in caplog.records] == ["Handoff exception was never retrieved"]
