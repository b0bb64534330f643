"""Calls that ask the same at once, through all rooms: who may follow whom, and what those who follow are told."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from caches import make_caching
from fakes import (
    DONE,
    NOW_NS,
    STREAM,
    Clock,
    FakeBackend,
    FakeClient,
    FakeExchange,
    answer_body,
    chunk,
    make_call,
    make_inbound,
    make_services,
    rows_of,
    turn,
    whole,
)

from gateway.caching.answers import Purge
from gateway.config.settings import Retries, Settings
from gateway.pipeline.run import run
from providers.errors import Refused, TimedOut

DOWN = Refused("down", upstream_status=503)


class Gate:
    """A whole answer that comes when it is let go."""

    def __init__(self, body: bytes | None = None) -> None:
        self.opened = asyncio.Event()
        self.asked = 0
        self._body = body

    async def __call__(self) -> Any:
        """Wait, then answer."""
        self.asked += 1
        await self.opened.wait()
        return whole(body=self._body)


class Crowd:
    """Callers that ask the same of one gateway, which keeps answers."""

    def __init__(self, *backends: Any, **settings: Any) -> None:
        self.caching = make_caching(mode="exact", **settings)
        self.clock = Clock()
        self.services = make_services(
            *backends, settings=Settings(retries=Retries(max_tries=2, base_backoff_ms=1)), caching=self.caching,
            ticks_ns=self.clock,
        )  # fmt: skip
        self.count = 0
        self.tasks: list[asyncio.Task[None]] = []

    def ask(self, *, stream: bool = False, **fields: Any) -> FakeClient:
        """One more call."""
        self.count += 1
        client = FakeClient()
        inbound = make_inbound(make_call(stream=stream), request_id=f"r{self.count}", **fields)
        self.tasks.append(asyncio.get_running_loop().create_task(run(inbound, client, self.services)))
        return client

    async def until(self, reached: Callable[[], object]) -> None:
        """Let everybody go on until something is so."""
        for _ in range(1_000):
            if reached():
                return
            await turn()
        raise AssertionError("it never came to that")

    async def lead(self, **fields: Any) -> FakeClient:
        """The first call, which is on its way."""
        client = self.ask(**fields)
        await self.until(lambda: len(self.caching.flights))
        for _ in range(20):
            await turn()
        return client

    async def follow(self, **fields: Any) -> FakeClient:
        """One that waits for the first."""
        client = self.ask(**fields)
        for _ in range(20):
            await turn()
        return client

    async def settle(self) -> None:
        """Wait until all have their answers."""
        await asyncio.gather(*self.tasks)


def ids_of(client: FakeClient) -> set[str]:
    """The names under which a stream came."""
    return {json.loads(event)["id"] for event in client.events if event != "[DONE]"}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("cancels", [True, False])
async def test_nobody_joins_a_stream_that_nobody_waits_for(stream: bool, cancels: bool) -> None:
    """What its provider still says may go nowhere: the next to ask makes a call of its own, and has all of it."""
    left, own = FakeExchange(STREAM[1:], is_prompt=False), FakeExchange(STREAM)
    crowd = Crowd(FakeBackend(left, own if stream else whole(), cancels=cancels))
    leader = await crowd.lead(stream=True)
    assert left.sink is not None
    left.sink.piece(STREAM[0])
    await crowd.until(lambda: leader.data)
    leader.leave()
    client = await crowd.follow(stream=stream)
    left.play()
    await crowd.settle()
    assert client.headers["x-watchllm-cache"] == "miss"
    assert (b'"Hel"' in client.data, b'"lo!"' in client.data) == ((True, True) if stream else (False, False))
    assert client.is_whole and client.status == 200
    assert len(crowd.caching.flights) == 0


async def test_nobody_joins_after_the_last_of_those_who_followed_has_left() -> None:
    """The leader's own leaving was not the end of it; theirs is."""
    left = FakeExchange(STREAM, is_prompt=False)
    crowd = Crowd(FakeBackend(left, FakeExchange(STREAM), cancels=False))
    leader = await crowd.lead(stream=True)
    follower = await crowd.follow(stream=True)
    leader.leave()
    assert len(crowd.caching.flights) == 1
    follower.leave()
    assert len(crowd.caching.flights) == 0
    client = await crowd.follow(stream=True)
    left.play()
    await crowd.settle()
    assert client.headers["x-watchllm-cache"] == "miss"
    assert client.events[-1] == "[DONE]"


