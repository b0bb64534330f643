"""The counters in Redis answer as those in memory do, hold between processes, and leave nothing behind."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from gateway.counters.interface import (
    LINE_KEPT_NS,
    BudgetLine,
    Counters,
    CountersSpared,
    CountersUnavailable,
    Held,
    LineCount,
    LineName,
    NewHold,
    RateWindow,
    Settled,
    Slot,
    Unseeded,
)
from gateway.counters.memory import MemoryCounters
from gateway.counters.scripts import Script
from gateway.counters.shared import SharedCounters
from tests.gateway.counters import programs, spender
from tests.gateway.counters.conftest import open_shared
from tests.gateway.counters.naive import NaiveCounters
from tests.gateway.counters.programs import MAX_BACK_NS, START_NS, S, Step, perform

ROOT = Path(__file__).parents[3]
# What a settled hold is remembered for goes by Redis's own clock: a program is shorter.
LONGEST_NS = 100 * S
NAME = LineName(budget_key="a:b", window_key="c")
PROGRAMS = st.lists(
    st.one_of(
        programs.TAKES,
        programs.GIVINGS_BACK,
        programs.ENTRIES,
        programs.LEAVINGS,
        programs.RESERVES,
        programs.SETTLES,
        programs.RELEASES,
        programs.RENEWALS,
        programs.SWEEPS,
        programs.LOOKS,
        programs.PAUSES,
    ),
    max_size=40,
)


@pytest.fixture
async def server(redis_url: str) -> AsyncIterator[Redis]:
    """A plain client."""
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def make_hold(hold_id: str, seed_pusd: int | None = 0, lease_ns: int = S) -> NewHold:
    """Make a hold of 5 on the line of NAME."""
    line = BudgetLine(
        budget_key=NAME.budget_key,
        window_key=NAME.window_key,
        limit_pusd=100,
        resets_ns=START_NS + 30 * S,
        seed_pusd=seed_pusd,
    )
    return NewHold(hold_id=hold_id, lines=(line,), amount_pusd=5, lease_ns=lease_ns)


async def play(counters: Counters, program: list[Step]) -> list[object]:
    """Perform a program and collect its answers."""
    now_ns = latest_ns = START_NS
    answers: list[object] = []
    for step in program:
        if step.name == "pause":
            now_ns = min(max(now_ns + step.arguments[0], latest_ns - MAX_BACK_NS), START_NS + LONGEST_NS)
            latest_ns = max(latest_ns, now_ns)
        else:
            answers.append(await perform(counters, step, now_ns))
    return answers


def test_the_same_programs_give_the_same_answers_in_redis_as_in_memory(redis_url: str) -> None:
    """Whatever is asked, in whatever order, and as the model says."""
    with asyncio.Runner() as runner:
        shared = open_shared(redis_url)

        @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
        @given(program=PROGRAMS)
        def check(program: list[Step]) -> None:
            # On the connection of all, with keys of its own.
            counters = SharedCounters(shared.link, os.urandom(8).hex())
            answers = runner.run(play(counters, program))
            assert answers == runner.run(play(MemoryCounters(), program))
            assert answers == runner.run(play(NaiveCounters(), program))

        try:
            check()
        finally:
            runner.run(shared.close())


async def start(*arguments: str) -> str:
    """Run spender.py as a process and give what it prints."""
    command = [sys.executable, "-m", "tests.gateway.counters.spender", *arguments]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_two_processes_never_exceed_a_budget_together(
    redis_url: str, shared: SharedCounters, namespace: str
) -> None:
    """1,000 calls of two processes on one line near 9e18; what they left open is swept once each."""
    charged = sum(
        [int(text) for text in await asyncio.gather(*(start("spend", redis_url, namespace, n) for n in "ab"))]
    )
    (count,) = await shared.look([LineName(budget_key="shared", window_key="w")])
    assert count is not None
    assert count.spent_pusd == 9 * 10**18 + charged
    assert count.held_pusd > 0
    assert count.spent_pusd + count.held_pusd <= spender.LIMIT_PUSD

    swept = await asyncio.gather(*(start("sweep", redis_url, namespace) for _ in range(2)))
    ids = " ".join(swept).split()
    assert len(ids) == len(set(ids)) > 0
    assert await shared.look([LineName(budget_key="shared", window_key="w")]) == (
        LineCount(spent_pusd=count.spent_pusd, held_pusd=0),
    )


async def test_every_operation_is_one_round_trip(shared: SharedCounters, server: Redis) -> None:
    """And of the programs Redis needs the name only, once it has seen them."""
    window, slot = RateWindow(policy_key="p", period="day", limit=9), Slot(slot_key="s", limit=9)

    async def use_all(hold_id: str) -> None:
        await shared.take([window, window], [1, 1], START_NS)
        await shared.give_back([window, window], [1, 1], START_NS)
        await shared.enter([slot], "l", START_NS, S)
        await shared.leave([slot], "l")
        await shared.reserve(make_hold(hold_id), START_NS)
        await shared.renew(hold_id, START_NS, S)
        await shared.settle(hold_id, 1, START_NS)
        await shared.sweep(START_NS, S)
        await shared.look([NAME])

    async def count_commands() -> dict[str, int]:
        stats = await server.info("commandstats")
        return {name: stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval")}

    await use_all("first")
    before = await count_commands()
    await use_all("second")
    after = await count_commands()
    assert {name: after[name] - before[name] for name in after} == {"evalsha": 9, "eval": 0}


async def test_a_redis_that_lost_its_data_is_told_what_the_ledger_knows(shared: SharedCounters, server: Redis) -> None:
    """Restarted without its data: programs come again, lines ask for a seed, open holds are unknown."""
    await shared.reserve(make_hold("a"), START_NS)
    await server.flushall()
    await server.script_flush()
    await server.client_kill_filter(_type="normal", skipme=True)
    # Until the end of its connections has reached this process.
    await asyncio.sleep(0.01)
    assert isinstance(await shared.reserve(make_hold("b", None), START_NS), Unseeded)
    assert isinstance(await shared.reserve(make_hold("b", 40), START_NS), Held)
    assert await shared.settle("a", 5, START_NS) == Settled(outcome="unknown")
    assert await shared.look([NAME]) == (LineCount(spent_pusd=40, held_pusd=5),)


async def test_a_line_that_was_lost_and_begun_anew_is_not_touched_by_older_holds(
    shared: SharedCounters, server: Redis, namespace: str
) -> None:
    """Deleting a line's key makes it be seeded anew; what was held on the old one is no part of the new one."""
    await shared.reserve(make_hold("old"), START_NS)
    await shared.reserve(make_hold("older"), START_NS)
    (key,) = [key async for key in server.scan_iter(f"{{{namespace}}}:b:*")]
    await server.delete(key)
    assert (await shared.settle("older", 5, START_NS)).spent_pusd == (None,)
    assert await shared.look([NAME]) == (None,)
    await shared.reserve(make_hold("new", 40), START_NS)
    assert (await shared.settle("old", 5, START_NS)).spent_pusd == (None,)
    assert await shared.look([NAME]) == (LineCount(spent_pusd=40, held_pusd=5),)


