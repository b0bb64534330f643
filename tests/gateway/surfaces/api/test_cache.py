"""A project's cache over HTTP: settings, purge, recall, and who may do what."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from running import always, chat_reply, json_reply, upstream
from sqlalchemy import text

from gateway.caching import administration
from gateway.db import DatabaseUnavailable
from tests.budgeting import Home, home

CACHED = '[cache]\nmode = "exact"\nmax_wrong_hit_rate = 0.05\n'
USUAL = {
    "mode": "exact",
    "ttl_s": 86_400,
    "scope": "project",
    "tool_calls": False,
    "prompts": False,
    "max_wrong_rate": None,
    "max_wrong_hit_rate": 0.05,
    "semantic_judge_model": "",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ann(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    """One gateway for this module; each test asks something of its own."""
    async with upstream(always(json_reply(chat_reply("Hi.")))) as provider:
        async with home(tmp_path_factory.mktemp("cache"), provider, CACHED) as made:
            yield made


pytestmark = pytest.mark.asyncio(loop_scope="module")


def path_of(ann: Home, rest: str = "") -> str:
    """The path of Ann's project's cache."""
    return f"/api/projects/{ann.project_id}/cache{rest}"


async def ask(ann: Home, words: str, **more: Any) -> httpx.Response:
    """A call that says this."""
    answer = await ann.chat(messages=[{"role": "user", "content": words}], **more)
    assert answer.status_code == 200, answer.text
    return answer


async def is_kept(ann: Home, words: str) -> bool:
    """Whether a call would be answered without the provider."""
    body = {"model": "m", "messages": [{"role": "user", "content": words}]}
    answer = await ann.caller.post("/v1/chat/completions", json=body, headers={"x-watchllm-cache": "only"})
    return answer.status_code == 200


async def manager(ann: Home, *, manages: bool) -> dict[str, str]:
    """The header of a key of the project."""
    body = {"name": "k", "manage": manages, "scopes": ["proxy", "usage:read"]}
    made = await ann.person.post(f"/api/projects/{ann.project_id}/keys", json=body)
    assert made.status_code == 200, made.text
    return {"authorization": f"Bearer {made.json()['key']}"}


async def test_what_is_in_force_is_shown_and_changed(ann: Home) -> None:
    """A change is answered with what holds then; null takes the project's own setting back."""
    assert (await ann.person.get(path_of(ann))).json() == USUAL
    changed = await ann.person.patch(path_of(ann), json={"ttl_s": 60, "scope": "key", "max_wrong_rate": 0.02})
    expected = {**USUAL, "ttl_s": 60, "scope": "key", "max_wrong_rate": 0.02, "max_wrong_hit_rate": None}
    assert (changed.status_code, changed.json()) == (200, expected)
    assert (await ann.person.get(path_of(ann))).json() == expected
    back = await ann.person.patch(path_of(ann), json={"ttl_s": None, "scope": None, "max_wrong_rate": None})
    assert back.json() == USUAL


async def test_a_change_holds_for_the_next_call(ann: Home) -> None:
    """Switched off, nothing is looked up; switched on again, what was kept is there."""
    await ask(ann, "switch")
    await ann.person.patch(path_of(ann), json={"mode": "off"})
    assert (await ask(ann, "switch")).headers["x-watchllm-cache"] == "bypass"
    await ann.person.patch(path_of(ann), json={"mode": None})
    assert (await ask(ann, "switch")).headers["x-watchllm-cache"] == "hit-exact"


async def wanting(ann: Home, wishes: dict[str, Any] | None) -> tuple[str, dict[str, str]]:
    """A key with wishes of the cache: its id, and its header."""
    made = await ann.person.post(f"/api/projects/{ann.project_id}/keys", json={"name": "w", "cache": wishes})
    assert made.status_code == 200, made.text
    return made.json()["id"], {"authorization": f"Bearer {made.json()['key']}"}


async def test_a_key_wants_fresh_answers(ann: Home) -> None:
    """Its calls pass the cache by, those of the project's other keys do not; a call's own wish wins."""
    await ask(ann, "varied")
    key_id, header = await wanting(ann, {"mode": "off"})
    assert (await ask(ann, "varied", headers=header)).headers["x-watchllm-cache"] == "bypass"
    again = await ask(ann, "varied", headers={**header, "x-watchllm-cache": "read"})
    assert again.headers["x-watchllm-cache"] == "hit-exact"
    changed = await ann.person.patch(f"/api/projects/{ann.project_id}/keys/{key_id}", json={"cache": None})
    assert (changed.status_code, changed.json()["cache"]) == (200, None)
    assert (await ask(ann, "varied", headers=header)).headers["x-watchllm-cache"] == "hit-exact"


