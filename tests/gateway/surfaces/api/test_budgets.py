"""Budgets over HTTP: the interface's shapes, whose a scope is, and what is refused."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from budgeting import PASSWORD, Home, home_at, make_email
from running import Running
from sqlalchemy import text

from gateway.ids import new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROMOTE = text(
    "UPDATE users SET is_operator = TRUE WHERE user_id IN (SELECT user_id FROM members WHERE account_id = :account_id)"
)


@pytest_asyncio.fixture(loop_scope="module")
async def ann(quiet: Running) -> AsyncIterator[Home]:
    """Somebody with an account, at the gateway that these tests share."""
    async with home_at(quiet) as made:
        yield made


async def make(ann: Home, **body: Any) -> tuple[int, Any]:
    """Ask for a budget."""
    answer = await ann.person.post("/api/budgets", json={"window": "day", "limit_usd": "1.00", **body})
    return answer.status_code, answer.json()


async def test_a_budget_is_made_listed_and_deleted(ann: Home) -> None:
    """With the interface's fields; deleted it refuses no more."""
    status, made = await make(ann, scope="project", scope_id=ann.project_id, action="block")
    assert status == 201
    assert made["id"].startswith("bud_")
    assert made["resets_at"].endswith("T00:00:00Z")
    expected = {"scope": "project", "scope_id": ann.project_id, "window": "day", "limit_usd": "1", "action": "block"}
    assert expected.items() <= made.items()
    assert (made["spent_usd"], made["held_usd"], made["thresholds"]) == ("0", "0", [0.5, 0.8, 1.0])
    assert await ann.budgets() == [made]
    await ann.person.delete(f"/api/budgets/{made['id']}")
    refusing = await ann.budget("project", "0")
    assert (await ann.chat()).status_code == 402
    answer = await ann.person.delete(f"/api/budgets/{refusing['id']}")
    assert (answer.status_code, answer.json()) == (200, {"success": True, "message": "Budget deleted"})
    assert (await ann.chat()).status_code == 200
    assert await ann.budgets() == []


async def test_what_was_spent_before_counts(ann: Home) -> None:
    """A budget knows its window's calls, of its own scope alone, stored or not."""
    for tag in ("red", "red, blue", ""):
        assert (await ann.chat({"x-watchllm-tags": tag}, max_tokens=10)).status_code == 200
    tags = [await make(ann, scope="tag", scope_id=tag) for tag in ("red", "blue", "green")]
    assert [body["spent_usd"] for _, body in tags] == ["0.00007", "0.000035", "0"]
    scopes = {"account": None, "project": ann.project_id, "key": ann.key_id}
    for scope, scope_id in scopes.items():
        body = {"scope": scope} if scope_id is None else {"scope": scope, "scope_id": scope_id}
        status, made = await make(ann, **body)
        assert (status, made["spent_usd"], made["scope_id"]) == (201, "0.000105", scope_id or ann.account_id)


async def test_a_tag_budget_governs_its_tag(ann: Home) -> None:
    """Other calls go out."""
    await make(ann, scope="tag", scope_id="red", limit_usd="0")
    assert (await ann.chat({"x-watchllm-tags": "blue, red"})).status_code == 402
    assert (await ann.chat({"x-watchllm-tags": "blue"})).status_code == 200


async def test_a_tag_of_any_letters_meets_its_budget(ann: Home) -> None:
    """As UTF-8 writes it."""
    await make(ann, scope="tag", scope_id="ünï", limit_usd="0")
    assert (await ann.chat({"x-watchllm-tags": "blue, ünï".encode()})).status_code == 402
    assert (await ann.chat({"x-watchllm-tags": "ün".encode()})).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"scope": "project"}, 400, "scope_id"),
        ({"scope": "project", "scope_id": "nonsense"}, 404, "scope_id"),
        ({"scope": "key", "scope_id": f"key_{new_id(1)}"}, 404, "scope_id"),
        ({"scope": "account", "scope_id": f"acct_{new_id(1)}"}, 404, "scope_id"),
        ({"scope": "tag", "scope_id": "a,b"}, 400, "scope_id"),
        ({"scope": "tag", "scope_id": " a"}, 400, "scope_id"),
        ({"scope": "tag", "scope_id": "a\u00a0"}, 400, "scope_id"),
        ({"scope": "tag", "scope_id": "a\nb"}, 400, "scope_id"),
        ({"scope": "tag", "scope_id": "a\0"}, 400, "scope_id"),
        ({"scope": "tag", "scope_id": "a\u0085b"}, 400, "scope_id"),
        ({"scope": "tag", "scope_id": "x" * 257}, 400, "scope_id"),
        ({"scope": "account", "limit_usd": "-1"}, 400, "limit_usd"),
        ({"scope": "account", "limit_usd": "99999999"}, 400, "limit_usd"),
        ({"scope": "account", "window": "year"}, 400, "window"),
        ({"scope": "account", "limit": "1"}, 400, None),
        ({"scope": "account", "thresholds": [0]}, 400, None),
    ],
)
async def test_what_cannot_be_is_refused(ann: Home, body: dict[str, Any], status: int, field: str | None) -> None:
    """In the proxy's envelope, naming the field; nothing is stored."""
    answered, told = await make(ann, **body)
    assert answered == status, told
    assert field in (None, told["error"]["param"]) or field in told["error"]["message"]
    assert await ann.budgets() == []


