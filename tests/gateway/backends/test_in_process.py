"""Backends inside the process: the sandbox's streams with their pauses, and the bundled embeddings."""

import asyncio
import threading
from typing import Any

import pytest
from fakes import NOW_NS, make_call, plain_dialect, turn

from gateway.backends.in_process import LocalDialect, LocalEmbeddings, SandboxBackend, ScriptedExchange
from providers.chat import Answer
from providers.errors import ProviderError, Truncated, Unsupported
from providers.sandbox.model import Sandbox, SandboxReply
from providers.wire import Call, WireRequest

EVENTS = (b"data: 1\n\n", b"data: 2\n\n", b"data: [DONE]\n\n")
REQUEST = WireRequest(path="chat/completions", body=b"{}")


class Listener:
    """A sink that keeps what it got."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ends: list[ProviderError | None] = []

    def piece(self, data: bytes) -> None:
        """Keep a piece."""
        self.pieces.append(data)

    def ended(self, error: ProviderError | None) -> None:
        """Keep the end."""
        self.ends.append(error)


def play(**fields: object) -> tuple[ScriptedExchange, Listener]:
    """A script of three events that begins to play."""
    exchange = ScriptedExchange(
        SandboxReply(**{"events": EVENTS, **fields}),  # type: ignore[arg-type]
        asyncio.get_running_loop(),
    )
    listener = Listener()
    exchange.attach(listener)
    return exchange, listener


async def test_a_script_is_played_to_its_end() -> None:
    """Every event once, then the end."""
    _, listener = play()
    await turn()
    assert (listener.pieces, listener.ends) == (list(EVENTS), [None])


async def test_a_script_begins_after_its_sink_is_attached() -> None:
    """Not within the call."""
    _, listener = play()
    assert listener.pieces == []


async def test_a_script_that_is_cut_ends_as_truncated() -> None:
    """The rest is never sent."""
    _, listener = play(cut_after=1)
    await turn()
    assert (listener.pieces, [type(end) for end in listener.ends]) == ([EVENTS[0]], [Truncated])


async def test_gaps_are_waited_between_events() -> None:
    """One event, then a pause."""
    exchange, listener = play(gap_ms=60_000)
    await turn()
    assert listener.pieces == [EVENTS[0]]
    exchange.abort()


async def test_a_paused_script_waits() -> None:
    """Backpressure holds for the sandbox too."""
    exchange, listener = play()
    exchange.pause()
    await turn()
    assert (listener.pieces, listener.ends) == ([], [])


async def test_a_resumed_script_loses_nothing() -> None:
    """It goes on where it stood."""
    exchange, listener = play()
    exchange.pause()
    await turn()
    exchange.resume()
    await turn()
    assert (listener.pieces, listener.ends) == (list(EVENTS), [None])


async def test_pausing_within_a_piece_holds_the_next_one() -> None:
    """A client whose buffer is full says so while it is written to."""
    exchange, listener = play()
    listener.piece = lambda data: (listener.pieces.append(data), exchange.pause())[0]  # type: ignore[method-assign, func-returns-value]
    await turn()
    assert listener.pieces == [EVENTS[0]]


@pytest.mark.parametrize("how", ["abort", "release"])
async def test_a_stopped_script_says_no_more(how: str) -> None:
    """Neither an event nor the end."""
    exchange, listener = play()
    getattr(exchange, how)()
    await turn()
    assert (listener.pieces, listener.ends) == ([], [])


async def test_stopping_within_a_gap_leaves_no_timer() -> None:
    """Nothing fires for a call that is over."""
    exchange, listener = play(gap_ms=1)
    await turn()
    exchange.abort()
    await asyncio.sleep(0.005)
    assert listener.pieces == [EVENTS[0]]


async def test_an_answer_that_is_no_stream_is_read() -> None:
    """Errors have a body, and it is bounded."""
    exchange = ScriptedExchange(SandboxReply(status=429, body=b"0123456789"), asyncio.get_running_loop())
    assert (exchange.status, await exchange.read(4)) == (429, b"0123")


def sandbox() -> SandboxBackend:
    """The sandbox as a backend."""
    return SandboxBackend(Sandbox(lambda: NOW_NS), plain_dialect(), asyncio.get_running_loop())


async def test_the_sandbox_answers_whole() -> None:
    """With usage, as OpenAI does."""
    call = make_call()
    reply = await sandbox().fetch(call, REQUEST)
    answer = plain_dialect().decode(call, reply.status, reply.headers, reply.body)
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0


async def test_the_sandbox_answers_as_a_stream() -> None:
    """Events that end with [DONE]."""
    exchange = await sandbox().open(make_call(stream=True), REQUEST)
    listener = Listener()
    exchange.attach(listener)
    await turn()
    assert (listener.pieces[-1], listener.ends) == (EVENTS[-1], [None])


async def test_the_sandbox_is_free_and_stops_at_once() -> None:
    """Nothing is billed, so nothing needs reading to its end."""
    assert (sandbox().is_free, sandbox().cancel_stops_billing("m")) == (True, True)
    assert sandbox().cancel_stops_whole_calls


class FakeLocal:
    """The bundled model without its weights."""

    async def embeddings(self, call: Call) -> Answer:
        """Answer anything."""
        return Answer(body=b'{"data":[]}', usage=None)

    async def close(self) -> None:
        """Nothing to stop."""


def local() -> LocalEmbeddings:
    """The bundled model as a backend."""
    return LocalEmbeddings("local", FakeLocal, LocalDialect(plain_dialect()))


async def test_embeddings_are_answered_whole() -> None:
    """200, and the body that the model made."""
    reply = await local().fetch(make_call(endpoint="embeddings"), REQUEST)
    assert (reply.status, reply.body) == (200, b'{"data":[]}')


async def test_embeddings_are_no_stream() -> None:
    """Nothing can be opened."""
    with pytest.raises(Unsupported) as refused:
        await local().open(make_call(endpoint="embeddings"), REQUEST)
    assert refused.value.param == "stream"


async def test_embeddings_have_no_reader_of_streams() -> None:
    """Nor read."""
    with pytest.raises(Unsupported):
        local().dialect.open_stream(make_call(endpoint="embeddings"))


async def test_the_local_model_is_free() -> None:
    """It costs the machine's time alone."""
    assert (local().is_free, local().cancel_stops_billing("m")) == (True, True)
    assert local().cancel_stops_whole_calls


