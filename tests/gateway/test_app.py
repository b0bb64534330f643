"""Settings become a running gateway: who is built, who is routed to, at which price, and that all of it closes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import pytest_asyncio
from running import Running, always, chat_reply, json_reply, openai_config, running, upstream

from gateway.app import build_backends, build_counters, build_prices, build_routes
from gateway.backends.interface import Backend
from gateway.config.loading import load_settings
from gateway.config.settings import Settings
from gateway.counters.interface import RateWindow
from gateway.counters.memory import MemoryCounters
from providers.catalogue import load_catalogue
from providers.wire import Call

AT_NS = 1_790_000_000_000_000_000
KEYS = {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2", "GROQ_API_KEY": "sk-3", "OPENROUTER_API_KEY": "sk-4"}
HELLO = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}]}


def settings_of(folder: Path, config: str = "", environ: dict[str, str] | None = None) -> Settings:
    """The settings of a configuration's text."""
    path = folder / "watchllm.toml"
    path.write_text(config, encoding="utf-8")
    return load_settings(path, environ or {}, {"data_dir": str(folder / "data")})


async def backends_of(settings: Settings) -> dict[str, Backend]:
    """The backends of settings; none of them is ever called."""
    async with AsyncExitStack() as stack:
        return build_backends(settings, asyncio.get_running_loop(), stack)


async def lines_of(backend: Backend) -> bytes:
    """The header lines that a backend's every request has."""
    return cast("Any", backend)._lines  # type: ignore[no-any-return]


async def test_a_provider_with_a_key_is_a_backend(tmp_path: Path) -> None:
    """The four variables suffice, besides what needs no key."""
    backends = await backends_of(settings_of(tmp_path, environ=KEYS))
    assert set(backends) >= {"openai", "anthropic", "groq", "openrouter", "local", "sandbox"}


async def test_without_keys_the_sandbox_and_the_local_model_remain(tmp_path: Path) -> None:
    """A fresh installation does real work."""
    backends = await backends_of(settings_of(tmp_path))
    assert (set(backends), all(backend.is_free for backend in backends.values())) == ({"sandbox", "local"}, True)


@pytest.mark.parametrize("name", ["openai", "groq", "openrouter"])
async def test_openais_dialect_gets_a_bearer(tmp_path: Path, name: str) -> None:
    """As those providers take their keys."""
    backends = await backends_of(settings_of(tmp_path, environ=KEYS))
    assert b"authorization: Bearer sk-" in await lines_of(backends[name])


async def test_anthropic_gets_its_own_header(tmp_path: Path) -> None:
    """x-api-key, and no bearer."""
    lines = await lines_of((await backends_of(settings_of(tmp_path, environ=KEYS)))["anthropic"])
    assert (b"x-api-key: sk-2\r\n" in lines, b"authorization" in lines) == (True, False)


async def test_a_provider_without_a_key_is_sent_none(tmp_path: Path) -> None:
    """A model server of the house."""
    config = '[providers.vllm]\ndialect = "openai"\nbase_url = "http://127.0.0.1:1/v1"\n'
    assert b"authorization" not in await lines_of((await backends_of(settings_of(tmp_path, config)))["vllm"])


async def test_the_operators_headers_are_sent(tmp_path: Path) -> None:
    """With their secrets revealed."""
    config = (
        '[providers.vllm]\ndialect = "openai"\nbase_url = "http://127.0.0.1:1/v1"\n'
        'headers = { "x-team" = "env:TEAM" }\n'
    )
    backends = await backends_of(settings_of(tmp_path, config, {"TEAM": "blue"}))
    assert b"x-team: blue\r\n" in await lines_of(backends["vllm"])


@pytest.mark.parametrize(("setting", "expected"), [("", True), ("cancel_stops_billing = false\n", False)])
async def test_the_operator_decides_about_cancelling(tmp_path: Path, setting: str, expected: bool) -> None:
    """Else the provider's row does."""
    backends = await backends_of(settings_of(tmp_path, f"[providers.openai]\n{setting}", KEYS))
    assert backends["openai"].cancel_stops_billing("gpt-4") is expected


@pytest.mark.parametrize(("setting", "expected"), [("", True), ("stream_usage = false\n", False)])
async def test_streams_are_asked_for_their_usage(tmp_path: Path, setting: str, expected: bool) -> None:
    """Unless the provider refuses the question."""
    backends = await backends_of(settings_of(tmp_path, f"[providers.openai]\n{setting}", KEYS))
    call = Call(endpoint="chat/completions", body=b'{"model":"m"}', model="m", stream=True)
    assert (b"include_usage" in backends["openai"].dialect.encode(call, "m").body) is expected


async def routed(tmp_path: Path, config: str, model: str, environ: dict[str, str] | None = None) -> list[Any]:
    """Where a name leads under a configuration."""
    settings = settings_of(tmp_path, config, KEYS if environ is None else environ)
    route = build_routes(settings, load_catalogue(), await backends_of(settings)).find(model)
    return [] if route is None else [(target.backend.name, target.model) for target in route.targets]


async def test_an_alias_is_a_route_in_order(tmp_path: Path) -> None:
    """[[models]]: fallbacks come after."""
    config = (
        '[[models]]\nname = "fast"\n'
        'targets = [{ provider = "groq", model = "a" }, { provider = "openai", model = "b" }]\n'
    )
    assert await routed(tmp_path, config, "fast") == [("groq", "a"), ("openai", "b")]


