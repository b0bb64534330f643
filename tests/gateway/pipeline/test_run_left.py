"""Whole calls whose client leaves, through all rooms: what an engine that stops is spared, and what it costs."""

import asyncio
from typing import Any, cast

import pytest
from fakes import Clock, FakeBackend, FakeRecorder, answer_body, make_inbound, rows_of, turn, whole

from gateway.caching.auditing.audits import SilentClient
from gateway.config.settings import Ledger
from gateway.pipeline.run import run
from providers.errors import Refused
from tests.gateway.pipeline.test_run import Path
from tests.gateway.pipeline.test_run_joined import Crowd, Gate

DOWN = Refused("down", upstream_status=503)


class Engine:
    """An answer that comes when it is let go, and tells how many were worked on and how many of them were stopped."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.begun = self.stopped = 0

    async def __call__(self) -> Any:
        """Work."""
        self.begun += 1
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        return whole()


async def test_leaving_stops_an_engine_that_stops() -> None:
    """The prompt was sent, so it is charged as an estimate, and the row says 499."""
    engine = Engine()
    path = Path(FakeBackend(engine, stops=True))
    task = await path.begin(lambda: engine.begun)
    path.client.leave()
    await task
    assert (engine.stopped, path.ending) == (1, ("cancelled", 499, ""))
    assert (path.row.input_tokens, path.row.output_tokens, path.row.is_estimated) == (1_000, 0, True)
    assert (path.row.provider, path.row.attempts, path.services.metrics.holds_open) == ("openai", 1, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_time_until_a_client_leaves_is_the_engines(stream: bool) -> None:
    """It is told as the gateway's own in no row and no metric, also not of a stream that had not begun."""
    clock, engine = Clock(), Engine()
    path = Path(FakeBackend(engine, stops=True), stream=stream, ticks_ns=clock)
    task = await path.begin(lambda: engine.begun)
    clock.pass_ms(5_000)
    path.client.leave()
    await task
    assert (path.row.latency_ms, path.row.overhead_us) == (5_000, 0)


async def test_for_a_client_that_left_before_nothing_is_sent() -> None:
    """Nothing is owed either."""
    backend = FakeBackend(whole(), stops=True)
    path = Path(backend)
    path.client.leave()
    await path.run()
    assert (backend.requests, path.ending) == ([], ("cancelled", 499, ""))
    assert (path.row.provider, path.row.attempts, path.row.total_tokens, path.row.cost_pusd) == ("", 0, 0, 0)
    assert path.services.metrics.holds_open == 0


async def test_leaving_at_the_next_target_stops_that_one() -> None:
    """Whatever the first one would have done."""
    engine = Engine()
    path = Path(FakeBackend(DOWN, name="a"), FakeBackend(engine, name="b", stops=True))
    task = await path.begin(lambda: engine.begun)
    path.client.leave()
    await task
    assert (engine.stopped, path.row.provider, path.row.attempts, path.row.status) == (1, "b", 2, "cancelled")


async def test_leaving_after_the_answer_came_stops_nothing() -> None:
    """It is recorded with its own figures, once."""
    path = Path(FakeBackend(whole(), stops=True), ledger=Ledger(sync="strict"))

    async def leave() -> None:
        path.client.leave()
        await turn()

    cast("FakeRecorder", path.services.recorder).on_sync = leave
    await path.run()
    assert (path.ending, path.row.total_tokens, path.row.is_estimated) == (("complete", 200, ""), 25, False)
    assert (path.client.answers, path.client.status) == (1, 200)


async def test_a_failed_try_is_watched_no_longer() -> None:
    """A client that leaves while its refusal is written is refused all the same, and recorded once."""
    path = Path(FakeBackend(Refused("no", upstream_status=400), stops=True), ledger=Ledger(sync="strict"))

    async def leave() -> None:
        path.client.leave()
        await turn()

    cast("FakeRecorder", path.services.recorder).on_sync = leave
    await path.run()
    assert (path.client.status, path.row.status) == (400, "failed")


async def test_a_call_of_the_gateways_own_has_nobody_who_leaves() -> None:
    """It is made to its end."""
    path = Path(FakeBackend(whole(), stops=True))
    await run(make_inbound(path.call), SilentClient(), path.services)
    assert (path.row.status, path.row.total_tokens) == ("complete", 25)