async def test_a_key_has_a_time_to_live_of_its_own(ann: Home) -> None:
    """Between the call's and the project's; its successor has the same."""
    key_id, header = await wanting(ann, {"ttl_s": 60})
    rotated = await ann.person.post(f"/api/projects/{ann.project_id}/keys/{key_id}/rotate", json={"overlap_s": 60})
    assert rotated.json()["cache"]["ttl_s"] == 60
    for words, more in (("an hour", {"x-watchllm-cache-ttl": "3600"}), ("a minute", {}), ("a day", None)):
        await ask(ann, words, headers={} if more is None else header | more)
    kept = ann.running.gateway.services.caching.answers.of(ann.project_id)
    lives = [(item.expires_ns - item.value.created_ns) // 1_000_000_000 for item in kept]
    assert lives[-3:] == [3_600, 60, 86_400]


@pytest.mark.parametrize(
    "wishes", [{"mode": "semantic"}, {"ttl_s": 0}, {"max_wrong_rate": 1}, {"max_wrong_hit_rate": "x"}, {"scope": "key"}]
)
async def test_a_keys_wrong_wish_is_refused(ann: Home, wishes: dict[str, Any]) -> None:
    """It is named."""
    refused = await ann.person.post(f"/api/projects/{ann.project_id}/keys", json={"name": "w", "cache": wishes})
    assert refused.status_code == 400
    assert next(iter(wishes)) in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"mode": "loud"},
        {"ttl_s": 0},
        {"scope": "world"},
        {"max_wrong_rate": 0},
        {"max_wrong_rate": 1},
        {"max_wrong_hit_rate": -0.1},
        {"tool_calls": "yes"},
        {"modus": "off"},
        {"semantic_judge_model": 1},
    ],
)
async def test_a_wrong_setting_changes_nothing(ann: Home, body: dict[str, Any]) -> None:
    """It is named, and what was in force stays."""
    refused = await ann.person.patch(path_of(ann), json=body)
    assert refused.status_code == 400
    assert next(iter(body)) in refused.json()["error"]["message"]
    assert (await ann.person.get(path_of(ann))).json() == USUAL


async def test_a_judge_is_one_of_the_models_that_can_be_called(ann: Home) -> None:
    """What nobody answers for, or does not chat, is refused before anything else is changed."""
    changed = await ann.person.patch(path_of(ann), json={"semantic_judge_model": "m"})
    assert changed.json() == {**USUAL, "semantic_judge_model": "m"}
    for name, word in (("gtp-9", "gtp-9"), ("local/all-MiniLM-L6-v2", "embeddings"), ("a b", "a b")):
        refused = await ann.person.patch(path_of(ann), json={"ttl_s": 60, "semantic_judge_model": name})
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["param"]) == (400, "invalid_model", "semantic_judge_model")
        assert word in error["message"]
    assert (await ann.person.get(path_of(ann))).json() == {**USUAL, "semantic_judge_model": "m"}
    assert (await ann.person.patch(path_of(ann), json={"semantic_judge_model": ""})).json() == USUAL
    assert (await ann.person.patch(path_of(ann), json={"semantic_judge_model": None})).json() == USUAL


async def test_a_purge_takes_what_meets_every_term(ann: Home) -> None:
    """By tag, model, entry and time; it tells how many went."""
    tagged = await ask(ann, "tagged", headers={"x-watchllm-tags": "blue,red"})
    await ask(ann, "plain")
    before = {"before": "2020-01-01T00:00:00Z"}
    for terms in ({"tag": "green"}, {"model": "other"}, {"entry": "ce_x"}, before, {"tag": "blue", "model": "x"}):
        assert (await ann.person.delete(path_of(ann), params=terms)).json() == {"purged": 0}
    assert (await ann.person.delete(path_of(ann), params={"tag": "blue", "model": "m"})).json() == {"purged": 1}
    assert (await is_kept(ann, "tagged"), await is_kept(ann, "plain")) == (False, True)
    hit = await ask(ann, "plain")
    entry = hit.headers["x-watchllm-cache-entry"]
    assert entry != tagged.headers.get("x-watchllm-cache-entry")
    assert (await ann.person.delete(path_of(ann), params={"entry": entry})).json() == {"purged": 1}
    assert not await is_kept(ann, "plain")