async def test_a_providers_own_models_are_routed(tmp_path: Path) -> None:
    """[providers.X] models."""
    config = '[providers.vllm]\ndialect = "openai"\nbase_url = "http://127.0.0.1:1/v1"\nmodels = ["mine"]\n'
    assert await routed(tmp_path, config, "mine") == [("vllm", "mine")]


async def test_a_documented_name_goes_to_its_home(tmp_path: Path) -> None:
    """Or through OpenRouter, when only that key exists."""
    assert (await routed(tmp_path, "", "gpt-4"))[0][0] == "openai"
    only = {"OPENROUTER_API_KEY": "sk-4"}
    assert await routed(tmp_path, "", "gpt-4", only) == [("openrouter", "openai/gpt-4")]


async def test_a_provider_of_the_sandboxs_dialect_is_routed_to(tmp_path: Path) -> None:
    """Every dialect that the configuration allows has a backend."""
    config = '[providers.play]\ndialect = "sandbox"\nmodels = ["toy"]\n'
    assert await routed(tmp_path, config, "toy") == [("play", "toy")]


def test_the_operators_prices_are_in_the_table(tmp_path: Path) -> None:
    """By the name that callers use, too: it is turned into the provider's."""
    config = '[[prices]]\nprovider = "openai"\nmodel = "gpt-4"\neffective_from = "2020-01-01"\ninput = "7"\n'
    prices = build_prices(settings_of(tmp_path, config), load_catalogue())
    upstream_name = load_catalogue().upstream("openai", "gpt-4")
    price = prices.lookup("openai", upstream_name, AT_NS)
    assert price is not None
    assert (price.is_operator, price.rates.input_atto) == (True, 7_000_000_000_000)


def test_without_the_operators_the_bundled_prices_hold(tmp_path: Path) -> None:
    """The documented models are priced."""
    price = build_prices(settings_of(tmp_path), load_catalogue()).lookup("openai", "gpt-4", AT_NS)
    assert price is not None
    assert price.is_operator is False


async def test_without_redis_the_process_counts(tmp_path: Path) -> None:
    """Nothing on a call's way waits for it then."""
    async with AsyncExitStack() as stack:
        assert isinstance(build_counters(settings_of(tmp_path), stack), MemoryCounters)


async def test_gateways_on_one_redis_count_as_one(tmp_path: Path, redis_url: str) -> None:
    """What one took, the other finds taken."""
    settings = settings_of(tmp_path, environ={"REDIS_URL": redis_url})
    window = (RateWindow(policy_key=tmp_path.name, period="day", limit=1),)
    async with AsyncExitStack() as stack:
        first, second = build_counters(settings, stack), build_counters(settings, stack)
        taken = [(await counters.take(window, (1,), AT_NS)).is_admitted for counters in (first, second)]
    assert taken == [True, False]


# --- the whole of it, running ---


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One gateway for this module, with an OpenAI that always says the same."""
    async with upstream(always(json_reply(chat_reply()))) as provider:
        async with running(tmp_path_factory.mktemp("app"), openai_config(provider)) as gateway:
            yield gateway


@pytest.mark.asyncio(loop_scope="module")
class TestRunning:
    """What only a whole gateway shows."""

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

    async def test_every_route_says_who_may_pass(self, gateway: Running) -> None:
        """Each handler carries a guard of gateway.surfaces.guards; only what the framework adds by itself has none."""
        unguarded: list[str] = []
        for route in gateway.gateway.app.routes:
            handlers: list[Any] = getattr(route, "route_handlers", None) or [cast("Any", route).route_handler]
            for handler in handlers:
                is_ours = not route.path.startswith("/schema") and handler.handler_name != "options_handler"
                guards = [guard for guard in handler.guards or () if guard.__module__ == "gateway.surfaces.guards"]
                if is_ours and not guards:
                    unguarded.append(f"{route.path} {handler.handler_name}")
        assert unguarded == []

    async def test_the_first_two_keys_work(self, gateway: Running) -> None:
        """As they were printed: one for providers, one for the sandbox."""
        providers = []
        for key in (gateway.live_key, gateway.test_key):
            async with gateway.client(key) as client:
                providers.append((await client.post("/v1/chat/completions", json=HELLO)).headers["x-watchllm-provider"])
        assert providers == ["openai", "sandbox"]

    @pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/v1/models", 405)])
    async def test_what_is_not_there_is_told_in_json(
        self, gateway: Running, method: str, path: str, status: int
    ) -> None:
        """The framework's refusals, in the envelope."""
        async with gateway.client() as client:
            response = await client.request(method, path)
        assert (response.status_code, set(response.json())) == (status, {"error"})

    async def test_it_is_at_rest_when_nothing_runs(self, gateway: Running) -> None:
        """Both gauges are 0."""
        metrics = gateway.gateway.services.metrics
        assert (metrics.requests_in_flight, metrics.holds_open) == (0, 0)


async def test_a_gateway_that_closes_has_folded_its_rows(tmp_path: Path) -> None:
    """And starts again with the same keys, printing none."""
    async with running(tmp_path) as first, first.client(first.test_key) as client:
        await client.post("/v1/chat/completions", json=HELLO)
        recorder = first.gateway.services.recorder
    assert recorder.pending == 0