async def test_a_hold_that_was_lost_alone_is_not_handed_out(
    shared: SharedCounters, server: Redis, namespace: str
) -> None:
    """Its place in the order of ends goes too."""
    await shared.reserve(make_hold("a"), START_NS)
    (key,) = [key async for key in server.scan_iter(f"{{{namespace}}}:h:*")]
    await server.delete(key)
    assert await shared.sweep(START_NS + S, S) == ()


async def test_nothing_stays_in_redis_but_what_is_open(shared: SharedCounters, server: Redis, namespace: str) -> None:
    """Every key has an end; a line with an open hold, and the hold, have none until it is settled."""
    await shared.take([RateWindow(policy_key="p", period="minute", limit=9)], [0], START_NS)
    await shared.take([RateWindow(policy_key="p", period="hour", limit=0)], [1], START_NS)
    await shared.enter([Slot(slot_key="s", limit=9)], "l", START_NS, 5 * S)
    await shared.reserve(make_hold("a"), START_NS)
    await shared.reserve(make_hold("b"), START_NS)
    await shared.settle("a", 0, START_NS)

    async def read_ends_ms() -> dict[str, int]:
        keys = [key async for key in server.scan_iter(f"{{{namespace}}}:*")]
        return {key.partition(":")[2]: await server.pttl(key) for key in keys}

    ends_ms = await read_ends_ms()
    assert {key for key, end_ms in ends_ms.items() if end_ms == -1} == {"b:3:a:b:c", "h:b", "ends"}
    await shared.settle("b", 0, START_NS)
    ends_ms = await read_ends_ms()
    kinds = {key.split(":")[0]: end_ms for key, end_ms in ends_ms.items()}
    longest_ms = {"w": 90_000, "c": 65_000, "b": 30_000 + LINE_KEPT_NS // 10**6, "s": 120_000}
    assert kinds.keys() == longest_ms.keys()
    assert [kind for kind, end_ms in kinds.items() if not longest_ms[kind] - 20_000 < end_ms <= longest_ms[kind]] == []
    await shared.reserve(make_hold("c"), START_NS)
    assert (await read_ends_ms())["b:3:a:b:c"] == -1


async def test_a_lease_that_is_renewed_lengthens_its_slots_life(
    shared: SharedCounters, server: Redis, namespace: str
) -> None:
    """The key outlives its longest lease, and a shorter one after it takes nothing away."""
    for lease_ns in (5 * S, 500 * S, S):
        await shared.enter([Slot(slot_key="s", limit=9)], "l", START_NS, lease_ns)
    (key,) = [key async for key in server.scan_iter(f"{{{namespace}}}:c:*")]
    assert 540_000 < await server.pttl(key) <= 560_000


async def test_keys_of_any_text_are_told_apart(shared: SharedCounters) -> None:
    """A separator inside a name makes no other line of it, and names come back from a sweep as they were."""
    names = [("a:b", "c"), ("a", "b:c"), ("é:\n", ""), ("", "é")]
    lines = tuple(BudgetLine(budget_key=b, window_key=w, limit_pusd=9, seed_pusd=n) for n, (b, w) in enumerate(names))
    memo = bytes(range(256))
    await shared.reserve(NewHold(hold_id="h 1:é", lines=lines, amount_pusd=1, lease_ns=S, memo=memo), START_NS)
    wanted = tuple(LineName(budget_key=budget, window_key=window) for budget, window in names)
    assert [count and count.spent_pusd for count in await shared.look(wanted)] == [0, 1, 2, 3]
    (swept,) = await shared.sweep(START_NS + S, S)
    assert (swept.hold_id, swept.lines, swept.memo) == ("h 1:é", wanted, memo)


@pytest.mark.parametrize("lost", ["enter", "leave"])
async def test_a_slot_whose_question_was_lost_is_free_again(
    shared: SharedCounters, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """Redis let it in too late for its caller, or heard nothing of its leaving; the lease would last for minutes."""
    slots, run = (Slot(slot_key="key", limit=1),), shared.link.run

    async def lose(script: Script, *asked: Any) -> Any:
        if lost == "enter":
            await run(script, *asked)
        raise CountersUnavailable("too late")

    shared._departures._late_s = 0.001
    if lost == "leave":
        await shared.enter(slots, "a", START_NS, 600 * S)
    with monkeypatch.context() as patch:
        patch.setattr(shared.link, "run", lose)
        asked = shared.enter(slots, "a", START_NS, 600 * S) if lost == "enter" else shared.leave(slots, "a")
        with pytest.raises(CountersUnavailable):
            await asked
    async with asyncio.timeout(10):
        while not (await shared.enter(slots, "b", START_NS, 600 * S)).is_admitted:
            await asyncio.sleep(0.005)
    assert (await shared.enter(slots, "b", START_NS, 600 * S)).is_admitted


async def test_who_was_never_asked_for_is_not_let_out(shared: SharedCounters, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Redis is spared nothing reaches it."""

    async def spare(*_: Any) -> Any:
        raise CountersSpared("spared")

    monkeypatch.setattr(shared.link, "run", spare)
    with pytest.raises(CountersSpared):
        await shared.enter((Slot(slot_key="key", limit=1),), "a", START_NS, S)
    assert len(shared._departures) == 0
