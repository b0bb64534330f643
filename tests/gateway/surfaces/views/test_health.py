"""How the providers are: whose key, what is spared, what failed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from offices import Office, office
from running import Upstream, always, chat_reply, json_reply, openai_config, upstream


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
    quiet = {"breaker": "closed", "targets": [], "requests": 0, "errors": 0, "error_rate": None}
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
