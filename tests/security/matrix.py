"""The matrix of who may reach what: one line for every route of the application. A route without a line fails.

A line says what kind of route it is, what a good request holds, and, where the path has ids, how Ann's account gets an
object for them. From that alone the tests of this folder ask as nobody, as Bob, as a viewer, with a key of another
project and from another page.

    "DELETE /api/things/{thing_id}": Line("object", make=lambda w: w.make("/api/things", {"name": "x"})),

``make`` gives the last id of the path; ``project_id`` is filled in with Ann's project, a new one where ``make`` makes
projects. A path with other ids gets them as a dict.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from security.tenants import PASSWORD, World

from gateway.caching.semantic.store import Decision, write_decisions
from gateway.ids import new_id
from gateway.web.dashboard import PATHS

# open: nobody need be known. self: about the caller alone. account: about the caller's account. object: about the ids
# in the path. operator: for who runs the installation. key: a program's call, about the key's own project.
Kind = Literal["open", "self", "account", "object", "operator", "key"]
Make = Callable[[World], Awaitable[str | dict[str, str]]]


class Line(msgspec.Struct, frozen=True):
    """One route."""

    kind: Kind
    # A good request's body; a function where it needs something of its own.
    body: Any = None
    make: Make | None = None
    # A viewer of the account may do it although it changes something.
    is_viewers: bool = False
    # A good request from Ann is refused all the same, because of who she is, with this status.
    refusal: int = 0


async def make_member(world: World) -> str:
    """A member to be changed or removed."""
    return (await world.make_member()).user_id


async def make_invitation(world: World) -> str:
    """An open invitation."""
    body = {"email": "invited@example.com", "role": "viewer"}
    return await world.make("/api/account/invitations", body, "invitation.id")


async def make_session(world: World) -> str:
    """Another session of Ann's."""
    answer = await world.ask("POST", "/api/v1/auth/login", {"email": world.ann.email, "password": PASSWORD})
    world.client.cookies.clear()
    headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
    sessions = (await world.client.get("/api/sessions", headers=headers)).json()["sessions"]
    found = next(session["id"] for session in sessions if session["current"])
    world.marks[found] = None
    return str(found)


async def make_page(_: World) -> dict[str, str]:
    """What part of the page an address shows is nobody's object."""
    return {"first": "any", "name": "none.js"}


async def make_model(_: World) -> str:
    """A model's name is nobody's object."""
    return "gpt-4"


async def make_project(world: World) -> dict[str, str]:
    """A project of its own, for what ends it."""
    return {"project_id": await world.make_project()}


async def make_key(world: World) -> str:
    """A key of Ann's project."""
    return await world.make(f"/api/projects/{world.project_id}/keys", {"name": "made"})


async def make_credential(world: World) -> str:
    """A key at a provider, of Ann's project."""
    body = {"provider": "openai", "api_key": "sk-of-ann"}
    answer = await world.ask_as(world.ann.token, "POST", f"/api/projects/{world.project_id}/providers", body)
    assert answer.is_success, answer.text
    return "openai"


async def make_operators_credential(world: World) -> str:
    """The operator's key at a provider."""
    body = {"provider": "openai", "api_key": "sk-of-opal"}
    answer = await world.ask_as(world.opal.token, "POST", "/api/providers", body)
    assert answer.is_success, answer.text
    return "openai"


async def name_provider(world: World) -> str:
    """One that is configured, where nobody listens."""
    return "openai"


async def make_budget(world: World) -> str:
    """A budget of Ann's account."""
    return await world.make("/api/budgets", BUDGET)


async def make_request(world: World) -> str:
    """A call of Ann's project, in its usage."""
    keys = f"/api/projects/{world.project_id}/keys"
    key = (await world.ask_as(world.ann.token, "POST", keys, {"name": "made", "kind": "test"})).json()["key"]
    answer = await world.ask_as(key, "POST", "/v1/chat/completions", CHAT)
    assert answer.is_success, answer.text
    await world.running.gateway.services.recorder.flush()
    return str(answer.headers["x-watchllm-request-id"])