@pytest.mark.parametrize("leads_on", [False, True])
async def test_a_leader_that_leaves_ends_nobody_elses_call(leads_on: bool) -> None:
    """It goes on for those who follow, and is charged to it, as a stream is; its row says whether it was there."""
    engine = Engine()
    crowd = Crowd(FakeBackend(engine, stops=True))
    leader = await crowd.lead()
    followers = [await crowd.follow(), await crowd.follow(stream=True)]
    if not leads_on:
        leader.leave()
    await turn()
    late = await crowd.follow()
    engine.go_on.set()
    await crowd.settle()
    assert (engine.begun, engine.stopped) == (1, 0)
    assert [client.headers["x-watchllm-cache"] for client in (*followers, late)] == ["hit-exact"] * 3
    assert late.json["choices"][0]["message"]["content"] == "Hello!"
    rows = {row.request_id: row for row in rows_of(crowd.services)}
    assert (rows["r1"].status, rows["r1"].http_status) == (("complete", 200) if leads_on else ("cancelled", 499))
    assert (rows["r1"].total_tokens, rows["r1"].is_estimated) == (25, False)
    assert [rows[name].cost_pusd for name in ("r2", "r3", "r4")] == [0, 0, 0]


@pytest.mark.parametrize("leader_goes_first", [True, False])
async def test_the_last_one_who_leaves_ends_the_call(leader_goes_first: bool) -> None:
    """Be it the leader or one who follows; nobody joins it any more, even before it is recorded."""
    engine = Engine()
    crowd = Crowd(FakeBackend(engine, stops=True))
    leader = await crowd.lead()
    follower = await crowd.follow()
    first, last = (leader, follower) if leader_goes_first else (follower, leader)
    first.leave()
    for _ in range(20):
        await turn()
    assert (engine.stopped, len(crowd.caching.flights)) == (0, 1)
    last.leave()
    assert len(crowd.caching.flights) == 0
    own = crowd.ask()
    await crowd.until(lambda: engine.begun == 2)
    engine.go_on.set()
    await crowd.settle()
    assert (engine.stopped, own.headers["x-watchllm-cache"], own.status) == (1, "miss", 200)
    rows = {row.request_id: row for row in rows_of(crowd.services)}
    assert {rows[name].status for name in ("r1", "r2")} == {"cancelled"}
    assert (rows["r1"].input_tokens, rows["r1"].is_estimated, rows["r2"].total_tokens) == (1_000, True, 0)
    assert rows["r3"].status == "complete"


@pytest.mark.parametrize("leaves_before", [True, False])
async def test_nobody_joins_a_call_that_was_left_while_it_is_settled(leaves_before: bool) -> None:
    """Whether it was sent or not: they would be told that it was stopped."""
    engine = Engine()
    crowd = Crowd(FakeBackend(engine, stops=True))
    joinable: list[int] = []
    recorder = cast("Any", crowd.services.recorder)
    recorder.record = lambda _: joinable.append(len(crowd.caching.flights))
    leader = crowd.ask() if leaves_before else await crowd.lead()
    leader.leave()
    await crowd.settle()
    assert (engine.begun, joinable) == (int(not leaves_before), [0])


async def test_a_leader_that_leaves_where_nothing_stops_is_waited_for() -> None:
    """What comes is kept, and given to those who ask meanwhile."""
    gate = Gate(answer_body())
    crowd = Crowd(FakeBackend(gate))
    leader = await crowd.lead()
    leader.leave()
    follower = await crowd.follow()
    gate.opened.set()
    await crowd.settle()
    assert (gate.asked, follower.headers["x-watchllm-cache"]) == (1, "hit-exact")


async def test_those_who_follow_are_followed_to_the_next_target() -> None:
    """The leader is gone, and the first target fails for all."""
    first, engine = Engine(), Engine()

    async def fail() -> Any:
        await first()
        raise DOWN

    crowd = Crowd(FakeBackend(fail, stops=True), FakeBackend(engine, name="b", stops=True))
    leader = await crowd.lead()
    follower = await crowd.follow()
    leader.leave()
    first.go_on.set()
    await crowd.until(lambda: engine.begun)
    assert engine.stopped == 0
    follower.leave()
    await crowd.settle()
    assert (first.stopped, engine.stopped) == (0, 1)