async def test_a_purge_without_terms_takes_everything(ann: Home) -> None:
    """Of this project."""
    await ask(ann, "all of it")
    purged = (await ann.person.delete(path_of(ann))).json()["purged"]
    assert purged >= 1
    assert not await is_kept(ann, "all of it")


@pytest.mark.parametrize(
    "terms",
    [
        {"tags": "blue"},
        {"before": "yesterday"},
        {"before": ""},
        {"tag": ""},
        {"model": ""},
        {"entry": ""},
        [("tag", "a"), ("tag", "b")],
    ],
)
async def test_a_mistyped_purge_takes_nothing(ann: Home, terms: Any) -> None:
    """Else it would take more than was meant."""
    await ask(ann, "stays")
    refused = await ann.person.delete(path_of(ann), params=terms)
    name = terms[0][0] if isinstance(terms, list) else next(iter(terms))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)
    assert await is_kept(ann, "stays")


@pytest.mark.parametrize("named_by", ["the call that made it", "a call that it answered"])
async def test_a_recall_takes_the_answer_back_and_names_who_got_it(ann: Home, named_by: str) -> None:
    """The entry goes; every call that it answered is named, and an event tells."""
    words = f"wrong, says {named_by}"
    made = await ask(ann, words)
    given = [await ask(ann, words) for _ in range(2)]
    ids = [answer.headers["x-watchllm-request-id"] for answer in given]
    wrong = ids[0] if named_by == "a call that it answered" else made.headers["x-watchllm-request-id"]
    recalled = await ann.person.post(path_of(ann, "/recall"), json={"request_id": wrong})
    entry = given[0].headers["x-watchllm-cache-entry"]
    assert recalled.status_code == 200
    assert recalled.json() == {"entries": [entry], "requests": sorted(ids)}
    assert not await is_kept(ann, words)
    async with ann.database.read() as connection:
        found = await connection.execute(text("SELECT payload FROM events WHERE name = 'cache.recalled'"))
        assert any(entry in payload for payload in found.scalars())
    detail = (await ann.person.get(f"/api/requests/{ids[0]}")).json()["cache"]
    assert (detail["cached"], detail["entry"]) == (True, entry)


@pytest.mark.parametrize("request_id", ["01m807j9z9fzctrfnvyefwe000", "nothing"])
async def test_a_call_that_is_not_known_is_not_recalled(ann: Home, request_id: str) -> None:
    """404, whatever it looks like."""
    refused = await ann.person.post(path_of(ann, "/recall"), json={"request_id": request_id})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.row("W50")
async def test_a_cache_that_cannot_be_changed_says_so(ann: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 cache_error, from its administration alone: calls go on."""

    async def fail(*_: object) -> None:
        raise DatabaseUnavailable("away")

    for verb in ("change", "purge", "recall"):
        monkeypatch.setattr(administration, verb, fail)
    request_id = (await ask(ann, "away")).headers["x-watchllm-request-id"]
    answers = [
        await ann.person.patch(path_of(ann), json={"mode": "off"}),
        await ann.person.delete(path_of(ann)),
        await ann.person.post(path_of(ann, "/recall"), json={"request_id": request_id}),
    ]
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [(500, "cache_error")] * 3
    assert (await ask(ann, "away")).headers["x-watchllm-cache"] == "hit-exact"


async def test_a_key_manages_its_project_only_if_it_was_made_to(ann: Home) -> None:
    """Any of the project's keys that may read usage may look; changing is another matter."""
    may, may_not = await manager(ann, manages=True), await manager(ann, manages=False)
    request_id = (await ask(ann, "managed")).headers["x-watchllm-request-id"]
    url = f"{ann.caller.base_url}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client:
        for headers, expected in ((may_not, 403), (may, 200)):
            assert (await client.get(path_of(ann), headers=headers)).status_code == 200
            changed = await client.patch(path_of(ann), json={"ttl_s": None}, headers=headers)
            recalled = await client.post(path_of(ann, "/recall"), json={"request_id": request_id}, headers=headers)
            purged = await client.delete(path_of(ann), headers=headers)
            assert [answer.status_code for answer in (changed, recalled, purged)] == [expected] * 3
