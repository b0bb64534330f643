"""The API documents' promises that belong to the proxy, each by the document's own request through a real gateway."""

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from running import Answer, Request, Running, chat_reply, json_reply, running, upstream
from streaming import GOOD, events_of

HELLO = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hello!"}]}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


async def provider_answer(request: Request, writer: asyncio.StreamWriter) -> None:
    """OpenAI, Groq, OpenRouter and Anthropic in one, as small as can be; a wrong key is refused."""
    if not ({request.headers.get("authorization"), request.headers.get("x-api-key")} & {"Bearer sk-up", "sk-up"}):
        writer.write(json_reply({"error": {"message": "bad key"}}, 401))
        return
    body = request.json()
    if body.get("stream"):
        await GOOD(request, writer)
        return
    if request.path.endswith("/messages"):
        usage = {"input_tokens": 15, "output_tokens": 10}
        reply: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
        reply |= {"content": [{"type": "text", "text": "Hello!"}], "stop_reason": "end_turn", "usage": usage}
    elif request.path.endswith("/embeddings"):
        count = len(body["input"]) if isinstance(body["input"], list) else 1
        data = [{"object": "embedding", "embedding": [0.123, 0.456], "index": index} for index in range(count)]
        reply = {"object": "list", "data": data, "model": body["model"]}
        reply |= {"usage": {"prompt_tokens": 8, "total_tokens": 8}}
    elif request.path.endswith("/chat/completions"):
        reply = chat_reply(model=body["model"])
    else:
        choice = {"text": " there was a kingdom...", "index": 0, "finish_reason": "stop"}
        usage = {"prompt_tokens": 4, "completion_tokens": 50, "total_tokens": 54}
        reply = {"id": "cmpl-xyz123", "object": "text_completion", "created": 1234567890, "model": body["model"]}
        reply |= {"choices": [choice], "usage": usage}
    writer.write(json_reply(reply))


def config(url: str, *names: str) -> str:
    return "".join(f'[providers.{name}]\nbase_url = "{url}"\napi_key = "sk-up"\n' for name in names)


class House:
    """One gateway with all four providers behind it."""

    def __init__(self, gateway: Running, client: httpx.AsyncClient, requests: list[Request]) -> None:
        self.gateway = gateway
        self.client = client
        self.requests = requests


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with upstream(provider_answer) as provider:
        text = config(provider.url, "openai", "anthropic", "groq", "openrouter")
        async with running(tmp_path_factory.mktemp("house"), text) as gateway, gateway.client() as client:
            yield House(gateway, client, provider.requests)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.row("W2", "W3", "U1")
async def test_a_project_key_in_the_authorization_header_is_known(house: House) -> None:
    """``Authorization: Bearer lgw_proj_…`` opens the OpenAI-compatible proxy."""
    key = house.gateway.live_key
    assert key.startswith("lgw_proj_")
    response = await house.client.post("/v1/chat/completions", json=HELLO, headers={"authorization": f"Bearer {key}"})
    assert (response.status_code, response.json()["object"]) == (200, "chat.completion")


@pytest.mark.row("W4")
async def test_a_test_key_is_answered_free_and_offline(house: House) -> None:
    """``lgw_test_…``: the sandbox answers, no provider is called, nothing is charged."""
    key, before = house.gateway.test_key, len(house.requests)
    assert key.startswith("lgw_test_")
    response = await house.client.post("/v1/chat/completions", json=HELLO, headers={"authorization": f"Bearer {key}"})
    assert response.status_code == 200
    assert (response.headers["x-watchllm-provider"], response.json()["x-WatchLLM-cost-usd"]) == ("sandbox", "0")
    assert len(house.requests) == before


@pytest.mark.row("W8", "W9", "W10", "W12", "U7")
async def test_a_reply_carries_the_documented_headers(house: House) -> None:
    """cached, cost, latency and provider, in whatever case they are read."""
    headers = (await house.client.post("/v1/chat/completions", json=HELLO)).headers
    assert headers["x-WatchLLM-cached"] == "false"
    assert headers["x-WatchLLM-cost-usd"] == "0.00105"
    assert int(headers["x-WatchLLM-latency-ms"]) >= 0
    assert headers["x-WatchLLM-provider"] == "openai"


@pytest.mark.row("W13", "W14", "W15")
@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4", "openai"),
        ("gpt-4-turbo", "openai"),
        ("gpt-3.5-turbo", "openai"),
        ("claude-3-haiku", "anthropic"),
        ("claude-3-5-sonnet", "anthropic"),
        ("claude-3-opus", "anthropic"),
        ("llama-3-8b", "groq"),
        ("llama-3-70b", "groq"),
        ("mixtral-8x7b", "groq"),
    ],
)
async def test_the_documents_models_reach_their_providers(house: House, model: str, provider: str) -> None:
    """Every name of the table is answered by the provider of its line, whatever it calls the model today."""
    response = await house.client.post("/v1/chat/completions", json=HELLO | {"model": model})
    assert (response.status_code, response.headers["x-watchllm-provider"]) == (200, provider)
    assert house.requests[-1].json()["model"] == response.headers["x-watchllm-model"]


