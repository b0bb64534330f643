"""Fixtures for the tests of the surfaces."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from databases import place_sqlite
from households import House
from offices import Office, office_at
from running import Running
from sharing import answer, config, provider, quiet, shared_gateway, shared_provider

from gateway.db import SQLITE_FILE, Database

__all__ = ["ann", "answer", "config", "house", "provider", "quiet", "shared_gateway", "shared_provider"]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house without people; what differs between databases is tested below the surfaces."""
    place_sqlite(tmp_path / SQLITE_FILE)
    database = await Database.open(None, tmp_path)
    house = House(database)
    yield house
    house.passwords.close()
    await database.close()


@pytest_asyncio.fixture(loop_scope="module")
async def ann(quiet: Running) -> AsyncIterator[Office]:
    """Ann's office, at the gateway that the tests of the module share."""
    async with office_at(quiet) as office:
        yield office
