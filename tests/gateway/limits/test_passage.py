"""One limited call: what it takes, what it gives back, and that nobody ever gets more than a limit allows."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limiting import make_gate

from gateway.accounts.directory import KeyRecord
from gateway.counters.interface import Counters, CountersUnavailable, Entered, Taken
from gateway.counters.link import LinkLimits
from gateway.counters.memory import MemoryCounters
from gateway.counters.shared import SharedCounters
from gateway.errors import Fault
from gateway.limits.gate import Gate
from gateway.limits.passage import Passage

NOW_NS = 1_790_000_000_000_000_000
PATIENT = LinkLimits(timeout_ms=20_000, slow_ms=10_000)


async def settle(passage: Passage) -> None:
    """Give back what was taken, as the path does."""
    if not passage.settle_at_once():
        await passage.settle()


class Turnstile:
    """A key with limits of its own, and passages through them."""

    def __init__(self, counters: Counters | None = None, **limits: int) -> None:
        self.gate: Gate = make_gate(counters)
        if isinstance(counters, GoneCounters):
            self.gate.local = None
        self.caller = KeyRecord(key_id="key_1", project_id="p", kind="live", **limits)  # type: ignore[arg-type]
        self.now_ns = NOW_NS
        self.counted = 0
        self._made = 0

    def passage(self) -> Passage:
        """A fresh one."""
        self._made += 1
        policy = self.gate.policy_of(self.caller)
        assert policy is not None
        return Passage(self.gate, policy, f"lease-{self._made}", lambda: self.now_ns, self.now_ns)

    async def enter(self, bound: int = 0, exact: int | None = None) -> Passage:
        """Enter with tokens; raises Fault."""
        passage = self.passage()

        async def count() -> int:
            self.counted += 1
            return bound if exact is None else exact

        try:
            if not passage.enter_at_once(bound):
                await passage.enter(bound, count)
        except Fault:
            await settle(passage)
            raise
        return passage

    async def refuses(self, bound: int = 0, exact: int | None = None) -> Fault:
        """What a refused one is told."""
        with pytest.raises(Fault) as caught:
            await self.enter(bound, exact)
        return caught.value


@pytest.fixture(params=["memory", "redis"])
async def counters(request: pytest.FixtureRequest) -> AsyncIterator[Counters]:
    """Empty counters of each kind."""
    opened: Counters = MemoryCounters()
    if request.param == "redis":
        namespace = f"passage-{random.getrandbits(64):x}"
        opened = SharedCounters.open(request.getfixturevalue("redis_url"), namespace, PATIENT)
    yield opened
    await opened.close()


async def test_requests_are_counted_and_told(counters: Counters) -> None:
    """The lines of every answer, the refusal's included."""
    turnstile = Turnstile(counters, requests_per_minute=2)
    lines = [(await turnstile.enter()).lines for _ in range(2)]
    assert [line.split(b"\r\n")[1] for line in lines] == [b"x-ratelimit-remaining: 1", b"x-ratelimit-remaining: 0"]
    refused = turnstile.passage()
    with pytest.raises(Fault, match="this key's rate limit of 2 requests"):
        await refused.pass_requests()
    assert b"x-ratelimit-remaining: 0\r\n" in refused.lines


async def test_where_only_tokens_are_limited_they_are_told_of(counters: Counters) -> None:
    """To calls at their most, to what cannot become a call as they stand, and to who is refused."""
    turnstile = Turnstile(counters, tokens_per_minute=100)
    lines = [(await turnstile.enter(30)).lines]
    for _ in range(2):
        unfit = turnstile.passage()
        await unfit.pass_requests()
        lines.append(unfit.lines)
    told = [line.split(b"\r\n")[:2] for line in lines]
    assert told == [[b"x-ratelimit-limit: 100", b"x-ratelimit-remaining: 70"]] * 3
    assert (await turnstile.refuses(80, 80)).details["limit"] == 100


