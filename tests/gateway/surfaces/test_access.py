"""Whose things a caller may touch: people in their account, keys in their project, the operator in the operator's."""

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from fakes import FakeDirectory, make_services
from households import NOW_NS, House
from litestar import Litestar, Request, get, post
from litestar.datastructures import State
from sqlalchemy import text

from gateway.accounts.directory import KeyRecord
from gateway.accounts.store import find_or_create_project
from gateway.accounts.tenancy.people import SignedIn
from gateway.accounts.tenancy.sessions import Lifetimes
from gateway.ids import parse_id, to_uuid
from gateway.surfaces import faults
from gateway.surfaces.access import caller_of, may_in_account, may_in_project
from gateway.surfaces.guards import COOKIE, Identity

AnyRequest = Request[Any, Any, Any]
USAGE = "usage:read"
TOLD = [USAGE]


@get("/account", guards=[may_in_account("usage:read", scope=USAGE)])
async def read_account(request: AnyRequest) -> str:
    """An account's route that account-wide keys may use too."""
    return f"{caller_of(request).account_id} {caller_of(request).actor('here').kind}"


@post("/members", guards=[may_in_account("members")], status_code=200)
async def change_members(request: AnyRequest) -> str:
    """What no key may do."""
    return str(caller_of(request).account_id)


@get("/projects/{project_id:str}", guards=[may_in_project("usage:read", scope=USAGE)])
async def read_project(request: AnyRequest) -> str:
    """A project's route."""
    return f"{caller_of(request).project_id} of {caller_of(request).account_id}"


@post("/projects/{project_id:str}", guards=[may_in_project("projects", scope=USAGE, is_managing=True)], status_code=200)
async def manage_project(request: AnyRequest) -> str:
    """A project's route for keys that may manage it."""
    return str(caller_of(request).actor("here").actor_id)


class Gate:
    """The routes above over a real database, with two accounts and the operator's project."""

    def __init__(self, house: House, ann: SignedIn, bob: SignedIn, projects: dict[str, str]) -> None:
        self.ann, self.bob, self.projects = ann, bob, projects
        identity = Identity(
            people=house.people, lifetimes=Lifetimes(), now_ns=lambda: NOW_NS, open_sign_up=True, public_url=""
        )
        own = {"project_id": projects["ann"], "account_id": ann.person.account_id, "kind": "live"}
        keys = {
            b"reading": KeyRecord(key_id="key_r", scopes=frozenset(TOLD), **own),
            b"managing": KeyRecord(key_id="key_m", scopes=frozenset(TOLD), is_managing=True, **own),
            b"wide": KeyRecord(key_id="key_w", scopes=frozenset(TOLD), is_account_wide=True, **own),
            b"calling": KeyRecord(key_id="key_c", scopes=frozenset({"proxy"}), **own),
        }
        services = make_services(directory=cast("Any", FakeDirectory(cast("Any", keys))))
        self.app = Litestar(
            [read_account, change_members, read_project, manage_project],
            exception_handlers=faults.HANDLERS,
            state=State({"services": services, "identity": identity, "database": house.database}),
            openapi_config=None,
            logging_config=None,
        )

    async def ask(self, path: str, bearer: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        """Ask with a bearer; the status, and the body or the error's code."""
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(cast("Any", self.app)), base_url="http://gateway.test"
        ) as client:
            answer = await client.request(method, path, headers={"authorization": f"Bearer {bearer}", **headers})
        return answer.status_code, answer.text if answer.is_success else answer.json()["error"]["code"]


def token_of(person: SignedIn) -> str:
    """Her access token."""
    return person.tokens.access_token.reveal()


@pytest.fixture
async def gate(house: House) -> AsyncIterator[Gate]:
    """Ann's and Bob's accounts, each with its project, and the operator's project."""
    ann, bob = await house.register("ann"), await house.register("bob")
    own = text("SELECT project_id FROM projects WHERE account_id = :account_id")
    projects: dict[str, str] = {}
    async with house.database.read() as connection:
        for name, person in (("ann", ann), ("bob", bob)):
            found = await connection.execute(own, {"account_id": person.person.account_id})
            projects[name] = found.scalar_one()
    projects["operator"] = (await find_or_create_project(house.database, "default", NOW_NS)).project_id
    yield Gate(house, ann, bob, projects)


