"""The exact cache through the whole gateway: what is answered again, what is not, and what each costs."""

import asyncio
import json
from typing import Any

import pytest
from running import Answer, Request, Running, Upstream, always, chat_reply, json_reply, openai_config
from streaming import until

from gateway.caching.answers import Purge, entry_id_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
HELLO: dict[str, Any] = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hello!"}]}
CHOICE: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
CACHED = '[cache]\nmode = "exact"\n'


@pytest.fixture(scope="module")
def answer() -> Answer:
    """What the provider does at the beginning of each test."""
    return always(json_reply(chat_reply("Hi.")))


@pytest.fixture(scope="module")
def config(shared_provider: Upstream) -> str:
    """A gateway that keeps answers, for each project its own."""
    return openai_config(shared_provider, CACHED)


def figures(response: Any) -> tuple[Any, ...]:
    """What the reply's headers say of the cache."""
    headers = response.headers
    return (response.status_code, headers.get("x-watchllm-cached"), headers.get("x-watchllm-cache"))


HIT, MISS, BYPASS = (200, "true", "hit-exact"), (200, "false", "miss"), (200, "false", "bypass")


async def test_what_is_asked_often_is_remembered_for_its_key_alone(gateway: Running, provider: Upstream) -> None:
    """From the first hit on; what was purged is forgotten, words and all."""
    inside, asked = gateway.gateway.services.caching, HELLO | {"user": "often"}
    repeats, size = inside.answers.repeats, len(json.dumps(asked, separators=(",", ":")))
    repeats.clear()
    sizes: list[int] = []
    async with gateway.client() as client:
        for _ in range(4):
            response = await client.post("/v1/chat/completions", json=asked)
            sizes.append(repeats.size)
    assert sizes == [0, size, size, size]
    assert (figures(response), len(provider.requests)) == (HIT, 1)
    (project,) = {row.project_id for row in gateway.rows}
    inside.purge(Purge(project_id=project))
    assert (len(repeats), repeats.size) == (0, 0)


@pytest.mark.row("W11")
async def test_the_same_request_again_costs_nothing(gateway: Running, provider: Upstream) -> None:
    """The second answer says the same under a name of its own; its row tells what was saved, to the picodollar."""
    provider.answer = always(json_reply(chat_reply("Hi there.")))
    async with gateway.client() as client:
        first = await client.post("/v1/chat/completions", json=HELLO)
        second = await client.post("/v1/chat/completions", json=HELLO)
    assert (figures(first), figures(second)) == (MISS, HIT)
    assert second.headers["x-watchllm-tokens-saved"] == "25"
    assert second.headers["x-watchllm-cost-usd"] == "0"
    assert second.headers["x-watchllm-provider"] == "openai"
    mine, again = first.json(), second.json()
    assert (again["x-WatchLLM-cached"], again["x_WatchLLM_cost_usd"]) == (True, "0")
    assert mine["id"] != again["id"]
    assert again["choices"] == mine["choices"]
    assert again["usage"] == mine["usage"]
    assert len(provider.requests) == 1
    made, given = gateway.rows
    assert (given.is_cached, given.cost_pusd, given.cost_basis, given.attempts) == (True, 0, "cache", 0)
    assert (given.saved_pusd, given.tokens_saved) == (made.cost_pusd, made.total_tokens) == (1_050_000_000, 25)
    assert given.cache_entry == entry_id_of(made.request_id) == second.headers["x-watchllm-cache-entry"]


@pytest.mark.parametrize("streams_first", [True, False])
async def test_one_entry_serves_both_forms(gateway: Running, streams_first: bool) -> None:
    """A stream's answer is given whole, and a whole one as a stream, with the usage where it is asked for."""
    streamed = {**HELLO, "stream": True, "stream_options": {"include_usage": True}}
    test_key = {"model": "gpt-4", "messages": HELLO["messages"]}
    async with gateway.client(gateway.test_key) as client:
        order = [streamed, test_key] if streams_first else [test_key, streamed]
        replies = [await client.post("/v1/chat/completions", json=body) for body in order]
    assert [figures(reply) for reply in replies] == [MISS, HIT]
    stream, whole = replies if streams_first else replies[::-1]
    events = [line[6:] for line in stream.text.split("\n\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    text = "".join(part["choices"][0]["delta"].get("content") or "" for part in chunks if part["choices"])
    assert text == whole.json()["choices"][0]["message"]["content"] != ""
    assert chunks[-1]["usage"] == whole.json()["usage"]
    last = next(part for part in chunks if part["choices"] and part["choices"][0]["finish_reason"])
    assert last["x-WatchLLM-cached"] is (not streams_first)
    assert len({part["id"] for part in chunks}) == 1


async def test_whatever_could_change_the_answer_is_another_request(gateway: Running) -> None:
    """Parameters known and unknown, messages, model and endpoint: each is a miss of its own."""
    bodies = [
        HELLO,
        {**HELLO, "temperature": 0.5},
        {**HELLO, "seed": 1},
        {**HELLO, "whatever": {"a": 1}},
        {**HELLO, "user": "ann"},
        {**HELLO, "model": "gpt-4o"},
        {**HELLO, "messages": [{"role": "system", "content": "Be brief."}, *HELLO["messages"]]},
        {**HELLO, "messages": [{"role": "user", "content": "Hello! "}]},
        {**HELLO, "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello!"}]}]},
    ]
    async with gateway.client() as client:
        replies = [await client.post("/v1/chat/completions", json=body) for body in [*bodies, HELLO]]
    assert [figures(reply) for reply in replies] == [*[MISS] * len(bodies), HIT]


