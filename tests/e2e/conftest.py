"""A gateway for Node and for a browser, and a folder in which Node finds its packages; ``make e2e`` installs all."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from clients import small_providers
from clients.conftest import gateway, providers
from e2e.node_process import NODE_FOLDER
from e2e.sights import launch
from e2e.town import Town, build_town
from playwright.async_api import Browser, async_playwright
from running import Upstream, running

__all__ = ["browser", "gateway", "npm_packages", "providers", "town", "workshop"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for a module; each test has a profile of its own."""
    async with async_playwright() as playwright:
        started = await launch(playwright)
        yield started
        await started.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory, providers: Upstream) -> AsyncIterator[Town]:
    """A gateway with the cache on, in front of all providers in small, and people with traffic."""
    config = f'{small_providers.config(providers)}[cache]\nmode = "exact"\n'
    async with running(tmp_path_factory.mktemp("town"), config) as gateway:
        home = f"http://127.0.0.1:{gateway.port}"
        async with httpx.AsyncClient(base_url=home, timeout=20, trust_env=False) as client:
            yield await build_town(gateway, client)


@pytest.fixture(scope="session")
def npm_packages() -> Path:
    """The installed packages."""
    packages = NODE_FOLDER / "node_modules"
    assert packages.is_dir(), "the npm packages are not installed: make e2e does it"
    return packages


@pytest.fixture
def workshop(tmp_path: Path, npm_packages: Path) -> Path:
    """An empty folder in which scripts are modules and find the npm packages."""
    (tmp_path / "node_modules").symlink_to(npm_packages, target_is_directory=True)
    (tmp_path / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    return tmp_path
