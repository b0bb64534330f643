"""Calls that came in one turn begin together: each step is taken for all of them, and none is lost or done twice."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from caches import make_caching
from fakes import (
    CALLER,
    FakeBackend,
    FakeClient,
    FakeRecorder,
    make_call,
    make_inbound,
    make_services,
    rows_of,
    whole,
)
from kept_answers import keep_usual
from limiting import make_gate
from msgspec.structs import replace
from posting import PostingBackend

from gateway.backends.interface import Client
from gateway.limits.passage import Passage
from gateway.pipeline import run
from gateway.pipeline.services import Services
from gateway.pipeline.starts.together import Starter
from gateway.server.drive import Runner


def late_client(log: list[str] | None = None) -> FakeClient:
    """A client that takes its answer when its call's path is over, too."""
    client = FakeClient(log)
    client.takes_late = True
    return client


class Starts:
    """Calls that come while another is under way, and everything that happened to them, in order."""

    provider: type[FakeBackend] = FakeBackend

    def __init__(self, *steps: Any, **parts: Any) -> None:
        self.log: list[str] = []
        self.backend = self.provider(*(steps or [whole()] * 9))
        recorder = cast("Any", FakeRecorder(self.log))
        self.services: Services = make_services(self.backend, recorder=recorder, **parts)
        self.services.metrics.requests_in_flight = 1
        self.tasks: set[Any] = set()
        self.starter = Starter(self.services, Runner(self.tasks))
        self.gate = make_gate()

    def ask(self, request_id: str = "r1", **fields: Any) -> FakeClient:
        """A call comes."""
        client = late_client(self.log)
        inbound = replace(make_inbound(make_call(), **fields), request_id=request_id)
        self.starter.begin(inbound, cast("Client", client))
        return client

    def limited(self, request_id: str, **limits: int) -> dict[str, Any]:
        """What a call brings with it whose key has limits."""
        caller = replace(CALLER, **limits)
        policy = self.gate.policy_of(caller)
        assert policy is not None
        now_ns = self.services.now_ns
        return {"caller": caller, "passage": Passage(self.gate, policy, request_id, now_ns, now_ns())}

    async def end(self) -> None:
        """Let them all come to their end."""
        while True:
            await asyncio.sleep(0)
            if not self.tasks and self.services.metrics.requests_in_flight == 1:
                return

    @property
    def open(self) -> tuple[int, int]:
        """Calls that run, but for the other, and that are not settled."""
        return self.services.metrics.requests_in_flight - 1, self.services.metrics.holds_open


