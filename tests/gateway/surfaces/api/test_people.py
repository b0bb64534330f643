"""One's profile, accounts and sessions, the operator's list of people, and the audit log, over HTTP."""

from collections.abc import AsyncIterator

import pytest
from desks import Desk
from households import NOW_NS, ORIGIN, House, make_claim

from gateway.accounts.tenancy.people import SignedIn
from gateway.surfaces.guards import COOKIE

MADE = "2026-09-21T14:13:20Z"


@pytest.fixture
async def desk(house: House) -> AsyncIterator[Desk]:
    """A desk."""
    yield Desk(house)


@pytest.fixture
async def ann(house: House) -> SignedIn:
    """A person."""
    return await house.register("ann")


@pytest.fixture
async def operator(house: House) -> SignedIn:
    """Who claimed the installation."""
    opal = await house.register("opal")
    await house.people.claim(opal.person, make_claim(0), ORIGIN, NOW_NS)
    return opal


async def test_a_profile_and_its_change(desk: Desk, ann: SignedIn) -> None:
    """Every field; the name alone is one's own to change."""
    answer = await desk.ask("PATCH", "/api/users/me", {"full_name": "Ann Other"}, by=ann)
    account = {"id": ann.person.account_id, "name": "ann", "role": "owner", "current": True, "joined_at": MADE}
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "id": ann.person.user_id,
            "email": "ann@example.com",
            "username": None,
            "full_name": "Ann Other",
            "operator": False,
            "created_at": MADE,
            "accounts": [account],
        },
    )
    assert (await desk.ask("GET", "/api/users/me", by=ann)).json() == answer.json()


@pytest.mark.parametrize("field", ["role", "balance", "org_id", "is_operator", "operator", "email", "account_id"])
async def test_nothing_else_of_a_person_changes(desk: Desk, ann: SignedIn, field: str) -> None:
    """An unknown field is refused, alone and beside a good one."""
    before = (await desk.ask("GET", "/api/users/me", by=ann)).json()
    for body in ({field: "admin"}, {"full_name": "Eve", field: True}):
        assert (await desk.ask("PATCH", "/api/users/me", body, by=ann)).status_code == 400
    assert (await desk.ask("GET", "/api/users/me", by=ann)).json() == before


async def test_the_operator_lists_everybody(desk: Desk, operator: SignedIn, ann: SignedIn) -> None:
    """By pages, and without anything secret; nobody else does."""
    first = (await desk.ask("GET", "/api/users?limit=1", by=operator)).json()
    rest = (await desk.ask("GET", f"/api/users?after={first['after']}", by=operator)).json()
    assert rest["after"] is None
    people = [*first["users"], *rest["users"]]
    assert {person["email"]: person["operator"] for person in people} == {
        "opal@example.com": True,
        "ann@example.com": False,
    }
    assert sorted(people[0]) == sorted(
        ["id", "email", "username", "full_name", "operator", "created_at", "last_login_at"]
    )
    assert (await desk.ask("GET", "/api/users", by=ann)).status_code == 403


async def test_one_goes_from_account_to_account(desk: Desk, house: House, ann: SignedIn) -> None:
    """The session is of one account; the old one ends."""
    bob = await house.join(ann, "bob", "viewer")
    mine = (await desk.ask("GET", "/api/accounts", by=bob)).json()["accounts"]
    assert {account["role"]: account["current"] for account in mine} == {"owner": False, "viewer": True}
    own = next(account["id"] for account in mine if account["role"] == "owner")
    answer = await desk.ask("POST", "/api/accounts/switch", {"account_id": own}, by=bob)
    assert (answer.status_code, f"{COOKIE}=" in answer.headers["set-cookie"]) == (200, True)
    assert (await desk.ask("GET", "/api/account", by=answer.json()["access_token"])).json()["id"] == own
    assert (await desk.ask("GET", "/api/account", by=bob)).status_code == 401


@pytest.mark.parametrize("spelling", ["foreign", "acct_x", "", "\0"])
async def test_nobody_goes_where_they_do_not_belong(desk: Desk, house: House, ann: SignedIn, spelling: str) -> None:
    """404, and the session stays."""
    other = await house.register("eve")
    account_id = other.person.account_id if spelling == "foreign" else spelling
    assert (await desk.ask("POST", "/api/accounts/switch", {"account_id": account_id}, by=ann)).status_code == 404
    assert (await desk.ask("GET", "/api/account", by=ann)).status_code == 200


async def test_sessions_are_seen_and_ended(desk: Desk, house: House, ann: SignedIn) -> None:
    """One's own; another's is not there."""
    second = await house.login("ann@example.com", now_ns=NOW_NS + 1)
    listed = (await desk.ask("GET", "/api/sessions", by=ann)).json()["sessions"]
    assert [(session["id"], session["current"]) for session in listed] == [
        (second.person.session_id, False),
        (ann.person.session_id, True),
    ]
    assert (listed[1]["account_name"], listed[1]["created_at"], listed[1]["seen_at"]) == ("ann", MADE, MADE)
    path = f"/api/sessions/{second.person.session_id}"
    other = await house.register("eve")
    assert (await desk.ask("DELETE", path, by=other)).status_code == 404
    assert [(await desk.ask("DELETE", path, by=ann)).status_code for _ in range(2)] == [200, 404]
    assert not await house.is_open(second)


@pytest.mark.row("E34")
async def test_the_audit_log_tells_who_did_what(desk: Desk, house: House, ann: SignedIn) -> None:
    """Actor, action, object, detail, origin and time of everything that people changed, newest first, by pages."""
    bob = await house.join(ann, "bob", "member")
    desk.now_ns = NOW_NS + 1_000_000_000
    await desk.ask("PATCH", f"/api/account/members/{bob.person.user_id}", {"role": "viewer"}, by=ann)
    first = (await desk.ask("GET", "/api/audit?limit=1", by=ann)).json()
    (entry,) = first["entries"]
    assert entry.pop("id") == first["before"]
    assert entry == {
        "at": "2026-09-21T14:13:21Z",
        "actor": {"kind": "user", "id": ann.person.user_id},
        "action": "member.change_role",
        "object": bob.person.user_id,
        "detail": "viewer",
        "origin": "127.0.0.1",
    }
    rest = (await desk.ask("GET", f"/api/audit?before={first['before']}", by=ann)).json()
    assert rest["before"] is None
    assert sorted(entry["action"] for entry in rest["entries"]) == ["invitation.create", "member.join", "user.register"]


async def test_the_installations_log_is_the_operators(desk: Desk, operator: SignedIn, ann: SignedIn) -> None:
    """What concerns no account."""
    await desk.ask("POST", "/api/v1/auth/login", {"email": "who@example.com", "password": "whatever"})
    answer = await desk.ask("GET", "/api/audit/installation", by=operator)
    assert {entry["action"] for entry in answer.json()["entries"]} == {"user.wrong_password", "installation.claim"}
    assert (await desk.ask("GET", "/api/audit/installation", by=ann)).status_code == 403


@pytest.mark.parametrize("path", ["/api/audit", "/api/users"])
@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=1000000000", "limit=x", "limit=1.5"])
async def test_a_page_has_bounds(desk: Desk, operator: SignedIn, path: str, query: str) -> None:
    """400 with the parameter's name."""
    answer = await desk.ask("GET", f"{path}?{query}", by=operator)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")
