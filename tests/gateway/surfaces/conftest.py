"""Fixtures for the tests of the surfaces."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from databases import place_sqlite
from households import House

from gateway.db import SQLITE_FILE, Database


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house without people; what differs between databases is tested below the surfaces."""
    place_sqlite(tmp_path / SQLITE_FILE)
    database = await Database.open(None, tmp_path)
    house = House(database)
    yield house
    house.passwords.close()
    await database.close()