async def test_a_slot_is_left_once_and_then_free(counters: Counters) -> None:
    """However often it is settled; without a limit of requests there are no lines."""
    turnstile = Turnstile(counters, max_concurrent=1)
    first = await turnstile.enter()
    assert "1 calls under way" in (await turnstile.refuses()).message
    await settle(first)
    second = await turnstile.enter()
    await settle(first)
    assert (await turnstile.refuses()).code == "rate_limit_exceeded"
    assert (first.lines, second.lines) == (b"", b"")


async def test_who_finds_no_slot_uses_up_no_request(counters: Counters) -> None:
    """And is told how the requests stand."""
    turnstile = Turnstile(counters, max_concurrent=1, requests_per_minute=5)
    await turnstile.enter()
    await turnstile.refuses()
    looking = turnstile.passage()
    await looking.look()
    assert b"x-ratelimit-remaining: 4\r\n" in looking.lines


async def test_who_finds_no_request_left_leaves_the_slot(counters: Counters) -> None:
    """A refused call stands in nobody's way."""
    turnstile = Turnstile(counters, max_concurrent=2, requests_per_minute=1)
    first = await turnstile.enter()
    await turnstile.refuses()
    await settle(first)
    turnstile.now_ns += 60 * 10**9
    await turnstile.enter()
    assert "requests" in (await turnstile.refuses()).message


async def test_a_slot_that_nobody_left_is_free_after_its_lease(counters: Counters) -> None:
    """Its process died."""
    turnstile = Turnstile(counters, max_concurrent=1)
    # As where others count too: what one process alone has counted dies with it.
    turnstile.gate.local = None
    await turnstile.enter()
    turnstile.now_ns += turnstile.gate.lease_ns + 1_000
    await turnstile.enter()


async def test_where_one_process_counts_a_call_is_inside_until_it_leaves() -> None:
    """However long it takes."""
    turnstile = Turnstile(max_concurrent=1)
    first = await turnstile.enter()
    turnstile.now_ns += 100 * turnstile.gate.lease_ns
    await turnstile.refuses()
    await settle(first)
    await turnstile.enter()


async def test_unused_tokens_are_given_back(counters: Counters) -> None:
    """At once, so that a bound that was too high refuses nobody later."""
    turnstile = Turnstile(counters, tokens_per_minute=100)
    first = await turnstile.enter(90)
    await turnstile.refuses(20)
    first.used_tokens = 10
    await settle(first)
    await turnstile.enter(90)
    assert (await turnstile.refuses(1)).details["limit"] == 100


async def test_tokens_beyond_the_bound_are_taken_afterwards(counters: Counters) -> None:
    """As many as the minute has; the truth is never held against the next one."""
    turnstile = Turnstile(counters, tokens_per_minute=100)
    for used in (40, 500):
        passage = await turnstile.enter(10)
        passage.used_tokens = used
        await settle(passage)
    await turnstile.refuses(1)
    turnstile.now_ns += 60 * 10**9
    await turnstile.enter(100)


async def test_only_near_the_limit_tokens_are_counted_exactly(counters: Counters) -> None:
    """The quick bound is too high; what fits in truth is let in."""
    turnstile = Turnstile(counters, tokens_per_minute=100)
    await turnstile.enter(60)
    assert turnstile.counted == 0
    await turnstile.enter(80, exact=20)
    assert turnstile.counted == 1
    assert "100 tokens per minute" in (await turnstile.refuses(80, exact=21)).message


async def test_a_call_too_large_for_any_minute_is_told_so(counters: Counters) -> None:
    """It is not worth a retry, and it leaves the minute to others."""
    turnstile = Turnstile(counters, tokens_per_minute=100)
    fault = await turnstile.refuses(10**18, exact=101)
    assert ("101 tokens" in fault.message, fault.should_retry) == (True, False)
    await turnstile.enter(100)


async def test_a_cancelled_call_gives_everything_back(counters: Counters) -> None:
    """Whatever it was doing."""
    turnstile = Turnstile(counters, tokens_per_minute=100, max_concurrent=1)

    async def call() -> None:
        passage = turnstile.passage()
        try:
            await passage.enter(100, lambda: asyncio.sleep(0, 100))
            await asyncio.Event().wait()
        finally:
            await settle(passage)

    for turns in range(4):
        task = asyncio.get_running_loop().create_task(call())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await settle(await turnstile.enter(100))