@pytest.fixture(params=[FakeBackend, PostingBackend], autouse=True, ids=["by paths", "at once"])
def provider(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is as it is said below, whether a call's path waits for the answer or the answer ends it."""
    monkeypatch.setattr(Starts, "provider", request.param)


def watch(
    starts: Starts, monkeypatch: pytest.MonkeyPatch, name: str, fail: Callable[[Any], None] | None = None
) -> None:
    """Have a step of the path logged as it is taken, and fail where that is asked for."""
    step = getattr(run, name)

    def taken(journey: Any, *more: Any) -> Any:
        starts.log.append(name)
        if fail is not None:
            fail(journey)
        return step(journey, *more)

    monkeypatch.setattr(run, name, taken)


async def test_each_step_is_taken_for_all_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the read that brought them, but at the end of its turn; and each step once."""
    starts = Starts()
    for name in ("enter", "hold", "look"):
        watch(starts, monkeypatch, name)
    clients = [starts.ask(f"r{number}") for number in range(3)]
    assert (starts.log, starts.open) == ([], (0, 0))
    await asyncio.sleep(0)
    begun = [*["enter"] * 3, *["hold"] * 3, *["look"] * 3]
    assert starts.log[:9] == begun
    await starts.end()
    assert starts.log == [*begun, *["record"] * 3, *["send"] * 3]
    assert [client.status for client in clients] == [200] * 3
    assert [row.request_id for row in rows_of(starts.services)] == ["r0", "r1", "r2"]
    assert (len(starts.backend.requests), starts.open) == (3, (0, 0))


async def test_a_call_that_is_alone_begins_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nobody to share the steps with."""
    starts = Starts()
    starts.services.metrics.requests_in_flight = 0
    watch(starts, monkeypatch, "look")
    client = starts.ask()
    assert starts.log == ["look"]
    starts.services.metrics.requests_in_flight += 1
    await starts.end()
    assert (client.status, starts.open) == (200, (0, 0))


async def test_what_one_call_is_refused_for_is_its_own_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that nobody has, and an answer that only the cache may give; each is found out once."""
    starts = Starts(caching=make_caching(mode="exact"))
    watch(starts, monkeypatch, "look")
    clients = [starts.ask("r0"), starts.ask("r1", cache="only")]
    client = late_client()
    inbound = replace(make_inbound(replace(make_call(), model="nobody-has-it")), request_id="r2")
    starts.starter.begin(inbound, cast("Client", client))
    await starts.end()
    assert [each.status for each in (*clients, client)] == [200, 504, 400]
    assert client.json["error"]["code"] == "invalid_model"
    assert starts.log.count("look") == 3
    assert (len(starts.backend.requests), starts.open) == (1, (0, 0))


@pytest.mark.parametrize("name", ["enter", "hold", "look"])
async def test_a_mistake_of_ours_fails_one_call_alone(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told so, nothing of it stays open, and the others are answered."""
    starts = Starts()

    def fail(journey: Any) -> None:
        if journey.inbound.request_id == "r1":
            raise RuntimeError("the floor is gone")

    watch(starts, monkeypatch, name, fail)
    clients = [starts.ask(f"r{number}") for number in range(3)]
    await starts.end()
    assert ([client.status for client in clients], starts.open) == ([200, 500, 200], (0, 0))
    assert "the floor is gone" in caplog.text


async def test_nobody_is_let_in_while_the_ledger_takes_no_rows() -> None:
    """All are refused, each for itself, and as requests they count once."""
    starts = Starts()
    cast("Any", starts.services.recorder).is_accepting = False
    taken = [starts.limited(f"r{number}", requests_per_minute=3) for number in range(3)]
    clients = [starts.ask(f"r{number}", **fields) for number, fields in enumerate(taken)]
    await starts.end()
    assert ([client.status for client in clients], starts.open) == ([503, 503, 503], (0, 0))
    assert starts.backend.requests == []


async def test_a_limit_lets_in_as_many_as_it_says() -> None:
    """Whoever is beyond it waits for nobody, and is told; each has taken one request, once."""
    starts = Starts()
    clients = [starts.ask(f"r{n}", **starts.limited(f"r{n}", requests_per_minute=3)) for n in range(5)]
    await starts.end()
    assert sorted(client.status for client in clients) == [200, 200, 200, 429, 429]
    assert [client.headers["x-ratelimit-remaining"] for client in clients[:3]] == ["2", "1", "0"]
    assert (len(starts.backend.requests), starts.open) == (3, (0, 0))


async def test_who_begins_finds_free_what_calls_had_that_ended_in_the_same_turn() -> None:
    """Ends come before starts, whichever came first."""
    starts = Starts()
    first = starts.ask("r0", **starts.limited("r0", max_concurrent=1))
    await asyncio.sleep(0)
    second = starts.ask("r1", **starts.limited("r1", max_concurrent=1))
    await starts.end()
    assert [first.status, second.status] == [200, 200]


async def test_calls_that_ask_the_same_in_one_turn_are_one_call() -> None:
    """The first makes it; the others have its answer, be it over before they begin."""
    starts = Starts(caching=make_caching(mode="exact"))
    clients = [starts.ask(f"r{number}") for number in range(3)]
    await asyncio.wait_for(starts.end(), 5)
    assert [client.headers["x-watchllm-cache"] for client in clients] == ["miss", "hit-exact", "hit-exact"]
    assert (len(starts.backend.requests), len(starts.services.caching.flights), starts.open) == (1, 0, (0, 0))


async def test_a_call_that_fails_at_once_leaves_nobody_waiting_for_it() -> None:
    """Who asked the same asks for itself: the one that it would have joined was over when its own path began.

    What was posted fails later: who has joined meanwhile is told so.
    """
    starts = Starts(RuntimeError("no such wire"), whole(), caching=make_caching(mode="exact"))
    clients = [starts.ask(f"r{number}") for number in range(2)]
    await asyncio.wait_for(starts.end(), 5)
    assert [client.status for client in clients] == [500, 200 if starts.provider is FakeBackend else 500]


async def test_what_is_kept_is_given_and_no_call_is_made() -> None:
    """As on the path of one call."""
    starts = Starts(caching=make_caching(mode="exact"))
    keep_usual(starts.services)
    clients = [starts.ask(f"r{number}") for number in range(2)]
    await starts.end()
    assert [client.headers["x-watchllm-cache"] for client in clients] == ["hit-exact"] * 2
    assert [row.is_cached for row in rows_of(starts.services)] == [True, True]
    assert (starts.backend.requests, starts.open) == ([], (0, 0))


async def test_a_client_that_leaves_before_its_call_begins_has_left() -> None:
    """Its row says so, as that of one which left behind it."""
    starts = Starts()
    client = starts.ask()
    client.leave()
    await starts.end()
    (row,) = rows_of(starts.services)
    assert (row.status, row.http_status, starts.open) == ("cancelled", 499, (0, 0))
