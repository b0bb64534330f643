"""First tries of streams: one that is here to its end ends the call, any other is its path's, and nothing is lost."""

import json
from copy import copy
from typing import Any, cast

import pytest
from caches import make_caching
from fakes import (
    DONE,
    STREAM,
    USAGE_CHUNK,
    Clock,
    FakeBackend,
    FakeClient,
    FakeExchange,
    FakeTokenizers,
    chunk,
    rows_of,
    turn,
)
from msgspec.structs import replace
from posting import PostingBackend

from gateway.backends import arrived
from gateway.config.settings import Ledger
from gateway.pipeline import meter, send
from gateway.pipeline.ends import together
from providers.errors import TimedOut, Truncated, Unreachable
from tests.gateway.pipeline.test_run_arrived import STREAMS, here
from tests.gateway.pipeline.tries.test_first import SETTINGS, Calls, unread

JSON = b'{"error":{"message":"slow","code":"rate_limit"}}'


def slow_down() -> FakeExchange:
    """A refusal that is worth another try."""
    return FakeExchange(status=429, headers=((b"retry-after", b"0"),), body=JSON)


def asked(calls: Calls, count: int = 1) -> list[FakeClient]:
    """So many clients ask in one turn of the loop."""
    return [calls.ask(stream=True) for _ in range(count)]


@pytest.mark.usefixtures("no_path")
async def test_a_stream_that_is_here_to_its_end_ends_the_call() -> None:
    """Within the turn that brings it; its connection is the transport's again."""
    exchange = here(STREAM, headers=((b"x-request-id", b"up_1"),))
    backend = PostingBackend(exchange, is_prompt=False)
    calls = Calls(backend)
    (client,) = asked(calls)
    assert (client.status, len(calls.runner.running)) == (0, 1)
    backend.posted[0].arrive()
    await calls.end()
    (row,) = rows_of(calls.services)
    assert (client.status, client.events[-1], client.answers) == (200, "[DONE]", 1)
    assert (row.status, row.attempts, row.upstream_request_id, row.output_tokens) == ("complete", 1, "up_1", 10)
    assert (exchange.log, exchange.sink) == (["release"], None)
    assert calls.services.metrics.attempts == {("openai", "ok"): 1}


