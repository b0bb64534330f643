"""Every route against everybody: who is not let in, who sees nothing of another account, and who changes nothing there.

Section 4 of the checklist: 3 (default deny), 4 (tenant scoping), 5 (no mass assignment), 26 (writes by cookie).
"""

import re
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
import pytest_asyncio
from running import running
from security.matrix import MATRIX
from security.tenants import NOWHERE, PASSWORD, World, build_world

pytestmark = pytest.mark.asyncio(loop_scope="module")
SAFE = {"GET", "HEAD", "OPTIONS"}
REFUSED = {403, 404}
# What somebody who tries to become more would send along.
GREEDY = {
    "role": "owner",
    "is_operator": True,
    "operator": True,
    "is_admin": True,
    "balance": 999_999,
    "plan": "enterprise",
    "org_id": "other",
    "rate_overrides": {"minute": 10**9},
    "user_id": "user_x",
    "password_hash": "$argon2id$x",
}

# Pages and kinds of body that may not write by cookie, and how they are refused.
FORGED = (
    ("", "application/json", 403),
    ("https://evil.example", "application/json", 403),
    ("null", "application/json", 403),
    ("own", "text/plain", 415),
    ("own", "application/x-www-form-urlencoded", 415),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One gateway for this module."""
    async with running(tmp_path_factory.mktemp("matrix"), NOWHERE) as gateway:
        base = f"http://127.0.0.1:{gateway.port}"
        async with httpx.AsyncClient(base_url=base, timeout=20, trust_env=False) as client:
            yield await build_world(gateway, client)


def list_routes(app: Any) -> set[str]:
    """Every route of the application as the matrix names it, but for what the framework adds by itself."""
    found: set[str] = set()
    for route in app.routes:
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)
        if path.startswith("/schema"):
            continue
        handlers: list[Any] = getattr(route, "route_handlers", None) or []
        methods = {method for handler in handlers for method in handler.http_methods} if handlers else {"POST"}
        found |= {f"{method} {path}" for method in methods - {"OPTIONS", "HEAD"}}
    return found


async def prepare(world: World, name: str) -> tuple[str, str, Any]:
    """Method, path with Ann's ids, and a good body."""
    method, template = name.split(" ")
    line = MATRIX[name]
    ids: dict[str, str] = {"project_id": world.project_id}
    if line.make is not None:
        made = await line.make(world)
        ids |= made if isinstance(made, dict) else {re.findall(r"\{(\w+)\}", template)[-1]: made}
    path = re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], template)
    return method, path, await line.body(world) if callable(line.body) else line.body


def names(*kinds: str, writes: bool | None = None) -> list[str]:
    """The routes of these kinds; all, only writes, or only reads."""
    return [
        name
        for name, line in MATRIX.items()
        if line.kind in kinds and (writes is None or writes == (name.split(" ")[0] not in SAFE))
    ]


async def test_every_route_has_its_line(world: World) -> None:
    """Whoever adds a route adds a line to tests/security/matrix.py, and whoever removes one takes it away."""
    assert list_routes(world.running.gateway.app) ^ set(MATRIX) == set()


@pytest.mark.parametrize("name", MATRIX)
async def test_nobody_is_let_in_but_where_anybody_is(world: World, name: str) -> None:
    """401 without a credential and with a worthless one, before anything else of the request is looked at."""
    method, path, body = await prepare(world, name)
    page = {"origin": f"http://127.0.0.1:{world.running.port}", "content-type": "application/json"}
    worthless = {"cookie": "watchllm_session=nothing", **page}
    for headers in ({}, {"authorization": "Bearer nothing"}, {"authorization": "Bearer a.b.c"}, worthless):
        for sent in (body, None):
            answer = await world.ask(method, path, sent, **headers)
            if MATRIX[name].kind == "open":
                assert answer.status_code != 403
            else:
                assert answer.status_code == 401, (headers, answer.text)


@pytest.mark.parametrize("name", names("object"))
async def test_anothers_object_is_not_there(world: World, name: str) -> None:
    """403 or 404 for another account and for a key of another project; nothing of it is shown, nothing changes."""
    method, path, body = await prepare(world, name)
    before = await world.snapshot()
    keys = {401, *REFUSED}
    for credential, refused in ((world.bob.token, REFUSED), (world.foreign_key, keys), (world.foreign_wide_key, keys)):
        answer = await world.ask_as(credential, method, path, body)
        # What was asked for may be named.
        told = "".join(re.split("|".join(filter(None, path.split("/"))), answer.text))
        assert answer.status_code in refused | ({401} if _is_of_programs(answer) else set()), answer.text
        assert not world.is_own(told)
    assert await world.snapshot() == before


