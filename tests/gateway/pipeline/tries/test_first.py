"""A first try whose answer ends the call: what the client gets and what is recorded are the path's, whatever comes."""

import asyncio
from typing import Any, cast

import pytest
from caches import make_caching
from fakes import CALLER, Clock, FakeBackend, FakeClient, make_call, make_inbound, make_services, rows_of, turn, whole
from msgspec.structs import replace
from posting import PostingBackend

from gateway.backends.breaker import Breaker
from gateway.backends.interface import Client
from gateway.config.settings import Ledger, Retries, Settings
from gateway.pipeline import meter, send
from gateway.pipeline.ends import together
from gateway.pipeline.route import choose
from gateway.pipeline.starts.together import Starter
from gateway.server.drive import Runner
from providers.errors import TimedOut, Truncated, Unreachable
from providers.wire import WireRequest

SETTINGS = Settings(retries=Retries(max_tries=2, base_backoff_ms=1, max_backoff_ms=1))
NO_USAGE = whole(body=b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"}}]}')
SLOW_DOWN = whole(429, ((b"retry-after", b"0"), (b"x-a", b"b")), b'{"error":{"message":"slow","code":"rate_limit"}}')
MISTAKEN = whole(400, (), b'{"error":{"message":"no such thing","type":"invalid_request_error"}}')


def unread() -> Unreachable:
    """A kept connection was closed before the request was read."""
    error = Unreachable("the server closed the connection before it answered", sent=True)
    error.is_unread = True
    return error


class Calls:
    """Calls to one provider that come one after the other."""

    def __init__(self, backend: FakeBackend, settings: Settings = SETTINGS, **parts: Any) -> None:
        self.backend = backend
        self.services = make_services(backend, settings=settings, **parts)
        self.runner = Runner(set())
        self.starter = Starter(self.services, self.runner)

    def ask(self, *, stream: bool = False, **fields: Any) -> FakeClient:
        """A call comes."""
        client = FakeClient()
        client.takes_late = True
        self.starter.begin(make_inbound(make_call(stream=stream), **fields), cast("Client", client))
        return client

    @property
    def breaker(self) -> Breaker:
        """The provider's."""
        return choose(self.services.routes, "m", CALLER).targets[0].breaker

    async def end(self) -> None:
        """Let all come to their end, which leaves nothing open."""
        async with asyncio.timeout(5):
            while self.runner.running:
                await asyncio.sleep(0.001)
        # A path is over before the end of the turn, which ends its call.
        await turn()
        metrics = self.services.metrics
        assert (metrics.requests_in_flight, metrics.holds_open) == (0, 0)


@pytest.mark.usefixtures("no_path")
async def test_an_answer_ends_the_call() -> None:
    """Within the call that brings it; until then it is under way."""
    backend = PostingBackend(whole(headers=((b"x-request-id", b"up_1"),)), is_prompt=False)
    calls = Calls(backend)
    client = calls.ask()
    assert (client.status, len(calls.runner.running)) == (0, 1)
    backend.posted[0].arrive()
    await calls.end()
    (row,) = rows_of(calls.services)
    assert (client.status, client.headers["x-watchllm-provider"]) == (200, "openai")
    assert (row.status, row.attempts, row.upstream_request_id, row.output_tokens) == ("complete", 1, "up_1", 10)
    assert row.cost_pusd > 0
    assert calls.services.metrics.attempts == {("openai", "ok"): 1}


REPLIES: dict[str, tuple[Any, ...]] = {
    "an answer": (whole(),),
    "an answer whose usage has to be counted": (NO_USAGE,),
    "no answer": (whole(body=b"<html>"),),
    "no answer, then one": (SLOW_DOWN, whole()),
    "refused": (MISTAKEN,),
    "refused for good": (SLOW_DOWN,),
    "broken off": (Truncated("broken off"),),
    "too late": (TimedOut("no byte came within 5 ms", phase="first_byte"),),
    "not reached, then an answer": (Unreachable("nobody listens", sent=False), whole()),
    "unread, then an answer": (unread(), whole()),
    "unread, then no answer": (unread(), Unreachable("nobody listens", sent=False)),
    "a mistake of ours": (RuntimeError("the floor is gone"),),
}


def slow_down(backend: FakeBackend, clock: Clock) -> None:
    """Have each step take 3 ms, but for what was not read."""
    step = backend.step

    def take(request: WireRequest) -> Any:
        taken = step(request)
        clock.pass_ms(0 if getattr(taken, "is_unread", False) else 3)
        return taken

    backend.step = take  # type: ignore[method-assign]


@pytest.mark.parametrize("name", REPLIES)
async def test_whatever_comes_is_what_it_is_on_the_path(name: str) -> None:
    """Status, body, headers, row, tries, times and what the breaker thinks are those of a call whose path waited."""
    steps = REPLIES[name]
    # The transport itself sends what was not read over a fresh connection.
    waited = steps[1:] if name.startswith("unread") else steps
    told: list[Any] = []
    for backend in (FakeBackend(*waited), PostingBackend(*steps)):
        clock = Clock()
        slow_down(backend, clock)
        calls = Calls(backend, ticks_ns=clock)
        client = calls.ask()
        await calls.end()
        breaker = calls.breaker
        rows = rows_of(calls.services)
        told.append((client.status, client.data, client.headers, rows, breaker.state(0), list(breaker.last_failures)))
    assert told[1] == told[0]
    assert told[0][0] != 0


async def test_a_mistake_as_it_goes_out_is_the_paths() -> None:
    """It is told once, be the request out or not; an answer to it is nobody's."""
    backend = PostingBackend(whole(), is_prompt=False)

    def fail() -> None:
        raise RuntimeError("the floor is gone")

    backend.on_posted = fail
    calls = Calls(backend)
    client = calls.ask()
    await calls.end()
    backend.posted[0].arrive()
    await calls.end()
    (row,) = rows_of(calls.services)
    assert (client.status, client.answers, row.status, row.attempts) == (500, 1, "incomplete", 1)


@pytest.mark.parametrize("step", [(meter, "believe_whole"), (send, "note_answer"), (together, "end")], ids=str)
async def test_a_mistake_at_the_end_is_the_paths(step: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is raised into the connection that brought the answer; the call has one row, and nothing stays open."""

    def fail(*_: Any) -> None:
        raise RuntimeError("the floor is gone")

    backend = PostingBackend(whole(), is_prompt=False)
    calls = Calls(backend)
    client = calls.ask()
    with monkeypatch.context() as patched:
        patched.setattr(*step, fail)
        backend.posted[0].arrive()
    await calls.end()
    assert (client.status, client.answers, len(rows_of(calls.services))) == (500, 1, 1)


async def test_a_mistake_in_reading_is_the_paths(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """It is logged, and the client is told that we failed."""

    def fail(*_: Any) -> None:
        raise RuntimeError("the floor is gone")

    calls = Calls(PostingBackend(whole()))
    monkeypatch.setattr(send, "read_whole", fail)
    client = calls.ask()
    await calls.end()
    (row,) = rows_of(calls.services)
    assert (client.status, row.status, row.attempts) == (500, "incomplete", 1)
    assert "the floor is gone" in caplog.text


async def test_a_call_that_the_end_of_the_process_cuts_is_told_so() -> None:
    """Its connection is closed, and it has one row: what it may have cost is in doubt."""
    backend = PostingBackend(whole(), is_prompt=False)
    calls = Calls(backend)
    client = calls.ask()
    for _ in range(2):
        # Also by a second signal in the same turn.
        for running in tuple(calls.runner.running):
            running.cancel()
    await calls.end()
    # What comes now is nobody's.
    backend.posted[0].arrive()
    (row,) = rows_of(calls.services)
    assert (client.status, client.json["error"]["code"]) == (503, "maintenance")
    assert (row.status, row.attempts, backend.posted[0].is_aborted) == ("incomplete", 1, True)


async def test_a_client_that_left_meanwhile_has_left() -> None:
    """The provider is heard to the end, and the row tells both."""
    backend = PostingBackend(whole(), is_prompt=False)
    calls = Calls(backend)
    client = calls.ask()
    client.leave()
    backend.posted[0].arrive()
    await calls.end()
    (row,) = rows_of(calls.services)
    assert (row.status, row.http_status, row.output_tokens) == ("cancelled", 499, 10)


async def test_who_asks_the_same_meanwhile_is_given_the_answer() -> None:
    """One call is made, and kept."""
    backend = PostingBackend(whole(), is_prompt=False)
    calls = Calls(backend, caching=make_caching(mode="exact"))
    clients = [calls.ask() for _ in range(3)]
    await asyncio.sleep(0)
    backend.posted[0].arrive()
    await calls.end()
    clients.append(calls.ask())
    await calls.end()
    assert [client.headers["x-watchllm-cache"] for client in clients] == ["miss"] + ["hit-exact"] * 3
    assert [client.headers["x-watchllm-provider"] for client in clients] == ["openai"] * 4
    assert len(backend.requests) == 1


NOT_POSTED: dict[str, dict[str, Any]] = {
    "its work stops with the connection": {"stops": True},
    "its row has to survive a loss of power": {"settings": replace(SETTINGS, ledger=Ledger(sync="strict"))},
    "no connection was kept": {"is_kept": False},
    "it is spared": {"is_open": True},
}


@pytest.mark.parametrize("why", NOT_POSTED)
async def test_a_call_that_has_more_to_wait_for_takes_its_path(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent once, or not at all where nothing may be sent."""
    how = NOT_POSTED[why]
    backend = PostingBackend(whole(), stops=how.get("stops", False))
    calls = Calls(backend, how.get("settings", SETTINGS))
    if how.get("is_open"):
        calls.breaker.spare(calls.services.ticks_ns(), 10**12)
    if not how.get("is_kept", True):
        monkeypatch.setattr(backend, "post", lambda *_: None)
    client = calls.ask()
    await calls.end()
    assert (client.status, len(backend.requests)) == ((503, 0) if how.get("is_open") else (200, 1))
    assert backend.posted == []
