"""The report of a project's semantic cache over HTTP: the curve, what is in force, and what is not known yet."""

from typing import Any

import pytest
from questions import layer_of

from gateway.db import DatabaseUnavailable
from tests.budgeting import Home
from tests.gateway.surfaces.api.test_semantic import ann, ask_twice, get

__all__ = ["ann"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_report_has_the_curve_the_live_bound_and_the_layers(ann: Home) -> None:
    """Each point with its interval and its saving; one of the two bounds names it."""
    _, second = await ask_twice(ann, "moss")
    report = await get(ann, "/report")
    assert (report["mode"], report["young"], report["window"]) == ("semantic", False, report["requests"])
    assert [point["max_wrong_rate"] for point in report["curve"][:6]] == [0.005, 0.01, 0.02, 0.03, 0.05, 0.1]
    assert [point["max_wrong_hit_rate"] for point in report["curve"][6:]] == [0.01, 0.02, 0.05, 0.1, 0.15, 0.2]
    assert all(("max_wrong_rate" in point) != ("max_wrong_hit_rate" in point) for point in report["curve"])
    for point in report["curve"]:
        assert 0 <= point["wrong_rate_low"] <= point["wrong_rate"] <= point["wrong_rate_high"] <= 1
        assert 0 <= point["hit_rate"] <= 1 and point["saved_usd"] >= 0
    rates = [point["hit_rate"] for point in report["curve"][:6]]
    assert rates == sorted(rates) and rates[-1] > 0
    live = report["live"]
    assert (live["serving"], live["max_wrong_rate"], live["max_wrong_hit_rate"]) == (True, 0.1, None)
    assert live["hits"] >= 1 and live["wrong_rate_low"] <= live["wrong_rate"] <= live["wrong_rate_high"] <= 1
    layers = {layer["layer"]: layer for layer in report["layers"]}
    assert list(layers) == ["exact", "semantic", "audit"]
    assert layers["semantic"]["calls"] == live["hits"]
    assert layers["semantic"]["saved_usd"] > 0 == layers["semantic"]["cost_usd"]
    assert second.headers["x-watchllm-cost-usd"] == "0"


async def test_a_report_of_nothing_has_every_point(ann: Home) -> None:
    """Test keys' traffic is apart, and here there was none."""
    report = await get(ann, "/report", params={"keys": "test"})
    assert (report["requests"], report["young"], len(report["curve"])) == (0, True, 12)
    assert {point["hit_rate"] for point in report["curve"]} == {0}
    assert {point["threshold"] for point in report["curve"]} == {None}


async def test_a_report_tells_that_it_is_not_whole_yet(ann: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a start what was learnt is read while calls are answered."""
    assert (await get(ann, "/report"))["loading"] is False
    monkeypatch.setattr((await layer_of(ann.running)).keeper, "is_whole", False)
    assert (await get(ann, "/report"))["loading"] is True


async def test_the_report_is_given_while_the_database_is_away(ann: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the ledger's figures; the hits are 503."""

    def refuse() -> Any:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(ann.database, "read", refuse)
    # People are known by the database: their session was read before.
    found = await ann.person.get(f"/api/projects/{ann.project_id}/cache/report")
    assert found.status_code in (200, 503)
    if found.status_code == 200:
        assert found.json()["layers"] == []