@pytest.mark.usefixtures("no_path")
async def test_those_of_one_turn_are_read_before_any_is_booked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own answer and row."""
    log: list[str] = []
    read, end = arrived.Arrived.read, together.record.end

    def note_read(*arguments: Any) -> Any:
        log.append("read")
        return read(*arguments)

    def note_end(*arguments: Any, **named: Any) -> Any:
        log.append("end")
        return end(*arguments, **named)

    monkeypatch.setattr(arrived.Arrived, "read", note_read)
    monkeypatch.setattr(together.record, "end", note_end)
    backend = PostingBackend(*[here(STREAM) for _ in range(3)], is_prompt=False)
    calls = Calls(backend)
    clients = asked(calls, 3)
    await turn()
    for posted in backend.posted:
        posted.arrive()
    await calls.end()
    assert log == ["read"] * 3 + ["end"] * 3
    assert [client.events[-1] for client in clients] == ["[DONE]"] * 3
    assert [row.output_tokens for row in rows_of(calls.services)] == [10] * 3


def copied(step: Any) -> Any:
    """Another exchange that brings the same."""
    return copy(step) if isinstance(step, FakeExchange) else step


ANSWERS: dict[str, tuple[Any, ...]] = {
    **{f"at once, {name}": (here(pieces),) for name, pieces in STREAMS.items()},
    **{f"in pieces, {name}": (FakeExchange(pieces),) for name, pieces in STREAMS.items()},
    "broken on its way": (FakeExchange(STREAM[:2], error=Truncated("broken off")),),
    "refused, then a stream": (slow_down(), here(STREAM)),
    "refused for good": (slow_down(),),
    "a mistake of the caller": (FakeExchange(status=400, body=b'{"error":{"message":"no such thing"}}'),),
    "silent, then a stream": (here(()), here(STREAM)),
    "too late": (TimedOut("no byte came within 5 ms", phase="first_byte"),),
    "not reached, then a stream": (Unreachable("nobody listens", sent=False), here(STREAM)),
    "unread, then a stream": (unread(), here(STREAM)),
    "unread, then nothing": (unread(), Unreachable("nobody listens", sent=False)),
    "a mistake of ours": (RuntimeError("the floor is gone"),),
}


# Of those that were not read the order in which they are sent again is no matter. Two calls: the tries of a third would
# open the breaker, and which of them meets it open is left to the waits between them.
@pytest.mark.parametrize(
    ("name", "count"), [(name, count) for name in ANSWERS for count in (1, 2) if count == 1 or "unread" not in name]
)
async def test_whatever_comes_is_what_it_is_on_the_path(name: str, count: int) -> None:
    """Status, bytes, headers, rows, tries, times and what the breaker thinks are those of calls whose paths waited."""
    told: list[Any] = []
    for kind in (FakeBackend, PostingBackend):
        first, last = ANSWERS[name][:-1], ANSWERS[name][-1]
        # The last one repeats, and is another one each time.
        steps = [copied(step) for step in first for _ in range(count)] + [copied(last) for _ in range(2 * count)]
        # The transport itself sends what was not read over a fresh connection.
        is_sent_again = name.startswith("unread") and kind is FakeBackend
        backend = kind(*(steps[count:] if is_sent_again else steps))
        calls = Calls(backend, ticks_ns=Clock(), tokenizers=cast("Any", FakeTokenizers()))
        clients = asked(calls, count)
        await calls.end()
        seen = [(client.status, client.data, client.head) for client in clients]
        told.append((seen, rows_of(calls.services), calls.breaker.state(0), list(calls.breaker.last_failures)))
    assert told[1] == told[0]
    assert all(status for status, _, _ in told[0][0])


@pytest.mark.parametrize("cancels", [True, False], ids=["stops billing", "does not"])
async def test_a_client_that_leaves_before_the_head_stops_what_can_be_stopped(cancels: bool) -> None:
    """Where that ends the billing the connection is closed; elsewhere the provider is heard to its end."""
    backend = PostingBackend(here(STREAM), is_prompt=False, cancels=cancels)
    calls = Calls(backend, tokenizers=cast("Any", FakeTokenizers()))
    (client,) = asked(calls)
    client.leave()
    await turn()
    assert backend.posted[0].is_aborted is cancels
    if not cancels:
        backend.posted[0].arrive()
    await calls.end()
    # What comes now is nobody's.
    backend.posted[0].arrive()
    await calls.end()
    (row,) = rows_of(calls.services)
    assert (row.status, row.http_status, row.attempts, row.is_estimated) == ("cancelled", 499, 1, cancels)
    assert (client.data, row.output_tokens) == (b"", 0 if cancels else 10)


async def test_who_leaves_while_it_waits_to_be_read_pays_what_it_used() -> None:
    """The provider has told that, though nobody is there to be told; nothing is closed any more."""
    backend = PostingBackend(here(STREAM), is_prompt=False)
    calls = Calls(backend)
    clients = asked(calls, 2)
    await turn()
    for posted in backend.posted:
        posted.arrive()
    clients[0].leave()
    await calls.end()
    rows = rows_of(calls.services)
    assert [(row.status, row.output_tokens, row.is_estimated) for row in rows] == [
        ("cancelled", 10, False),
        ("complete", 10, False),
    ]
    assert [posted.is_aborted for posted in backend.posted] == [False, False]


async def test_a_leader_that_leaves_stops_nothing_that_others_wait_for() -> None:
    """Who follows has the answer; with the last of them the call would have ended."""
    backend = PostingBackend(here(STREAM), is_prompt=False)
    calls = Calls(backend, caching=make_caching(mode="exact"))
    leader, follower = asked(calls, 2)
    await turn()
    leader.leave()
    await turn()
    assert backend.posted[0].is_aborted is False
    backend.posted[0].arrive()
    await calls.end()
    assert (follower.status, follower.events[-1], len(backend.requests)) == (200, "[DONE]", 1)
    assert sorted(row.status for row in rows_of(calls.services)) == ["cancelled", "complete"]


async def test_who_asks_the_same_is_given_the_stream() -> None:
    """Meanwhile and later, from one call."""
    backend = PostingBackend(here(STREAM), is_prompt=False)
    calls = Calls(backend, caching=make_caching(mode="exact"))
    clients = asked(calls, 3)
    await turn()
    backend.posted[0].arrive()
    await calls.end()
    clients += asked(calls)
    await calls.end()
    assert [client.headers["x-watchllm-cache"] for client in clients] == ["miss"] + ["hit-exact"] * 3
    assert [client.headers["x-watchllm-provider"] for client in clients] == ["openai"] * 4
    for client in clients:
        said = [json.loads(each)["choices"][0]["delta"].get("content", "") for each in client.events[:-1]]
        assert ("".join(said), client.events[-1]) == ("Hello!", "[DONE]")
    assert len(backend.requests) == 1


@pytest.mark.parametrize("has_arrived", [False, True], ids=["on its way", "waits to be read"])
async def test_a_call_that_the_end_of_the_process_cuts_is_told_so(has_arrived: bool) -> None:
    """It has one row: what it may have cost is in doubt."""
    backend = PostingBackend(here(STREAM), is_prompt=False)
    calls = Calls(backend)
    (client, _) = asked(calls, 2)
    await turn()
    if has_arrived:
        backend.posted[0].arrive()
    for _ in range(2):
        for running in tuple(calls.runner.running):
            running.cancel()
    await calls.end()
    backend.posted[0].arrive()
    assert (client.status, client.answers, client.json["error"]["code"]) == (503, 1, "maintenance")
    assert [(row.status, row.attempts) for row in rows_of(calls.services)] == [("incomplete", 1)] * 2


@pytest.mark.parametrize("is_cut", [True, False])
async def test_a_path_that_cannot_begin_at_once_begins_all_the_same(is_cut: bool) -> None:
    """What was put off is done inside another's path, and the process ends in the same turn."""
    backend = PostingBackend(*[here((*STREAM[:3], DONE)) for _ in range(2)], is_prompt=False)
    calls = Calls(backend, tokenizers=cast("Any", FakeTokenizers()))
    clients = asked(calls, 2)
    await turn()
    for posted in backend.posted:
        posted.arrive()
    calls.services.recorder.turn.finish()
    for running in tuple(calls.runner.running) if is_cut else ():
        running.cancel()
    await calls.end()
    status, kind = (503, "incomplete") if is_cut else (200, "complete")
    assert [(client.status, client.answers) for client in clients] == [(status, 1)] * 2
    assert [row.status for row in rows_of(calls.services)] == [kind] * 2