async def test_another_account_is_not_found(ann: Home) -> None:
    """Neither its projects and keys as scopes, nor its budgets."""
    _, made = await make(ann, scope="account")
    wanted = {"email": make_email("bob"), "password": PASSWORD, "name": "Bob"}
    bob = (await ann.person.post("/api/v1/auth/register", json=wanted)).json()["access_token"]
    ann.person.headers["authorization"] = f"Bearer {bob}"
    for scope, scope_id in (("project", ann.project_id), ("key", ann.key_id), ("account", ann.account_id)):
        assert (await make(ann, scope=scope, scope_id=scope_id))[0] == 404
    assert (await ann.person.delete(f"/api/budgets/{made['id']}")).status_code == 404
    assert await ann.budgets() == []


async def test_an_operator_budgets_the_operators_projects(ann: Home) -> None:
    """Those that the command line made belong to no account."""
    operators = ann.running.gateway.services.directory.find(ann.running.live_key.encode(), 0)
    project_id = operators.project_id  # type: ignore[union-attr]
    assert (await make(ann, scope="project", scope_id=project_id))[0] == 404
    async with ann.database.write() as connection:
        await connection.execute(PROMOTE, {"account_id": ann.account_id})
    status, made = await make(ann, scope="project", scope_id=project_id, limit_usd="0")
    assert status == 201
    async with ann.running.client() as caller:
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
        assert (await caller.post("/v1/chat/completions", json=body)).status_code == 402
    assert [state["id"] for state in await ann.budgets()] == [made["id"]]
    assert (await ann.person.delete(f"/api/budgets/{made['id']}")).status_code == 200


async def test_a_tag_of_the_installation_is_another_than_the_accounts(ann: Home) -> None:
    """The operator says which is meant: of the projects that the command line made, or of their own account."""
    wanted: dict[str, Any] = {"scope": "tag", "scope_id": "night", "limit_usd": "0"}
    assert (await make(ann, **wanted, installation=True))[0] == 403
    async with ann.database.write() as connection:
        await connection.execute(PROMOTE, {"account_id": ann.account_id})
    status, told = await make(ann, scope="project", scope_id=ann.project_id, installation=True)
    assert (status, told["error"]["param"]) == (400, "installation")
    statuses: list[int] = []
    async with ann.running.client() as caller:
        for installation in (False, True):
            status, made = await make(ann, **wanted, installation=installation)
            assert (status, made["installation"], made["scope_id"]) == (201, installation, "night")
            body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
            headers = {"x-watchllm-tags": "night"}
            statuses.append((await caller.post("/v1/chat/completions", json=body, headers=headers)).status_code)
    assert statuses == [200, 402]
    for state in await ann.budgets():
        assert (await ann.person.delete(f"/api/budgets/{state['id']}")).status_code == 200
    tried: dict[str, str] = {"scope": "tag", "scope_id": "night", "window": "total"}
    for installation, spends in (("true", True), ("false", False)):
        answer = await ann.person.get("/api/budgets/simulation", params=tried | {"installation": installation})
        assert (answer.json()["spent_usd"] != "0") is spends
    wrong = await ann.person.get("/api/budgets/simulation", params=tried | {"installation": "yes"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "installation")


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("member", 403), ("admin", 200), ("owner", 200)])
async def test_every_role_sees_budgets_and_some_change_them(ann: Home, role: str, status: int) -> None:
    """List, detail and the forecast of budgets for all; making and deleting for admins and owners."""
    made, email = await ann.budget("project", "3"), make_email("eve")
    async with httpx.AsyncClient(base_url=str(ann.person.base_url), trust_env=False) as client:
        invited = (await ann.person.post("/api/account/invitations", json={"email": email, "role": role})).json()
        body = {"email": email, "password": PASSWORD, "name": "Eve", "invitation": invited["token"]}
        token = (await client.post("/api/v1/auth/register", json=body)).json()["access_token"]
        client.cookies.clear()
        client.headers["authorization"] = f"Bearer {token}"
        path = f"/api/budgets/{made['id']}"
        assert (await client.get("/api/budgets")).json() == {"budgets": [made]}
        assert (await client.get(path)).json() == made
        told = (await client.get("/api/overview/forecast")).json()["budgets"]
        assert [each["id"] for each in told] == ([] if made["resets_at"] is None else [made["id"]])
        wanted = {"scope": "account", "window": "day", "limit_usd": "1"}
        assert (await client.post("/api/budgets", json=wanted)).status_code == (201 if status == 200 else status)
        assert (await client.delete(path)).status_code == status
    assert (await ann.person.get(path)).status_code == (404 if status == 200 else 200)