async def test_the_order_of_the_members_does_not_matter(gateway: Running) -> None:
    """Two clients that write the same request in another order share its answer."""
    turned = dict(reversed(HELLO.items()))
    async with gateway.client() as client:
        replies = [await client.post("/v1/chat/completions", json=body) for body in (HELLO, turned)]
    assert [figures(reply) for reply in replies] == [MISS, HIT]


@pytest.mark.parametrize(
    ("headers", "then", "calls"),
    [
        ({}, HIT, 1),
        ({"x-watchllm-cache": "off"}, MISS, 2),
        ({"cache-control": "no-store"}, MISS, 2),
        ({"x-watchllm-cache": "read"}, MISS, 2),
        ({"x-watchllm-cache": "write"}, HIT, 1),
        ({"x-watchllm-cache": "refresh"}, HIT, 1),
        ({"cache-control": "no-cache"}, HIT, 1),
        ({"cache-control": "max-age=0"}, HIT, 1),
    ],
)
async def test_who_wants_nothing_kept_has_nothing_kept(
    gateway: Running, provider: Upstream, headers: dict[str, str], then: tuple[Any, ...], calls: int
) -> None:
    """What the first call wants decides whether the second, which wants nothing, finds an answer."""
    async with gateway.client() as client:
        first = await client.post("/v1/chat/completions", json=HELLO, headers=headers)
        second = await client.post("/v1/chat/completions", json=HELLO)
    is_off = "off" in headers.values() or "no-store" in headers.values()
    assert figures(first) == (BYPASS if is_off else MISS)
    assert figures(second) == then
    assert len(provider.requests) == calls


@pytest.mark.parametrize(
    ("headers", "what"),
    [
        ({"x-watchllm-cache": "off"}, BYPASS),
        ({"cache-control": "no-store"}, BYPASS),
        ({"x-watchllm-cache": "read"}, HIT),
        ({"x-watchllm-cache": "only"}, HIT),
        ({"x-watchllm-cache": "only", "cache-control": "no-cache"}, HIT),
        ({"cache-control": "only-if-cached"}, HIT),
        ({"cache-control": "max-age=60"}, HIT),
        ({"cache-control": "max-age=0"}, MISS),
        ({"x-watchllm-cache": "write"}, MISS),
        ({"x-watchllm-cache": "refresh"}, MISS),
        ({"cache-control": "no-cache"}, MISS),
    ],
)
async def test_who_does_not_want_a_kept_answer_gets_none(
    gateway: Running, headers: dict[str, str], what: tuple[Any, ...]
) -> None:
    """A second call's wish decides whether it looks at all."""
    async with gateway.client() as client:
        await client.post("/v1/chat/completions", json=HELLO)
        assert figures(await client.post("/v1/chat/completions", json=HELLO, headers=headers)) == what


async def test_a_refresh_replaces_what_was_kept(gateway: Running, provider: Upstream) -> None:
    """Who asks afterwards gets the newer answer."""
    texts = iter(["old", "new"])

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(json_reply(chat_reply(next(texts))))

    provider.answer = answer
    async with gateway.client() as client:
        await client.post("/v1/chat/completions", json=HELLO)
        await client.post("/v1/chat/completions", json=HELLO, headers={"x-watchllm-cache": "refresh"})
        last = await client.post("/v1/chat/completions", json=HELLO)
    assert figures(last) == HIT
    assert last.json()["choices"][0]["message"]["content"] == "new"


@pytest.mark.parametrize("headers", [{"x-watchllm-cache": "only"}, {"cache-control": "only-if-cached"}])
async def test_only_never_calls(gateway: Running, provider: Upstream, headers: dict[str, str]) -> None:
    """Without a kept answer it is 504, and the provider hears nothing."""
    async with gateway.client() as client:
        missed = await client.post("/v1/chat/completions", json=HELLO, headers=headers)
    assert (missed.status_code, missed.json()["error"]["code"]) == (504, "cache_miss")
    assert provider.requests == []


