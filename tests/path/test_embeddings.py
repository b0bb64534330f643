"""Embeddings through the whole gateway: what was embedded before is not sent again, and what each call costs."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from households import AT
from running import Answer, Request, Running, Upstream, json_reply, openai_config, running, upstream

from gateway.caching.administration import recall
from gateway.caching.answers import entry_id_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
MODEL = "text-embedding-3-small"
CACHED = '[cache]\nmode = "exact"\n'
# 0.02 USD for a million tokens.
PUSD = 20_000


def vector_of(value: Any) -> list[float]:
    """What stands for an input: a text's length, or its tokens."""
    return [float(len(value))] if isinstance(value, str) else [float(token) for token in value]


def embedder(*, starts_at: int = 0) -> Answer:
    """A provider that counts a token for each letter; ``starts_at`` is the first index."""

    async def answer(request: Request, writer: Any) -> None:
        given = request.json()["input"]
        inputs = [given] if isinstance(given, str) or isinstance(given[0], int) else given
        data = [
            {"object": "embedding", "index": place, "embedding": vector_of(value)}
            for place, value in enumerate(inputs, starts_at)
        ]
        tokens = sum(map(len, inputs))
        body = {"object": "list", "data": data, "model": MODEL}
        writer.write(json_reply({**body, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}))

    return answer


@pytest.fixture(scope="module")
def answer() -> Answer:
    """What the provider does at the beginning of each test."""
    return embedder()


@pytest.fixture(scope="module")
def config(shared_provider: Upstream) -> str:
    """A gateway that keeps answers, with a second name for a model."""
    name = '[[models]]\nname = "other"\ntargets = [{ provider = "openai", model = "text-embedding-3-large" }]\n'
    return openai_config(shared_provider, name + CACHED)


def told(response: Any) -> tuple[Any, ...]:
    """Status, what the cache did, and the vectors in their order."""
    headers, body = response.headers, response.json()
    assert [item["index"] for item in body["data"]] == list(range(len(body["data"])))
    return (
        response.status_code,
        headers["x-watchllm-cache"],
        headers.get("x-watchllm-cache-inputs"),
        headers.get("x-watchllm-tokens-saved"),
        body["usage"]["total_tokens"],
        [item["embedding"] for item in body["data"]],
    )


def sent(provider: Any) -> list[Any]:
    """The inputs that reached the provider, call by call."""
    return [request.json()["input"] for request in provider.requests]


async def test_only_new_inputs_are_sent_and_charged(gateway: Running, provider: Upstream) -> None:
    """In order, whatever was kept of them; the rows tell to the picodollar what was paid and what was saved."""
    inputs = [["a", "bb"], ["ccc", "bb", "dddd", "a"], "dddd", ["a", "ccc"]]
    async with gateway.client() as client:
        replies = [await client.post("/v1/embeddings", json={"model": MODEL, "input": each}) for each in inputs]
    assert list(map(told, replies)) == [
        (200, "miss", None, None, 3, [[1], [2]]),
        (200, "miss", "2/4", "3", 10, [[3], [2], [4], [1]]),
        (200, "hit-exact", "1/1", "4", 4, [[4]]),
        (200, "hit-exact", "2/2", "4", 4, [[1], [3]]),
    ]
    assert sent(provider) == [["a", "bb"], ["ccc", "dddd"]]
    assert [reply.headers["x-watchllm-cached"] for reply in replies] == ["false", "false", "true", "true"]
    assert [reply.headers["x-watchllm-cost-usd"] for reply in replies] == ["0.00000006", "0.00000014", "0", "0"]
    rows = [(row.is_cached, row.input_tokens, row.cost_pusd, row.tokens_saved, row.saved_pusd) for row in gateway.rows]
    assert rows == [
        (False, 3, 3 * PUSD, 0, 0),
        (False, 7, 7 * PUSD, 3, 3 * PUSD),
        (True, 4, 0, 4, 4 * PUSD),
        (True, 4, 0, 4, 4 * PUSD),
    ]
    assert gateway.rows[2].cache_entry == f"ce_{gateway.rows[1].request_id}"
    assert gateway.rows[3].cache_entry == f"ce_{gateway.rows[0].request_id}"


