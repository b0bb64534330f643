"""A gateway for Node and for a browser, and a folder in which Node finds its packages; ``make e2e`` installs all."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from clients.conftest import gateway, providers
from e2e.node_process import NODE_FOLDER
from e2e.sights import launch
from playwright.async_api import Browser, async_playwright

__all__ = ["browser", "gateway", "npm_packages", "providers", "workshop"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for a module; each test has a profile of its own."""
    async with async_playwright() as playwright:
        started = await launch(playwright)
        yield started
        await started.close()


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