def _is_of_programs(answer: httpx.Response) -> bool:
    """Whether the route takes keys alone, to which a person's token is no credential."""
    return answer.status_code == 401 and "key" in answer.text


@pytest.mark.parametrize("name", names("object"))
async def test_its_own_account_does_reach_it(world: World, name: str) -> None:
    """So that the test above refuses something that is there."""
    method, path, body = await prepare(world, name)
    answers = [await world.ask_as(credential, method, path, body) for credential in (world.ann.token, world.key)]
    assert any(answer.is_success for answer in answers), [answer.text for answer in answers]


@pytest.mark.parametrize("name", names("self", "account", "operator", "key"))
async def test_another_account_sees_and_changes_nothing(world: World, name: str) -> None:
    """Whatever Bob does is about his own."""
    method, path, body = await prepare(world, name)
    before = await world.snapshot()
    credential = await _fresh_token(world, world.bob.email)
    for shown in (credential, world.foreign_key, world.foreign_wide_key):
        answer = await world.ask_as(shown, method, path, body)
        assert answer.status_code != 500
        assert not world.is_own(answer.text)
    assert await world.snapshot() == before


@pytest.mark.parametrize("name", names("operator"))
async def test_the_operators_routes_are_the_operators(world: World, name: str) -> None:
    """An owner of an account is none."""
    method, path, body = await prepare(world, name)
    answers = [await world.ask_as(token, method, path, body) for token in (world.ann.token, world.opal.token)]
    assert (answers[0].status_code, answers[1].is_success) == (403, True)


@pytest.mark.parametrize(
    "name", [name for name in names("account", "object", writes=True) if not MATRIX[name].is_viewers]
)
async def test_a_viewer_changes_nothing(world: World, name: str) -> None:
    """Of the account in which they only read."""
    method, path, body = await prepare(world, name)
    before = await world.snapshot()
    answer = await world.ask_as(world.vic.token, method, path, body)
    assert answer.status_code in REFUSED, answer.text
    assert await world.snapshot() == before


@pytest.mark.parametrize("name", names("self", "account", "object", "operator", writes=True))
async def test_a_write_by_cookie_comes_from_our_own_page(world: World, name: str) -> None:
    """A browser sends the cookie with whatever page asked: none of these pages, and of these kinds, changes a thing."""
    method, path, body = await prepare(world, name)
    before = await world.snapshot()
    for origin, kind, status in FORGED:
        headers = {"cookie": world.ann.cookie, "content-type": kind}
        if origin:
            headers["origin"] = f"http://127.0.0.1:{world.running.port}" if origin == "own" else origin
        answer = await world.ask(method, path, body, **headers)
        # Surface A has no 415.
        is_refused = answer.status_code == status or (status == 415 and answer.status_code == 400)
        assert is_refused, (origin, kind, answer.text)
    assert await world.snapshot() == before


@pytest.mark.parametrize("name", [name for name in names("open", "self", "account", "object") if MATRIX[name].body])
async def test_nobody_gives_themselves_more_than_they_may(world: World, name: str) -> None:
    """Fields that a body does not have are refused, or do nothing."""
    method, path, body = await prepare(world, name)
    greedy = {**GREEDY, "account_id": world.bob.account_id} | cast("dict[str, Any]", body)
    answer = await world.ask_as(await _fresh_token(world, world.ann.email), method, path, greedy)
    assert answer.status_code < 500
    await _assert_modest(world)


async def _assert_modest(world: World) -> None:
    """Nobody became operator, no plan grew, and nobody came to Bob's account."""
    users = (await world.ask_as(world.opal.token, "GET", "/api/users?limit=500")).json()["users"]
    assert [user["email"] for user in users if user["operator"]] == [world.opal.email]
    account = (await world.ask_as(world.ann.token, "GET", "/api/account")).json()
    assert (account["id"], account["plan"], account["role"]) == (world.ann.account_id, "free", "owner")
    members = (await world.ask_as(world.bob.token, "GET", "/api/account/members")).json()["members"]
    assert [member["email"] for member in members] == [world.bob.email]


async def _fresh_token(world: World, email: str) -> str:
    """A session of its own, which the request under test may end."""
    answer = await world.ask("POST", "/api/v1/auth/login", {"email": email, "password": PASSWORD})
    world.client.cookies.clear()
    assert answer.is_success, answer.text
    return str(answer.json()["access_token"])
