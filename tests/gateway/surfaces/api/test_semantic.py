"""The semantic cache over HTTP: its report, its hits one by one, its export, and who may see them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from questions import audit_always, layer_of, prove, set_embedder, settle
from running import always, chat_reply, json_reply, upstream
from sqlalchemy import text

from gateway.caching.semantic import store
from gateway.db import DatabaseUnavailable
from providers.pricing.prices import format_usd
from tests.budgeting import Home, home, home_at

COUNTS = [
    text(f"SELECT COUNT(*) FROM {table} WHERE project_id = :id")  # noqa: S608 - constants
    for table in ("cache_entries", "cache_decisions", "cache_scopes")
]
CACHED = '[cache]\nmode = "semantic"\nmax_wrong_rate = 0.1\n'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ann(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    """One gateway for this module, whose project serves; each test asks about things of its own."""
    with pytest.MonkeyPatch.context() as patch:
        set_embedder(patch)
        async with upstream(always(json_reply(chat_reply("It is long known.")))) as provider:
            async with home(tmp_path_factory.mktemp("semantic"), provider, CACHED) as made:
                prove((await layer_of(made.running)).memory, made.project_id)
                yield made


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ask(ann: Home, words: str) -> httpx.Response:
    """A call that says this, learnt from."""
    answer = await ann.chat(messages=[{"role": "user", "content": words}])
    assert answer.status_code == 200, answer.text
    await settle(ann.running)
    return answer


def about(thing: str) -> str:
    """A question that shares no word with one about another thing."""
    return " ".join(f"{thing}{letter}" for letter in "bcdfgh")


async def ask_twice(ann: Home, thing: str) -> tuple[httpx.Response, httpx.Response]:
    """A question and a like one; the second is answered with the first one's answer."""
    first = await ask(ann, about(thing))
    # At the beginning: a word behind a question would be a condition.
    second = await ask(ann, f"{thing}k {about(thing)}")
    assert second.headers["x-watchllm-cache"] == "hit-semantic"
    return first, second