@pytest.mark.parametrize(
    "step",
    [
        (arrived.Arrived, "read"),
        (send, "find_guard"),
        (send, "note_answer"),
        (together, "end"),
        (meter, "estimate_pusd"),
    ],
    ids=lambda step: step[1],
)
async def test_a_mistake_on_the_way_is_the_paths(step: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is raised into the connection that brought the answer; the call has one row, and nothing stays open."""

    def fail(*_: Any) -> None:
        raise RuntimeError("the floor is gone")

    backend = PostingBackend(here(STREAM), is_prompt=False)
    calls = Calls(backend)
    clients = asked(calls, 2)
    await turn()
    monkeypatch.setattr(*step, fail)
    for posted in backend.posted:
        posted.arrive()
    await calls.end()
    assert [(client.status, client.answers) for client in clients] == [(500, 1)] * 2
    assert len(rows_of(calls.services)) == 2


async def test_what_was_read_to_no_avail_is_read_once_more() -> None:
    """Piece by piece, as what does not tell its usage is; the end is the same."""
    exchange = here((*STREAM[:3], DONE))
    calls = Calls(PostingBackend(exchange), tokenizers=cast("Any", FakeTokenizers()))
    (client,) = asked(calls)
    await calls.end()
    (row,) = rows_of(calls.services)
    assert (client.events[-1], row.status, row.output_tokens, row.is_estimated) == ("[DONE]", "complete", 6, True)
    assert exchange.sink is not None


NOT_POSTED: dict[str, dict[str, Any]] = {
    "its row has to survive a loss of power": {"settings": replace(SETTINGS, ledger=Ledger(sync="strict"))},
    "no connection was kept": {"is_kept": False},
    "it is spared": {"is_open": True},
    "its client has left": {"is_gone": True},
}


@pytest.mark.parametrize("why", NOT_POSTED)
async def test_a_stream_that_has_more_to_wait_for_takes_its_path(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent once, or not at all where nothing may be sent."""
    how = NOT_POSTED[why]
    backend = PostingBackend(here(STREAM))
    calls = Calls(backend, how.get("settings", SETTINGS))
    if how.get("is_open"):
        calls.breaker.spare(calls.services.ticks_ns(), 10**12)
    if not how.get("is_kept", True):
        monkeypatch.setattr(backend, "post", lambda *_: None)
    client = FakeClient()
    client.is_gone = how.get("is_gone", False)
    monkeypatch.setattr("tests.gateway.pipeline.tries.test_first.FakeClient", lambda: client)
    asked(calls)
    await calls.end()
    assert backend.posted == []
    assert (client.status, len(backend.requests)) == ((503, 0) if how.get("is_open") else (200, 1))


async def test_a_stream_goes_out_though_whole_calls_could_be_stopped() -> None:
    """What stops a call that is no stream is nothing to it."""
    backend = PostingBackend(here((chunk(), chunk(None, "stop"), USAGE_CHUNK, DONE)), stops=True)
    calls = Calls(backend)
    (client,) = asked(calls)
    await calls.end()
    assert (client.status, len(backend.posted)) == (200, 1)
