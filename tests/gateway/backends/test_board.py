"""Breakers of two processes on one real Redis: what one learns, both obey."""

import os
from collections.abc import AsyncIterator

import pytest

from gateway.backends.board import BreakerBoard
from gateway.backends.breaker import Breaker
from gateway.counters.interface import CountersUnavailable
from gateway.counters.link import LinkLimits, RedisLink

PATIENT = LinkLimits(timeout_ms=20_000, slow_ms=10_000)
NS_PER_MS = 1_000_000
COOLDOWN_MS = 60_000
TARGET = "openai\ngpt-4o"


class Process:
    """What one process knows: a breaker, a clock of its own, and its board."""

    def __init__(self, url: str, namespace: str, clock_ns: int) -> None:
        self.now_ns = clock_ns
        self.breaker = Breaker(failures=2, cooldown_ms=COOLDOWN_MS)
        self.link = RedisLink.open(url, PATIENT)
        self.board = BreakerBoard(self.link, lambda: {TARGET: self.breaker}, lambda: self.now_ns, namespace)

    @property
    def state(self) -> str:
        """Of the breaker, now."""
        return self.breaker.state(self.now_ns)

    def fail(self) -> None:
        """The target fails until the breaker opens."""
        for _ in range(2):
            self.breaker.failed(self.now_ns)


@pytest.fixture
async def pair(redis_url: str) -> AsyncIterator[tuple[Process, Process]]:
    """Two processes whose clocks have nothing in common."""
    namespace = os.urandom(8).hex()
    processes = Process(redis_url, namespace, 5), Process(redis_url, namespace, 7_000_000_000_000)
    yield processes
    for process in processes:
        await process.board.close()


async def exchange(*processes: Process) -> None:
    """Each in turn."""
    for process in processes:
        await process.board.exchange()


async def test_what_one_opens_both_spare(pair: tuple[Process, Process]) -> None:
    """For the rest of the cooldown, whatever the clocks say."""
    one, two = pair
    one.fail()
    await exchange(one, two)
    assert (one.state, two.state) == ("open", "open")
    assert 0 < two.breaker.rest_ns(two.now_ns) <= COOLDOWN_MS * NS_PER_MS
    assert not two.breaker.admits(two.now_ns)


async def test_what_one_found_well_both_use(pair: tuple[Process, Process]) -> None:
    """A probe that succeeds in one process closes the breaker in the other before its time."""
    one, two = pair
    one.fail()
    await exchange(one, two)
    one.now_ns += COOLDOWN_MS * NS_PER_MS
    assert one.breaker.admits(one.now_ns)
    one.breaker.succeeded()
    await exchange(one, two)
    assert (one.state, two.state) == ("closed", "closed")


async def test_a_probe_that_fails_opens_both_again(pair: tuple[Process, Process]) -> None:
    """The other's cooldown begins anew too, once its own is over."""
    one, two = pair
    one.fail()
    await exchange(one, two)
    one.now_ns += COOLDOWN_MS * NS_PER_MS
    two.now_ns += COOLDOWN_MS * NS_PER_MS
    one.breaker.failed(one.now_ns)
    assert two.state == "half-open"
    await exchange(one, two)
    assert (one.state, two.state) == ("open", "open")


async def test_what_just_opened_is_not_closed_by_an_old_board(pair: tuple[Process, Process]) -> None:
    """Only what the board knew can be missing from it."""
    one, two = pair
    await exchange(one, two)
    two.fail()
    await exchange(one, two)
    assert two.state == "open"
    await exchange(one)
    assert one.state == "open"


async def test_an_exchange_repeated_changes_nothing(pair: tuple[Process, Process]) -> None:
    """A target is not spared for longer because its processes talk."""
    one, two = pair
    one.fail()
    await exchange(one, two)
    rests_ns = [process.breaker.rest_ns(process.now_ns) for process in pair]
    for _ in range(3):
        await exchange(one, two)
    assert [process.breaker.rest_ns(process.now_ns) for process in pair] == rests_ns


async def test_the_board_forgets(redis_url: str) -> None:
    """An opening whose time is over is told to nobody, and its name is not kept."""
    namespace = os.urandom(8).hex()
    one, two = Process(redis_url, namespace, 1), Process(redis_url, namespace, 1)
    one.breaker = Breaker(failures=2, cooldown_ms=1)
    one.fail()
    await one.board.exchange()
    await two.link.run(one.board._script, ("another",), [1, 1, 0])
    while await two.link.run(one.board._script, (f"{{{namespace}}}:breakers",), [1, 1, 0]):
        pass
    await two.board.exchange()
    assert two.state == "closed"
    for process in (one, two):
        await process.board.close()


async def test_a_dead_redis_leaves_each_to_itself() -> None:
    """The exchange says so; the breaker works on."""
    link = RedisLink.open("redis://127.0.0.1:1/0", LinkLimits())
    breaker = Breaker(failures=1, cooldown_ms=COOLDOWN_MS)
    board = BreakerBoard(link, lambda: {TARGET: breaker}, lambda: 0)
    breaker.failed(0)
    with pytest.raises(CountersUnavailable):
        await board.exchange()
    assert breaker.state(0) == "open"
    board.start()
    await board.close()
