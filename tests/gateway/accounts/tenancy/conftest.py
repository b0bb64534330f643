"""Fixtures for the tests of people."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from households import House

from gateway.db import Database


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    """A house without people, on each kind of database."""
    house = House(database)
    yield house
    house.passwords.close()


@pytest.fixture
async def hosts(database_url: str, tmp_path: Path) -> AsyncIterator[list[House]]:
    """Two hosts of one gateway, which only the database keeps from acting at once."""
    databases = [await Database.open(database_url, tmp_path) for _ in range(2)]
    hosts = [House(database) for database in databases]
    yield hosts
    for host in hosts:
        host.passwords.close()
        await host.database.close()
