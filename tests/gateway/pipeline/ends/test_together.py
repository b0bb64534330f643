"""Calls that are answered whole in one turn end together: all are recorded before one is answered."""

import asyncio
from typing import Any, cast

import pytest
from caches import make_caching
from fakes import CALLER, FakeBackend, FakeClient, FakeRecorder, make_call, make_inbound, make_services, rows_of, whole
from limiting import make_gate
from msgspec.structs import replace

from gateway.backends.interface import Client
from gateway.config.settings import Ledger, Settings
from gateway.errors import Fault
from gateway.limits.passage import Passage
from gateway.pipeline import lookup, record, reply
from gateway.pipeline.ends import together
from gateway.pipeline.flow import Inbound
from gateway.pipeline.run import run
from gateway.pipeline.services import Services


class Turns:
    """Calls that run in one turn of the loop, while another is under way."""

    def __init__(self, *steps: Any, settings: Settings | None = None, **parts: Any) -> None:
        self.log: list[str] = []
        recorder = cast("Any", FakeRecorder(self.log))
        self.backend = FakeBackend(*(steps or [whole()] * 9))
        self.services: Services = make_services(self.backend, recorder=recorder, settings=settings, **parts)
        self.services.metrics.requests_in_flight = 1

    async def ask(self, request_id: str = "r1", *, late: bool = True, **fields: Any) -> FakeClient:
        """Run a call's path to its end."""
        client = FakeClient(self.log)
        client.takes_late = late
        await run(self.inbound(request_id, **fields), cast("Client", client), self.services)
        return client

    def inbound(self, request_id: str, **fields: Any) -> Inbound:
        """A call."""
        return replace(make_inbound(make_call(), **fields), request_id=request_id)

    @property
    def open(self) -> tuple[int, int]:
        """Calls that run, but for the other, and that are not settled."""
        return self.services.metrics.requests_in_flight - 1, self.services.metrics.holds_open


async def test_calls_of_one_turn_are_all_recorded_before_one_is_answered() -> None:
    """At its end: until then they count as under way."""
    turns = Turns()
    clients = [await turns.ask(f"r{number}") for number in range(3)]
    assert (turns.log, turns.open) == ([], (3, 3))
    await asyncio.sleep(0)
    assert turns.log == ["record"] * 3 + ["send"] * 3
    assert ([client.status for client in clients], turns.open) == ([200] * 3, (0, 0))
    assert [row.request_id for row in rows_of(turns.services)] == ["r0", "r1", "r2"]
    assert [client.headers["x-watchllm-request-id"] for client in clients] == ["r0", "r1", "r2"]


@pytest.mark.parametrize("why", ["alone", "not late"])
async def test_a_call_that_is_alone_or_cannot_wait_ends_at_once(why: str) -> None:
    """There is nobody to share the steps with; or its client is over when its path is."""
    turns = Turns()
    turns.services.metrics.requests_in_flight = 0 if why == "alone" else 1
    client = await turns.ask(late=why == "alone")
    assert (client.status, turns.log) == (200, ["record", "send"])


async def test_a_call_whose_row_has_to_survive_a_loss_of_power_waits_for_the_disk() -> None:
    """It is answered after that."""
    turns = Turns(settings=Settings(ledger=Ledger(sync="strict")))
    client = await turns.ask()
    assert (client.status, turns.log) == (200, ["record", "synced", "send"])


