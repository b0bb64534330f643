"""An account's name, members and invitations over HTTP: who may do what, and what the answers hold."""

from collections.abc import AsyncIterator

import pytest
from desks import Desk
from households import PASSWORD, House

from gateway.accounts.tenancy.people import SignedIn
from gateway.ids import parse_id, to_uuid

JOINED = "2026-09-21T14:13:20Z"


@pytest.fixture
async def desk(house: House) -> AsyncIterator[Desk]:
    """A desk."""
    yield Desk(house)


@pytest.fixture
async def ann(house: House) -> SignedIn:
    """An owner."""
    return await house.register("ann")


async def test_the_account_shows_itself(desk: Desk, ann: SignedIn) -> None:
    """All of its fields."""
    answer = await desk.ask("GET", "/api/account", by=ann)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "id": ann.person.account_id,
            "name": "ann",
            "zone": "UTC",
            "plan": "free",
            "role": "owner",
            "created_at": JOINED,
        },
    )


async def test_an_owner_changes_name_and_zone(desk: Desk, ann: SignedIn) -> None:
    """What is left out stays."""
    await desk.ask("PATCH", "/api/account", {"zone": "Europe/Berlin"}, by=ann)
    answer = await desk.ask("PATCH", "/api/account", {"name": "Ann's"}, by=ann)
    assert (answer.status_code, answer.json()["name"], answer.json()["zone"]) == (200, "Ann's", "Europe/Berlin")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"zone": "Mars/Base"}, "zone"),
        ({"zone": None}, "zone"),
        ({"name": " "}, "name"),
        ({"plan": "enterprise"}, None),
    ],
)
async def test_a_bad_change_is_refused(desk: Desk, ann: SignedIn, body: dict[str, str], param: str | None) -> None:
    """400 with the field; the plan is no field of theirs."""
    answer = await desk.ask("PATCH", "/api/account", body, by=ann)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert param is None or answer.json()["error"]["param"] == param
    assert (await desk.ask("GET", "/api/account", by=ann)).json()["plan"] == "free"


async def test_somebody_is_invited_and_registers(desk: Desk, ann: SignedIn) -> None:
    """The token is in the first answer alone; the new person is a member of the account that invited."""
    body = {"email": "bob@example.com", "role": "member"}
    made = await desk.ask("POST", "/api/account/invitations", body, by=ann)
    invitation, token = made.json()["invitation"], made.json()["token"]
    assert made.status_code == 201
    assert (invitation["email"], invitation["role"], invitation["invited_by"]) == (
        "bob@example.com",
        "member",
        ann.person.user_id,
    )
    assert (invitation["created_at"], invitation["expires_at"]) == (JOINED, "2026-09-28T14:13:20Z")
    listed = await desk.ask("GET", "/api/account/invitations", by=ann)
    assert listed.json() == {"invitations": [invitation]}
    assert token not in listed.text
    register = {"email": "bob@example.com", "password": PASSWORD, "invitation": token}
    bob = (await desk.ask("POST", "/api/v1/auth/register", register)).json()["access_token"]
    members = (await desk.ask("GET", "/api/account/members", by=bob)).json()["members"]
    # Both joined at one moment.
    assert {member["email"]: member["role"] for member in members} == {
        "ann@example.com": "owner",
        "bob@example.com": "member",
    }
    assert (await desk.ask("GET", "/api/account/invitations", by=ann)).json() == {"invitations": []}


async def test_who_is_there_already_accepts_and_switches(desk: Desk, house: House, ann: SignedIn) -> None:
    """The session stays in one's own account until one goes."""
    bob = await house.register("bob")
    body = {"email": "BOB@example.com", "role": "viewer"}
    token = (await desk.ask("POST", "/api/account/invitations", body, by=ann)).json()["token"]
    answer = await desk.ask("POST", "/api/account/invitations/accept", {"token": token}, by=bob)
    assert (answer.status_code, answer.json()) == (200, {"account_id": ann.person.account_id, "role": "viewer"})
    assert (await desk.ask("GET", "/api/account", by=bob)).json()["id"] == bob.person.account_id
    again = await desk.ask("POST", "/api/account/invitations/accept", {"token": token}, by=bob)
    assert again.status_code == 400
    other = await house.register("eve")
    stolen = (await desk.ask("POST", "/api/account/invitations", {**body, "email": "z@z.test"}, by=ann)).json()["token"]
    refused = await desk.ask("POST", "/api/account/invitations/accept", {"token": stolen}, by=other)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "token")


