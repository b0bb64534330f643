"""Calls that the gateway makes to check answers, through the whole gateway: they are billed, and nobody's requests."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from questions import audit_always, layer_of, set_embedder
from running import Request, json_reply, upstream

from gateway.analytics import verify, verify_figures
from tests.path.test_semantic import BOUND, HIT, MISS, Stage, about, answer_in_turn, like, staged

THINGS = ("oak", "elm", "fir", "yew")
TAGS = {"x-watchllm-tags": "t"}


async def answer_or_fail(request: Request, writer: asyncio.StreamWriter) -> None:
    """A provider that fails where it is asked about yews in other words."""
    if b"yewk" in request.body:
        writer.write(json_reply({"error": {"message": "No.", "type": "x", "code": "y"}}, 500))
    else:
        await answer_in_turn(request, writer)


async def read(client: httpx.AsyncClient, path: str, **params: str) -> Any:
    """What a view shows."""
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ask_eight(stage: Stage) -> float:
    """Four questions, and the same in other words, each answer to which is checked; tells what all cost, in dollars."""
    first = [await stage.tell(about(thing), TAGS) for thing in THINGS]
    audit_always((await layer_of(stage.gateway)).memory)
    assert first + [await stage.tell(like(thing), TAGS) for thing in THINGS] == [MISS] * 4 + [HIT] * 4
    rows = stage.gateway.rows
    assert [row.error_code for row in rows if row.is_audit] == ["", "", "", "provider_error"]
    return sum(row.cost_pusd for row in rows) / 1e12


@pytest.mark.row("W30")
@pytest.mark.row("E11")
async def test_audits_are_paid_and_are_nobodys_requests(tmp_path: Path) -> None:
    """Who sent eight sees eight, with the hits, the errors and the times of these; the money is that of every row."""
    with pytest.MonkeyPatch.context() as patch:
        embedder = set_embedder(patch)
        async with upstream(answer_or_fail) as provider:
            async for stage in staged(tmp_path, provider, embedder, BOUND + "[retries]\nmax_tries = 1\n"):
                paid = pytest.approx(await ask_eight(stage))
                assert paid == 7 * 0.00105
                await check_sums(stage, paid)
                await check_figures(stage, paid)
                database = stage.gateway.gateway.app.state.database
                for compare in (verify.find_differences, verify_figures.find_differences):
                    assert [each async for each in compare(database)] == []


async def check_sums(stage: Stage, paid: Any) -> None:
    """The project's usage, which lists every row, and the month."""
    usage = await read(stage.client, f"/api/projects/{stage.gateway.rows[0].project_id}/usage")
    assert (usage["total"], len(usage["logs"])) == (12, 12)
    counted = {"total_requests": 8, "cache_hits": 4, "cache_hit_rate": 0.5}
    assert usage["summary"] == {**counted, "total_tokens": 175, "total_cost": paid}
    month = await read(stage.client, "/v1/usage")
    assert (month["total_requests"], month["total_tokens"], month["cost_usd"]) == (8, 175, paid)


async def check_figures(stage: Stage, paid: Any) -> None:
    """The overview, what cost most, and the provider's health; the log still finds an audit that failed."""
    for span in ("1h", "7d"):
        total = (await read(stage.client, "/api/overview", range=span))["total"]
        assert (total["requests"], total["errors"], total["hit_rate_semantic"]) == (8, 0, 0.5), span
        assert total["cost_usd"] == paid, span
    for by in ("model", "tag", "provider", "key", "project"):
        (top,) = (await read(stage.client, "/api/overview/top", range="1h", by=by))["items"]
        assert (top["requests"], top["errors"], top["hits"], top["cost_usd"]) == (8, 0, 4, paid), by
    health = (await read(stage.client, "/api/providers/health"))["providers"]
    assert [(each["requests"], each["errors"]) for each in health if each["requests"]] == [(4, 0)]
    failed = (await read(stage.client, "/api/requests", errors="true"))["requests"]
    assert [each["id"] for each in failed] == [row.request_id for row in stage.gateway.rows if row.error_code]
