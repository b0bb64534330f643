"""Settings become what answers calls: which backends there are, who is routed to, and at which price."""

import asyncio
import logging
import types
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from running import running
from settings_files import AT_NS, KEYS, settings_of

from gateway.accounts.credential_directory import ActiveCredential
from gateway.backends.interface import Backend
from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.ledger.recording.recorder import Recorder
from gateway.upstreams import Upstreams, build_prices, build_routes, build_upstreams
from providers.catalogue import load_catalogue
from providers.transport.address_guard import AddressGuard
from providers.wire import Call


async def upstreams_of(settings: Settings) -> Upstreams:
    """What is configured, and what can be called with a credential; none of it is ever called."""
    async with AsyncExitStack() as stack:
        return build_upstreams(settings, asyncio.get_running_loop(), stack, AddressGuard(), cast("Recorder", None))


async def backends_of(settings: Settings) -> dict[str, Backend]:
    """What is configured."""
    return (await upstreams_of(settings)).backends


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


@pytest.mark.parametrize(("setting", "expected"), [("", False), ("true", True), ("false", False)])
async def test_the_operator_says_where_whole_calls_stop(tmp_path: Path, setting: str, expected: bool) -> None:
    """Nobody else can know what stands at an address."""
    config = '[providers.own]\ndialect = "openai"\nbase_url = "http://127.0.0.1:1/v1"\n'
    config += f"cancel_stops_whole_calls = {setting}\n" if setting else ""
    backends = await backends_of(settings_of(tmp_path, config, KEYS))
    assert backends["own"].cancel_stops_whole_calls is expected
    assert not backends["openai"].cancel_stops_whole_calls


async def test_what_runs_in_the_gateway_is_cancelled(tmp_path: Path) -> None:
    """Also under a name of the operator's."""
    config = '[providers.play]\ndialect = "sandbox"\n[providers.mine]\ndialect = "local"\n'
    backends = await backends_of(settings_of(tmp_path, config, KEYS))
    assert all(backends[name].cancel_stops_whole_calls for name in ("sandbox", "play", "mine"))


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


async def test_on_a_machine_with_a_device_its_library_is_imported_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first embedding does not wait ten seconds for it; a library that is broken stops nothing."""
    asked = asyncio.Queue[str]()

    def import_module(name: str) -> None:
        loop.call_soon_threadsafe(asked.put_nowait, name)
        raise ImportError(name)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr("gateway.upstreams.importlib", types.SimpleNamespace(import_module=import_module))
    monkeypatch.setattr("gateway.upstreams.choose_weights", lambda: tmp_path)
    await upstreams_of(settings_of(tmp_path))
    assert await asyncio.wait_for(asked.get(), 5) == "sentence_transformers"


def stored(base_url: str | None = None) -> ActiveCredential:
    """A credential as it is found for a call."""
    return ActiveCredential(credential_id="cred_1", secret=Secret("sk-stored"), base_url=base_url)


async def test_whoever_is_called_by_address_can_be_called_with_a_credential(tmp_path: Path) -> None:
    """Configured or not; what runs in the process cannot."""
    config = '[providers.vllm]\ndialect = "openai"\nbase_url = "http://127.0.0.1:1/v1"\n'
    upstreams = await upstreams_of(settings_of(tmp_path, config))
    assert set(upstreams.openings) == {"openai", "anthropic", "groq", "openrouter", "vllm"}
    assert set(upstreams.backends) == {"sandbox", "local", "vllm"}


async def test_a_credential_takes_the_place_of_the_configured_one(tmp_path: Path) -> None:
    """At the operator's address, with the operator's headers but for those that carry a credential."""
    config = '[providers.openai]\nbase_url = "https://proxy.test/v1"\nheaders = { x-team = "blue", API-Key = "k" }\n'
    settings = settings_of(tmp_path, config, KEYS)
    transport, address = (await upstreams_of(settings)).openings["openai"].reach(stored())
    assert (str(address.origin), address.path_prefix) == ("https://proxy.test", "/v1")
    assert address.headers == {"x-team": "blue", "authorization": "Bearer sk-stored"}
    assert cast("Any", transport)._guard is None


async def test_an_address_of_a_credentials_own_gets_the_credential_alone(tmp_path: Path) -> None:
    """None of the operator's headers, and only through the guard."""
    config = '[providers.anthropic]\nheaders = { x-team = "blue" }\n'
    settings = settings_of(tmp_path, config, KEYS)
    opening = (await upstreams_of(settings)).openings["anthropic"]
    transport, address = opening.reach(stored("https://own.test/claude/"))
    assert (str(address.origin), address.path_prefix) == ("https://own.test", "/claude")
    assert address.headers == {"x-api-key": "sk-stored"}
    assert cast("Any", transport)._guard is not None


@pytest.mark.parametrize(("base_url", "expected"), [(None, True), ("https://own.test/v1", False)])
async def test_what_stops_at_the_operators_engine_need_not_stop_elsewhere(
    tmp_path: Path, base_url: str | None, expected: bool
) -> None:
    """A credential's own address is public, and nobody said what its server does."""
    config = '[providers.vllm]\ndialect = "openai"\nbase_url = "http://127.0.0.1:1/v1"\n'
    config += "cancel_stops_whole_calls = true\n"
    opening = (await upstreams_of(settings_of(tmp_path, config))).openings["vllm"]
    assert opening.reach(stored(base_url))[1].cancel_stops_whole_calls is expected


@pytest.mark.parametrize(("model", "told"), [("", []), ("gpt-4", []), ("claude-3-haiku", ["ANTHROPIC_API_KEY"])])
async def test_a_judge_that_nobody_answers_for_is_told_at_the_start(
    tmp_path: Path, model: str, told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is no mistake of the configuration yet: a project may come to have a key for its provider."""
    config = '[providers.openai]\nbase_url = "http://127.0.0.1:1/v1"\napi_key = "sk-1"\n[cache]\n'
    with caplog.at_level(logging.WARNING):
        async with running(tmp_path, config + f'semantic_judge_model = "{model}"\n'):
            pass
    found = [record.getMessage() for record in caplog.records if "semantic_judge_model" in record.getMessage()]
    assert len(found) == len(told)
    assert all(name in line for name, line in zip(told, found, strict=True))