@pytest.mark.parametrize(
    "other", [{"dimensions": 2}, {"encoding_format": "float"}, {"user": "ann"}, {"unknown": 1}, {"model": "other"}]
)
async def test_whatever_else_is_said_is_another_request(
    gateway: Running, provider: Upstream, other: dict[str, Any]
) -> None:
    """Of each input too."""
    body = {"model": MODEL, "input": ["a", "b"]}
    async with gateway.client() as client:
        for each in (body, {**body, **other, "input": ["b", "c"]}):
            await client.post("/v1/embeddings", json=each)
    assert sent(provider) == [["a", "b"], ["b", "c"]]


async def test_tokens_are_inputs_too(gateway: Running, provider: Upstream) -> None:
    """One text's tokens, and several texts' tokens."""
    inputs: list[Any] = [[1, 2, 3], [[1, 2, 3], [4, 5]]]
    async with gateway.client() as client:
        for given in inputs:
            # Keys go by bytes: as a list of lists writes them.
            body = json.dumps({"model": MODEL, "input": given}, separators=(",", ":"))
            reply = await client.post("/v1/embeddings", content=body, headers={"content-type": "application/json"})
    assert told(reply) == (200, "miss", "1/2", "3", 5, [[1, 2, 3], [4, 5]])
    assert sent(provider) == [[1, 2, 3], [[4, 5]]]


async def test_wishes_hold_for_each_input(gateway: Running, provider: Upstream) -> None:
    """``read`` keeps nothing, ``refresh`` and ``off`` send all, ``only`` sends nothing."""
    wishes = ["default", "read", "read", "refresh", "off", "only"]
    async with gateway.client() as client:
        replies = [
            await client.post(
                "/v1/embeddings",
                json={"model": MODEL, "input": ["a"] if wish == "default" else ["a", "b"]},
                headers={} if wish == "default" else {"x-watchllm-cache": wish},
            )
            for wish in [*wishes[:3], "only", *wishes[3:]]
        ]
    assert sent(provider) == [["a"], ["b"], ["b"], ["a", "b"], ["a", "b"]]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 504, 200, 200, 200]
    assert [reply.headers.get("x-watchllm-cache") for reply in replies] == [
        "miss", "miss", "miss", None, "miss", "bypass", "hit-exact",
    ]  # fmt: skip


async def test_an_answer_that_does_not_fit_is_passed_on_and_not_kept(gateway: Running, provider: Upstream) -> None:
    """Where a part was to be put together with it, all is asked for; both calls are paid, and the row says so."""
    async with gateway.client() as client:
        await client.post("/v1/embeddings", json={"model": MODEL, "input": "a"})
        provider.answer = embedder(starts_at=7)
        replies = [await client.post("/v1/embeddings", json={"model": MODEL, "input": ["a", "bb"]}) for _ in range(2)]
    assert sent(provider) == ["a", ["bb"], ["a", "bb"], ["a", "bb"]]
    assert [[item["index"] for item in reply.json()["data"]] for reply in replies] == [[7, 8], [7, 8]]
    assert [reply.headers["x-watchllm-cache"] for reply in replies] == ["miss", "miss"]
    assert "x-watchllm-tokens-saved" not in replies[0].headers
    first, second = gateway.rows[1:]
    assert (first.attempts, first.input_tokens, first.tokens_saved, first.cost_pusd - first.lost_pusd) == (
        2, 3, 0, 3 * PUSD,
    )  # fmt: skip
    assert first.lost_pusd > 0
    assert (second.attempts, second.cost_pusd, second.lost_pusd) == (1, 3 * PUSD, 0)


async def test_another_target_is_sent_all_of_it(tmp_path: Path) -> None:
    """Vectors of two models are nothing together: a fallback's answer is its own, and is not kept."""

    async def broken(_: Request, writer: Any) -> None:
        writer.write(json_reply({"error": {"message": "no"}}, 500))

    async with upstream(embedder()) as provider, upstream(embedder()) as other:
        config = (
            openai_config(provider)
            + f'[providers.spare]\ndialect = "openai"\nbase_url = "{other.url}"\napi_key = "sk-spare"\n'
            + f'[[models]]\nname = "vectors"\ntargets = [{{ provider = "openai", model = "{MODEL}" }}, '
            + f'{{ provider = "spare", model = "{MODEL}" }}]\n'
        )
        async with running(tmp_path, config + CACHED) as gateway, gateway.client() as client:
            await client.post("/v1/embeddings", json={"model": "vectors", "input": ["a"]})
            provider.answer = broken
            replies = [
                await client.post("/v1/embeddings", json={"model": "vectors", "input": ["a", "bb"]}) for _ in range(2)
            ]
    assert sent(provider)[1:] == [["bb"], ["bb"]]
    assert sent(other) == [["a", "bb"], ["a", "bb"]]
    assert told(replies[0]) == told(replies[1]) == (200, "miss", None, None, 3, [[1], [2]])
    assert [row.tokens_saved for row in gateway.rows] == [0, 0, 0]