async def test_a_withdrawn_invitation_is_worthless(desk: Desk, house: House, ann: SignedIn) -> None:
    """By any spelling of its id; a second time it is not there."""
    bob = await house.register("bob")
    made = (
        await desk.ask("POST", "/api/account/invitations", {"email": "bob@example.com", "role": "viewer"}, by=ann)
    ).json()
    path = f"/api/account/invitations/{to_uuid(parse_id(made['invitation']['id']))}"
    assert [(await desk.ask("DELETE", path, by=ann)).status_code for _ in range(2)] == [200, 404]
    accepted = await desk.ask("POST", "/api/account/invitations/accept", {"token": made["token"]}, by=bob)
    assert accepted.status_code == 400


async def test_a_role_is_changed_and_its_sessions_end(desk: Desk, house: House, ann: SignedIn) -> None:
    """The member signs in again as what they are now."""
    bob = await house.join(ann, "bob", "viewer")
    path = f"/api/account/members/{bob.person.user_id}"
    answer = await desk.ask("PATCH", path, {"role": "admin"}, by=ann)
    assert (answer.status_code, answer.json()) == (200, {"success": True, "message": "The member is admin now"})
    assert (await desk.ask("GET", "/api/account", by=bob)).status_code == 401
    again = await house.login("bob@example.com")
    assert (await desk.ask("GET", "/api/account", by=again)).json()["role"] == "admin"


async def test_a_member_is_removed(desk: Desk, house: House, ann: SignedIn) -> None:
    """Their sessions here end; who is no member is not found."""
    bob = await house.join(ann, "bob", "member")
    path = f"/api/account/members/{bob.person.user_id}"
    assert [(await desk.ask("DELETE", path, by=ann)).status_code for _ in range(2)] == [200, 404]
    assert (await desk.ask("GET", "/api/account", by=bob)).status_code == 401


async def test_one_may_leave_but_the_last_owner(desk: Desk, house: House, ann: SignedIn) -> None:
    """An account keeps an owner."""
    bob = await house.join(ann, "bob", "viewer")
    assert (await desk.ask("POST", "/api/account/leave", by=bob)).status_code == 200
    answer = await desk.ask("POST", "/api/account/leave", by=ann)
    assert (answer.status_code, "last owner" in answer.json()["error"]["message"]) == (400, True)


@pytest.mark.parametrize(
    "asked",
    [
        ("PATCH", "/api/account", {"name": "mine"}),
        ("GET", "/api/account/invitations", None),
        ("POST", "/api/account/invitations", {"email": "x@y.test", "role": "viewer"}),
        ("DELETE", "/api/account/invitations/inv_x", None),
        ("PATCH", "/api/account/members/{ann}", {"role": "viewer"}),
        ("DELETE", "/api/account/members/{ann}", None),
        ("GET", "/api/audit", None),
    ],
)
async def test_a_member_may_not_what_owners_do(
    desk: Desk, house: House, ann: SignedIn, asked: tuple[str, str, dict[str, str] | None]
) -> None:
    """403, and nothing changes."""
    bob = await house.join(ann, "bob", "member")
    method, path, body = asked
    answer = await desk.ask(method, path.replace("{ann}", ann.person.user_id), body, by=bob)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_scope")
    assert (await desk.ask("GET", "/api/account", by=ann)).json()["role"] == "owner"


async def test_an_admin_gives_no_more_than_they_have(desk: Desk, house: House, ann: SignedIn) -> None:
    """An owner is made by owners alone, by invitation or by change."""
    bob = await house.join(ann, "bob", "admin")
    answers = [
        await desk.ask("POST", "/api/account/invitations", {"email": "x@y.test", "role": "owner"}, by=bob),
        await desk.ask("PATCH", f"/api/account/members/{bob.person.user_id}", {"role": "owner"}, by=bob),
    ]
    assert [answer.status_code for answer in answers] == [403, 403]


@pytest.mark.parametrize("role", ["root", "", None, 1])
async def test_a_role_is_one_of_four(desk: Desk, ann: SignedIn, role: object) -> None:
    """400 for anything else."""
    body = {"email": "x@y.test", "role": role}
    assert (await desk.ask("POST", "/api/account/invitations", body, by=ann)).status_code == 400
