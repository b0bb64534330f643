"""One's own profile, accounts and sessions; for the operator, everybody; and the audit log.

Failure behavior: as gateway.accounts.tenancy.people; another's session or account is told as if it were not there.
"""

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.accounts.audit import AuditEntry
from gateway.accounts.tenancy.account import Accounts, AuditPage
from gateway.accounts.tenancy.people import Profile
from gateway.accounts.tenancy.people_store import ListedUser
from gateway.accounts.tenancy.roles import Role
from gateway.accounts.tenancy.sessions import OpenSession
from gateway.analytics.moments import moment_text
from gateway.surfaces.api.auth import Done, SignedInView, answer_signed_in, read_id
from gateway.surfaces.guards import as_operator, by_no_other_page, identity_of, may_as_person, person_of
from gateway.surfaces.limits import address_of

AnyRequest = Request[Any, Any, Any]
TAG, AUDIT = "People", "Audit"
MAX_LIMIT = 500
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)]
# The id that the page before ended with.
Place = Annotated[str | None, QueryParameter(max_length=64)]


class ProfileChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people may change of themselves."""

    full_name: str


class SwitchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to go."""

    account_id: str


class MembershipView(msgspec.Struct, frozen=True, kw_only=True):
    """An account that one belongs to; the session is of one of them."""

    id: str
    name: str
    role: Role
    current: bool
    joined_at: str


class MyAccountsView(msgspec.Struct, frozen=True, kw_only=True):
    """In the order in which one joined them."""

    accounts: list[MembershipView]


class ProfileView(msgspec.Struct, frozen=True, kw_only=True):
    """Who one is, and where one belongs."""

    id: str
    email: str
    username: str | None
    full_name: str
    operator: bool
    created_at: str
    accounts: list[MembershipView]


class ListedUserView(msgspec.Struct, frozen=True, kw_only=True):
    """A person as the operator sees them."""

    id: str
    email: str
    username: str | None
    full_name: str
    operator: bool
    created_at: str
    last_login_at: str | None


class UsersView(msgspec.Struct, frozen=True, kw_only=True):
    """In the order in which they came; ``after`` asks for the next page, null is the end."""

    users: list[ListedUserView]
    after: str | None


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that still counts."""

    id: str
    account_id: str
    account_name: str
    current: bool
    created_at: str
    seen_at: str


class SessionsView(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first."""

    sessions: list[SessionView]


class ActorView(msgspec.Struct, frozen=True, kw_only=True):
    """Who did it: a `user`, a `key`, the operator's `command`, or `nobody` who was known."""

    kind: str
    id: str | None


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what to which thing, when, and from where."""

    id: str
    at: str
    actor: ActorView
    action: str
    object: str
    detail: str
    origin: str


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first; ``before`` asks for the older ones, null is the end."""

    entries: list[EntryView]
    before: str | None


@get("/api/users/me", summary="Show one's profile", tags=[TAG], guards=[may_as_person()])
async def show_profile(request: AnyRequest) -> ProfileView:
    """Who one is, and the accounts that one belongs to."""
    return _profile(await identity_of(request).people.find_me(person_of(request)))


@patch("/api/users/me", summary="Change one's name", tags=[TAG], guards=[may_as_person()])
async def change_profile(request: AnyRequest, data: JSONBody[ProfileChange]) -> ProfileView:
    """Nothing else of a person is theirs to change here; any other field is refused."""
    identity = identity_of(request)
    origin, now_ns = address_of(request), identity.now_ns()
    return _profile(await identity.people.rename(person_of(request), data.full_name, origin, now_ns))


@get("/api/users", summary="List everybody", tags=[TAG], guards=[as_operator])
async def list_users(request: AnyRequest, limit: Limit = 100, after: Place = None) -> UsersView:
    """For the operator."""
    found = await identity_of(request).people.list_people(after or "", limit + 1)
    page = found[:limit]
    return UsersView(users=[_user(user) for user in page], after=page[-1].user_id if len(found) > limit else None)


@get("/api/accounts", summary="List one's accounts", tags=[TAG], guards=[may_as_person()])
async def list_accounts(request: AnyRequest) -> MyAccountsView:
    """The one of the session is `current`."""
    return MyAccountsView(accounts=_accounts(await identity_of(request).people.find_me(person_of(request))))


