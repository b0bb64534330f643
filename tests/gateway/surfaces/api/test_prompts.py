"""Keeping prompts over HTTP: opt-in, what is shown of a call then and to whom, and its end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from running import Request, always, chat_reply, json_reply, upstream
from sqlalchemy import text
from streaming import event, streaming

from tests.budgeting import Home, home

HELLO = {"messages": [{"role": "user", "content": "canary-question"}]}
KEPT = [{"role": "user", "text": "canary-question"}]
CONFIG = '[cache]\nmode = "exact"\n'


async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
    """A provider that answers whole, as a stream, or with an error."""
    if request.json().get("user") == "refuse":
        reply = always(json_reply({"error": {"message": "No.", "type": "invalid_request_error"}}, 400))
    elif request.json().get("stream"):
        reply = streaming(event({"role": "assistant"}), event({"content": "canary-"}), event({"content": "piece"}),
                          event(finish="stop"))  # fmt: skip
    else:
        reply = always(json_reply(chat_reply("canary-answer")))
    await reply(request, writer)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ann(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    """One gateway for this module, whose project keeps nothing at the beginning of each test."""
    async with upstream(answer) as provider:
        async with home(tmp_path_factory.mktemp("prompts"), provider, CONFIG) as made:
            yield made


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def off(ann: Home) -> None:
    """Nothing is kept."""
    await ann.person.patch(path_of(ann), json={"keep": False})


pytestmark = pytest.mark.asyncio(loop_scope="module")


def path_of(ann: Home) -> str:
    """The path of the project's setting."""
    return f"/api/projects/{ann.project_id}/prompts"


async def keep(ann: Home, **more: Any) -> Any:
    """Opt in."""
    answer = await ann.person.patch(path_of(ann), json={"keep": True, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ask(ann: Home, **more: Any) -> str:
    """Call the model; gives the call's id."""
    answer = await ann.chat(**{**HELLO, **more})
    return answer.headers["x-watchllm-request-id"]


async def show(ann: Home, request_id: str, client: httpx.AsyncClient | None = None, **headers: str) -> Any:
    """What is shown of a call's content."""
    found = await (client or ann.person).get(f"/api/requests/{request_id}", headers=headers)
    assert found.status_code == 200, found.text
    return found.json()["content"]


async def test_nothing_is_kept_unless_the_project_opts_in(ann: Home) -> None:
    """And nothing that was asked before it did."""
    assert (await ann.person.get(path_of(ann))).json() == {"keep": False, "retention_days": None, "since": None}
    request_id = await ask(ann, user="before")
    assert await show(ann, request_id) is None
    view = await keep(ann)
    assert (view["keep"], view["retention_days"], view["since"][:2]) == (True, 30, "20")
    assert (await ann.person.get(path_of(ann))).json() == view
    assert await show(ann, request_id) is None


async def test_a_whole_answer_is_shown_with_its_question(ann: Home) -> None:
    """For as long as the retention says."""
    assert (await keep(ann, retention_days=7))["retention_days"] == 7
    content = await show(ann, await ask(ann, user="whole"))
    assert content == {"messages": KEPT, "omitted_messages": 0, "answer": "canary-answer", "cut": False}


async def test_a_stream_is_shown_as_what_was_delivered(ann: Home) -> None:
    """Its pieces as one text."""
    await keep(ann)
    assert (await show(ann, await ask(ann, user="stream", stream=True)))["answer"] == "canary-piece"


@pytest.mark.parametrize("first_streams", [False, True])
async def test_an_answer_of_the_cache_is_shown_too(ann: Home, *, first_streams: bool) -> None:
    """In whichever form it was kept and given."""
    await keep(ann)
    user = f"hit-{first_streams}"
    said = (await show(ann, await ask(ann, user=user, stream=first_streams)))["answer"]
    for stream in (first_streams, not first_streams):
        given = await ann.chat(**HELLO, user=user, stream=stream)
        assert given.headers["x-watchllm-cached"] == "true"
        content = await show(ann, given.headers["x-watchllm-request-id"])
        assert (content["messages"], content["answer"]) == (KEPT, said)


async def test_a_call_that_failed_has_its_question(ann: Home) -> None:
    """That is what one looks for then."""
    await keep(ann)
    content = await show(ann, await ask(ann, user="refuse"))
    assert (content["messages"], content["answer"]) == (KEPT, None)


async def test_switching_off_deletes_what_was_kept(ann: Home) -> None:
    """At once, and switching on again brings nothing back."""
    await keep(ann)
    request_id = await ask(ann, user="gone")
    assert await show(ann, request_id) is not None
    await ann.person.patch(path_of(ann), json={"keep": False})
    async with ann.database.read() as connection:
        assert (await connection.execute(text("SELECT COUNT(*) FROM prompts"))).scalar_one() == 0
    await keep(ann)
    assert await show(ann, request_id) is None


async def test_viewers_and_ordinary_keys_see_figures_only(ann: Home) -> None:
    """Owners, admins and members do, and a key that manages the project."""
    await keep(ann)
    request_id = await ask(ann, user="who")
    assert await show(ann, request_id, ann.caller) is None
    body = {"name": "m", "manage": True, "scopes": ["usage:read"]}
    made = (await ann.person.post(f"/api/projects/{ann.project_id}/keys", json=body)).json()
    assert await show(ann, request_id, ann.caller, authorization=f"Bearer {made['key']}") is not None
    seen = {}
    for role in ("viewer", "member", "admin", "owner"):
        async with ann.database.write() as connection:
            await connection.execute(text("UPDATE members SET role = :role"), {"role": role})
        seen[role] = await show(ann, request_id) is not None
    assert seen == {"viewer": False, "member": True, "admin": True, "owner": True}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "'keep' is missing"),
        ({"keep": True, "retention_days": 0}, "retention_days"),
        ({"keep": True, "retention_days": 366}, "retention_days"),
        ({"keep": False, "retention_days": 3}, "retention_days is 3 and keep is false"),
    ],
)
async def test_a_wrong_body_is_refused(ann: Home, body: Any, told: str) -> None:
    """The message names the field."""
    refused = await ann.person.patch(path_of(ann), json=body)
    assert (refused.status_code, told in refused.text) == (400, True)


