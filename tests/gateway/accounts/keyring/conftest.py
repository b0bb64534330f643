"""Fixtures for the tests of projects and their keys."""

from collections.abc import AsyncIterator

import pytest
from households import House
from keyrings import Ring

from gateway.db import Database


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    """A house without people, on each kind of database."""
    house = House(database)
    yield house
    house.passwords.close()


@pytest.fixture
async def ring(house: House) -> Ring:
    """Ann's account with its project, and what handles keys there."""
    return await Ring.make(house)
