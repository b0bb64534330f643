"""The overview over HTTP: figures over time, what costs most, and the month's forecast."""

from typing import Any

import pytest
from boards import Away, Board
from fakes import NOW_NS
from households import House

from gateway.analytics.moments import NS_PER_DAY
from tests.gateway.usage_rows import make_row

USD = 10**12


@pytest.fixture
async def board(house: House) -> Board:
    """A board without rows."""
    return Board(house)


async def fill(board: Board, project_id: str) -> None:
    """A call, a semantic and an exact hit, and one that failed; and a call of last month."""
    usual: dict[str, Any] = {"project_id": project_id, "latency_ms": 1_000, "overhead_us": 400, "tags": "team"}
    board.recorder.rows = [
        make_row(NOW_NS - 1, cost_pusd=3 * USD, prompt_saved_pusd=USD, **usual),
        make_row(NOW_NS - 2, is_cached=True, cache_layer="semantic", saved_pusd=2 * USD, **usual),
        make_row(NOW_NS - 3, is_cached=True, cache_layer="exact", saved_pusd=USD, **usual),
        make_row(NOW_NS - 4, error_code="upstream_error", cost_pusd=0, **usual),
        make_row(NOW_NS - 31 * NS_PER_DAY, cost_pusd=USD, **usual),
    ]


async def test_figures_over_time(board: Board) -> None:
    """Together, in the last bucket, and of the period before."""
    token, project_id, _ = await board.register("ann")
    await fill(board, project_id)
    body = (await board.ask("/api/overview", token)).json()
    last = body["series"][-1]
    assert body["total"] == {name: value for name, value in last.items() if name != "at"}
    assert body["total"] == {
        "requests": 4,
        "errors": 1,
        "error_rate": 0.25,
        "tokens": 300,
        "cost_usd": 3,
        "without_usd": 6,
        "saved_exact_usd": 1,
        "saved_semantic_usd": 2,
        "saved_prompt_cache_usd": 1,
        "hits_exact": 1,
        "hits_semantic": 1,
        "hit_rate_exact": 0.25,
        "hit_rate_semantic": 0.25,
        "latency_p50_ms": pytest.approx(1_000, rel=0.09),
        "latency_p95_ms": pytest.approx(1_000, rel=0.09),
        "overhead_p50_ms": pytest.approx(0.4, rel=0.19),
        "overhead_p95_ms": pytest.approx(0.4, rel=0.19),
    }
    assert (body["from"], body["to"], body["bucket_s"]) == ("2026-08-23T00:00:00Z", "2026-09-22T00:00:00Z", 86_400)
    assert (len(body["series"]), len(body["previous_series"]), body["previous"]["cost_usd"]) == (30, 30, 1)
    empty = body["series"][0]
    assert (empty["requests"], empty["hit_rate_exact"], empty["latency_p50_ms"], empty["error_rate"]) == (
        0,
        *[None] * 3,
    )


async def test_what_costs_most(board: Board) -> None:
    """By model where nothing else is asked for."""
    token, project_id, _ = await board.register("ann")
    await fill(board, project_id)
    body = (await board.ask("/api/overview/top", token, by="tag", range="7d")).json()
    figures = {"requests": 4, "errors": 1, "hits": 2, "tokens": 300, "cost_usd": 3, "saved_usd": 3}
    assert body["items"] == [{"id": "team", "name": "team", "project_id": None, **figures}]
    assert [each["id"] for each in (await board.ask("/api/overview/top", token)).json()["items"]] == ["gpt-4"]
    refused = await board.ask("/api/overview/top", token, by="moon")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "by")


async def test_the_month_is_forecast(board: Board) -> None:
    """A key sees no budgets; the last step is the forecast."""
    token, project_id, _ = await board.register("ann")
    await fill(board, project_id)
    body = (await board.ask("/api/overview/forecast", token)).json()
    assert (body["month"], body["spent_usd"], body["without_usd"], body["level"]) == ("2026-09", 3, 6, 0.8)
    assert (len(body["days"]), len(body["path"]), body["budgets"]) == (21, 10, [])
    assert {name: body["path"][-1][name] for name in ("low_usd", "forecast_usd", "high_usd")} == {
        name: body[name] for name in ("low_usd", "forecast_usd", "high_usd")
    }
    assert body["low_usd"] <= body["forecast_usd"] <= body["high_usd"]
    assert (await board.ask("/api/overview/forecast")).json()["budgets"] is None


async def test_savings_are_measured(board: Board) -> None:
    """Nothing is told where nothing was held back."""
    token, project_id, _ = await board.register("ann")
    await fill(board, project_id)
    body = (await board.ask("/api/overview/holdout", token)).json()
    assert (body["hits"], body["saved_semantic_usd"], body["holdouts"], body["holdouts_needed"]) == (1, 2, 0, 50)
    assert (body["measured_usd"], body["low_usd"], body["high_usd"]) == (None, None, None)


@pytest.mark.parametrize("path", ["", "/holdout", "/top", "/forecast"])
async def test_who_may_not_and_when_nobody_can(board: Board, path: str) -> None:
    """A key without the scope, a stranger; a period that is none; a database that is away."""
    assert (await board.ask(f"/api/overview{path}", "narrow")).status_code == 403
    assert (await board.ask(f"/api/overview{path}", "")).status_code == 401
    if path != "/forecast":
        assert (await board.ask(f"/api/overview{path}", range="2d")).status_code == 400
    board.database = Away()
    assert (await board.ask(f"/api/overview{path}", "reader")).status_code == 503
