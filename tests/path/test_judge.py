"""The judge of doubtful pairs through the whole gateway: who is asked what, who pays, and what comes of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from questions import audit_always, layer_of, prove, set_embedder, settle
from running import Request, Running, Upstream, chat_reply, json_reply, upstream

from gateway.caching.auditing.judge import PROMPT
from gateway.caching.semantic import store
from gateway.caching.semantic.store import Decision
from providers.pricing.prices import parse_usd
from tests.budgeting import home
from tests.path.test_semantic import BOUND, HIT, MISS, Stage, about, like, staged

JUDGE = "gpt-4.1-mini"
JUDGED = BOUND + f'semantic_judge_model = "{JUDGE}"\n[retries]\nmax_tries = 1\n'
# Of 15 and 10 tokens, by the bundled prices: 0.40 and 1.60 USD a million.
JUDGE_PUSD, AUDIT_PUSD = 15 * 400_000 + 10 * 1_600_000, 1_050_000_000


class Provider:
    """Answers questions about a thing in ways that leave doubt, and a judge's call by what it is told."""

    def __init__(self) -> None:
        self.verdict: str = "SAME"
        self.status = 200
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Answer."""
        body = request.json()
        if body["messages"][0]["content"] == PROMPT:
            self.asked.append(body)
            error = {"error": {"message": "No.", "type": "x", "code": "y"}}
            writer.write(json_reply(chat_reply(self.verdict) if self.status == 200 else error, self.status))
            return
        words = str(body["messages"][-1]["content"]).split()
        kind = "modern" if any(word.endswith("k") for word in words) else "old"
        writer.write(json_reply(chat_reply(f"{words[0]} is large and {kind}.")))


async def stage_of(folder: Path, provider: Upstream, config: str = JUDGED) -> AsyncIterator[Stage]:
    """A gateway that serves and checks each served answer."""
    with pytest.MonkeyPatch.context() as patch:
        embedder = set_embedder(patch)
        async for stage in staged(folder, provider, embedder, config):
            yield stage


async def serve(stage: Stage, thing: str) -> Decision:
    """Ask about a thing and the same in other words, which is served and checked; returns what came of the check."""
    layer = await layer_of(stage.gateway)
    assert await stage.tell(about(thing)) == MISS
    audit_always(layer.memory)
    hit = await stage.ask(like(thing), {"x-watchllm-tags": "t"})
    assert (hit.status_code, hit.headers["x-watchllm-cache"]) == (200, HIT)
    return await decision_of(stage.gateway, stage.gateway.rows[0].project_id, hit.headers["x-watchllm-request-id"])


async def decision_of(gateway: Running, project_id: str, request_id: str) -> Decision:
    """What is known of a call."""
    await (await layer_of(gateway)).write()
    async with gateway.gateway.app.state.database.read() as connection:
        decision = await store.read_decision(connection, project_id, request_id)
    assert decision is not None
    return decision


def costs_of(stage: Stage) -> list[tuple[str, int]]:
    """Of each check the model and its cost."""
    return [(row.model, row.cost_pusd) for row in stage.gateway.rows if row.is_audit]


async def verdicts_of(stage: Stage) -> dict[str, int]:
    """What the metric tells."""
    lines = (await stage.client.get("/metrics")).text.splitlines()
    told = [line for line in lines if line.startswith("watchllm_cache_verdicts_total{")]
    return {line.split('"')[1]: int(line.split()[-1]) for line in told}


async def test_the_judges_word_overrules_the_vectors(tmp_path: Path) -> None:
    """It is asked with the question and both answers and nothing else; it is paid as the check is, and counted."""
    answer = Provider()
    async with upstream(answer) as provider:
        async for stage in stage_of(tmp_path, provider):
            answer.verdict = "DIFFERENT"
            found = await serve(stage, "oak")
            assert (found.decision, found.is_right, found.judged_by) == ("audit", False, "llm")
            answer.verdict = "SAME"
            found = await serve(stage, "elm")
            assert (found.decision, found.is_right, found.judged_by) == ("audit", True, "llm")
            assert costs_of(stage) == [("gpt-4", AUDIT_PUSD), (JUDGE, JUDGE_PUSD)] * 2
            row = [row for row in stage.gateway.rows if row.is_audit][-1]
            assert (row.key_id, row.tags, row.status) == (stage.gateway.rows[0].key_id, "t", "complete")
            assert await verdicts_of(stage) == {"same": 1, "different": 1, "none": 0}
            asked = answer.asked[0]
            system, user = asked["messages"]
            assert system["content"] == PROMPT
            assert json.loads(user["content"]) == {
                "question": like("oak")[0]["content"],
                "reference": "oakb is large and modern.",
                "answer": "oakb is large and old.",
            }
            assert (asked["temperature"], "tools" in asked, "stream" in asked) == (0, False, False)
            usage = (await stage.client.get("/v1/usage")).json()
            assert usage["total_requests"] == 4


@pytest.mark.parametrize("case", ["failing", "undecided", "busy", "in an argument"])
async def test_without_a_verdict_the_vectors_decide(tmp_path: Path, case: str) -> None:
    """A judge that fails, refuses or argues is as good as none, and no client hears of it."""
    answer = Provider()
    answer.status = {"failing": 500, "busy": 429}.get(case, 200)
    answer.verdict = {"undecided": "Hard to say.", "in an argument": "DIFFERENT, since one is old"}.get(case, "SAME")
    async with upstream(answer) as provider:
        async for stage in stage_of(tmp_path, provider):
            found = await serve(stage, "oak")
            assert (found.decision, found.is_right, found.judged_by) == ("audit", True, "embedding")
            assert await verdicts_of(stage) == {"same": 0, "different": 0, "none": 1}


async def test_beyond_the_days_sum_no_judge_is_asked(tmp_path: Path) -> None:
    """The check itself used it up; what it said is compared by the vectors."""
    answer = Provider()
    answer.verdict = "DIFFERENT"
    async with upstream(answer) as provider:
        config = JUDGED.replace("[retries]", 'semantic_audit_usd = "0.00106"\n[retries]')
        async for stage in stage_of(tmp_path, provider, config):
            found = await serve(stage, "oak")
            assert (found.is_right, found.judged_by, answer.asked) == (True, "embedding", [])
            assert costs_of(stage) == [("gpt-4", AUDIT_PUSD)]
            assert await verdicts_of(stage) == {"same": 0, "different": 0, "none": 0}


@pytest.mark.parametrize(("limit_usd", "judged_by"), [("1.00", "llm"), ("0.0003", "embedding")])
async def test_the_keys_budget_counts_the_judge_and_stops_it(tmp_path: Path, limit_usd: str, judged_by: str) -> None:
    """What is left has to hold what the judge may cost at most; where it does not, the vectors decide."""
    answer = Provider()
    with pytest.MonkeyPatch.context() as patch:
        set_embedder(patch)
        async with (
            upstream(answer) as provider,
            home(tmp_path, provider, BOUND + 'semantic_judge_model = "m"\n') as ann,
        ):
            await ann.budget("key", limit_usd)
            memory = (await layer_of(ann.running)).memory
            prove(memory, ann.project_id)
            audit_always(memory)
            for messages, said in ((about("oak"), MISS), (like("oak"), HIT)):
                hit = await ann.chat(messages=messages, max_tokens=20)
                assert (hit.status_code, hit.headers["x-watchllm-cache"]) == (200, said)
                await settle(ann.running)
            found = await decision_of(ann.running, ann.project_id, hit.headers["x-watchllm-request-id"])
            assert (found.is_right, found.judged_by) == (True, judged_by)
            spent_pusd = 35_000_000 * (3 if judged_by == "llm" else 2)
            assert await ann.sum_ledger_pusd() == spent_pusd
            (budget,) = await ann.budgets()
            assert (parse_usd(budget["spent_usd"]), parse_usd(budget["held_usd"])) == (spent_pusd, 0)
            assert {row.key_id for row in ann.running.rows} == {ann.key_id}


async def test_a_project_that_wants_none_has_none(tmp_path: Path) -> None:
    """Without a name nobody is asked, whatever is in doubt."""
    answer = Provider()
    answer.verdict = "DIFFERENT"
    async with upstream(answer) as provider:
        async for stage in stage_of(tmp_path, provider, BOUND):
            found = await serve(stage, "oak")
            assert (found.is_right, found.judged_by, answer.asked) == (True, "embedding", [])


async def test_a_miss_is_judged_as_well_where_it_might_have_been_served(tmp_path: Path) -> None:
    """What is learnt without serving anything is what decides how much is served later."""
    answer = Provider()
    answer.verdict = "DIFFERENT"
    async with upstream(answer) as provider:
        async for stage in stage_of(tmp_path, provider, JUDGED.replace('"semantic"', '"shadow"')):
            await stage.ask(about("oak"))
            missed = await stage.ask(like("oak"))
            assert missed.headers["x-watchllm-cache"] == MISS
            found = await decision_of(
                stage.gateway, stage.gateway.rows[0].project_id, missed.headers["x-watchllm-request-id"]
            )
            assert (found.decision, found.is_right, found.judged_by) == ("shadow", False, "llm")
            assert costs_of(stage) == [(JUDGE, JUDGE_PUSD)]
