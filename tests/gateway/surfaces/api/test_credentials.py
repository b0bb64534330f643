"""Provider keys by W's literal requests (rows W32 and W33), and whose of them a call is sent with."""

from typing import Any

import pytest
from offices import Office
from running import Upstream, chat_reply, json_reply, openai_config
from sqlalchemy import text

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROJECTS, OPERATORS, CONFIGURED = "sk-your-actual-openai-key", "sk-stored-operators", "sk-upstream-secret"
SPOIL = text(
    "UPDATE credentials SET secret = :seal, revision = (SELECT value FROM revisions WHERE name = 'credentials') "
    "WHERE project_id = :project_id"
)
W32 = {"provider": "openai", "api_key": PROJECTS}


@pytest.fixture(scope="module")
def config(shared_provider: Upstream) -> str:
    """Two providers with keys of the configuration's, at one address."""
    more = '[providers.other]\ndialect = "openai"\nmodels = ["other"]\napi_key = "sk-configured-other"\n'
    more += f'base_url = "{shared_provider.url}/other"\n'
    more += 'headers = { x-team = "blue", X-Api-Key = "12345678" }\n'
    return openai_config(shared_provider, more)


def credentials(provider: Upstream) -> list[str]:
    """With what it was called."""
    return [request.headers.get("authorization", "").removeprefix("Bearer ") for request in provider.requests]


@pytest.mark.row("W32")
async def test_a_projects_own_key_is_stored_and_used(ann: Office, provider: Upstream) -> None:
    """The document's answer; from then on the project's calls are sent with it, and nobody else's are."""
    path, key = await ann.project()
    _, others = await ann.project("other")
    answer = await ann.ask("POST", f"{path}/providers", W32)
    expected = {"success": True, "message": "Provider key updated", "provider": "openai"}
    assert (answer.status_code, answer.json()) == (200, expected)
    for one in (key, others):
        assert (await ann.chat(one)).status_code == 200
    assert credentials(provider) == [PROJECTS, CONFIGURED]


@pytest.mark.row("W33")
async def test_a_removed_key_is_used_no_more(ann: Office, provider: Upstream) -> None:
    """The document's answer; the configuration's serves again, and a second removal finds nothing."""
    path, key = await ann.project()
    await ann.give("POST", f"{path}/providers", W32)
    answer = await ann.ask("DELETE", f"{path}/providers/openai")
    assert (answer.status_code, answer.json()) == (200, {"success": True, "message": "Provider key removed"})
    await ann.chat(key)
    assert credentials(provider) == [CONFIGURED]
    assert await ann.status("DELETE", f"{path}/providers/openai") == 404


async def test_a_second_key_replaces_the_first(ann: Office, provider: Upstream) -> None:
    """There is one a provider; the list shows its ends, its dates and never itself."""
    path, key = await ann.project()
    for secret, name in ((PROJECTS, "first"), ("sk-one-more-actual-key", "ours"), ("sk-another-actual-key", "")):
        await ann.give("POST", f"{path}/providers", {**W32, "api_key": secret, "name": name})
    await ann.chat(key)
    assert credentials(provider) == ["sk-another-actual-key"]
    await ann.gateway.gateway.services.purses.credentials.tend()
    answer = await ann.ask("GET", f"{path}/providers")
    (shown,) = answer.json()["providers"]
    assert (shown["provider"], shown["api_key"], shown["base_url"]) == ("openai", "sk-...-key", None)
    # A name that is not given stays.
    assert shown["name"] == "ours"
    assert shown["last_used_at"] is not None
    assert "actual" not in answer.text


async def test_the_operators_key_serves_whoever_has_none(ann: Office, provider: Upstream) -> None:
    """It wins over the configuration's; a project's own wins over it."""
    path, key = await ann.project()
    assert await ann.status("POST", "/api/providers", {**W32, "api_key": OPERATORS}) == 403
    await ann.make_operator()
    await ann.give("POST", "/api/providers", {**W32, "api_key": OPERATORS})
    await ann.chat(key)
    await ann.give("POST", f"{path}/providers", W32)
    await ann.chat(key)
    await ann.give("DELETE", f"{path}/providers/openai")
    await ann.give("DELETE", "/api/providers/openai")
    await ann.chat(key)
    assert credentials(provider) == [OPERATORS, PROJECTS, CONFIGURED]
    assert (await ann.give("GET", "/api/providers"))["providers"] == []


async def test_the_operators_headers_go_along_but_for_the_credential(ann: Office, provider: Upstream) -> None:
    """To the operator's own address."""
    path, key = await ann.project()
    await ann.give("POST", f"{path}/providers", {"provider": "other", "api_key": PROJECTS})
    await ann.chat(key, "other")
    (request,) = provider.requests
    assert (request.headers["x-team"], request.headers["authorization"]) == ("blue", f"Bearer {PROJECTS}")
    assert "x-api-key" not in request.headers


