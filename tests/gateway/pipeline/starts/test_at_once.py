"""Kept answers that are given within one turn of the loop: as by the path, and only where nothing has to wait."""

from typing import Any, cast

import pytest
from caches import make_caching
from fakes import (
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

from gateway.config.settings import Ledger, Settings
from gateway.limits.passage import Passage
from gateway.pipeline.flow import Inbound
from gateway.pipeline.run import run
from gateway.pipeline.services import Services
from gateway.pipeline.starts.at_once import give_at_once


def kept(**parts: Any) -> Services:
    """A gateway that has the answer to the usual call in memory."""
    services = make_services(FakeBackend(whole()), caching=make_caching(mode="exact"), **parts)
    keep_usual(services)
    return services


@pytest.mark.parametrize("stream", [False, True])
async def test_it_is_the_answer_and_the_row_of_the_path(stream: bool) -> None:
    """To the byte and to the field: nobody can tell which way a call went."""
    ways: list[tuple[Any, ...]] = []
    for is_at_once in (True, False):
        services, client = kept(), FakeClient()
        inbound = make_inbound(make_call(stream=stream))
        if is_at_once:
            assert give_at_once(inbound, client, services)
        else:
            await run(inbound, client, services)
        (row,) = rows_of(services)
        assert row.is_cached
        ways.append((client.status, client.head, client.data, client.is_whole, row, sum_up(services)))
    assert ways[0] == ways[1]


def sum_up(services: Services) -> dict[Any, tuple[int, int]]:
    """What the metrics have counted."""
    return {key: (series.calls, series.overhead_us) for key, series in services.metrics.calls.items()}


async def test_its_row_is_noted_before_its_answer_is_sent() -> None:
    """With all others of the turn it is written before anything leaves."""
    log = list[str]()
    assert give_at_once(make_inbound(), FakeClient(log), kept(recorder=cast("Any", FakeRecorder(log))))
    assert log == ["record", "send"]


async def test_nothing_happens_where_nothing_is_kept() -> None:
    """The path finds that out again, and makes the call."""
    services = make_services(FakeBackend(whole()), caching=make_caching(mode="exact"))
    assert not give_at_once(make_inbound(), client := FakeClient(), services)
    assert (client.answers, rows_of(services), len(services.caching.flights)) == (0, [], 0)


def limited(_: Services) -> Inbound:
    """A call that limits govern."""
    return make_inbound(passage=cast("Passage", object()))


def capped(_: Services) -> Inbound:
    """A call that says what it may cost."""
    return make_inbound(max_cost_pusd=1)


def unknown(_: Services) -> Inbound:
    """A call of a model that is configured no more."""
    return make_inbound(make_call(model="no-such-model"))


def unwanted(_: Services) -> Inbound:
    """A call that wants an answer of its own."""
    return make_inbound(cache="refresh")


def refused(services: Services) -> Inbound:
    """A call while the ledger takes no rows."""
    cast("FakeRecorder", services.recorder).is_accepting = False
    return make_inbound()


@pytest.mark.parametrize("asked", [limited, capped, unknown, unwanted, refused])
async def test_what_has_to_be_asked_takes_the_path(asked: Any) -> None:
    """Where a room may wait, refuse or want more than what is kept."""
    services = kept()
    assert not give_at_once(asked(services), client := FakeClient(), services)
    assert (client.answers, rows_of(services)) == (0, [])


async def test_a_budget_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is any."""
    services = kept()
    monkeypatch.setattr("gateway.pipeline.budget.may_govern", lambda *_: True)
    assert not give_at_once(make_inbound(), FakeClient(), services)


async def test_a_strict_ledger_is_waited_for() -> None:
    """A row is to survive a loss of power before its answer leaves."""
    services = kept(settings=Settings(ledger=Ledger(sync="strict")))
    assert not give_at_once(make_inbound(), FakeClient(), services)
