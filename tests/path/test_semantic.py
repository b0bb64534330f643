"""Like questions through the whole gateway: what is answered again, what is not, what it costs, and what may fail."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from questions import FakeEmbedder, audit_always, layer_of, leave_nothing_to_chance, prove, set_embedder, settle
from running import Request, Running, Upstream, chat_reply, json_reply, openai_config, running, upstream

from gateway.accounts.directory import KeyRecord
from gateway.caching.semantic import store
from providers.errors import Unreachable

BOUND = '[cache]\nmode = "semantic"\nmax_wrong_rate = 0.1\nsemantic_max_wait_ms = 200\n'
Figures = tuple[int, str | None, str | None]
HIT, EXACT, MISS, BYPASS = "hit-semantic", "hit-exact", "miss", "bypass"


def about(thing: str, more: str = "") -> list[dict[str, Any]]:
    """A question that shares no word with one about another thing, and all but one with another about the same.

    That one stands inside: behind the rest it would be a condition, which is never served.
    """
    words = [f"{thing}{letter}" for letter in f"b{more}cdfgh"]
    return [{"role": "user", "content": " ".join(words)}]


def like(thing: str) -> list[dict[str, Any]]:
    """The same in other words."""
    return about(thing, "k")


async def answer_in_turn(request: Request, writer: asyncio.StreamWriter) -> None:
    """A provider that says of each thing the same, each time in other words."""
    thing = str(request.json()["messages"][-1]["content"]).split()[0]
    writer.write(json_reply(chat_reply(f"{thing} is what it is.")))


class Stage:
    """A gateway whose project serves, its provider and its embedder."""

    def __init__(self, gateway: Running, provider: Upstream, embedder: FakeEmbedder, client: httpx.AsyncClient) -> None:
        self.gateway, self.provider, self.embedder, self.client = gateway, provider, embedder, client

    async def ask(self, messages: list[dict[str, Any]], headers: dict[str, str] | None = None, **more: Any) -> Any:
        """Call the model, and have what it says learnt."""
        body = {"model": "gpt-4", "messages": messages, **more}
        answer = await self.client.post("/v1/chat/completions", json=body, headers=headers)
        await settle(self.gateway)
        return answer

    async def tell(self, messages: list[dict[str, Any]], headers: dict[str, str] | None = None, **more: Any) -> str:
        """What the cache said to a call."""
        answer = await self.ask(messages, headers, **more)
        assert answer.status_code == 200, answer.text
        return str(answer.headers["x-watchllm-cache"])


def project_of(gateway: Running, key: str) -> str:
    """Whose key it is."""
    found = gateway.gateway.services.directory.find(key.encode(), time.time_ns())
    assert isinstance(found, KeyRecord)
    return found.project_id


async def staged(folder: Path, provider: Upstream, embedder: FakeEmbedder, config: str = BOUND) -> AsyncIterator[Stage]:
    """A gateway before a provider, whose project may serve."""
    async with running(folder, openai_config(provider) + config) as gateway, gateway.client() as client:
        prove((await layer_of(gateway)).memory, project_of(gateway, gateway.live_key))
        yield Stage(gateway, provider, embedder, client)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One for this module; each test asks about a thing of its own."""
    with pytest.MonkeyPatch.context() as patch:
        embedder = set_embedder(patch)
        async with upstream(answer_in_turn) as provider:
            async for made in staged(tmp_path_factory.mktemp("semantic"), provider, embedder):
                yield made


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.row("W8")
@pytest.mark.row("W11")
@pytest.mark.row("W64")
@pytest.mark.row("U5")
async def test_a_like_question_costs_nothing(stage: Stage) -> None:
    """It gets the stored answer under a name of its own; the row tells what was saved, to the picodollar."""
    first, second = await stage.ask(about("oak")), await stage.ask(like("oak"))
    assert first.headers["x-watchllm-cache"] == MISS
    headers, said = second.headers, second.json()
    assert (headers["x-watchllm-cached"], headers["x-watchllm-cache"]) == ("true", HIT)
    assert (headers["x-watchllm-cost-usd"], headers["x-watchllm-tokens-saved"]) == ("0", "25")
    assert (headers["x-watchllm-provider"], headers["x-watchllm-model"]) == ("openai", "gpt-4-0613"[:5])
    assert headers["x-watchllm-cache-entry"] == f"ce_{first.headers['x-watchllm-request-id']}"
    assert 0 < float(headers["x-watchllm-cache-score"]) <= 1
    assert 0 < float(headers["x-watchllm-cache-similarity"]) < 1
    assert (said["x-WatchLLM-cached"], said["x_WatchLLM_cached"], said["x-WatchLLM-cost-usd"]) == (True, True, "0")
    assert said["choices"] == first.json()["choices"]
    assert said["usage"] == first.json()["usage"]
    assert said["id"] != first.json()["id"]
    row = stage.gateway.rows[-1]
    assert (row.is_cached, row.cost_pusd, row.cost_basis, row.cache_layer) == (True, 0, "cache", "semantic")
    assert (row.saved_pusd, row.tokens_saved) == (1_050_000_000, 25)
    assert row.cache_entry == headers["x-watchllm-cache-entry"]