class SlowCounters(MemoryCounters):
    """Redis, which has counted long before its answer arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.counted = asyncio.Event()
        self.answers = asyncio.Event()

    async def take(self, *asked: Any) -> Taken:
        """Count at once, and answer when it is told to."""
        taken = await super().take(*asked)
        self.counted.set()
        await self.answers.wait()
        return taken


async def test_what_was_counted_for_a_call_that_left_meanwhile_is_given_back() -> None:
    """The answer is waited for: without it nobody knows what to give back."""
    counters = SlowCounters()
    turnstile = Turnstile(counters, tokens_per_minute=100, max_concurrent=1)
    passage = turnstile.passage()
    entering = asyncio.get_running_loop().create_task(passage.enter(100, lambda: asyncio.sleep(0, 100)))
    await counters.counted.wait()
    entering.cancel()
    counters.answers.set()
    with pytest.raises(asyncio.CancelledError):
        await entering
    await settle(passage)
    await settle(await turnstile.enter(100))


class GoneCounters(MemoryCounters):
    """Redis, which goes away when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_gone = False
        self.asked = 0

    def _ask(self) -> None:
        self.asked += 1
        if self.is_gone:
            raise CountersUnavailable("away")

    async def take(self, *asked: Any) -> Taken:
        """Count, if it is there."""
        self._ask()
        return await super().take(*asked)

    async def enter(self, *asked: Any) -> Entered:
        """Occupy, if it is there."""
        self._ask()
        return await super().enter(*asked)

    async def leave(self, *asked: Any) -> None:
        """Free, if it is there."""
        self._ask()
        await super().leave(*asked)


async def test_with_redis_away_a_call_asks_it_once_and_passes() -> None:
    """It waits for a slow Redis at most one time; the process counts by itself."""
    counters = GoneCounters()
    counters.is_gone = True
    turnstile = Turnstile(counters, requests_per_minute=2, max_concurrent=1, tokens_per_minute=100)
    passage = await turnstile.enter(10)
    await settle(passage)
    assert counters.asked == 1
    await settle(await turnstile.enter(10))
    assert "requests" in (await turnstile.refuses(10)).message


async def test_redis_going_away_during_a_call_fails_nothing() -> None:
    """The slot is free when its lease is over."""
    counters = GoneCounters()
    turnstile = Turnstile(counters, max_concurrent=1, tokens_per_minute=100)
    passage = await turnstile.enter(10)
    counters.is_gone = True
    await settle(passage)
    assert counters.asked == 3


@given(
    seed=st.integers(0, 2**32),
    requests=st.integers(0, 6),
    tokens=st.integers(0, 60),
    concurrent=st.integers(0, 3),
)
def test_no_interleaving_gets_more_than_the_limits(seed: int, requests: int, tokens: int, concurrent: int) -> None:
    """Calls enter, are cancelled, end early and late, with any tokens: none of the three limits is ever exceeded."""
    choose = random.Random(seed)  # noqa: S311 - picks an interleaving
    turnstile = Turnstile(requests_per_minute=requests, tokens_per_minute=tokens, max_concurrent=concurrent)
    inside: list[int] = []
    admitted: list[int] = []
    spent: list[int] = []

    async def call() -> None:
        bound = choose.randrange(40)
        exact = choose.randrange(bound + 1)
        passage = turnstile.passage()
        try:
            await passage.enter(bound, lambda: asyncio.sleep(0, exact))
            admitted.append(1)
            inside.append(exact)
            try:
                assert len(inside) <= concurrent
                assert sum(inside) + sum(spent) <= tokens
                for _ in range(choose.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                inside.remove(exact)
            passage.used_tokens = exact
            spent.append(exact)
        except Fault:
            pass
        finally:
            await settle(passage)

    async def crowd() -> None:
        tasks = [asyncio.get_running_loop().create_task(call()) for _ in range(12)]
        for _ in range(3):
            await asyncio.sleep(0)
            choose.choice(tasks).cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError)

    asyncio.run(crowd())
    assert len(admitted) <= requests
    assert len(turnstile.gate.counters.slots) == 0  # type: ignore[attr-defined]
