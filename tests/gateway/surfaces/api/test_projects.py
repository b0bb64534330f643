"""Projects by W's literal requests (rows W1, W22, W24 to W27)."""

import re

import pytest
from offices import PASSWORD, Office

pytestmark = pytest.mark.asyncio(loop_scope="module")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")


@pytest.mark.row("W1", "W25")
async def test_signing_up_making_a_project_and_calling_with_its_key(ann: Office) -> None:
    """Every field of the document; the key begins lgw_ and calls."""
    answer = await ann.ask("POST", "/api/projects", {"name": "Production App", "provider": "openai"})
    body = answer.json()
    assert (answer.status_code, sorted(body)) == (200, ["api_key", "created_at", "id", "name", "provider"])
    assert (body["name"], body["provider"]) == ("Production App", "openai")
    assert body["id"].startswith("proj_")
    assert body["api_key"].startswith("lgw_proj_")
    assert MOMENT.fullmatch(body["created_at"])
    assert (await ann.chat(body["api_key"])).status_code == 200


@pytest.mark.row("W24")
async def test_projects_are_listed_with_their_figures(ann: Office) -> None:
    """Every field of the document, numbers as numbers; a call is in them at once."""
    path, key = await ann.project()
    await ann.chat(key)
    first, second = (await ann.give("GET", "/api/projects"))["projects"]
    assert (first["name"], first["stats"]["requests_this_month"]) == ("Default", 0)
    assert path.endswith(second.pop("id"))
    assert MOMENT.fullmatch(second.pop("created_at"))
    assert second == {
        "name": "shop",
        "provider": "openai",
        "stats": {"requests_this_month": 1, "cost_this_month": 0.00105, "cache_hit_rate": 0.0},
    }


@pytest.mark.row("W26")
async def test_a_project_is_shown_with_its_keys_and_figures(ann: Office) -> None:
    """Every field of the document; of a key the beginning only."""
    path, key = await ann.project()
    await ann.chat(key)
    body = await ann.give("GET", path)
    (shown,) = body["api_keys"]
    assert sorted(body) == ["api_keys", "created_at", "id", "name", "provider", "stats"]
    assert sorted(shown) == ["created_at", "id", "key", "last_used_at", "name"]
    assert shown["id"].startswith("key_")
    assert shown["key"] == f"{key[:12]}..."
    assert MOMENT.fullmatch(shown["last_used_at"])
    assert body["stats"] == {
        "requests_total": 1,
        "requests_this_month": 1,
        "cost_total": 0.00105,
        "cost_this_month": 0.00105,
        "cache_hit_rate": 0.0,
    }


@pytest.mark.row("W27")
async def test_deleting_a_project_ends_all_its_keys(ann: Office) -> None:
    """The document's answer; the project is not there any more, and its name is free."""
    path, key = await ann.project()
    second = (await ann.give("POST", f"{path}/keys", {"name": "Staging Key"}))["key"]
    answer = await ann.ask("DELETE", path)
    assert (answer.status_code, answer.json()) == (200, {"success": True, "message": "Project deleted"})
    assert [(await ann.chat(one)).status_code for one in (key, second)] == [401, 401]
    assert await ann.status("GET", path) == 404
    await ann.project()


@pytest.mark.row("W22")
async def test_the_dashboards_cookie_reaches_all_of_it(ann: Office) -> None:
    """A session's cookie alone lists; a write by it needs the gateway's own Origin."""
    body = {"email": ann.email, "password": PASSWORD}
    cookie = (await ann.ask("POST", "/api/v1/auth/login", body, bearer="")).headers["set-cookie"].partition(";")[0]
    ann.client.cookies.clear()
    assert (await ann.ask("GET", "/api/projects", bearer="", cookie=cookie)).status_code == 200
    wanted = {"name": "by cookie", "provider": "openai"}
    own = str(ann.client.base_url).rstrip("/")
    for origin, status in ((own, 200), ("https://evil.example", 403)):
        answer = await ann.ask("POST", "/api/projects", wanted, bearer="", cookie=cookie, origin=origin)
        assert answer.status_code == status


async def test_a_project_is_renamed(ann: Office) -> None:
    """Nothing else of it changes."""
    path, key = await ann.project()
    assert (await ann.give("PATCH", path, {"name": "store"}))["name"] == "store"
    assert (await ann.give("GET", path))["name"] == "store"
    assert (await ann.chat(key)).status_code == 200


async def test_an_account_reaches_no_other_accounts_projects(ann: Office) -> None:
    """On no route, in no spelling, and neither does a project's key reach a second project of its own account."""
    path, key = await ann.project()
    other, _ = await ann.project("other")
    bob = await ann.enter("bob")
    routes = [
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("GET", "/keys", None),
        ("POST", "/keys", {"name": "x"}),
        ("PATCH", "/keys/key_1", {"name": "x"}),
        ("DELETE", "/keys/key_1", None),
        ("POST", "/keys/key_1/rotate", {}),
        ("GET", "/providers", None),
        ("POST", "/providers", {"provider": "openai", "api_key": "sk-x"}),
        ("DELETE", "/providers/openai", None),
    ]
    for method, rest, body in routes:
        assert await bob.status(method, path + rest, body) == 404, (method, rest)
        assert await ann.status(method, other + rest, body, bearer=key) in (403, 404), (method, rest)
        assert await ann.status(method, path + rest, body, bearer="") == 401, (method, rest)
    assert len((await bob.give("GET", "/api/projects"))["projects"]) == 1


async def test_what_is_wrong_with_a_project_is_told_by_its_field(ann: Office) -> None:
    """400 in W's envelope."""
    bodies = {
        "name": {"name": " ", "provider": "openai"},
        "provider": {"name": "x", "provider": "opnai"},
        None: {"name": "x", "role": "admin"},
    }
    for param, body in bodies.items():
        answer = await ann.ask("POST", "/api/projects", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
        assert param is None or answer.json()["error"]["param"] == param


async def test_the_operator_sees_the_operators_projects_too(ann: Office) -> None:
    """The installation's first project is theirs."""
    await ann.make_operator()
    listed = await ann.give("GET", "/api/projects")
    names = {project["name"]: project["id"] for project in listed["projects"]}
    assert sorted(names) == ["Default", "default"]
    assert len((await ann.give("GET", f"/api/projects/{names['default']}"))["api_keys"]) == 2