@pytest.mark.row("W30")
async def test_usage_counts_a_semantic_hit_as_one_of_the_cache(stage: Stage) -> None:
    """Tokens used 0, cost 0, and what it saved; in the list and its sums."""
    await stage.ask(about("elm"))
    hit = await stage.ask(like("elm"))
    project_id = stage.gateway.rows[-1].project_id
    usage = (await stage.client.get(f"/api/projects/{project_id}/usage")).json()
    log = next(log for log in usage["logs"] if log["id"] == f"log_{hit.headers['x-watchllm-request-id']}")
    assert (log["cached"], log["tokens_used"], log["cost_usd"], log["tokens_saved"]) == (True, 0, 0, 25)
    rows = [row for row in stage.gateway.rows if row.project_id == project_id]
    hits, asked = sum(row.is_cached for row in rows), sum(not row.is_audit for row in rows)
    assert usage["summary"]["cache_hits"] == hits > 0
    assert (usage["total"], usage["summary"]["total_requests"]) == (len(rows), asked)
    assert usage["summary"]["cache_hit_rate"] == pytest.approx(hits / asked, abs=1e-4)


async def test_a_stream_is_given_too(stage: Stage) -> None:
    """From an answer that came whole, with the figures in its last chunk."""
    await stage.ask(about("fir"), temperature=0.1)
    answer = await stage.ask(like("fir"), temperature=0.1, stream=True)
    assert answer.headers["x-watchllm-cache"] == HIT
    chunks = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line.startswith("data: {")]
    said = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
    assert said == "firb is what it is."
    last = next(chunk for chunk in chunks if chunk["choices"] and chunk["choices"][0]["finish_reason"])
    assert (last["x-WatchLLM-cached"], last["x-WatchLLM-cost-usd"]) == (True, "0")


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": 0.3},
        {"max_tokens": 7},
        {"seed": 2},
        {"unknown": [1]},
        {"model": "gpt-4o"},
        {"messages": [{"role": "system", "content": "Be brief."}, *like("ash")]},
        {"messages": [*about("x"), {"role": "assistant", "content": "Yes."}, *like("ash")]},
        {"temperature": 1.5},
        {"n": 2},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
    ],
)
async def test_whatever_could_change_the_answer_keeps_it_apart(stage: Stage, changed: dict[str, Any]) -> None:
    """Parameters known and unknown, the model, the system prompt, the history; and what is no plain question."""
    await stage.ask(about("ash"))
    body = {"messages": like("ash"), **changed}
    assert await stage.tell(**body) == MISS


async def test_who_is_another_has_answers_of_their_own(stage: Stage) -> None:
    """The project's own test key, whatever it asks."""
    await stage.ask(about("yew"))
    async with stage.gateway.client(stage.gateway.test_key) as client:
        answer = await client.post("/v1/chat/completions", json={"model": "gpt-4", "messages": like("yew")})
    assert answer.headers["x-watchllm-cache"] == MISS


@pytest.mark.parametrize(
    ("headers", "said", "is_kept"),
    [
        ({"x-watchllm-cache": "off"}, BYPASS, False),
        ({"cache-control": "no-store"}, BYPASS, False),
        ({"x-watchllm-cache": "read"}, HIT, False),
        ({"x-watchllm-cache": "only"}, HIT, False),
        ({"x-watchllm-cache": "write"}, MISS, True),
        ({"x-watchllm-cache": "refresh"}, MISS, True),
        ({"cache-control": "no-cache"}, MISS, True),
    ],
)
async def test_the_callers_wish_wins(stage: Stage, headers: dict[str, str], said: str, is_kept: bool) -> None:
    """Whether a like question's answer may be given, and whether the own one is kept."""
    thing = "wish" + "".join(headers.values()).replace("-", "")
    await stage.ask(about(thing))
    assert await stage.tell(like(thing), headers) == said
    assert await stage.tell(like(thing)) == (EXACT if is_kept else HIT)


