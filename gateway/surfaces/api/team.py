"""An account and its people: its name and zone, its members, and the invitations by which they come.

Everything is about the account of the caller's session; which others they have, and going there, is in people.py.

Failure behavior: as gateway.accounts.tenancy.members; an invitation's token is in one answer and nowhere else.
"""

from typing import Any

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from gateway.accounts.tenancy.account import Accounts
from gateway.accounts.tenancy.members import Members
from gateway.accounts.tenancy.members_store import Invitation, Member
from gateway.accounts.tenancy.people_store import Account
from gateway.accounts.tenancy.roles import Role
from gateway.accounts.tenancy.sessions import Person
from gateway.analytics.moments import moment_text
from gateway.budgets.administration import spread
from gateway.config.secret import Secret
from gateway.pipeline.services import Services
from gateway.surfaces.api.auth import Done, read_id
from gateway.surfaces.guards import identity_of, may_as_person, person_of
from gateway.surfaces.limits import address_of

AnyRequest = Request[Any, Any, Any]
TAG = "Account"


class AccountChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an owner may change; what is left out stays."""

    name: str | UnsetType = UNSET
    # Of the IANA database, like Europe/Berlin: at its midnight budgets' days, weeks and months begin.
    zone: str | UnsetType = UNSET


class RoleChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another role."""

    role: Role


class InvitationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is to come, and as what."""

    email: str
    role: Role


class AcceptBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token that an invitation's link ends in."""

    token: str


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """The account of the session, and what the caller is in it."""

    id: str
    name: str
    zone: str
    plan: str
    role: Role
    created_at: str


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    """A person in the account."""

    user_id: str
    email: str
    username: str | None
    full_name: str
    role: Role
    joined_at: str


class MembersView(msgspec.Struct, frozen=True, kw_only=True):
    """In the order in which they joined."""

    members: list[MemberView]


class InvitationView(msgspec.Struct, frozen=True, kw_only=True):
    """An open invitation."""

    id: str
    email: str
    role: Role
    invited_by: str
    created_at: str
    expires_at: str


