"""How the providers are: whose key, what is spared, what failed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from offices import Office, office
from running import STREAM_HEAD, Upstream, always, chat_reply, framed, json_reply, openai_config, upstream


@pytest.fixture
async def openai() -> AsyncIterator[Upstream]:
    """A provider that answers."""
    async with upstream(always(json_reply(chat_reply()))) as provider:
        yield provider


@pytest.fixture
async def ann(tmp_path: Path, openai: Upstream) -> AsyncIterator[Office]:
    """Ann's office; a second provider is configured where nobody listens, and is spared after two failures."""
    more = '[providers.gone]\ndialect = "openai"\nmodels = ["gone"]\nbase_url = "http://127.0.0.1:9/v1"\n'
    more += "[breaker]\nfailures = 2\n[retries]\nmax_tries = 1\n"
    async with office(tmp_path, openai_config(openai, more)) as ann:
        yield ann


async def look(ann: Office, query: str = "") -> dict[str, Any]:
    """The providers by their names."""
    answer = await ann.ask("GET", f"/api/providers/health{query}")
    assert answer.status_code == 200, answer.text
    return {each["provider"]: each for each in answer.json()["providers"]}


async def test_providers_are_told_before_any_call(ann: Office) -> None:
    """Those that can be called, with the configuration's keys."""
    await ann.project()
    found = await look(ann)
    assert set(found) == {"gone", "local", "openai"}
    assert found["local"]["source"] == "bundled"
    quiet = {"breaker": "closed", "targets": [], "requests": 0, "errors": 0, "error_rate": None, "last_error": None}
    assert found["openai"] == {"provider": "openai", "source": "configuration", **quiet}


async def test_what_failed_is_counted_and_spared(ann: Office) -> None:
    """The worst target is told first; the others answer as ever."""
    _, key = await ann.project()
    for model in ("gpt-4", "gone", "gone"):
        await ann.chat(key, model)
    found = await look(ann)
    assert (found["openai"]["breaker"], found["openai"]["requests"], found["openai"]["errors"]) == ("closed", 1, 0)
    assert found["openai"]["targets"] == [{"model": "gpt-4", "state": "closed", "rest_ms": 0}]
    gone = found["gone"]
    assert (gone["breaker"], gone["requests"], gone["errors"], gone["error_rate"]) == ("open", 2, 2, 1)
    (target,) = gone["targets"]
    assert (target["model"], target["state"]) == ("gone", "open")
    assert target["rest_ms"] > 0
    assert found["openai"]["last_error"] is None
    last = gone["last_error"]
    assert (last.pop("at")[:2], last) == (
        "20",
        {"model": "gone", "code": "upstream_unreachable", "message": "No connection could be made."},
    )


async def test_the_last_error_tells_no_secret_and_no_prompt(tmp_path: Path) -> None:
    """Whatever the provider says: only its status and its code are told on."""
    error = {"message": "Bad key sk-openai for 'Hi'", "code": "invalid_api_key", "type": "auth"}
    async with upstream(always(json_reply({"error": error}, 401))) as provider:
        async with office(tmp_path, openai_config(provider, "[retries]\nmax_tries = 1\n")) as ann:
            _, key = await ann.project()
            await ann.chat(key)
            last = (await look(ann))["openai"]["last_error"]
            assert (last["code"], last["message"]) == ("upstream_auth", "Status 401 (invalid_api_key).")


async def test_what_others_call_and_how_it_fares_is_theirs(ann: Office) -> None:
    """Ann's names of models and her failures, although all call with the configuration's key."""
    path, key = await ann.project()
    for model in ("openai/ft:gpt-4o-mini:acme-secret:v7", "gone", "gone"):
        await ann.chat(key, model)
    bob = await ann.enter("bob")
    _, bobs = await bob.project()
    await bob.chat(bobs, "gpt-4")
    found = await look(bob)
    assert [target["model"] for target in found["openai"]["targets"]] == ["gpt-4"]
    assert (found["gone"]["breaker"], found["gone"]["targets"], found["gone"]["last_error"]) == ("closed", [], None)
    other, _ = await ann.project("other")
    assert (await look(ann, f"?project_id={other.rsplit('/', 1)[1]}"))["gone"]["targets"] == []
    (own,) = (await look(ann, f"?project_id={path.rsplit('/', 1)[1]}"))["gone"]["targets"]
    assert (own["model"], own["state"]) == ("gone", "open")


async def test_who_calls_a_target_that_others_broke_sees_it_spared(ann: Office) -> None:
    """The breaker is shared, so it says why the call was refused; whose failures opened it is not told."""
    _, key = await ann.project()
    for _ in range(2):
        await ann.chat(key, "gone")
    bob = await ann.enter("bob")
    _, bobs = await bob.project()
    assert (await bob.chat(bobs, "gone")).status_code == 503
    gone = (await look(bob))["gone"]
    assert (gone["breaker"], gone["last_error"]["code"]) == ("open", "provider_unavailable")


async def test_a_stream_that_breaks_off_is_the_last_error(tmp_path: Path) -> None:
    """Although it had begun, and the call got a part of it."""
    piece = b'data: {"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"A"}}]}\n\n'
    async with upstream(always(STREAM_HEAD + framed(piece) + b"0\r\n\r\n")) as provider:
        async with office(tmp_path, openai_config(provider)) as ann:
            _, key = await ann.project()
            body = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
            assert (await ann.ask("POST", "/v1/chat/completions", body, bearer=key)).status_code == 200
            last = (await look(ann))["openai"]["last_error"]
            assert (last["code"], last["message"]) == ("upstream_truncated", "The answer stopped before its end.")


async def test_whose_key_it_is_is_told(ann: Office) -> None:
    """The project's before the operator's before the configuration's; asked of another project, that one's."""
    path, _ = await ann.project()
    other, _ = await ann.project("other")
    await ann.make_operator()
    await ann.give("POST", "/api/providers", {"provider": "openai", "api_key": "sk-operators"})
    assert (await look(ann))["openai"]["source"] == "operator"
    await ann.give("POST", f"{path}/providers", {"provider": "openai", "api_key": "sk-own"})
    sources = [(await look(ann, f"?project_id={one.rsplit('/', 1)[1]}"))["openai"]["source"] for one in (path, other)]
    assert sources == ["project", "operator"]
    assert (await look(ann))["openai"]["source"] == "project"
