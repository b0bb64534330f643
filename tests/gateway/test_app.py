"""Settings become a running gateway: what counts, what answers, and that all of it closes."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from running import Running, always, chat_reply, json_reply, openai_config, running, upstream
from settings_files import AT_NS, settings_of
from sqlalchemy import text

from gateway.accounts.tenancy.people import Admission, Registration
from gateway.app import build_counters, open_gateway
from gateway.config.secret import Secret
from gateway.counters.interface import RateWindow
from gateway.counters.memory import MemoryCounters

HELLO = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}]}


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

    async def test_the_first_two_keys_work(self, gateway: Running) -> None:
        """As they were printed: one for providers, one for the sandbox."""
        providers = []
        for key in (gateway.live_key, gateway.test_key):
            async with gateway.client(key) as client:
                providers.append((await client.post("/v1/chat/completions", json=HELLO)).headers["x-watchllm-provider"])
        assert providers == ["openai", "sandbox"]

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


async def test_a_password_costs_what_the_standard_recommends(tmp_path: Path) -> None:
    """In a gateway as it is served; the tests' own gateways hash cheaply."""
    async with open_gateway(settings_of(tmp_path)) as gateway:
        wanted = Registration(email="ann@example.com", password=Secret("correct horse"), full_name="Ann")
        await gateway.identity.people.register(wanted, Admission(is_open=True), "192.0.2.7", time.time_ns())
        async with gateway.app.state.database.read() as connection:
            stored = (await connection.execute(text("SELECT password_hash FROM users"))).scalar_one()
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
