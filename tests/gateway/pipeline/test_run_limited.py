"""A limited call through all rooms: whatever happens to it, it gives back what it took, before its answer ends."""

import asyncio
from typing import Any, cast

import pytest
from caches import make_caching
from fakes import (
    CALLER,
    STREAM,
    FakeBackend,
    FakeClient,
    FakeExchange,
    chunk,
    make_call,
    make_inbound,
    make_services,
    rows_of,
    turn,
    whole,
)
from limiting import make_gate
from msgspec.structs import replace

from gateway.backends.interface import Client
from gateway.config.settings import Retries, Settings
from gateway.counters.interface import Counters, Slot
from gateway.counters.local_limits import Leases, LocalSlots
from gateway.counters.memory import MemoryCounters
from gateway.errors import Fault
from gateway.limits.passage import Passage
from gateway.pipeline import limits
from gateway.pipeline.run import run
from providers.errors import Refused

LIMITS = {"requests_per_minute": 5, "tokens_per_minute": 10_000, "max_concurrent": 1}


class Watched(Leases):
    """Tells whether the answer had ended when its call left."""

    def __init__(self, client: FakeClient, was_whole: list[bool]) -> None:
        self.client, self.was_whole = client, was_whole
        self.inside_alone = 0
        super().__init__()
        self.expires_ns: dict[str, int] = WatchedDict(self)

    @property
    def present(self) -> int:
        """Who is inside without a lease."""
        return self.inside_alone

    @present.setter
    def present(self, value: int) -> None:
        if value < self.inside_alone:
            self.was_whole.append(self.client.is_whole)
        self.inside_alone = value


class WatchedDict(dict[str, int]):
    """Those with a lease."""

    def __init__(self, leases: Watched) -> None:
        super().__init__()
        self.leases = leases

    def pop(self, *asked: Any) -> Any:
        """Leave."""
        self.leases.was_whole.append(self.leases.client.is_whole)
        return super().pop(*asked)


class WatchedSlots(LocalSlots):
    """Slots all of which are watched."""

    def __init__(self, client: FakeClient) -> None:
        super().__init__()
        self.client = client
        self.was_whole: list[bool] = []

    def leases_of(self, slot: Slot) -> Leases:
        """Find who is inside."""
        if slot.slot_key not in self._leases:
            self._leases[slot.slot_key] = Watched(self.client, self.was_whole)
        return super().leases_of(slot)


class WaitingCounters(MemoryCounters):
    """Leaving takes a turn of the loop, as it does with Redis."""

    def __init__(self, client: FakeClient) -> None:
        super().__init__()
        self.slots: WatchedSlots = WatchedSlots(client)

    async def leave(self, *asked: Any) -> None:
        """Free the slots."""
        await turn()
        await super().leave(*asked)


class LimitedPath:
    """One limited call: its client, its key's counters, and its passage."""

    # Counted in this process alone, or as if through Redis.
    is_alone = True

    def __init__(self, backend: Any, *, stream: bool = False, **limits: int) -> None:
        self.client = FakeClient()
        self.counters = WaitingCounters(self.client)
        self.gate = make_gate(cast("Counters", self.counters))
        self.gate.local = self.counters if self.is_alone else None
        self.services = make_services(backend, settings=Settings(retries=Retries(max_tries=1)))
        self.caller = replace(CALLER, **(limits or LIMITS))
        self.call = make_call(stream=stream)
        self.passage = self.make_passage("lease")

    def make_passage(self, lease_id: str) -> Passage:
        """Another call's."""
        policy = self.gate.policy_of(self.caller)
        assert policy is not None
        return Passage(self.gate, policy, lease_id, self.services.now_ns, self.services.now_ns())

    async def run(self) -> None:
        """Go through to the end."""
        inbound = make_inbound(self.call, caller=self.caller, passage=self.passage)
        await run(inbound, cast("Client", self.client), self.services)

    @property
    def used_tokens(self) -> list[int]:
        """What the key's minute has counted."""
        return [
            count.used
            for frame in self.counters.rates._frames.values()
            for name, count in frame.counts.items()
            if "tokens" in name
        ]


