"""Streams that are here to their end before they are read: what comes of them is what comes of them in pieces."""

import asyncio
import json
from typing import Any, cast

import pytest
from fakes import (
    DONE,
    STREAM,
    USAGE_CHUNK,
    Clock,
    FakeBackend,
    FakeClient,
    FakeExchange,
    FakeRecorder,
    FakeTokenizers,
    answer_body,
    chunk,
    make_inbound,
    rows_of,
    turn,
)
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.settings import Ledger
from gateway.ledger.row import UsageRow
from gateway.pipeline.run import run
from tests.gateway.pipeline.test_run import Path
from tests.gateway.pipeline.test_run_joined import Crowd

BROKEN = b'data: {"error":{"message":"overloaded"}}\n\n'
STREAMS: dict[str, tuple[bytes, ...]] = {
    "usual": STREAM,
    "one event": STREAM[1:],
    "without [DONE]": STREAM[:-1],
    "without usage": (*STREAM[:3], DONE),
    "usage of nothing": (*STREAM[:3], USAGE_CHUNK.replace(b"10", b"0").replace(b"25", b"15"), DONE),
    "broken": (*STREAM[:2], BROKEN),
    "broken at once": (BROKEN,),
    "cut": STREAM[:2],
    "half an event": (*STREAM[:2], STREAM[2][:20]),
    "nothing": (),
    "no stream": (answer_body(),),
    "filtered": (chunk(), chunk(None, "content_filter"), USAGE_CHUNK, DONE),
}


def here(pieces: tuple[bytes, ...], **fields: Any) -> FakeExchange:
    """An answer all of whose pieces came with its head."""
    exchange = FakeExchange(pieces, **fields)
    exchange.whole = pieces
    return exchange


async def called(
    pieces: tuple[bytes, ...], *, is_whole: bool, kind: bytes = b"text/event-stream", **parts: Any
) -> Path:
    """A call that is answered with these, at once or one by one."""
    make = here if is_whole else FakeExchange
    backend = FakeBackend(make(pieces, headers=[(b"content-type", kind)]))
    parts = {"tokenizers": cast("Any", FakeTokenizers()), "ticks_ns": Clock(), "tries": 1, **parts}
    return await Path(backend, stream=True, **parts).run()


@pytest.mark.parametrize("kind", [b"text/event-stream", b"application/json"])
@pytest.mark.parametrize("name", STREAMS)
async def test_what_is_here_at_once_is_answered_and_charged_as_in_pieces(name: str, kind: bytes) -> None:
    """Head, events, figures and row, whether it ends well or not, and whatever it calls itself."""
    at_once = await called(STREAMS[name], is_whole=True, kind=kind)
    in_pieces = await called(STREAMS[name], is_whole=False, kind=kind)
    assert (at_once.client.status, at_once.client.head, at_once.client.data) == (
        in_pieces.client.status,
        in_pieces.client.head,
        in_pieces.client.data,
    )
    assert at_once.row == in_pieces.row
    assert at_once.services.metrics.holds_open == at_once.services.metrics.requests_in_flight == 0
    assert at_once.services.relays == set()