@pytest.mark.parametrize("stream", [True, False])
async def test_nobody_joins_a_call_whose_reply_the_gateway_limits(stream: bool) -> None:
    """The answer may be cut where theirs would not be; who is limited may join one that is not."""
    gate = Gate(answer_body())
    steps = [FakeExchange(STREAM, is_prompt=False), FakeExchange(STREAM)] if stream else [gate, whole()]
    crowd = Crowd(FakeBackend(*steps))
    limited = crowd.ask(stream=stream, limited_tokens=5)
    await crowd.follow(stream=stream)
    assert len(rows_of(crowd.services)) == 1
    free = await crowd.follow(stream=stream)
    assert free.headers["x-watchllm-cache"] == "hit-exact"
    if stream:
        steps[0].play()
    gate.opened.set()
    await crowd.settle()
    assert limited.headers["x-watchllm-max-tokens"] == "5"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("finish", "kept"), [("stop", 1), ("length", 0)])
async def test_a_limited_answer_is_kept_where_it_ended_by_itself(stream: bool, finish: str, kept: int) -> None:
    """The limit stands in no key: what it cut must not be given to who had none."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": finish}
    events = (*STREAM[:2], chunk(None, finish), *STREAM[3:])
    crowd = Crowd(FakeBackend(FakeExchange(events) if stream else whole(body=answer_body(choices=[choice]))))
    crowd.ask(stream=stream, limited_tokens=5)
    await crowd.settle()
    assert len(crowd.caching.answers) == kept


@pytest.mark.parametrize("leads_whole", [True, False])
@pytest.mark.parametrize("follows_whole", [True, False])
async def test_what_others_shared_is_kept_for_those_who_ask_later(leads_whole: bool, follows_whole: bool) -> None:
    """In whichever forms they had it, nobody pays for it again."""
    gate, exchange = Gate(), FakeExchange(STREAM, is_prompt=False)
    backend = FakeBackend(gate if leads_whole else exchange)
    crowd = Crowd(backend)
    await crowd.lead(stream=not leads_whole)
    follower = await crowd.follow(stream=not follows_whole)
    gate.opened.set()
    if not leads_whole:
        exchange.play()
    await crowd.settle()
    later = [crowd.ask(stream=stream) for stream in (True, False, True)]
    await crowd.settle()
    assert [client.headers["x-watchllm-cache"] for client in (follower, *later)] == ["hit-exact"] * 4
    assert len(backend.requests) == 1


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("first", "second", "life_s", "tags"),
    [
        ({"cache": "read", "tags": "a"}, {"tags": "b"}, 86_400, ("a", "b")),
        ({"ttl_s": 1, "tags": "a"}, {"ttl_s": 100, "tags": "b,a"}, 100, ("a", "b")),
        ({"ttl_s": 1}, {}, 86_400, ()),
        ({"ttl_s": 10**6}, {}, 10**6, ()),
        ({"cache": "read", "ttl_s": 100}, {"ttl_s": 1}, 1, ()),
        ({"ttl_s": 1}, {"cache": "read", "tags": "b"}, 1, ()),
        ({"cache": "read"}, {"cache": "read"}, 0, ()),
    ],
)
async def test_an_answer_is_kept_as_any_of_those_who_share_it_wants(
    stream: bool, first: dict[str, Any], second: dict[str, Any], life_s: int, tags: tuple[str, ...]
) -> None:
    """As long as the one who wants it longest, under the tags of all: the first to ask decides for nobody else."""
    gate, exchange = Gate(), FakeExchange(STREAM, is_prompt=False)
    crowd = Crowd(FakeBackend(exchange if stream else gate))
    await crowd.lead(stream=stream, **first)
    follower = await crowd.follow(stream=stream, **second)
    gate.opened.set()
    if stream:
        exchange.play()
    await crowd.settle()
    assert follower.headers["x-watchllm-cache"] == "hit-exact"
    kept = [(item.expires_ns - item.value.created_ns, item.value.tags) for item in crowd.caching.answers.of("proj_1")]
    assert kept == ([(life_s * 10**9, tags)] if life_s else [])


async def test_who_led_a_stream_and_left_is_told_of_and_the_rest_have_it() -> None:
    """Its row says that it left, with all that the stream took; who follows has the stream, and it is kept."""
    exchange = FakeExchange(STREAM, is_prompt=False)
    crowd = Crowd(FakeBackend(exchange))
    leader = await crowd.lead(stream=True)
    usual, whole_one = await crowd.follow(stream=True), await crowd.follow()
    leader.leave()
    exchange.play()
    await crowd.settle()
    assert (usual.events[-1], whole_one.status, len(crowd.caching.answers)) == ("[DONE]", 200, 1)
    rows = {row.request_id: (row.status, row.http_status, row.is_estimated) for row in rows_of(crowd.services)}
    assert rows == {"r1": ("cancelled", 499, False), "r2": ("complete", 200, False), "r3": ("complete", 200, False)}


@pytest.mark.parametrize("wish", ["refresh", "write"])
@pytest.mark.parametrize("limited_tokens", [None, 50])
async def test_who_asks_after_a_refresh_began_joins_no_older_call(wish: str, limited_tokens: int | None) -> None:
    """They join the refresh itself, where its answer is whole for all."""
    older, fresh, own = Gate(), Gate(), Gate()
    crowd = Crowd(FakeBackend(older, fresh, own))
    await crowd.lead()
    refresh = await crowd.follow(cache=wish, limited_tokens=limited_tokens)
    last = await crowd.follow()
    assert (older.asked, fresh.asked, own.asked) == (1, 1, int(limited_tokens is not None))
    for gate in (older, fresh, own):
        gate.opened.set()
    await crowd.settle()
    assert [client.headers["x-watchllm-cache"] for client in (refresh, last)] == [
        "miss", "hit-exact" if limited_tokens is None else "miss"
    ]  # fmt: skip
    assert len(crowd.caching.flights) == 0


async def test_a_stream_that_is_shared_has_one_name() -> None:
    """From its first piece to its usage: the one that its provider gave it."""
    exchange = FakeExchange(STREAM, is_prompt=False)
    crowd = Crowd(FakeBackend(exchange))
    await crowd.lead(stream=True)
    call = make_call(stream=True, wants_usage=True)
    usual, wanting = await crowd.follow(stream=True), FakeClient()
    task = asyncio.ensure_future(run(make_inbound(call, request_id="r9"), wanting, crowd.services))
    whole_one = await crowd.follow()
    exchange.play()
    await crowd.settle()
    await task
    assert ids_of(usual) == ids_of(wanting) == {"c1"}
    assert '"usage"' in wanting.events[-2]
    assert whole_one.json["id"] == "chatcmpl-r3"
    assert usual.events[-1] == "[DONE]"


async def test_a_stream_that_ends_with_done_alone_is_whole_for_all() -> None:
    """Some providers give no finish_reason; who wants it in another form asks for it itself."""
    exchange = FakeExchange((chunk("Hel"), chunk("lo!"), DONE), is_prompt=False)
    backend = FakeBackend(exchange, whole())
    crowd = Crowd(backend)
    leader = await crowd.lead(stream=True)
    follower, whole_one = await crowd.follow(stream=True), await crowd.follow()
    exchange.play()
    await crowd.settle()
    assert leader.events == follower.events
    assert follower.events[-1] == "[DONE]"
    assert whole_one.json["choices"][0]["message"]["content"] == "Hello!"
    assert {row.status for row in rows_of(crowd.services)} == {"complete"}
    assert len(backend.requests) == 2


async def test_what_breaks_a_stream_off_is_told_to_all_who_have_some_of_it() -> None:
    """The leader's fault is theirs."""
    exchange = FakeExchange((chunk("Hel"),), error=TimedOut("nothing for 5 s", phase="idle"), is_prompt=False)
    crowd = Crowd(FakeBackend(exchange))
    leader = await crowd.lead(stream=True)
    follower = await crowd.follow(stream=True)
    exchange.play()
    await crowd.settle()
    errors = [json.loads(client.events[-1])["error"]["code"] for client in (leader, follower)]
    assert errors == [row.error_code for row in rows_of(crowd.services)] == ["upstream_timeout"] * 2