async def test_what_is_free_is_given_under_any_cap(gateway: Running, provider: Upstream) -> None:
    """A call that may cost nothing gets what is kept; where nothing is, it is refused and nobody is asked."""
    free = {"x-watchllm-max-cost-usd": "0"}
    unbounded = HELLO | {"web_search_options": {}}
    async with gateway.client() as client:

        async def ask(body: dict[str, Any], **headers: str) -> Any:
            return await client.post("/v1/chat/completions", json=body, headers=headers)

        for body in (HELLO, unbounded):
            refused = await ask(body, **free)
            assert (refused.status_code, refused.json()["error"]["code"]) == (402, "spending_limit")
            assert figures(await ask(body)) == MISS
            for wish in ({}, {"x-watchllm-cache": "only"}, {"x-watchllm-cache": "read"}):
                given = await ask(body, **free, **wish)
                assert figures(given) == HIT
                assert "x-watchllm-max-tokens" not in given.headers
            for wish in ({"x-watchllm-cache": "refresh"}, {"x-watchllm-cache": "off"}):
                assert (await ask(body, **free, **wish)).status_code == 402
        missed = await ask(HELLO | {"seed": 1}, **free, **{"x-watchllm-cache": "only"})
        assert (missed.status_code, missed.json()["error"]["code"]) == (504, "cache_miss")
    assert len(provider.requests) == 2
    assert gateway.gateway.services.metrics.holds_open == 0


async def test_an_answer_is_kept_for_its_time(gateway: Running) -> None:
    """The call's own time to live wins over the project's; a wrong one is refused."""
    async with gateway.client() as client:
        short = {"x-watchllm-cache-ttl": "1"}
        await client.post("/v1/chat/completions", json=HELLO, headers=short)
        assert figures(await client.post("/v1/chat/completions", json=HELLO)) == HIT
        item = next(gateway.gateway.services.caching.answers.of(gateway.rows[0].project_id))
        item.expires_ns -= 1_000_000_000
        assert figures(await client.post("/v1/chat/completions", json=HELLO)) == MISS
        for wrong in ("0", "-1", "1.5", "x", "99999999999999"):
            refused = await client.post("/v1/chat/completions", json=HELLO, headers={"x-watchllm-cache-ttl": wrong})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "x-watchllm-cache-ttl")


@pytest.mark.parametrize(
    "reply",
    [
        json_reply(chat_reply(choices=[CHOICE | {"finish_reason": "length"}])),
        json_reply(chat_reply(choices=[CHOICE | {"finish_reason": "content_filter"}])),
        json_reply(chat_reply(choices=[CHOICE | {"message": {"role": "assistant", "content": ""}}])),
        json_reply(chat_reply(choices=[CHOICE | {"message": {"role": "assistant", "refusal": "No."}}])),
        json_reply({"error": {"message": "no"}}, status=400),
    ],
    ids=["cut", "filtered", "empty", "refused", "error"],
)
async def test_what_is_no_whole_answer_is_not_kept(gateway: Running, provider: Upstream, reply: bytes) -> None:
    """Truncated, empty, filtered and refused answers and errors reach their caller and nobody else."""
    provider.answer = always(reply)
    async with gateway.client() as client:
        replies = [await client.post("/v1/chat/completions", json=HELLO) for _ in range(2)]
    assert [reply.headers.get("x-watchllm-cache") for reply in replies] in (["miss", "miss"], [None, None])
    assert len(provider.requests) == 2


async def test_embeddings_are_kept_as_they_came(gateway: Running, provider: Upstream) -> None:
    """The numbers stay byte for byte."""
    body = {"object": "list", "model": "text-embedding-3-small", "usage": {"prompt_tokens": 2, "total_tokens": 2}}
    body["data"] = [{"object": "embedding", "index": 0, "embedding": [0.125, -0.5]}]
    asked = {"model": "text-embedding-3-small", "input": "Hello"}
    provider.answer = always(json_reply(body))
    async with gateway.client() as client:
        replies = [await client.post("/v1/embeddings", json=asked) for _ in range(2)]
    assert [figures(reply) for reply in replies] == [MISS, HIT]
    assert replies[0].json()["data"] == replies[1].json()["data"] == body["data"]
    assert replies[1].json()["usage"] == body["usage"]