async def get(ann: Home, rest: str, **more: Any) -> Any:
    """What is shown of the project's cache."""
    answer = await ann.person.get(f"/api/projects/{ann.project_id}/cache{rest}", **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("rest", "query", "param"),
    [
        ("report", "keys=foo", "keys"),
        ("report", "key=test", "key"),
        ("report", "keys=test&keys=live", "keys"),
        ("hits", "before=x", "before"),
        ("hits", "before=", "before"),
        ("hits", "limits=1", "limits"),
        ("export", "limit=1", "limit"),
    ],
)
async def test_a_mistyped_parameter_is_refused(ann: Home, rest: str, query: str, param: str) -> None:
    """It would be passed over in silence."""
    answer = await ann.person.get(f"/api/projects/{ann.project_id}/cache/{rest}?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.row("W23")
async def test_the_dashboard_counts_what_was_saved(ann: Home) -> None:
    """A semantic hit is one of the cache: in the rate of hits and in what was saved, exactly; an audit is none."""
    memory = (await layer_of(ann.running)).memory
    settings = memory.engine.settings
    audit_always(memory)
    await ask_twice(ann, "clay")
    memory.engine.settings = settings
    answer = await ann.person.get("/api/dashboard/stats", params={"period": "7d"})
    rows = [row for row in ann.running.rows if row.project_id == ann.project_id]
    saved = sum(row.saved_pusd for row in rows)
    assert saved > 0
    stats = answer.json()
    asked = [row for row in rows if not row.is_audit]
    assert len(asked) < len(rows)
    assert stats["requests_total"] == len(asked)
    assert stats["cache_hit_rate"] == pytest.approx(sum(row.is_cached for row in asked) / len(asked), abs=1e-4)
    assert f'"cost_saved":{format_usd(saved)}' in answer.text.replace(" ", "")


async def test_a_hit_is_inspected_with_its_entry(ann: Home) -> None:
    """Which call, which entry, how near and how likely right; without texts as long as nobody wanted them."""
    first, second = await ask_twice(ann, "rust")
    request_id = second.headers["x-watchllm-request-id"]
    listed = await get(ann, "/hits", params={"limit": 1})
    detail = await get(ann, f"/hits/{request_id}")
    assert listed["hits"] == [detail["hit"]]
    assert listed["next"] == request_id
    hit, entry = detail["hit"], detail["entry"]
    assert (hit["request_id"], hit["decision"], hit["right"], hit["question"]) == (request_id, "serve", None, None)
    assert hit["judged_by"] is None
    assert hit["entry"] == entry["entry"] == f"ce_{first.headers['x-watchllm-request-id']}" in hit["neighbours"]
    assert f"{hit['similarity']:.4f}" == second.headers["x-watchllm-cache-similarity"]
    assert f"{hit['score']:.4f}" == second.headers["x-watchllm-cache-score"]
    assert hit["threshold"] <= hit["score"] <= 1
    assert (entry["question"], entry["answer"], entry["model"]) == (None, None, "m")


async def test_texts_are_shown_where_the_project_wants_them(ann: Home) -> None:
    """What was asked is noted from then on; what is stored is shown at once, and nothing once they want it no more."""
    path = f"/api/projects/{ann.project_id}/cache"
    assert (await ann.person.patch(path, json={"prompts": True})).json()["prompts"] is True
    _, second = await ask_twice(ann, "snow")
    detail = await get(ann, f"/hits/{second.headers['x-watchllm-request-id']}")
    assert detail["hit"]["question"] == f"snowk {about('snow')}"
    assert (detail["entry"]["question"], detail["entry"]["answer"]) == (
        about("snow"), "It is long known.",
    )  # fmt: skip
    assert (await ann.person.patch(path, json={"prompts": None})).json()["prompts"] is False
    detail = await get(ann, f"/hits/{second.headers['x-watchllm-request-id']}")
    assert (detail["entry"]["question"], detail["entry"]["answer"], detail["hit"]["question"]) == (None, None, None)
    assert {hit["question"] for hit in (await get(ann, "/hits"))["hits"]} == {None}


async def test_texts_are_for_who_may_read_prompts(ann: Home) -> None:
    """A viewer is let in to look at figures: of a hit, of its page and in the export the texts are missing."""
    path = f"/api/projects/{ann.project_id}/cache"
    await ann.person.patch(path, json={"prompts": True})
    _, second = await ask_twice(ann, "moss")
    rests = ("/hits", f"/hits/{second.headers['x-watchllm-request-id']}", "/export")
    seen: dict[str, list[bool]] = {}
    for role in ("viewer", "owner"):
        async with ann.database.write() as connection:
            change = text("UPDATE members SET role = :role WHERE account_id = :account_id")
            await connection.execute(change, {"role": role, "account_id": ann.account_id})
        answers = [await ann.person.get(f"{path}{rest}") for rest in rests]
        assert [answer.status_code for answer in answers] == [200] * len(rests)
        seen[role] = ["moss" in answer.text for answer in answers]
    assert seen == {"viewer": [False] * len(rests), "owner": [True] * len(rests)}
    await ann.person.patch(path, json={"prompts": None})


async def test_pages_of_hits_follow_each_other(ann: Home) -> None:
    """Newest first, none twice."""
    for thing in ("tar", "milk"):
        await ask_twice(ann, thing)
    whole = (await get(ann, "/hits"))["hits"]
    found: list[Any] = []
    before = {}
    while True:
        page = await get(ann, "/hits", params={"limit": 1, **before})
        found += page["hits"]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert found == whole
    assert [hit["request_id"] for hit in found] == sorted((hit["request_id"] for hit in found), reverse=True)


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1", "²"])
async def test_a_limit_is_a_number_within_bounds(ann: Home, limit: str) -> None:
    """400, by its name."""
    answer = await ann.person.get(f"/api/projects/{ann.project_id}/cache/hits", params={"limit": limit})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")


async def test_a_hit_that_is_not_there_is_not_found(ann: Home) -> None:
    """A call that was a miss has none."""
    first, _ = await ask_twice(ann, "coal")
    request_id = first.headers["x-watchllm-request-id"]
    answer = await ann.person.get(f"/api/projects/{ann.project_id}/cache/hits/{request_id}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_the_export_has_entries_and_labels_without_texts(ann: Home) -> None:
    """One JSON object a line; texts only where the project wants them."""
    first, second = await ask_twice(ann, "silver")
    answer = await ann.person.get(f"/api/projects/{ann.project_id}/cache/export")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert "silver" not in answer.text
    lines = [json.loads(line) for line in answer.text.splitlines()]
    entry = next(line for line in lines if line.get("entry") == f"ce_{first.headers['x-watchllm-request-id']}")
    assert (entry["type"], entry["question"], entry["answer"]) == ("entry", None, None)
    decision = next(line for line in lines if line.get("request_id") == second.headers["x-watchllm-request-id"])
    assert (decision["type"], decision["decision"], decision["right"]) == ("decision", "serve", None)
    path = f"/api/projects/{ann.project_id}/cache"
    await ann.person.patch(path, json={"prompts": True})
    assert about("silver") in (await ann.person.get(f"{path}/export")).text
    await ann.person.patch(path, json={"prompts": None})


async def test_an_export_that_cannot_begin_is_refused(ann: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 as everything else, rather than an answer that breaks off."""

    async def refuse(*_: Any) -> Any:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(store, "read_own", refuse)
    answer = await ann.person.get(f"/api/projects/{ann.project_id}/cache/export")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")


async def test_a_recall_takes_the_neighbours_and_names_every_call(ann: Home) -> None:
    """The entry and those that say the same go; the decision is labelled wrong, the like question is a miss again."""
    first, second = await ask_twice(ann, "gold")
    request_id = second.headers["x-watchllm-request-id"]
    path = f"/api/projects/{ann.project_id}/cache"
    answer = await ann.person.post(f"{path}/recall", json={"request_id": request_id})
    assert f"ce_{first.headers['x-watchllm-request-id']}" in answer.json()["entries"]
    assert answer.json()["requests"] == [request_id]
    hit = (await get(ann, f"/hits/{request_id}"))["hit"]
    assert (hit["right"], hit["judged_by"]) == (False, "recall")
    again = await ask(ann, about("gold"))
    assert again.headers["x-watchllm-cache"] != "hit-exact"


async def test_a_purge_reaches_what_is_like(ann: Home) -> None:
    """By its tag: neither the request nor one like it is answered any more."""
    words = [{"role": "user", "content": about("peat")}]
    await ann.chat(messages=words, headers={"x-watchllm-tags": "bog"})
    await settle(ann.running)
    path = f"/api/projects/{ann.project_id}/cache"
    assert (await ann.person.delete(path, params={"tag": "bog"})).json() == {"purged": 1}
    again = await ask(ann, about("peat"))
    assert again.headers["x-watchllm-cache"] != "hit-exact"


async def test_deleting_a_project_deletes_its_questions_and_answers(ann: Home) -> None:
    """At once, in the database and in memory, the words that it used among them."""
    layer, answers = await layer_of(ann.running), ann.running.gateway.services.caching.answers
    async with home_at(ann.running) as bob:
        path, project_id = f"/api/projects/{bob.project_id}", bob.project_id
        await bob.person.patch(f"{path}/cache", json={"prompts": True})
        prove(layer.memory, project_id)
        await ask_twice(bob, "cork")
        layer.memory.changed.add(project_id)
        await layer.keeper.save()

        async def count() -> list[int]:
            async with ann.database.read() as connection:
                return [(await connection.execute(each, {"id": project_id})).scalar_one() for each in COUNTS]

        assert await count() == [1, 1, 1]
        assert (await bob.person.delete(path)).status_code == 200
        assert await count() == [0, 0, 0]
    assert list(answers.of(project_id)) == []
    assert not [kept for kept in layer.memory.shelf if kept.project_id == project_id]
    assert layer.memory.engine.count_requests(project_id) == 0


async def test_a_key_sees_hits_only_where_it_manages(ann: Home) -> None:
    """The report is for every key that reads usage."""
    for manages, status in ((True, 200), (False, 403)):
        body = {"name": "k", "manage": manages, "scopes": ["proxy", "usage:read"]}
        made = await ann.person.post(f"/api/projects/{ann.project_id}/keys", json=body)
        header = {"authorization": f"Bearer {made.json()['key']}"}
        for rest, expected in (
            ("report", 200),
            ("hits", status),
            ("export", status),
            ("hits/x", 404 if manages else 403),
        ):
            answer = await ann.caller.get(f"/api/projects/{ann.project_id}/cache/{rest}", headers=header)
            assert answer.status_code == expected, (rest, answer.text)