async def test_a_limit_is_tried_before_it_is_set(ann: Home) -> None:
    """Against what was spent, of every scope; what it would be made with is checked as for a budget."""
    await ann.chat({"x-watchllm-tags": "red"}, max_tokens=10)
    scopes = {"account": ann.account_id, "project": ann.project_id, "key": ann.key_id, "tag": "red"}
    for scope, scope_id in scopes.items():
        query = {"scope": scope, "window": "day", "scope_id": scope_id, "limit_usd": "0.000035"}
        told = (await ann.person.get("/api/budgets/simulation", params=query)).json()
        assert (told["scope_id"], told["spent_usd"], told["reached_now"], told["reaches_at"]) == (
            scope_id,
            "0.000035",
            True,
            None,
        )
        assert (told["past"], told["reached"], told["highest_usd"], told["typical_usd"]) == ([], 0, None, None)
    told = (await ann.person.get("/api/budgets/simulation", params={"scope": "account", "window": "total"})).json()
    assert (told["limit_usd"], told["reached"], told["reached_now"], told["resets_at"]) == (None, None, None, None)
    for wrong, param in (
        ({"scope": "planet"}, "scope"),
        ({"window": ""}, "window"),
        ({"limit_usd": "-1"}, "limit_usd"),
        ({"scope": "project"}, "scope_id"),
        ({"scope": "project", "scope_id": "proj_x"}, "scope_id"),
    ):
        query = {"scope": "account", "window": "day", "limit_usd": "1", **wrong}
        refused = await ann.person.get("/api/budgets/simulation", params=query)
        assert (refused.status_code in (400, 404, 422), refused.json()["error"]["param"]) == (True, param)


async def make_account_key(ann: Home) -> dict[str, str]:
    """The headers of a key that acts for Ann on her account."""
    made = (await ann.person.post("/api/v1/auth/apikey", json={"name": "k"})).json()
    return {"authorization": f"Bearer {made['api_key']}"}


async def test_an_owners_account_key_budgets_as_they_do(ann: Home) -> None:
    """Everything of the person but admin: it makes, sees, tries and deletes budgets, and records what was spent."""
    by = await make_account_key(ann)
    async with httpx.AsyncClient(base_url=ann.person.base_url, headers=by, trust_env=False) as program:
        body = {"scope": "account", "window": "month", "limit_usd": "5"}
        made = await program.post("/api/budgets", json=body)
        assert made.status_code == 201, made.text
        path = f"/api/budgets/{made.json()['id']}"
        recorded = await program.post("/api/v1/guardrails/spending/record", json={"amount": 2})
        assert (recorded.status_code, recorded.json()["new_total"]) == (200, 2)
        for seen in ("/api/budgets", path, "/api/budgets/simulation?scope=account&window=month"):
            assert (await program.get(seen)).status_code == 200
        reset = await program.post("/api/v1/guardrails/spending/reset", json={"window_name": "monthly"})
        assert (reset.status_code, (await program.get(path)).json()["spent_usd"]) == (200, "0")
        assert (await program.delete(path)).status_code == 200


async def test_a_members_account_key_sees_budgets_and_changes_none(ann: Home) -> None:
    """As the member does."""
    async with ann.database.write() as connection:
        values = {"account_id": ann.account_id}
        await connection.execute(text("UPDATE members SET role = 'member' WHERE account_id = :account_id"), values)
    by = await make_account_key(ann)
    async with httpx.AsyncClient(base_url=ann.person.base_url, headers=by, trust_env=False) as program:
        assert (await program.get("/api/budgets")).status_code == 200
        body = {"scope": "account", "window": "month", "limit_usd": "5"}
        assert (await program.post("/api/budgets", json=body)).status_code == 403
        assert (await program.post("/api/v1/guardrails/spending/record", json={"amount": 2})).status_code == 403


async def test_a_key_cannot_budget(ann: Home) -> None:
    """One of a project concerns no account."""
    answer = await ann.caller.get("/api/budgets")
    assert answer.status_code == 403