EVENTS = [
    *STREAM,
    *STREAM,
    chunk(),
    chunk(None),
    chunk("x", "length"),
    chunk(None, "stop", usage={"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}),
    USAGE_CHUNK.replace(b"10", b"0").replace(b"25", b"15"),
    BROKEN,
    b": comment\n\n",
    b"data: {oops}\n\n",
    b"\r\n",
]


@given(st.lists(st.sampled_from(EVENTS), max_size=9))
async def test_whatever_is_here_at_once_is_answered_and_charged_as_in_pieces(pieces: list[bytes]) -> None:
    """In whatever order events come."""
    at_once, in_pieces = [await called(tuple(pieces), is_whole=is_whole) for is_whole in (True, False)]
    assert (at_once.client.status, at_once.client.head) == (in_pieces.client.status, in_pieces.client.head)
    assert (at_once.client.data, at_once.row) == (in_pieces.client.data, in_pieces.row)


async def test_it_leaves_in_one_piece_behind_its_row() -> None:
    """Head, events and end: one write to the client, once the row is durable."""
    exchange = here(STREAM)
    path = await Path(FakeBackend(exchange), stream=True).run()
    assert path.log == ["record", "start", "end"]
    assert path.client.events[-1] == "[DONE]"
    assert json.loads(path.client.events[-2])["x-WatchLLM-cost-usd"] == "0.000035"
    # Its connection is the transport's again.
    assert (exchange.log, exchange.sink) == (["release"], None)


async def test_what_cannot_be_ended_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that could fail comes before its head, so the client can be told."""

    def fail(*_: bytes) -> bytes:
        raise RuntimeError("a bug")

    monkeypatch.setattr("providers.splice.append", fail)
    path = await Path(FakeBackend(here(STREAM)), stream=True).run()
    assert (path.log, path.client.status, path.client.answers) == (["record", "send"], 500, 1)


async def test_nothing_waits_for_the_disk_but_the_end() -> None:
    """Where each row has to survive a loss of power the events go before it, as they come."""
    ledger = Ledger(sync="strict")
    path = await Path(FakeBackend(here(STREAM)), stream=True, ledger=ledger).run()
    assert path.log == ["start", "write", "record", "synced", "end"]


@pytest.mark.parametrize("name", ["usual", "without usage", "broken"])
async def test_of_a_client_that_left_it_is_charged_as_in_pieces(name: str) -> None:
    """Where the provider is read to its end nobody is given what came; it is charged, and not kept."""
    paths: list[Path] = []
    for is_whole in (True, False):
        exchange = here(STREAMS[name]) if is_whole else FakeExchange(STREAMS[name])
        path = Path(FakeBackend(exchange, cancels=False), stream=True, ticks_ns=Clock(), tokenizers=FakeTokenizers())
        path.client.leave()
        paths.append(await path.run())
    assert paths[0].row == paths[1].row
    assert (paths[0].ending, paths[0].client.data) == (("cancelled", 499, paths[1].row.error_code), b"")


async def test_leaving_behind_it_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """While its row is written there is nothing left that could be spared."""
    path = Path(FakeBackend(here(STREAM)), stream=True)
    recorder = cast("FakeRecorder", path.services.recorder)
    record = recorder.record

    def leave(row: UsageRow) -> None:
        record(row)
        path.client.leave()

    monkeypatch.setattr(recorder, "record", leave)
    await path.run()
    await turn()
    assert (path.ending, path.services.metrics.requests_in_flight) == (("complete", 200, ""), 0)


@pytest.mark.parametrize("name", STREAMS)
async def test_those_of_one_turn_are_answered_as_one_alone_is(name: str) -> None:
    """They are read and ended together, each with its own answer and row."""
    alone = await called(STREAMS[name], is_whole=True)
    backend = FakeBackend(*[here(STREAMS[name], headers=[(b"content-type", b"text/event-stream")]) for _ in range(3)])
    tokenizers: Any = FakeTokenizers()
    path = Path(backend, stream=True, ticks_ns=Clock(), tries=1, tokenizers=tokenizers)
    clients = [FakeClient() for _ in range(3)]
    await asyncio.gather(*[run(make_inbound(path.call), client, path.services) for client in clients])
    assert [(client.status, client.head, client.data) for client in clients] == 3 * [
        (alone.client.status, alone.client.head, alone.client.data)
    ]
    assert rows_of(path.services) == [alone.row] * 3
    assert path.services.metrics.requests_in_flight == 0


@pytest.mark.parametrize("follows_whole", [True, False])
async def test_who_asks_the_same_has_it_as_well(follows_whole: bool) -> None:
    """Those who follow meanwhile, in whichever form; and those who ask later have the same answer."""
    exchange = here(STREAM)
    backend = FakeBackend(lambda: later(exchange))
    crowd = Crowd(backend)
    leader = await crowd.lead(stream=True)
    follower = await crowd.follow(stream=not follows_whole)
    await crowd.settle()
    after = crowd.ask(stream=True)
    await crowd.settle()
    tells = [client.headers["x-watchllm-cache"] for client in (leader, follower, after)]
    assert (tells, len(backend.requests)) == (["miss", "hit-exact", "hit-exact"], 1)
    for client in (leader, after) if follows_whole else (leader, follower, after):
        said = [json.loads(each)["choices"][0]["delta"].get("content", "") for each in client.events[:-1]]
        assert ("".join(said), client.events[-1]) == ("Hello!", "[DONE]")
    if follows_whole:
        assert follower.json["choices"][0]["message"]["content"] == "Hello!"


async def later(exchange: FakeExchange) -> FakeExchange:
    """An answer that takes some turns of the loop."""
    for _ in range(60):
        await turn()
    return exchange