class SlowOpening:
    """Loads the model as slowly as it is told, in a thread; fails so often first."""

    def __init__(self, failures: int = 0) -> None:
        self.count = 0
        self.closed: list[int] = []
        self.may_end = threading.Event()
        self._failures = failures

    def __call__(self) -> Any:
        """Load it."""
        self.count += 1
        number, opening = self.count, self
        assert self.may_end.wait(10)
        if number <= self._failures:
            raise OSError("no weights")

        class Loaded(FakeLocal):
            async def close(self) -> None:
                opening.closed.append(number)

        return Loaded()

    async def begun(self, backend: LocalEmbeddings) -> "asyncio.Task[Any]":
        """A call that waits for it."""
        task = asyncio.get_running_loop().create_task(backend.fetch(make_call(endpoint="embeddings"), REQUEST))
        async with asyncio.timeout(10):
            while not self.count:
                await asyncio.sleep(0.001)
        return task


async def test_a_call_that_is_cancelled_leaves_the_model_to_the_next() -> None:
    """It is loaded once: the thread that does it cannot be stopped, and a second model would stay for ever."""
    opening = SlowOpening()
    backend = LocalEmbeddings("local", opening, LocalDialect(plain_dialect()))
    first = await opening.begun(backend)
    first.cancel()
    await asyncio.wait([first])
    second = asyncio.get_running_loop().create_task(backend.fetch(make_call(endpoint="embeddings"), REQUEST))
    await turn()
    opening.may_end.set()
    assert (await second).status == 200
    assert (first.cancelled(), opening.count) == (True, 1)


async def test_a_model_that_is_still_loaded_is_closed_at_the_end() -> None:
    """Though whoever asked for it has gone."""
    opening = SlowOpening()
    backend = LocalEmbeddings("local", opening, LocalDialect(plain_dialect()))
    first = await opening.begun(backend)
    first.cancel()
    closing = asyncio.get_running_loop().create_task(backend.close())
    await turn()
    opening.may_end.set()
    await closing
    assert opening.closed == [1]


async def test_a_model_that_could_not_be_loaded_is_tried_again() -> None:
    """By the next call; those that waited are told."""
    opening = SlowOpening(failures=1)
    opening.may_end.set()
    backend = LocalEmbeddings("local", opening, LocalDialect(plain_dialect()))
    with pytest.raises(OSError, match="no weights"):
        await backend.fetch(make_call(endpoint="embeddings"), REQUEST)
    assert (await backend.fetch(make_call(endpoint="embeddings"), REQUEST)).status == 200
    assert opening.count == 2


async def test_the_local_model_refuses_to_chat() -> None:
    """The message names the endpoint that it serves."""
    with pytest.raises(Unsupported) as refused:
        local().dialect.encode(make_call(), "all-MiniLM-L6-v2")
    assert "/v1/embeddings" in refused.value.message


async def test_the_local_model_gets_the_callers_bytes() -> None:
    """Nothing is written again."""
    call = make_call(endpoint="embeddings", body=b'{"input" : "x"}')
    assert local().dialect.encode(call, "m").body == call.body
