"""Dates near the end of what the database can hold, and behind it, at the views that take one: all are answered."""

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
    ("since", "until"),
    [
        ("2261-12-01", "2261-12-31"),
        ("2262-01-01T00:00:00Z", "2262-01-01T00:00:00Z"),
        ("2262-04-11", "2262-04-12"),
        ("2261-12-01", "9999-12-31"),
        ("9999-01-01", "9999-12-31"),
    ],
)
async def test_a_period_in_the_far_future(ann: Home, path: str, since: str, until: str) -> None:
    """Who writes 9999 means no end."""
    path, _, model = path.partition("?model=")
    more = {"model": model} if model else {}
    answer = await ann.person.get(path, params={"from": since, "to": until, **more})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("month", ["2261-12", "2262-01", "2262-05", "9999-12"])
async def test_a_month_in_the_far_future(ann: Home, month: str) -> None:
    """As a period, and told as it was asked."""
    answer = await ann.caller.get("/v1/usage", params={"period": month})
    assert (answer.status_code, answer.json()["period"], answer.json()["total_requests"]) == (200, month, 0)