async def test_a_person_acts_in_their_own_account(gate: Gate) -> None:
    """The session's."""
    assert await gate.ask("/account", token_of(gate.ann)) == (200, f"{gate.ann.person.account_id} user")
    assert await gate.ask("/members", token_of(gate.bob), "POST") == (200, gate.bob.person.account_id)


async def test_an_account_takes_wide_keys_only(gate: Gate) -> None:
    """A key of one project does not read its account, and no key changes members."""
    assert await gate.ask("/account", "wide") == (200, f"{gate.ann.person.account_id} key")
    for key in ("reading", "calling"):
        assert await gate.ask("/account", key) == (403, "insufficient_scope")
    assert await gate.ask("/members", "wide", "POST") == (403, "insufficient_scope")


async def test_a_project_is_reached_by_its_account_and_its_keys(gate: Gate) -> None:
    """In every spelling of its id (row C4)."""
    project = gate.projects["ann"]
    told = (200, f"{project} of {gate.ann.person.account_id}")
    bare = parse_id(project)
    for spelling in (project, f"proj-{bare}", bare, to_uuid(bare)):
        for bearer in (token_of(gate.ann), "reading", "wide"):
            assert await gate.ask(f"/projects/{spelling}", bearer) == told


@pytest.mark.parametrize("other", ["bob", "operator"])
async def test_what_is_somebody_elses_is_not_there(gate: Gate, other: str) -> None:
    """Neither for people nor for keys; the same as what nobody has."""
    for path in (f"/projects/{gate.projects[other]}", "/projects/proj_00000000000000000000000000", "/projects/rubbish"):
        for bearer in (token_of(gate.ann), "reading", "wide"):
            assert await gate.ask(path, bearer) == (404, "not_found")


async def test_the_operator_reaches_the_operators_projects(gate: Gate, house: House) -> None:
    """And still nobody else's."""
    async with house.database.write() as connection:
        made = "UPDATE users SET is_operator = TRUE WHERE user_id = :user_id"
        await connection.execute(text(made), {"user_id": gate.ann.person.user_id})
    project = gate.projects["operator"]
    assert await gate.ask(f"/projects/{project}", token_of(gate.ann)) == (200, f"{project} of None")
    assert await gate.ask(f"/projects/{gate.projects['bob']}", token_of(gate.ann)) == (404, "not_found")


async def test_a_deleted_project_is_not_there(gate: Gate, house: House) -> None:
    """Though its row is."""
    async with house.database.write() as connection:
        await connection.execute(text("UPDATE projects SET deleted_ns = 1"))
    assert await gate.ask(f"/projects/{gate.projects['ann']}", token_of(gate.ann)) == (404, "not_found")


async def test_managing_takes_a_managing_key_or_a_role(gate: Gate, house: House) -> None:
    """A viewer may read a project and not manage it; the log names who acted."""
    path = f"/projects/{gate.projects['ann']}"
    viewer = await house.join(gate.ann, "carl", "viewer")
    assert await gate.ask(path, "managing", "POST") == (200, "key_m")
    assert await gate.ask(path, token_of(gate.ann), "POST") == (200, gate.ann.person.user_id)
    assert await gate.ask(path, "reading", "POST") == (403, "insufficient_scope")
    assert (await gate.ask(path, token_of(viewer)))[0] == 200
    assert await gate.ask(path, token_of(viewer), "POST") == (403, "insufficient_scope")


async def test_the_scope_is_asked_for(gate: Gate) -> None:
    """A key that only calls models reads nothing."""
    assert await gate.ask(f"/projects/{gate.projects['ann']}", "calling") == (403, "insufficient_scope")


async def test_two_credentials_are_refused(gate: Gate) -> None:
    """Which of them acts must not be a guess."""
    headers = {"cookie": f"{COOKIE}={gate.ann.cookie.reveal()}"}
    assert await gate.ask("/account", "wide", **headers) == (400, "invalid_request")


async def test_nobody_is_401(gate: Gate) -> None:
    """An unknown key, and a token that is none of ours."""
    for bearer in ("unknown", "a.b.c"):
        assert await gate.ask("/account", bearer) == (401, "invalid_api_key")
