"""Dates near the end of what the database can hold, at the views that take one: answered or refused."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from budgeting import Home, home_at
from running import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")
PERIODS = [
    "/api/overview", "/api/overview/top", "/api/overview/holdout", "/api/simulation?model=m",
    "/api/providers/health", "/api/catalogue/unpriced", "/api/requests",
]  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module")
async def ann(quiet: Running) -> AsyncIterator[Home]:
    """Somebody with an account, at the gateway that these tests share."""
    async with home_at(quiet) as made:
        yield made


@pytest.mark.parametrize("path", PERIODS)
@pytest.mark.parametrize(
    ("since", "until", "is_read"),
    [
        ("2261-12-01", "2261-12-31", True),
        ("2262-01-01T00:00:00Z", "2262-01-01T00:00:00Z", True),
        ("2262-04-11", "2262-04-12", False),
        ("9999-01-01", "9999-12-31", False),
    ],
)
async def test_a_period_in_the_far_future(ann: Home, path: str, since: str, until: str, is_read: bool) -> None:
    """The last days that a number stands for are read; later ones are a 400 that says so."""
    path, _, model = path.partition("?model=")
    more = {"model": model} if model else {}
    answer = await ann.person.get(path, params={"from": since, "to": until, **more})
    assert (answer.status_code, "too late" in answer.text) == ((200, False) if is_read else (400, True)), answer.text


@pytest.mark.parametrize(
    ("month", "status"), [("2261-12", 200), ("2262-01", 200), ("2262-04", 400), ("2262-05", 400), ("9999-12", 400)]
)
async def test_a_month_in_the_far_future(ann: Home, month: str, status: int) -> None:
    """As a period."""
    assert (await ann.caller.get("/v1/usage", params={"period": month})).status_code == status