async def test_an_ordinary_key_changes_nothing(ann: Home) -> None:
    """It may look."""
    assert (await ann.caller.get(path_of(ann))).status_code == 200
    assert (await ann.caller.patch(path_of(ann), json={"keep": True})).status_code == 403


async def test_deleting_a_project_deletes_what_it_kept(ann: Home) -> None:
    """Within a second."""
    made = (await ann.person.post("/api/projects", json={"name": "short-lived"})).json()
    await ann.person.patch(f"/api/projects/{made['id']}/prompts", json={"keep": True})
    bearer = {"authorization": f"Bearer {made['api_key']}"}
    asked = await ann.caller.post("/v1/chat/completions", json={"model": "m", **HELLO}, headers=bearer)
    assert await show(ann, asked.headers["x-watchllm-request-id"]) is not None
    await ann.person.delete(f"/api/projects/{made['id']}")
    query = text("SELECT COUNT(*) FROM prompts WHERE project_id = :project_id")
    async with asyncio.timeout(5):
        while True:
            async with ann.database.read() as connection:
                left = (await connection.execute(query, {"project_id": made["id"]})).scalar_one()
            if left == 0:
                break
            await asyncio.sleep(0.02)


async def test_no_log_and_no_file_tells_what_was_kept(ann: Home, caplog: pytest.LogCaptureFixture) -> None:
    """The words are in the sealed column alone, at every level of the log."""
    await keep(ann)
    with caplog.at_level("DEBUG"):
        await show(ann, await ask(ann, user="quiet"))
    assert "canary" not in caplog.text
    async with ann.database.read() as connection:
        stored = (await connection.execute(text("SELECT content FROM prompts"))).scalars().all()
    assert stored
    assert not any(b"canary" in bytes(each) for each in stored)