@post(
    "/api/accounts/switch",
    summary="Go to another account",
    tags=[TAG],
    status_code=200,
    guards=[may_as_person(), by_no_other_page],
)
async def switch_account(request: AnyRequest, data: JSONBody[SwitchBody]) -> Response[SignedInView]:
    """A session is of one account: this one ends, and the answer begins one there, with tokens and cookie."""
    identity = identity_of(request)
    account_id, origin, now_ns = read_id("acct", data.account_id), address_of(request), identity.now_ns()
    signed_in = await identity.people.switch_account(person_of(request), account_id, origin, now_ns)
    return answer_signed_in(request, signed_in, "W", status=200)


@get("/api/sessions", summary="List one's sessions", tags=[TAG], guards=[may_as_person()])
async def list_sessions(request: AnyRequest) -> SessionsView:
    """In all of one's accounts, at most 100."""
    identity, person = identity_of(request), person_of(request)
    found = await identity.people.list_sessions(person, identity.now_ns())
    return SessionsView(sessions=[_session(session, person.session_id) for session in found])


@delete(
    "/api/sessions/{session_id:str}", summary="End a session", tags=[TAG], status_code=200, guards=[may_as_person()]
)
async def end_session(request: AnyRequest, session_id: FromPath[str]) -> Done:
    """One's own, with its cookie and all its tokens."""
    identity = identity_of(request)
    origin, now_ns = address_of(request), identity.now_ns()
    await identity.people.end_session(person_of(request), read_id("sess", session_id), origin, now_ns)
    return Done(message="The session has ended")


@get("/api/audit", summary="Read the account's audit log", tags=[AUDIT], guards=[may_as_person("audit:read")])
async def read_audit(
    request: AnyRequest, accounts: NamedDependency[Accounts], limit: Limit = 100, before: Place = None
) -> AuditView:
    """Who did what, the newest first."""
    return _page(await accounts.read_log(person_of(request), limit, before))


@get("/api/audit/installation", summary="Read the installation's audit log", tags=[AUDIT], guards=[as_operator])
async def read_installation_audit(
    accounts: NamedDependency[Accounts], limit: Limit = 100, before: Place = None
) -> AuditView:
    """For the operator: what concerns no account, such as the operator's own projects and unknown people's sign-ins."""
    return _page(await accounts.read_installation_log(limit, before))


def _accounts(profile: Profile) -> list[MembershipView]:
    return [
        MembershipView(
            id=membership.account_id,
            name=membership.account_name,
            role=membership.role,
            current=membership.account_id == profile.person.account_id,
            joined_at=moment_text(membership.joined_ns),
        )
        for membership in profile.accounts
    ]


def _profile(profile: Profile) -> ProfileView:
    user = profile.user
    return ProfileView(
        id=user.user_id,
        email=user.email,
        username=user.username,
        full_name=user.full_name,
        operator=user.is_operator,
        created_at=moment_text(user.created_ns),
        accounts=_accounts(profile),
    )


def _user(user: ListedUser) -> ListedUserView:
    return ListedUserView(
        id=user.user_id,
        email=user.email,
        username=user.username,
        full_name=user.full_name,
        operator=user.is_operator,
        created_at=moment_text(user.created_ns),
        last_login_at=None if user.last_login_ns is None else moment_text(user.last_login_ns),
    )


def _session(session: OpenSession, current: str) -> SessionView:
    return SessionView(
        id=session.session_id,
        account_id=session.account_id,
        account_name=session.account_name,
        current=session.session_id == current,
        created_at=moment_text(session.created_ns),
        seen_at=moment_text(session.seen_ns),
    )


def _page(page: AuditPage) -> AuditView:
    return AuditView(entries=[_entry(entry) for entry in page.entries], before=page.before)


def _entry(entry: AuditEntry) -> EntryView:
    return EntryView(
        id=entry.audit_id,
        at=moment_text(entry.created_ns),
        actor=ActorView(kind=entry.actor_kind, id=entry.actor_id),
        action=entry.action,
        object=entry.object_id,
        detail=entry.detail,
        origin=entry.origin,
    )


PEOPLE_ROUTES = (
    show_profile,
    change_profile,
    list_users,
    list_accounts,
    switch_account,
    list_sessions,
    end_session,
    read_audit,
    read_installation_audit,
)