@pytest.fixture(params=[True, False], ids=["alone", "waiting"], autouse=True)
def _of_each_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this holds for both kinds of counters."""
    monkeypatch.setattr(LimitedPath, "is_alone", request.param)


async def test_a_call_leaves_before_its_answer_ends_and_pays_what_it_used() -> None:
    """Who asks again at once finds the slot free."""
    path = LimitedPath(FakeBackend(whole()))
    await path.run()
    assert (path.client.status, path.counters.slots.was_whole, len(path.counters.slots)) == (200, [False], 0)
    assert path.client.headers["x-ratelimit-remaining"] == "4"
    assert path.used_tokens == [rows_of(path.services)[0].total_tokens] == [25]


@pytest.mark.parametrize("kind", ["whole", "stream", "broken", "failed", "unknown"])
async def test_every_answer_tells_of_the_limits_once(kind: str) -> None:
    """Whole or streamed, the provider's failure or the caller's own, and where the path itself fails."""
    answers = {
        "stream": FakeExchange(STREAM),
        "failed": Refused("down", upstream_status=503),
        "broken": RuntimeError("a mistake of ours"),
    }
    path = LimitedPath(FakeBackend(answers.get(kind, whole())), stream=kind == "stream")
    if kind == "unknown":
        path.call = make_call(model="nothing")
    await path.run()
    told = [line.partition(b":")[0] for line in path.client.head.split(b"\r\n")]
    assert [told.count(b"x-ratelimit-%s" % name) for name in (b"limit", b"remaining", b"reset")] == [1, 1, 1]
    assert (path.client.status < 400, len(path.counters.slots)) == (kind in {"whole", "stream"}, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_given_again_tells_of_the_limits_and_uses_no_tokens(stream: bool) -> None:
    """A request it is all the same."""
    path = LimitedPath(FakeBackend(whole()))
    path.services = replace(path.services, caching=make_caching(mode="exact"))
    await path.run()
    path.client, path.passage, path.call = FakeClient(), path.make_passage("other"), make_call(stream=stream)
    path.counters.slots.client = path.client
    await path.run()
    told = path.client.headers
    assert (told["x-watchllm-cache"], told["x-ratelimit-remaining"]) == ("hit-exact", "3")
    assert (path.used_tokens, len(path.counters.slots)) == ([25], 0)


async def test_a_failed_call_pays_nothing_and_leaves() -> None:
    """The provider made nothing."""
    path = LimitedPath(FakeBackend(Refused("down", upstream_status=503)))
    await path.run()
    assert (path.client.status >= 500, path.counters.slots.was_whole, path.used_tokens) == (True, [False], [0])
    assert path.client.headers["x-ratelimit-remaining"] == "4"


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(("limits", "gives_way"), [({"requests_per_minute": 5}, True), ({"max_concurrent": 1}, False)])
async def test_the_providers_limits_give_way_to_ours_alone(
    limits: dict[str, int], gives_way: bool, fails: bool
) -> None:
    """In answers and in errors: two of one name would contradict each other. Where we tell none, theirs stay."""
    theirs = [(b"x-ratelimit-limit-requests", b"9"), (b"x-request-id", b"theirs"), (b"x-ratelimit-reset", b"1s")]
    refused = Refused("busy", upstream_status=429)
    refused.headers = theirs
    as_written = [(b"X-RateLimit-Limit-Requests", b"9"), *theirs[1:]]
    path = LimitedPath(FakeBackend(refused if fails else whole(headers=as_written)), **limits)
    await path.run()
    assert path.client.status == (429 if fails else 200)
    told = sorted(name.lower() for name in path.client.headers if name.lower().startswith("x-ratelimit"))
    ours = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]
    assert told == (ours if gives_way else ["x-ratelimit-limit-requests", "x-ratelimit-reset"])
    assert path.client.headers.get("x-ratelimit-reset") != "1s" or not gives_way
    assert path.client.headers["x-request-id"] == "theirs"


async def test_a_call_that_never_gets_out_leaves() -> None:
    """No such model."""
    path = LimitedPath(FakeBackend(whole()))
    path.call = make_call(model="nothing")
    await path.run()
    assert (path.client.status, len(path.counters.slots), path.used_tokens) == (400, 0, [0])


async def test_a_refused_call_is_told_so_and_calls_nobody() -> None:
    """429, with the headers, and nothing recorded."""
    backend = FakeBackend(whole())
    path = LimitedPath(backend, requests_per_minute=0)
    await path.run()
    assert (path.client.status, path.client.json["error"]["code"]) == (429, "rate_limit_exceeded")
    assert (path.client.headers["x-ratelimit-remaining"], rows_of(path.services)) == ("0", [])


async def test_a_stream_holds_its_slot_to_its_end() -> None:
    """Chunks pass at once; the end comes when the slot is free."""
    exchange = FakeExchange(STREAM, is_prompt=False)
    path = LimitedPath(FakeBackend(exchange), stream=True)
    task = asyncio.get_running_loop().create_task(path.run())
    while exchange.sink is None:
        await turn()
    exchange.sink.piece(chunk("Hel"))
    while not path.client.data:
        await turn()
    assert (len(path.counters.slots), b"Hel" in path.client.data) == (1, True)
    exchange.play()
    await task
    assert (path.client.is_whole, path.counters.slots.was_whole, len(path.counters.slots)) == (True, [False], 0)


async def test_a_call_that_is_cancelled_leaves_everything() -> None:
    """The process is shutting down; the client is told."""
    path = LimitedPath(FakeBackend(FakeExchange(is_prompt=False)), stream=True)
    task = asyncio.get_running_loop().create_task(path.run())
    for _ in range(6):
        await turn()
    task.cancel()
    await asyncio.wait([task])
    assert (len(path.counters.slots), path.client.status) == (0, 503)


async def test_a_whole_call_that_is_left_frees_its_slot() -> None:
    """Where its engine stops; what it may have used counts."""
    backend = FakeBackend(asyncio.get_running_loop().create_future, stops=True)
    path = LimitedPath(backend)
    task = asyncio.get_running_loop().create_task(path.run())
    while not backend.requests:
        await turn()
    assert len(path.counters.slots) == 1
    path.client.leave()
    await asyncio.wait({task}, timeout=1)
    assert task.done()
    (row,) = rows_of(path.services)
    assert (len(path.counters.slots), path.used_tokens, row.status) == (0, [row.total_tokens], "cancelled")
    assert row.total_tokens > 0


async def test_a_request_that_cannot_become_a_call_counts_as_one() -> None:
    """Its fault is told, with the limits; one too many is told that instead."""
    path = LimitedPath(FakeBackend(whole()), requests_per_minute=1)
    for status in (415, 429):
        passage, client = path.make_passage("other"), FakeClient()
        await limits.refuse("r1", passage, cast("Client", client), Fault("unsupported_media_type", "No."))
        assert (client.status, client.headers["x-ratelimit-remaining"]) == (status, "0")


@pytest.mark.parametrize("requests", [0, 1])
async def test_who_may_not_enter_gives_back_nothing_twice(requests: int) -> None:
    """Another call's slot stays taken."""
    path = LimitedPath(FakeBackend(whole()), max_concurrent=1, requests_per_minute=requests + 1)
    other = path.make_passage("another call")
    await other.enter(0, lambda: asyncio.sleep(0, 0))
    await path.run()
    assert (path.client.status, len(path.counters.slots)) == (429, 1)