@pytest.mark.row("W16")
async def test_openrouter_is_reached_by_prefix(house: House) -> None:
    """``openrouter/…`` names any of its models."""
    body = HELLO | {"model": "openrouter/mistralai/mistral-large"}
    response = await house.client.post("/v1/chat/completions", json=body)
    assert response.headers["x-watchllm-provider"] == "openrouter"
    assert house.requests[-1].json()["model"] == "mistralai/mistral-large"


@pytest.mark.row("W16")
@pytest.mark.parametrize(
    ("model", "there"), [("gpt-4", "openai/gpt-4"), ("claude-3-haiku", "anthropic/claude-3-haiku")]
)
async def test_openrouter_alone_serves_the_others_names(tmp_path: Path, model: str, there: str) -> None:
    """With no other key, known names are mapped to OpenRouter's."""
    async with upstream(provider_answer) as provider:
        async with running(tmp_path, config(provider.url, "openrouter")) as gateway, gateway.client() as client:
            response = await client.post("/v1/chat/completions", json=HELLO | {"model": model})
    assert response.headers["x-watchllm-provider"] == "openrouter"
    assert provider.requests[-1].json()["model"] == there


@pytest.mark.row("W17")
async def test_a_stream_is_server_sent_events(house: House) -> None:
    """The document's request with ``stream: true``: data events, the finish with its figures, then [DONE]."""
    body = {"model": "gpt-4", "messages": [{"role": "user", "content": "Write a story"}], "stream": True}
    response = await house.client.post("/v1/chat/completions", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("\n\n")
    assert all(block.startswith("data: ") for block in response.text.removesuffix("\n\n").split("\n\n"))
    *chunks, last, done = events_of(response.content)
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == "Hello"
    assert (last["choices"][0]["finish_reason"], done) == ("stop", "[DONE]")
    assert (last["x-WatchLLM-cached"], last["x-WatchLLM-cost-usd"]) == (False, "0.00105")
    assert isinstance(last["x-WatchLLM-latency-ms"], int)


@pytest.mark.row("W18")
async def test_a_legacy_completion_is_answered(house: House) -> None:
    """The document's request to /v1/completions and its fields."""
    body = {"model": "gpt-3.5-turbo-instruct", "prompt": "Once upon a time", "max_tokens": 50, "temperature": 0.7}
    reply = (await house.client.post("/v1/completions", json=body)).json()
    assert (reply["id"], reply["object"], reply["model"]) == ("cmpl-xyz123", "text_completion", body["model"])
    assert reply["choices"] == [{"text": " there was a kingdom...", "index": 0, "finish_reason": "stop"}]
    assert reply["usage"] == {"prompt_tokens": 4, "completion_tokens": 50, "total_tokens": 54}
    assert house.requests[-1].json() == body


@pytest.mark.row("W19", "U4")
async def test_an_embedding_is_answered(house: House) -> None:
    """The document's request to /v1/embeddings and its fields."""
    body = {"model": "text-embedding-ada-002", "input": "The quick brown fox jumps over the lazy dog"}
    reply = (await house.client.post("/v1/embeddings", json=body)).json()
    assert (reply["object"], reply["model"]) == ("list", "text-embedding-ada-002")
    assert reply["data"] == [{"object": "embedding", "embedding": [0.123, 0.456], "index": 0}]
    assert reply["usage"] == {"prompt_tokens": 8, "total_tokens": 8}


@pytest.mark.row("W20")
async def test_a_batch_of_embeddings_is_answered(house: House) -> None:
    """A list of texts gives a list of vectors in order."""
    body = {"model": "text-embedding-ada-002", "input": ["First sentence", "Second sentence", "Third sentence"]}
    reply = (await house.client.post("/v1/embeddings", json=body)).json()
    assert [item["index"] for item in reply["data"]] == [0, 1, 2]


@pytest.mark.row("U4")
async def test_the_bundled_model_embeds_without_a_provider(house: House) -> None:
    """A batch in one request, counted exactly; base64 holds the same numbers."""
    body = {"model": "all-MiniLM-L6-v2", "input": ["First sentence", "Second sentence"]}
    response = await house.client.post("/v1/embeddings", json=body)
    reply = response.json()
    assert [len(item["embedding"]) for item in reply["data"]] == [384, 384]
    assert reply["usage"] == {"prompt_tokens": 8, "total_tokens": 8}
    assert response.headers["x-watchllm-provider"] == "local"


@pytest.mark.row("W21", "A44")
async def test_health_is_the_union_of_both_documents(house: House) -> None:
    """status, version and timestamp of one, the checks of the other."""
    response = await house.client.get("/health", headers={"authorization": ""})
    body = response.json()
    assert (response.status_code, body["status"], body["version"]) == (200, "ok", "1.0.0")
    assert MOMENT.fullmatch(body["timestamp"])
    for name in ("database", "redis"):
        assert body["checks"][name]["healthy"] is True
        assert isinstance(body["checks"][name]["response_time_ms"], int)


@pytest.mark.row("A45")
async def test_metrics_are_prometheus_text(house: House) -> None:
    """Counters and gauges, without a credential from an allowed address."""
    response = await house.client.get("/metrics", headers={"authorization": ""})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE watchllm_requests_total counter" in response.text
    assert "\nwatchllm_requests_in_flight 0\n" in response.text
    assert "\nwatchllm_holds_open 0\n" in response.text


@pytest.mark.row("S18")
async def test_the_root_greets_programs(house: House) -> None:
    """The JSON of the document; a browser gets a page, be the dashboard built or not (see surfaces/test_pages.py)."""
    body = (await house.client.get("/", headers={"accept": "application/json"})).json()
    assert MOMENT.fullmatch(body.pop("timestamp"))
    assert body == {"status": "healthy", "message": "Welcome to ServeML API", "version": "1.0.0"}
    page = await house.client.get("/", headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "<title>WatchLLM</title>" in page.text


@pytest.mark.row("D22")
async def test_the_reference_is_at_docs_and_loads_nothing(house: House) -> None:
    """A page made from the OpenAPI document, with no address of another host in it."""
    page = await house.client.get("/docs", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "/v1/chat/completions" in page.text
    assert re.findall(r'(?:src|href)="(?:https?:)?//[^"]+"', page.text) == []
    document = (await house.client.get("/schema/openapi.json")).json()
    assert {"/v1/chat/completions", "/v1/embeddings", "/api/projects/{project_id}/usage"} <= document["paths"].keys()


async def project_of(house: House) -> str:
    """The id of the key's project."""
    await house.client.post("/v1/chat/completions", json=HELLO)
    return house.gateway.rows[-1].project_id


@pytest.mark.row("W30", "U6")
async def test_usage_lists_calls_with_exact_costs(house: House) -> None:
    """The documented fields and types; the sums are over all that match."""
    project = await project_of(house)
    response = await house.client.get(f"/api/projects/{project}/usage", params={"model": "gpt-4", "limit": 1})
    body = response.json()
    log = body["logs"][0]
    assert log["id"].startswith("log_")
    assert (log["model"], log["tokens_used"], log["cost_usd"], log["cached"]) == ("gpt-4", 25, 0.00105, False)
    assert isinstance(log["latency_ms"], int)
    assert MOMENT.fullmatch(log["created_at"])
    live = [row for row in house.gateway.rows if row.model == "gpt-4" and row.project_id == project]
    assert (len(body["logs"]), body["total"]) == (1, len(live))
    assert body["summary"] == {
        "total_requests": len(live),
        "total_tokens": sum(row.total_tokens for row in live),
        "total_cost": pytest.approx(sum(row.cost_pusd for row in live) / 1e12, rel=1e-15),
        "cache_hits": 0,
        "cache_hit_rate": 0,
    }


@pytest.mark.row("W30")
@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "1001"}, {"from": "yesterday"}, {"to": "2024-13-01"}])
async def test_a_usage_query_that_makes_no_sense_names_its_parameter(house: House, query: dict[str, str]) -> None:
    """400 with the parameter, never a silent default."""
    response = await house.client.get(f"/api/projects/{await project_of(house)}/usage", params=query)
    assert (response.status_code, response.json()["error"]["param"]) == (400, next(iter(query)))