async def test_the_same_at_once_is_sent_once(gateway: Running, provider: Upstream) -> None:
    """Who follows gets all of it, and pays for none of it."""
    async with gateway.client() as client:
        await client.post("/v1/embeddings", json={"model": MODEL, "input": ["a"]})
        release = asyncio.Event()
        answer = provider.answer

        async def slow(request: Request, writer: Any) -> None:
            await release.wait()
            await answer(request, writer)

        provider.answer = slow
        body = {"model": MODEL, "input": ["a", "bb"]}
        asking = [asyncio.ensure_future(client.post("/v1/embeddings", json=body)) for _ in range(3)]
        while gateway.gateway.services.metrics.requests_in_flight < len(asking):
            await asyncio.sleep(0.01)
        release.set()
        replies = await asyncio.gather(*asking)
    assert sent(provider) == [["a"], ["bb"]]
    assert [told(reply)[5] for reply in replies] == [[[1], [2]]] * 3
    rows = sorted((row.cost_pusd, row.tokens_saved, row.saved_pusd) for row in gateway.rows[1:])
    assert rows == [(0, 3, 3 * PUSD), (0, 3, 3 * PUSD), (2 * PUSD, 1, PUSD)]


async def test_a_recall_names_who_got_the_answer_among_others(gateway: Running, provider: Upstream) -> None:
    """Whatever the row of a batch names: those that were all kept, those that were kept in part, and who followed."""
    async with gateway.client() as client:

        async def ask(*texts: str) -> str:
            reply = await client.post("/v1/embeddings", json={"model": MODEL, "input": list(texts)})
            return str(reply.headers["x-watchllm-request-id"])

        older, wrong = await ask("old"), await ask("wrong")
        every, several = await ask("old", "wrong"), await ask("old", "wrong", "new")
        release, answer = asyncio.Event(), provider.answer

        async def slow(request: Request, writer: Any) -> None:
            await release.wait()
            await answer(request, writer)

        provider.answer = slow
        asking = [asyncio.ensure_future(ask("wrong", "newest")) for _ in range(2)]
        while gateway.gateway.services.metrics.requests_in_flight < len(asking):
            await asyncio.sleep(0.01)
        release.set()
        shared = await asyncio.gather(*asking)
        await ask("old", "new")
    assert gateway.rows[2].cache_entry == entry_id_of(older)
    services, project_id = gateway.gateway.services, gateway.rows[0].project_id
    await services.recorder.flush()
    database = services.caching.directory._database
    occasion = msgspec.structs.replace(AT, account_id=None, now_ns=services.now_ns())
    recalled = await recall(database, services.caching, project_id, wrong, occasion)
    assert recalled is not None
    assert recalled.entries == [entry_id_of(wrong)]
    assert recalled.requests == sorted([every, several, *shared])


async def test_a_budget_counts_what_was_sent(gateway: Running) -> None:
    """What is spent of a call's own limit is the missing inputs' price; its whole is held before."""
    async with gateway.client() as client:
        await client.post("/v1/embeddings", json={"model": MODEL, "input": ["a" * 100]})
        reply = await client.post(
            "/v1/embeddings",
            json={"model": MODEL, "input": ["a" * 100, "bb"]},
            headers={"x-watchllm-max-cost-usd": "0.01"},
        )
        metrics = gateway.gateway.services.metrics
        assert (metrics.holds_open, metrics.requests_in_flight) == (0, 0)
    assert told(reply)[:4] == (200, "miss", "1/2", "100")
    assert gateway.rows[1].cost_pusd == 2 * PUSD