async def test_an_answer_is_kept_before_it_leaves_the_turn() -> None:
    """Who asks the same then is given it; who asks within the turn waits for it, and is given it too."""
    turns = Turns(caching=make_caching(mode="exact"))
    clients = await asyncio.gather(turns.ask("r1"), turns.ask("r2"))
    clients.append(await turns.ask("r3"))
    assert [client.headers["x-watchllm-cache"] for client in clients] == ["miss", "hit-exact", "hit-exact"]
    assert (len(turns.backend.requests), len(turns.services.caching.flights), turns.open) == (1, 0, (0, 0))


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waited for it asks for itself."""
    turns = Turns(caching=make_caching(mode="exact"))

    def fail(*_: Any) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(lookup, "keep", fail)
    clients = await asyncio.gather(turns.ask("r1"), turns.ask("r2"))
    await asyncio.sleep(0)
    assert [client.status for client in clients] == [200, 200]
    assert (len(turns.backend.requests), len(turns.services.caching.flights), turns.open) == (2, 0, (0, 0))
    assert "no room" in caplog.text


async def test_a_call_that_cannot_be_priced_ends_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake of ours: it is told so, nothing of it stays open, and the others are answered."""
    turns, price = Turns(), record.price

    def fail(journey: Any, outcome: Any, **more: Any) -> Any:
        if journey.inbound.request_id == "r1":
            raise RuntimeError("no price for you")
        return price(journey, outcome, **more)

    monkeypatch.setattr(record, "price", fail)
    clients = [await turns.ask(f"r{number}") for number in range(3)]
    await asyncio.sleep(0)
    assert ([client.status for client in clients], turns.open) == ([200, 500, 200], (0, 0))
    assert clients[1].json["error"]["code"] == "server_error"
    assert [row.request_id for row in rows_of(turns.services)] == ["r0", "r2"]
    assert "no price for you" in caplog.text


async def test_who_cannot_be_answered_is_told_so_and_keeps_nothing_open(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its row is there, since it was made; the others get theirs."""
    turns, finish = Turns(), reply.finish

    def fail(journey: Any, *more: Any) -> None:
        if journey.inbound.request_id == "r0":
            raise RuntimeError("no words")
        finish(journey, *more)

    monkeypatch.setattr(reply, "finish", fail)
    clients = [await turns.ask(f"r{number}") for number in range(2)]
    await asyncio.sleep(0)
    assert ([client.status for client in clients], turns.open) == ([500, 200], (0, 0))
    assert clients[0].json["error"]["code"] == "server_error"
    assert [row.request_id for row in rows_of(turns.services)] == ["r0", "r1"]
    assert "no words" in caplog.text


async def test_a_client_that_leaves_before_the_turn_ends_has_left() -> None:
    """Its row says so."""
    turns = Turns()
    client = await turns.ask()
    client.leave()
    await asyncio.sleep(0)
    (row,) = rows_of(turns.services)
    assert (row.status, row.http_status, row.total_tokens) == ("cancelled", 499, 25)


async def test_who_enters_finds_free_what_calls_had_that_ended_in_the_same_turn() -> None:
    """A limit that is kept to the last call refuses nobody for one that has ended."""
    turns, gate = Turns(), make_gate()
    caller = replace(CALLER, max_concurrent=1)
    policy = gate.policy_of(caller)
    assert policy is not None

    async def ask(request_id: str) -> FakeClient:
        passage = Passage(gate, policy, request_id, turns.services.now_ns, turns.services.now_ns())
        return await turns.ask(request_id, caller=caller, passage=passage)

    first = await ask("r0")
    assert first.status == 0
    second = await ask("r1")
    await asyncio.sleep(0)
    assert [first.status, second.status] == [200, 200]
    with pytest.raises(Fault):
        await asyncio.wait_for(refused(gate, policy, turns), 1)


async def refused(gate: Any, policy: Any, turns: Turns) -> None:
    """Two at once are one too many."""
    for request_id in ("a", "b"):
        passage = Passage(gate, policy, request_id, turns.services.now_ns, turns.services.now_ns())
        if not passage.enter_at_once(0):
            await passage.enter(0, lambda: asyncio.sleep(0, 0))


async def test_a_client_to_which_nothing_can_be_said_stands_in_nobodys_way(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does a call that cannot even leave."""
    turns = Turns()
    clients = [await turns.ask(f"r{number}") for number in range(3)]
    broken, stuck = clients[:2]

    def fail(*_: Any) -> None:
        raise RuntimeError("its socket is of wood")

    broken.send = fail  # type: ignore[method-assign]
    left = together.leave

    def leave(journey: Any, *more: Any) -> None:
        if journey.asker is stuck:
            raise RuntimeError("it will not go")
        left(journey, *more)

    monkeypatch.setattr(together, "leave", leave)
    await asyncio.sleep(0)
    assert ([client.status for client in clients], turns.open) == ([0, 200, 200], (1, 1))
    assert len(rows_of(turns.services)) == 3
    assert "of wood" in caplog.text
    assert "it will not go" in caplog.text