async def test_a_test_key_and_a_live_key_never_meet(gateway: Running) -> None:
    """They belong to one project, and what one was answered the other never gets."""
    async with gateway.client() as live, gateway.client(gateway.test_key) as test:
        replies = [await client.post("/v1/chat/completions", json=HELLO) for client in (live, test, live, test)]
    assert [figures(reply) for reply in replies] == [MISS, MISS, HIT, HIT]
    assert replies[2].json()["choices"] != replies[3].json()["choices"]


async def test_a_name_that_stands_twice_is_asked_each_time(gateway: Running, provider: Upstream) -> None:
    """Nobody knows which of the two the provider takes, so its answer is for this call alone."""
    body = b'{"model":"gpt-4","seed":1,"seed":2,"messages":[{"role":"user","content":"Hello!"}]}'
    headers = {"content-type": "application/json"}
    async with gateway.client() as client:
        replies = [await client.post("/v1/chat/completions", content=body, headers=headers) for _ in range(2)]
    assert [figures(reply) for reply in replies] == [BYPASS, BYPASS]


async def test_many_who_ask_the_same_at_once_make_one_call(gateway: Running, provider: Upstream) -> None:
    """One leads and pays; the others get the same answer for nothing."""
    everybody_waits = asyncio.Event()

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        await everybody_waits.wait()
        writer.write(json_reply(chat_reply("Hi.")))

    provider.answer = answer
    async with gateway.client() as client:
        asking = [asyncio.ensure_future(client.post("/v1/chat/completions", json=HELLO)) for _ in range(20)]
        await until(lambda: gateway.gateway.services.metrics.requests_in_flight == 20)
        everybody_waits.set()
        replies = await asyncio.gather(*asking)
    assert len(provider.requests) == 1
    assert sorted(figures(reply) for reply in replies) == sorted([MISS, *[HIT] * 19])
    assert len({reply.json()["id"] for reply in replies}) == 20
    assert len(gateway.rows) == 20
    assert sum(row.cost_pusd for row in gateway.rows) == 1_050_000_000


class Gates:
    """A provider whose first calls answer when they are let, each in words of its own; later ones at once."""

    def __init__(self, provider: Upstream, held: int = 1) -> None:
        self._open = [asyncio.Event() for _ in range(held)]
        self._asked = 0
        provider.answer = self._answer

    def let(self, number: int) -> None:
        """Have a call answered."""
        self._open[number].set()

    async def _answer(self, _: Request, writer: asyncio.StreamWriter) -> None:
        number, self._asked = self._asked, self._asked + 1
        if number < len(self._open):
            await self._open[number].wait()
        writer.write(json_reply(chat_reply(f"answer {number}")))


def said(response: Any) -> str:
    """What a reply says."""
    return str(response.json()["choices"][0]["message"]["content"])


async def test_a_call_after_a_purge_joins_none_from_before_it(gateway: Running, provider: Upstream) -> None:
    """It leads its own, which others join; what was purged is nobody's but those who waited for it already."""
    gates, services = Gates(provider, held=2), gateway.gateway.services
    async with gateway.client() as client:
        asking = [asyncio.ensure_future(client.post("/v1/chat/completions", json=HELLO)) for _ in range(2)]
        await until(lambda: services.metrics.requests_in_flight == 2)
        project_id = services.directory.find(gateway.live_key.encode(), services.now_ns()).project_id
        purge = Purge(project_id=project_id)
        services.caching.directory.purges.add(purge, services.now_ns())
        services.caching.purge(purge)
        asking += [asyncio.ensure_future(client.post("/v1/chat/completions", json=HELLO)) for _ in range(2)]
        await until(lambda: services.metrics.requests_in_flight == 4)
        gates.let(0)
        before = await asyncio.gather(*asking[:2])
        gates.let(1)
        after = await asyncio.gather(*asking[2:])
        last = await client.post("/v1/chat/completions", json=HELLO)
    assert {said(reply) for reply in before} == {"answer 0"}
    assert {said(reply) for reply in [*after, last]} == {"answer 1"}
    assert sorted(map(figures, after)) == sorted([MISS, HIT])
    assert figures(last) == HIT


async def test_a_refreshed_answer_outlives_an_older_call(gateway: Running, provider: Upstream) -> None:
    """What was asked for before it may end after it, and does not take its place."""
    gates = Gates(provider)
    async with gateway.client() as client:
        older = asyncio.ensure_future(client.post("/v1/chat/completions", json=HELLO))
        await until(lambda: len(provider.requests) == 1)
        fresh = await client.post("/v1/chat/completions", json=HELLO, headers={"cache-control": "no-cache"})
        gates.let(0)
        assert (said(await older), said(fresh)) == ("answer 0", "answer 1")
        last = await client.post("/v1/chat/completions", json=HELLO)
    assert (figures(last), said(last)) == (HIT, "answer 1")