async def test_a_provider_without_a_configured_key_becomes_callable(ann: Office) -> None:
    """For the project alone: in its list of models, and in its routes."""
    path, key = await ann.project()
    _, others = await ann.project("other")

    async def offers(one: str) -> bool:
        models = (await ann.give("GET", "/v1/models", bearer=one))["data"]
        return any(card["owned_by"] == "anthropic" for card in models)

    assert not await offers(key)
    assert (await ann.chat(others, "claude-3-haiku")).json()["error"]["code"] == "invalid_model"
    await ann.give("POST", f"{path}/providers", {"provider": "anthropic", "api_key": "sk-ant-own-0123456789"})
    assert (await offers(key), await offers(others)) == (True, False)
    assert await ann.status("GET", "/v1/models/claude-3-haiku", bearer=key) == 200
    routes, purses = ann.gateway.gateway.services.routes, ann.gateway.gateway.services.purses
    route = routes.of(purses.of(f"proj_{path.rpartition('_')[2]}")).find("claude-3-haiku")
    assert route is not None
    assert route.targets[0].backend.name == "anthropic"
    assert (await ann.chat(others, "claude-3-haiku")).json()["error"]["code"] == "invalid_model"


async def test_an_unreadable_key_costs_nobody_else(ann: Office, provider: Upstream) -> None:
    """A 503 that says what to do; the configuration's key does not pay."""
    path, key = await ann.project()
    await ann.give("POST", f"{path}/providers", W32)
    gateway = ann.gateway.gateway
    async with gateway.app.state.database.write() as connection:
        await connection.execute(text("UPDATE revisions SET value = value + 1 WHERE name = 'credentials'"))
        await connection.execute(SPOIL, {"seal": bytes(100), "project_id": path.rpartition("/")[2]})
    await gateway.services.purses.credentials.refresh()
    answer = await ann.chat(key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "credential_unreadable")
    assert credentials(provider) == []
    await ann.give("POST", f"{path}/providers", W32)
    assert (await ann.chat(key)).status_code == 200


async def test_a_bad_key_of_one_project_spares_the_provider_for_nobody(ann: Office, provider: Upstream) -> None:
    """Its calls fail, again and again; those of the others go on."""
    path, key = await ann.project()
    _, others = await ann.project("other")
    await ann.give("POST", f"{path}/providers", W32)

    async def refuse_projects(request: Any, writer: Any) -> None:
        is_bad = request.headers["authorization"].endswith(PROJECTS)
        writer.write(json_reply({"error": {"message": "no"}}, 401) if is_bad else json_reply(chat_reply()))

    provider.answer = refuse_projects
    assert {(await ann.chat(key)).status_code for _ in range(8)} <= {502, 503}
    assert (await ann.chat(others)).status_code == 200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"provider": "opnai"}, "is no provider here"),
        ({"provider": "sandbox"}, "is no provider here"),
        ({"api_key": ""}, "has 0 characters"),
        ({"api_key": "sk x"}, "as the provider showed it"),
        ({"api_key": "sk-x\r\nhost: evil"}, "as the provider showed it"),
        ({"base_url": "http://api.example.com/v1"}, "is not https"),
        ({"base_url": "https://127.0.0.1"}, "no address of the public Internet"),
        ({"base_url": "https://user:pw@8.8.8.8"}, "user-info"),
    ],
)
async def test_what_cannot_be_stored_is_refused(ann: Office, change: dict[str, Any], words: str) -> None:
    """400, and the answer shows no key."""
    path, _ = await ann.project()
    answer = await ann.ask("POST", f"{path}/providers", {**W32, **change})
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (400, True)
    assert PROJECTS not in answer.text
    assert (await ann.give("GET", f"{path}/providers"))["providers"] == []


async def test_every_deed_is_in_the_audit_log(ann: Office) -> None:
    """Who stored, replaced and removed which provider's key; never the key."""
    path, _ = await ann.project()
    for _ in range(2):
        await ann.give("POST", f"{path}/providers", W32)
    await ann.give("DELETE", f"{path}/providers/openai")
    account_id = (await ann.give("GET", "/api/account"))["id"]
    async with ann.gateway.gateway.app.state.database.read() as connection:
        select = "SELECT * FROM audit_log WHERE action LIKE 'credential.%' AND account_id = :account_id"
        rows = (await connection.execute(text(select), {"account_id": account_id})).all()
    assert [row.action for row in rows] == ["credential.create", "credential.replace", "credential.delete"]
    assert {(row.actor_kind, row.detail) for row in rows} == {("user", "openai")}
    assert all(row.actor_id and row.account_id for row in rows)
    assert "actual" not in str(rows)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"provider": "nobody"}, "provider"),
        ({"api_key": "sk with spaces"}, "api_key"),
        ({"api_key": ""}, "api_key"),
        ({"base_url": "http://10.0.0.1/v1"}, "base_url"),
        ({"base_url": "nowhere"}, "base_url"),
        ({"name": "x" * 2_000}, "name"),
    ],
)
async def test_a_refusal_names_the_field(ann: Office, changes: dict[str, str], param: str) -> None:
    """By the name that the body has it by."""
    path, _ = await ann.project()
    body = {"provider": "openai", "api_key": "sk-own", **changes}
    answer = await ann.ask("POST", f"{path}/providers", body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