async def test_who_follows_a_fallback_is_told_who_answers() -> None:
    """Not who was asked first."""
    exchange = FakeExchange(STREAM, is_prompt=False)
    crowd = Crowd(FakeBackend(DOWN), FakeBackend(exchange, name="groq"))
    leader = await crowd.lead(stream=True)
    follower = await crowd.follow(stream=True)
    exchange.play()
    await crowd.settle()
    assert leader.headers["x-watchllm-provider"] == follower.headers["x-watchllm-provider"] == "groq"
    assert {row.provider for row in rows_of(crowd.services)} == {"groq"}


async def test_a_whole_answer_that_is_shared_tells_what_it_saved() -> None:
    """As one that was kept does; of a stream nobody knows when it begins."""
    gate = Gate()
    crowd = Crowd(FakeBackend(gate))
    await crowd.lead()
    followers = [await crowd.follow(), await crowd.follow(stream=True)]
    gate.opened.set()
    await crowd.settle()
    assert [follower.headers["x-watchllm-tokens-saved"] for follower in followers] == ["25", "25"]


@pytest.mark.parametrize("leads_whole", [True, False])
@pytest.mark.parametrize("follows_whole", [True, False])
@pytest.mark.parametrize("fails", [True, False])
async def test_who_follows_waits_for_a_provider(leads_whole: bool, follows_whole: bool, fails: bool) -> None:
    """The time is not told as the gateway's own, in no header, row or metric."""
    gate, exchange = Gate(b"{}" if fails else None), FakeExchange(() if fails else STREAM, is_prompt=False)
    crowd = Crowd(FakeBackend(gate if leads_whole else exchange, Refused("no", upstream_status=400)))
    await crowd.lead(stream=not leads_whole)
    crowd.clock.pass_ms(100)
    follower = await crowd.follow(stream=not follows_whole, started_ns=crowd.clock.ns - 2_000_000)
    crowd.clock.pass_ms(500)
    gate.opened.set()
    if not leads_whole:
        exchange.play()
    await crowd.settle()
    row = next(row for row in rows_of(crowd.services) if row.request_id == "r2")
    assert (row.latency_ms, row.overhead_us) == (502, 2_000)
    if not fails:
        assert follower.headers["x-watchllm-overhead-ms"] == "2.000"


@pytest.mark.parametrize(("purged_ns", "kept"), [(NOW_NS + 1, 0), (NOW_NS - 1, 1)])
@pytest.mark.parametrize("stream", [True, False])
async def test_what_was_purged_while_it_was_asked_for_is_not_kept(stream: bool, purged_ns: int, kept: int) -> None:
    """Its call began before; one that begins afterwards is another matter."""
    gate, exchange = Gate(), FakeExchange(STREAM, is_prompt=False)
    crowd = Crowd(FakeBackend(exchange if stream else gate))
    client = await crowd.lead(stream=stream, tags="blue , red")
    crowd.caching.directory.purges.add(Purge(project_id="proj_1", tag="red"), purged_ns)
    crowd.caching.directory.purges.add(Purge(project_id="proj_1", tag="green"), NOW_NS + 2)
    gate.opened.set()
    if stream:
        exchange.play()
    await crowd.settle()
    assert client.is_whole
    assert len(crowd.caching.answers) == kept
