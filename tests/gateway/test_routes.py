"""Every route on one framework: who may pass, what is not there, and the same answers as on the short way."""

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
import pytest_asyncio
from running import Running, always, chat_reply, json_reply, openai_config, running, upstream

from gateway.routes import describe_api

GUARDS = ("gateway.surfaces.guards", "gateway.surfaces.access")
PERSON = {"email": "ann@example.com", "password": "correct horse battery"}
# Their bodies tell of times or counts, and so differ in length.
UNSTEADY = {"/", "/health", "/metrics", "/stats"}
HELLO = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One gateway for this module, with an OpenAI that always says the same."""
    async with upstream(always(json_reply(chat_reply()))) as provider:
        async with running(tmp_path_factory.mktemp("routes"), openai_config(provider)) as gateway:
            yield gateway


@pytest.mark.asyncio(loop_scope="module")
class TestRoutes:
    """What the framework answers."""

    async def test_the_framework_answers_as_the_short_way_does(self, gateway: Running) -> None:
        """The same app under any ASGI server."""
        transport = httpx.ASGITransport(cast("Any", gateway.gateway.app))
        headers = {"authorization": f"Bearer {gateway.live_key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://any.test", headers=headers) as framework:
            ordinary = await framework.post("/v1/chat/completions", json=HELLO)
        async with gateway.client() as client:
            short = await client.post("/v1/chat/completions", json=HELLO)
        assert set(ordinary.headers) == set(short.headers)
        figures = ("x-WatchLLM-latency-ms", "x_WatchLLM_latency_ms")
        assert {**ordinary.json(), **dict.fromkeys(figures, 0)} == {**short.json(), **dict.fromkeys(figures, 0)}

    @pytest.mark.parametrize("path", ["/api/v1/auth/login", "/api/v1/auth/register", "/api/projects"])
    async def test_a_body_is_json(self, gateway: Running, path: str) -> None:
        """What a page elsewhere can send unasked is refused before it is read; surface A has no 415."""
        async with gateway.client() as client:
            signed_up = await client.post("/api/v1/auth/register", json={**PERSON, "email": f"{len(path)}@example.com"})
            client.headers["authorization"] = f"Bearer {signed_up.json()['access_token']}"
            answer = await client.post(path, content=json.dumps(PERSON), headers={"content-type": "text/plain"})
        assert (answer.status_code, "'text/plain'" in answer.text) == (415 if path == "/api/projects" else 400, True)

    @pytest.mark.parametrize(
        "address",
        ["/api/requests?model=%00", "/v1/usage?period=%00", "/api/catalogue?search=a%00b", "/api/requests/%00"],
    )
    async def test_a_nul_is_refused(self, gateway: Running, address: str) -> None:
        """In one place for every route."""
        async with gateway.client() as client:
            answer = await client.get(address)
        assert answer.status_code == (404 if "?" not in address else 400)

    @pytest.mark.parametrize(
        ("path", "allow"),
        [
            ("/api/projects", "GET, HEAD, OPTIONS, POST"),
            ("/api/projects/x/keys/y", "DELETE, OPTIONS, PATCH"),
            ("/v1/quote", "OPTIONS, POST"),
        ],
    )
    async def test_a_path_tells_all_its_methods(self, gateway: Running, path: str, allow: str) -> None:
        """Whichever of its handlers was mounted first."""
        async with gateway.client() as client:
            answer = await client.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (204, allow)

    async def test_head_says_what_get_does_without_its_body(self, gateway: Running) -> None:
        """At every address that is asked without an id, refusals and the stream that never ends included."""
        routes = [route for route in gateway.gateway.app.routes if "{" not in route.path]
        paths = sorted({route.path for route in routes if "GET" in getattr(route, "methods", ())})
        assert {"/", "/health", "/metrics", "/docs", "/v1/models", "/api/requests/live"} <= set(paths)
        async with gateway.client() as client:
            for path in paths:
                head = await client.head(path)
                async with client.stream("GET", path) as asked:
                    assert (path, head.status_code, head.content) == (path, asked.status_code, b"")
                    assert head.headers.keys() == asked.headers.keys() - {"transfer-encoding"}
                    if path not in UNSTEADY:
                        assert head.headers.get("content-length") == asked.headers.get("content-length"), path

    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/quote"])
    async def test_head_is_no_method_of_what_is_not_read(self, gateway: Running, path: str) -> None:
        """Nor does the connection have to end for it."""
        async with gateway.client() as client:
            head = await client.head(path)
            assert (head.status_code, "GET" in head.headers["allow"], head.content) == (405, False, b"")
            assert (await client.get("/health")).status_code == 200

    async def test_the_document_needs_no_gateway(self, gateway: Running) -> None:
        """What watchllm openapi prints, and the dashboard's types are made from, is what a gateway serves."""
        async with gateway.client() as client:
            served = (await client.get("/schema/openapi.json")).json()
        assert json.loads(json.dumps(describe_api(served["info"]["version"]))) == served

    async def test_every_route_says_who_may_pass(self, gateway: Running) -> None:
        """Each handler carries a guard of gateway.surfaces; only what the framework adds by itself has none."""
        unguarded: list[str] = []
        for route in gateway.gateway.app.routes:
            handlers: list[Any] = getattr(route, "route_handlers", None) or [cast("Any", route).route_handler]
            for handler in handlers:
                is_ours = not route.path.startswith("/schema") and handler.handler_name != "options_handler"
                guards = [guard for guard in handler.guards or () if guard.__module__ in GUARDS]
                if is_ours and not guards:
                    unguarded.append(f"{route.path} {handler.handler_name}")
        assert unguarded == []

    @pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/v1/models", 405)])
    async def test_what_is_not_there_is_told_in_json(
        self, gateway: Running, method: str, path: str, status: int
    ) -> None:
        """The framework's refusals, in the envelope."""
        async with gateway.client() as client:
            response = await client.request(method, path)
        assert (response.status_code, set(response.json())) == (status, {"error"})
