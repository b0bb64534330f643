"""The house that the demo fills."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from households import House

from gateway.db import Database


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house without people."""
    database = await Database.open(None, tmp_path)
    house = House(database)
    yield house
    house.passwords.close()
    await database.close()