async def test_another_projects_usage_is_not_found(house: House) -> None:
    """A foreign id tells nothing, not even that it exists."""
    foreign = await house.client.get("/api/projects/proj_01m808cpq6f8ntc1pqc0fca7ya/usage")
    assert (foreign.status_code, foreign.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.row("W31")
async def test_usage_is_exported_as_csv(house: House) -> None:
    """The documented header and one line a call."""
    project = await project_of(house)
    response = await house.client.get(f"/api/projects/{project}/usage/export")
    assert response.headers["content-type"].startswith("text/csv")
    assert response.text.splitlines()[0] == "date,model,tokens_used,cost_usd,cached,latency_ms"
    line = next(csv.DictReader(io.StringIO(response.text)))
    assert (line["model"], line["tokens_used"], line["cost_usd"], line["cached"]) == ("gpt-4", "25", "0.00105", "false")


def error_of(response: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "details"}
    assert isinstance(error["message"], str)
    assert isinstance(error["details"], dict)
    return error


@pytest.mark.row("W43", "W45")
async def test_a_bad_key_is_told_in_the_documented_envelope(house: House) -> None:
    """code, message and details, with OpenAI's type and param beside them."""
    response = await house.client.post("/v1/chat/completions", json=HELLO, headers={"authorization": "Bearer lgw_x"})
    assert (response.status_code, error_of(response)["code"]) == (401, "invalid_api_key")


@pytest.mark.row("W48")
async def test_an_unknown_model_is_told_with_close_names(house: House) -> None:
    """400 invalid_model, before any provider is called."""
    before = len(house.requests)
    response = await house.client.post("/v1/chat/completions", json=HELLO | {"model": "lama-3-70b"})
    error = error_of(response)
    assert (response.status_code, error["code"], error["param"]) == (400, "invalid_model", "model")
    assert "'llama-3-70b'" in error["message"]
    assert len(house.requests) == before


def failing(status: int) -> Answer:
    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(json_reply({"error": {"message": "it broke"}}, status))

    return answer


@pytest.mark.row("W49", "W51")
@pytest.mark.parametrize(
    ("status", "shown", "code"),
    [(500, 502, "provider_error"), (503, 502, "provider_error"), (429, 429, "rate_limit_exceeded")],
)
async def test_a_failing_provider_is_told_when_the_gateway_has_given_up(
    tmp_path: Path, status: int, shown: int, code: str
) -> None:
    """The gateway retried with backoff itself, and says so: a client should not multiply the tries."""
    async with upstream(failing(status)) as provider:
        text = config(provider.url, "openai") + "[retries]\nbase_backoff_ms = 1\n"
        async with running(tmp_path, text) as gateway, gateway.client() as client:
            response = await client.post("/v1/chat/completions", json=HELLO)
    assert (response.status_code, error_of(response)["code"]) == (shown, code)
    assert response.headers["x-should-retry"] == "false"
    assert len(provider.requests) == 3


@pytest.mark.row("W44")
@pytest.mark.parametrize(
    ("prompt", "status"), [("hi", 200), *((f"sandbox:error:{s}", s) for s in (400, 401, 402, 429, 500, 502, 503))]
)
async def test_every_documented_status_can_be_seen(house: House, prompt: str, status: int) -> None:
    """The sandbox plays each of them, in the same envelope as the real ones."""
    body = HELLO | {"messages": [{"role": "user", "content": prompt}]}
    headers = {"authorization": f"Bearer {house.gateway.test_key}"}
    response = await house.client.post("/v1/chat/completions", json=body, headers=headers)
    assert response.status_code == status
    if status != 200:
        error_of(response)


@pytest.mark.row("U8")
async def test_what_can_be_called_is_listed(house: House) -> None:
    """GET /v1/models and /v1/models/{id} in OpenAI's shape; a name may contain slashes."""
    listed = (await house.client.get("/v1/models")).json()
    names = {card["id"] for card in listed["data"]}
    assert listed["object"] == "list"
    assert {"gpt-4", "claude-3-5-sonnet", "llama-3-70b", "local/all-MiniLM-L6-v2"} <= names
    for name in ("gpt-4", "local/all-MiniLM-L6-v2", "openrouter/mistralai/mistral-large"):
        card = (await house.client.get(f"/v1/models/{name}")).json()
        assert (card["id"], card["object"]) == (name, "model")
    assert (await house.client.get("/v1/models/nothing-like-it")).status_code == 404


@pytest.mark.row("U9")
async def test_a_sidecar_needs_nothing_but_itself(tmp_path: Path) -> None:
    """One process, SQLite in its folder, no Redis, no Stripe, no configuration: it serves and keeps its books."""
    async with running(tmp_path) as gateway, gateway.client(gateway.test_key) as client:
        response = await client.post("/v1/chat/completions", json=HELLO)
        await gateway.gateway.services.recorder.flush()
    assert response.status_code == 200
    assert {path.name for path in (tmp_path / "data").iterdir()} >= {"watchllm.db", "master.key"}


@pytest.mark.row("U2", "U3")
async def test_the_top_level_is_the_cards() -> None:
    """The packages of the card that this version uses are dependencies, and its top level stands."""
    root = Path(__file__).parents[2]
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    for package in ("litestar", "httpx", "redis", "sentence-transformers", "faiss-gpu", "tiktoken", "msgspec"):
        assert f'"{package}' in project
    for package in ("stripe", "cryptography", "aiosqlite"):
        assert f'"{package}' in project
    for name in ("pyproject.toml", "gateway", "providers", "cache", "tests", "config.example.toml", "README.md"):
        assert (root / name).exists(), name