async def test_only_a_stored_answer_or_none(stage: Stage) -> None:
    """Without one the provider is not called."""
    calls = len(stage.provider.requests)
    refused = await stage.ask(about("nowhere"), {"x-watchllm-cache": "only"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (504, "cache_miss")
    assert len(stage.provider.requests) == calls


@pytest.mark.parametrize("header", ["x-watchllm-max-wrong-rate", "x-watchllm-max-wrong-hit-rate"])
async def test_a_caller_may_allow_less_and_never_more(stage: Stage, header: str) -> None:
    """The stricter of both bounds holds."""
    thing = "bound" + header[-13:].replace("-", "")
    await stage.ask(about(thing))
    assert await stage.tell(like(thing), {header: "1", "x-watchllm-cache": "read"}) == HIT
    assert await stage.tell(like(thing), {header: "0.0001", "x-watchllm-cache": "read"}) == MISS
    for wrong in ("2", "-0.1", "x", "1e-3", ""):
        refused = await stage.ask(like(thing), {header: wrong})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, header)


async def test_an_embedder_that_fails_is_a_miss(stage: Stage) -> None:
    """The call is served; what it said is not learnt from, and the next is again."""
    await stage.ask(about("fail"))
    stage.embedder.error = Unreachable("the weights have another hash", sent=False)
    try:
        assert await stage.tell(like("fail")) == MISS
    finally:
        stage.embedder.error = None
    assert await stage.tell(about("fail", "m")) == HIT


async def test_a_call_waits_no_longer_than_it_may(stage: Stage) -> None:
    """An embedder that does not answer costs its bound, here 200 ms, and the call is a miss."""
    await stage.ask(about("slow"))
    stage.embedder.open.clear()
    body = {"model": "gpt-4", "messages": like("slow")}
    try:
        answer = await stage.client.post("/v1/chat/completions", json=body)
    finally:
        stage.embedder.open.set()
    assert answer.headers["x-watchllm-cache"] == MISS
    assert 200 <= float(answer.headers["x-watchllm-overhead-ms"]) < 2_000
    await settle(stage.gateway)
    assert await stage.tell(about("slow", "m")) == HIT


async def test_a_layer_that_breaks_is_a_miss(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises."""
    layer = await layer_of(stage.gateway)
    await stage.ask(about("break"))

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(layer.memory, "look", fail)
        assert await stage.tell(like("break")) == MISS
    assert await stage.tell(about("break", "m")) == HIT


async def test_an_answer_that_is_read_too_slowly_is_not_served(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call is a miss, and what was decided before does not count."""
    layer, answers = await layer_of(stage.gateway), stage.gateway.gateway.services.caching.answers
    first = await stage.ask(about("tardy"))
    project_id = stage.gateway.rows[-1].project_id
    kept = layer.memory.shelf.of_id(f"ce_{first.headers['x-watchllm-request-id']}")
    assert kept is not None
    answers.forget(kept.key)

    async def hang(*_: Any) -> None:
        await asyncio.sleep(60)

    before = layer.memory.engine.count_served(project_id)
    with monkeypatch.context() as patch:
        patch.setattr(store, "read_answer", hang)
        assert await stage.tell(like("tardy")) == MISS
    after = layer.memory.engine.count_served(project_id)
    assert (after.requests, after.hits) == (before.requests + 1, before.hits)


async def test_an_audit_is_a_call_with_a_row_of_its_own(stage: Stage) -> None:
    """It checks the answer that was given, costs what it costs, and its answer is kept for the next to ask so."""
    layer = await layer_of(stage.gateway)
    settings = layer.memory.engine.settings
    await stage.ask(about("audit"))
    audit_always(layer.memory)
    rows, calls = len(stage.gateway.rows), len(stage.provider.requests)
    hit = await stage.ask(like("audit"))
    layer.memory.engine.settings = settings
    assert hit.headers["x-watchllm-cache"] == HIT
    given, made = stage.gateway.rows[rows:]
    assert (given.cache_layer, given.cost_pusd) == ("semantic", 0)
    assert (made.cache_layer, made.cost_pusd, made.status) == ("audit", 1_050_000_000, "complete")
    assert (made.project_id, made.key_id) == (given.project_id, given.key_id)
    assert len(stage.provider.requests) == calls + 1
    await layer.write()
    async with stage.gateway.gateway.app.state.database.read() as connection:
        decision = await store.read_decision(connection, given.project_id, given.request_id)
    assert decision is not None
    assert (decision.decision, decision.is_right) == ("audit", True)
    assert await stage.tell(like("audit")) == EXACT


async def test_an_audit_that_is_not_made_checks_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the day's sum is used up the answer was given, and nobody is told that it was checked."""
    layer, audits = await layer_of(stage.gateway), stage.gateway.gateway.services.caching.audits
    await stage.ask(about("broke"))
    settings, calls = layer.memory.engine.settings, len(stage.provider.requests)
    audit_always(layer.memory)
    monkeypatch.setattr(audits, "_limit_pusd", 1)
    hit = await stage.ask(like("broke"))
    layer.memory.engine.settings = settings
    assert hit.headers["x-watchllm-cache"] == HIT
    assert len(stage.provider.requests) == calls
    given = stage.gateway.rows[-1]
    async with stage.gateway.gateway.app.state.database.read() as connection:
        decision = await store.read_decision(connection, given.project_id, given.request_id)
    assert decision is not None
    assert (decision.decision, decision.is_right) == ("serve", None)


async def test_the_same_asked_at_once_is_still_sent_once(stage: Stage) -> None:
    """A question that nothing is like of: the others wait for the first."""
    calls = len(stage.provider.requests)
    body = {"model": "gpt-4", "messages": about("once")}
    answers = await asyncio.gather(*[stage.client.post("/v1/chat/completions", json=body) for _ in range(5)])
    assert {answer.status_code for answer in answers} == {200}
    assert len(stage.provider.requests) == calls + 1


async def test_metrics_tell_what_is_indexed(stage: Stage) -> None:
    """All that is stored, and that it is whole."""
    await stage.ask(about("metric"))
    lines = (await stage.client.get("/metrics")).text.splitlines()
    told = [line.split(" ") for line in lines if line.startswith("watchllm_cache_")]
    found = {name: float(value) for name, value in told}
    assert found["watchllm_cache_index_ready"] == 1
    assert 0 < found["watchllm_cache_indexed"] <= found["watchllm_cache_entries"]
    assert found["watchllm_cache_unlearnt_total"] == 0


async def test_the_shadow_serves_exact_repeats_only_and_notes_the_rest(tmp_path: Path) -> None:
    """Nobody waits for it, and it says what it would have given."""
    with pytest.MonkeyPatch.context() as patch:
        embedder = set_embedder(patch)
        async with upstream(answer_in_turn) as provider:
            async for stage in staged(tmp_path, provider, embedder, BOUND.replace('"semantic"', '"shadow"')):
                first = [await stage.tell(about("oak")), await stage.tell(like("oak")), await stage.tell(like("oak"))]
                project_id = stage.gateway.rows[0].project_id
                hits = await stage.client.get(f"/api/projects/{project_id}/cache/report")
                assert first == [MISS, MISS, EXACT]
                assert (hits.json()["mode"], hits.json()["live"]["serving"]) == ("shadow", False)
                # 600 were taught; these are the three above.
                assert hits.json()["requests"] == 603
                async with stage.gateway.gateway.app.state.database.read() as connection:
                    (seen,) = await store.read_decisions(connection, project_id)
                entry_id = f"ce_{stage.gateway.rows[0].request_id}"
                assert (seen.request_id, seen.decision) == (stage.gateway.rows[1].request_id, "shadow")
                assert (seen.entry_id, seen.is_right, seen.threshold <= seen.score) == (entry_id, True, True)
                # Who wants a fresh answer would have got none of what is stored.
                for wish in ("refresh", "write"):
                    assert await stage.tell(about("oak"), {"x-watchllm-cache": wish}) == MISS
                again = await stage.client.get(f"/api/projects/{project_id}/cache/report")
                assert again.json()["requests"] == 603
                assert again.json()["curve"] == hits.json()["curve"]


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    """Neither the exact answers of a semantic project, nor the like ones, nor that it may serve."""
    with pytest.MonkeyPatch.context() as patch:
        embedder = set_embedder(patch)
        async with upstream(answer_in_turn) as provider:
            async for stage in staged(tmp_path, provider, embedder):
                key = stage.gateway.live_key
                await stage.ask(about("oak"))
            async with running(tmp_path, openai_config(provider) + BOUND) as gateway, gateway.client(key) as client:
                layer = await layer_of(gateway)
                leave_nothing_to_chance(layer.memory)
                assert layer.memory.engine.count_requests(project_of(gateway, key)) == 601
                said = []
                for messages in (like("oak"), about("oak")):
                    body = {"model": "gpt-4", "messages": messages}
                    answer = await client.post("/v1/chat/completions", json=body)
                    said.append(answer.headers["x-watchllm-cache"])
                assert said == [HIT, EXACT]
            assert len(provider.requests) == 1


async def test_mode_off_and_exact_know_no_layer(tmp_path: Path) -> None:
    """Nothing of it is opened, and the gauge of its index is at rest."""
    async with upstream(answer_in_turn) as provider:
        config = openai_config(provider) + '[cache]\nmode = "exact"\n'
        async with running(tmp_path, config) as gateway, gateway.client() as client:
            body = {"model": "gpt-4", "messages": about("oak")}
            for _ in range(2):
                answer = await client.post("/v1/chat/completions", json=body)
            assert answer.headers["x-watchllm-cache"] == EXACT
            assert gateway.gateway.services.caching.semantics.layer is None
            assert "watchllm_cache_index_ready 1" in (await client.get("/metrics")).text
