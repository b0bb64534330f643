"""The house that the demo fills, whose year of figures is compared a month at a time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from households import House

from gateway.analytics import verify_figures
from gateway.db import Database
from gateway.ledger.rollups import DAY_NS


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house without people."""
    database = await Database.open(None, tmp_path)
    house = House(database)
    yield house
    house.passwords.close()
    await database.close()


@pytest.fixture(autouse=True)
def _by_the_month(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same comparison with fewer questions: three projects have a thousand days."""
    monkeypatch.setattr(verify_figures, "DAY_NS", 32 * DAY_NS)