async def make_decision(world: World) -> str:
    """What the semantic cache decided for a call of Ann's project."""
    request_id = new_id(1)
    decision = Decision(
        request_id=request_id, project_id=world.project_id, decision="serve", entry_id="ce_1", similarity=0.9,
        score=0.9, threshold=0.5, guards="", neighbours="", question="", is_right=None, created_ns=1,
    )  # fmt: skip
    async with world.database.write() as connection:
        await write_decisions(connection, [decision])
    return request_id


async def recall_body(world: World) -> dict[str, str]:
    """A call to be recalled."""
    return {"request_id": await make_request(world)}


BUDGET = {"scope": "account", "window": "month", "limit_usd": "10"}
CHAT = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}]}
LOGIN = {"email": "nobody@example.com", "password": PASSWORD}
MATRIX: dict[str, Line] = {
    "GET /": Line("open"),
    **{f"GET {path.replace(':str', '')}": Line("open", make=make_page) for path in PATHS},
    "GET /assets/{name}": Line("open", make=make_page),
    "GET /docs": Line("open"),
    "GET /health": Line("open"),
    "GET /metrics": Line("open"),
    "POST /api/v1/auth/register": Line("open", {"email": "new@example.com", "password": PASSWORD}),
    "POST /api/v1/auth/login": Line("open", LOGIN, refusal=401),
    "POST /api/v1/auth/refresh": Line("open", {"refresh_token": "x"}, refusal=401),
    "POST /api/v1/auth/logout": Line("self", is_viewers=True),
    "GET /api/v1/auth/me": Line("self"),
    "POST /api/v1/auth/password": Line(
        "self", {"current_password": "wrong", "new_password": PASSWORD}, is_viewers=True, refusal=401
    ),
    "POST /api/v1/auth/claim": Line("self", {"claim": "x"}, is_viewers=True, refusal=400),
    "GET /api/users/me": Line("self"),
    "PATCH /api/users/me": Line("self", {"full_name": "Some Body"}, is_viewers=True),
    "GET /api/users": Line("operator"),
    "GET /api/accounts": Line("self"),
    "POST /api/accounts/switch": Line("self", {"account_id": "acct_x"}, is_viewers=True, refusal=404),
    "GET /api/sessions": Line("self"),
    "DELETE /api/sessions/{session_id}": Line("object", make=make_session),
    "GET /api/audit": Line("account"),
    "GET /api/audit/installation": Line("operator"),
    "GET /api/account": Line("account"),
    "PATCH /api/account": Line("account", {"zone": "Europe/Berlin"}),
    "GET /api/account/members": Line("account"),
    "PATCH /api/account/members/{user_id}": Line("object", {"role": "member"}, make_member),
    "DELETE /api/account/members/{user_id}": Line("object", make=make_member),
    "POST /api/account/leave": Line("account", is_viewers=True, refusal=400),
    "GET /api/account/invitations": Line("account"),
    "POST /api/account/invitations": Line("account", {"email": "some@example.com", "role": "viewer"}),
    "POST /api/account/invitations/accept": Line("self", {"token": "x"}, is_viewers=True, refusal=400),
    "DELETE /api/account/invitations/{invitation_id}": Line("object", make=make_invitation),
    "GET /api/projects/{project_id}/usage": Line("object"),
    "GET /api/projects/{project_id}/usage/export": Line("object"),
    "GET /api/projects/{project_id}/prompt-cache": Line("object"),
    "GET /api/projects/{project_id}/cache": Line("object"),
    "PATCH /api/projects/{project_id}/cache": Line("object", {"mode": "off"}),
    "DELETE /api/projects/{project_id}/cache": Line("object"),
    "GET /api/projects/{project_id}/cache/report": Line("object"),
    "GET /api/projects/{project_id}/cache/hits": Line("object"),
    "GET /api/projects/{project_id}/cache/hits/{request_id}": Line("object", make=make_decision),
    "GET /api/projects/{project_id}/cache/export": Line("object"),
    "POST /api/projects/{project_id}/cache/recall": Line("object", recall_body),
    "GET /api/projects/{project_id}/prompts": Line("object"),
    "PATCH /api/projects/{project_id}/prompts": Line("object", {"keep": False}),
    "GET /api/projects": Line("account"),
    "POST /api/projects": Line("account", {"name": "another"}),
    "GET /api/projects/{project_id}": Line("object"),
    "PATCH /api/projects/{project_id}": Line("object", {"name": "renamed"}),
    "DELETE /api/projects/{project_id}": Line("object", make=make_project),
    "GET /api/projects/{project_id}/keys": Line("object"),
    "POST /api/projects/{project_id}/keys": Line("object", {"name": "shop"}),
    "PATCH /api/projects/{project_id}/keys/{key_id}": Line("object", {"name": "renamed"}, make_key),
    "DELETE /api/projects/{project_id}/keys/{key_id}": Line("object", make=make_key),
    "POST /api/projects/{project_id}/keys/{key_id}/rotate": Line("object", {"overlap_s": 60}, make_key),
    "POST /api/v1/auth/apikey": Line("account", {"name": "program"}),
    "GET /api/projects/{project_id}/providers": Line("object"),
    "POST /api/projects/{project_id}/providers": Line("object", {"provider": "openai", "api_key": "sk-new"}),
    "DELETE /api/projects/{project_id}/providers/{provider}": Line("object", make=make_credential),
    "POST /api/projects/{project_id}/providers/{provider}/test": Line("object", {}, name_provider),
    "GET /api/providers": Line("operator"),
    "GET /api/providers/health": Line("account"),
    "POST /api/providers": Line("operator", {"provider": "openai", "api_key": "sk-new"}),
    "DELETE /api/providers/{provider}": Line("operator", make=make_operators_credential),
    "GET /api/budgets": Line("account"),
    "GET /api/budgets/simulation": Line("account", refusal=400),
    "GET /api/budgets/{budget_id}": Line("object", make=make_budget),
    "POST /api/budgets": Line("account", BUDGET),
    "DELETE /api/budgets/{budget_id}": Line("object", make=make_budget),
    "GET /api/v1/guardrails/spending": Line("account"),
    "POST /api/v1/guardrails/spending/record": Line("account", {"amount": 1}),
    "POST /api/v1/guardrails/spending/check": Line("account", {"estimated_cost": 1}, is_viewers=True),
    "POST /api/v1/guardrails/spending/reset": Line("account", {"window_name": "daily"}),
    "GET /api/dashboard/stats": Line("account"),
    "GET /api/overview": Line("account"),
    "GET /api/overview/holdout": Line("account"),
    "GET /api/overview/top": Line("account"),
    "GET /api/overview/forecast": Line("account"),
    "GET /api/catalogue": Line("account"),
    "GET /api/catalogue/unpriced": Line("account"),
    "GET /api/simulation": Line("account", refusal=400),
    "GET /api/requests": Line("account"),
    "GET /api/requests/export": Line("account"),
    "GET /api/requests/live": Line("account"),
    "GET /api/requests/{request_id}": Line("object", make=make_request),
    "GET /v1/usage": Line("account"),
    "POST /v1/quote": Line("key", CHAT),
    "GET /v1/models": Line("key"),
    "GET /v1/models/{model}": Line("key", make=make_model),
    "POST /v1/chat/completions": Line("key", CHAT),
    "POST /v1/completions": Line("key", {"model": "gpt-4", "prompt": "Hi"}),
    "POST /v1/embeddings": Line("key", {"model": "gpt-4", "input": "Hi"}),
}
