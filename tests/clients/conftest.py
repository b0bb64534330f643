"""A gateway in front of all four providers in small, one for the tests of a module, and clean surroundings."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from clients import small_providers
from running import Running, Upstream, running, upstream
from sharing import answer, config, provider, quiet, shared_gateway, shared_provider

__all__ = [
    "answer",
    "config",
    "gateway",
    "provider",
    "providers",
    "quiet",
    "shared_gateway",
    "shared_provider",
    "without_proxies",
]
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clients obey the environment's proxies, which know nothing of this loopback."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def providers() -> AsyncIterator[Upstream]:
    """The upstream that plays all four."""
    async with upstream(small_providers.answer) as listening:
        yield listening


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, providers: Upstream) -> AsyncIterator[Running]:
    """A gateway in front of them."""
    async with running(tmp_path_factory.mktemp("gateway"), small_providers.config(providers)) as started:
        yield started