class MadeInvitationView(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh one; only this answer has the token."""

    invitation: InvitationView
    token: str


class InvitationsView(msgspec.Struct, frozen=True, kw_only=True):
    """The open ones, oldest first."""

    invitations: list[InvitationView]


class JoinedView(msgspec.Struct, frozen=True, kw_only=True):
    """The account that a person belongs to now; POST /api/accounts/switch goes there."""

    account_id: str
    role: Role


@get("/api/account", summary="Show the account", tags=[TAG], guards=[may_as_person("account:read")])
async def show_account(request: AnyRequest, accounts: NamedDependency[Accounts]) -> AccountView:
    """The account of the session."""
    person = person_of(request)
    return _account(await accounts.find(person), person)


@patch("/api/account", summary="Rename the account or set its zone", tags=[TAG], guards=[may_as_person("account")])
async def change_account(
    request: AnyRequest,
    data: JSONBody[AccountChange],
    accounts: NamedDependency[Accounts],
    services: NamedDependency[Services],
) -> AccountView:
    """For owners. Budgets' days, weeks and months begin at the zone's midnight, from the answer on."""
    person, (origin, now_ns) = person_of(request), _moment(request)
    name, zone = (None if word is UNSET else word for word in (data.name, data.zone))
    account = await accounts.change(person, name, zone, origin, now_ns)
    if zone is not None:
        await spread(services.budgets.treasury)
    return _account(account, person)


@get("/api/account/members", summary="List the members", tags=[TAG], guards=[may_as_person("account:read")])
async def list_members(request: AnyRequest, members: NamedDependency[Members]) -> MembersView:
    """In the order in which they joined."""
    return MembersView(members=[_member(member) for member in await members.list_members(person_of(request))])


@patch(
    "/api/account/members/{user_id:str}",
    summary="Change a member's role",
    tags=[TAG],
    guards=[may_as_person("account:read")],
)
async def change_role(
    request: AnyRequest, user_id: FromPath[str], data: JSONBody[RoleChange], members: NamedDependency[Members]
) -> Done:
    """Nobody gives more than they have; anybody may step down. The member's sessions in the account end."""
    origin, now_ns = _moment(request)
    await members.change_role(person_of(request), read_id("user", user_id), data.role, origin, now_ns)
    return Done(message=f"The member is {data.role} now")


@delete(
    "/api/account/members/{user_id:str}",
    summary="Remove a member",
    tags=[TAG],
    status_code=200,
    guards=[may_as_person("account:read")],
)
async def remove_member(request: AnyRequest, user_id: FromPath[str], members: NamedDependency[Members]) -> Done:
    """Their sessions in the account end, and so do the invitations that they made."""
    origin, now_ns = _moment(request)
    await members.remove_member(person_of(request), read_id("user", user_id), origin, now_ns)
    return Done(message="The member was removed")


@post(
    "/api/account/leave",
    summary="Leave the account",
    tags=[TAG],
    status_code=200,
    guards=[may_as_person("account:read")],
)
async def leave(request: AnyRequest, members: NamedDependency[Members]) -> Done:
    """Every session there ends, this one too; an account keeps its last owner."""
    person, (origin, now_ns) = person_of(request), _moment(request)
    await members.remove_member(person, person.user_id, origin, now_ns)
    return Done(message="You left the account")


@get("/api/account/invitations", summary="List the open invitations", tags=[TAG], guards=[may_as_person("members")])
async def list_invitations(request: AnyRequest, members: NamedDependency[Members]) -> InvitationsView:
    """Without their tokens, which nobody can look up."""
    _, now_ns = _moment(request)
    found = await members.list_invitations(person_of(request), now_ns)
    return InvitationsView(invitations=[_invitation(invitation) for invitation in found])


@post(
    "/api/account/invitations",
    summary="Invite somebody",
    tags=[TAG],
    status_code=201,
    guards=[may_as_person("members")],
)
async def invite(
    request: AnyRequest, data: JSONBody[InvitationBody], members: NamedDependency[Members]
) -> MadeInvitationView:
    """Valid for 7 days, once, for this address. New people register with `invitation`, others accept it."""
    origin, now_ns = _moment(request)
    made = await members.invite(person_of(request), data.email, data.role, origin, now_ns)
    return MadeInvitationView(invitation=_invitation(made.invitation), token=made.token.reveal())


@delete(
    "/api/account/invitations/{invitation_id:str}",
    summary="Withdraw an invitation",
    tags=[TAG],
    status_code=200,
    guards=[may_as_person("members")],
)
async def withdraw(request: AnyRequest, invitation_id: FromPath[str], members: NamedDependency[Members]) -> Done:
    """Its token is worthless at once."""
    origin, now_ns = _moment(request)
    await members.withdraw_invitation(person_of(request), read_id("inv", invitation_id), origin, now_ns)
    return Done(message="The invitation was withdrawn")


@post(
    "/api/account/invitations/accept",
    summary="Accept an invitation",
    tags=[TAG],
    status_code=200,
    guards=[may_as_person()],
)
async def accept(request: AnyRequest, data: JSONBody[AcceptBody], members: NamedDependency[Members]) -> JoinedView:
    """For people who have an account already; it must have been made for their address."""
    origin, now_ns = _moment(request)
    joined = await members.accept_invitation(person_of(request), Secret(data.token), origin, now_ns)
    return JoinedView(account_id=joined.account_id, role=joined.role)


def _moment(request: AnyRequest) -> tuple[str, int]:
    """From where and when, for the audit log."""
    return address_of(request), identity_of(request).now_ns()


def _account(account: Account, person: Person) -> AccountView:
    return AccountView(
        id=account.account_id,
        name=account.name,
        zone=account.zone,
        plan=account.plan,
        role=person.role,
        created_at=moment_text(account.created_ns),
    )


def _member(member: Member) -> MemberView:
    return MemberView(
        user_id=member.user_id,
        email=member.email,
        username=member.username,
        full_name=member.full_name,
        role=member.role,
        joined_at=moment_text(member.joined_ns),
    )


def _invitation(invitation: Invitation) -> InvitationView:
    return InvitationView(
        id=invitation.invitation_id,
        email=invitation.email,
        role=invitation.role,
        invited_by=invitation.invited_by,
        created_at=moment_text(invitation.created_ns),
        expires_at=moment_text(invitation.expires_ns),
    )


TEAM_ROUTES = (
    show_account,
    change_account,
    list_members,
    change_role,
    remove_member,
    leave,
    list_invitations,
    invite,
    withdraw,
    accept,
)
