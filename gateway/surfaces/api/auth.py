"""Registering and signing in: the union of what the documents S and A promise (row C1).

Failure behavior: as gateway.accounts.tenancy.people; which of address and password was wrong is not told.
"""

from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from gateway.accounts.keyring.project_keys import ProjectKeys
from gateway.accounts.tenancy.people import Admission, Registration, SignedIn, Tokens
from gateway.accounts.tenancy.people_store import User
from gateway.analytics.dashboard import count_calls
from gateway.analytics.moments import moment_text
from gateway.config.secret import Secret
from gateway.db import Database
from gateway.envelope import EnvelopeA, EnvelopeS, Surface
from gateway.ids import parse_id, to_uuid
from gateway.pipeline.services import Services
from gateway.surfaces.access import caller_of, may_in_account
from gateway.surfaces.faults import SURFACE, surface_of_request
from gateway.surfaces.guards import COOKIE, anybody, by_no_other_page, identity_of, may_as_person, person_of
from gateway.surfaces.limits import address_of, attempting
from gateway.surfaces.media import check_media, check_types
from gateway.surfaces.views.usage import wait_for_rows

AnyRequest = Request[Any, Any, Any]
TAG = "People"
NS_PER_S = 1_000_000_000


class RegisterBody(msgspec.Struct, frozen=True):
    """S's and A's in one: ``username`` and ``full_name`` are S's, ``name`` is A's."""

    email: str
    password: str
    username: str | None = None
    full_name: str | None = None
    name: str | None = None
    # The token of an invitation, or of the link printed at the first start.
    invitation: str | None = None
    claim: str | None = None


class RegisterPeek(msgspec.Struct, frozen=True):
    """Which document a registration follows: S's alone has a username (row C1)."""

    username: object = None


PEEK = msgspec.json.Decoder(RegisterPeek)


class LoginBody(msgspec.Struct, frozen=True):
    """The same in both documents."""

    email: str
    password: str


class RefreshBody(msgspec.Struct, frozen=True):
    """What the last answer with tokens gave."""

    refresh_token: str


class PasswordBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The old password proves that it is the person who changes it."""

    current_password: str
    new_password: str


class ClaimBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token that the claim link ends in."""

    claim: str


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """A person, by every name that the documents use."""

    id: str
    email: str
    username: str | None
    name: str
    full_name: str
    created_at: str


class TokensView(msgspec.Struct, frozen=True, kw_only=True):
    """A's tokens; times in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


class SignedInView(msgspec.Struct, frozen=True, kw_only=True):
    """The union of both documents' answers."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the kind of token
    user: UserView
    tokens: TokensView


class MeView(msgspec.Struct, frozen=True, kw_only=True):
    """S4: what the account has deployed, nothing yet, and how many calls it ever made."""

    id: str
    email: str
    username: str | None
    full_name: str
    created_at: str
    deployment_count: int = 0
    total_predictions: int = 0


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """It is so."""

    success: bool = True
    message: str


# The framework takes any type here, and its annotation no union.
EITHER: Any = EnvelopeA | EnvelopeS
# With a username S's envelope, without one A's; a broken rule is 422 in S alone.
REFUSALS: dict[int, ResponseSpec] = {
    **{
        status: ResponseSpec(EITHER, description=HTTPStatus(status).phrase, generate_examples=False)
        for status in (400, 401, 403, 429, 500, 503)
    },
    422: ResponseSpec(EnvelopeS, description=HTTPStatus(422).phrase, generate_examples=False),
}


async def _note_surface(request: AnyRequest) -> None:
    """Know whose words a registration is in before anything of it can be refused."""
    check_media(request)
    try:
        peek = PEEK.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # What cannot be read is refused next.
        return
    if peek.username is not None:
        request.state[SURFACE] = "S"
    await check_types(request)


@post(
    "/api/v1/auth/register",
    summary="Register",
    tags=[TAG],
    status_code=201,
    guards=[anybody, by_no_other_page],
    responses=REFUSALS,
    # In place of the application's own, which counts what a plan limits; this no plan does.
    before_request=_note_surface,
)
async def register(request: AnyRequest, data: JSONBody[RegisterBody]) -> Response[SignedInView]:
    """Make a person with an account and a project `Default`, and sign them in."""
    identity = identity_of(request)
    wanted = Registration(
        email=data.email,
        password=Secret(data.password),
        username=data.username,
        full_name=data.full_name or data.name or "",
    )
    admission = Admission(
        is_open=identity.open_sign_up,
        invitation=None if data.invitation is None else Secret(data.invitation),
        claim=None if data.claim is None else Secret(data.claim),
    )
    now_ns = identity.now_ns()
    async with attempting(request, identity.attempts, data.email, now_ns):
        signed_in = await identity.people.register(wanted, admission, address_of(request), now_ns)
    return answer_signed_in(request, signed_in, surface_of_request(request), status=201)


@post("/api/v1/auth/login", summary="Sign in", tags=[TAG], status_code=200, guards=[anybody, by_no_other_page])
async def login(request: AnyRequest, data: JSONBody[LoginBody]) -> Response[SignedInView]:
    """Give an access token for 24 hours, a refresh token for its successor, and the dashboard's cookie."""
    identity = identity_of(request)
    now_ns = identity.now_ns()
    async with attempting(request, identity.attempts, data.email, now_ns):
        signed_in = await identity.people.login(data.email, Secret(data.password), address_of(request), now_ns)
    return answer_signed_in(request, signed_in, surface_of_request(request), status=200)


@post("/api/v1/auth/refresh", summary="Renew the tokens", tags=[TAG], status_code=200, guards=[anybody])
async def refresh(request: AnyRequest, data: JSONBody[RefreshBody]) -> TokensView:
    """A refresh token works once; a second use, however soon, is a 401 and ends the session with its tokens."""
    identity = identity_of(request)
    now_ns = identity.now_ns()
    return _tokens(await identity.people.refresh(Secret(data.refresh_token), address_of(request), now_ns))


@post(
    "/api/v1/auth/password",
    summary="Change the password",
    tags=[TAG],
    status_code=200,
    guards=[may_as_person(), by_no_other_page],
)
async def change_password(request: AnyRequest, data: JSONBody[PasswordBody]) -> Response[SignedInView]:
    """Every session of the person ends, this one too; the answer signs them in anew."""
    identity = identity_of(request)
    old, new = Secret(data.current_password), Secret(data.new_password)
    person, origin, now_ns = person_of(request), address_of(request), identity.now_ns()
    # Who has stolen a session cannot guess the password with it for ever.
    async with attempting(request, identity.attempts, person.user_id, now_ns):
        signed_in = await identity.people.change_password(person, old, new, origin, now_ns)
    return answer_signed_in(request, signed_in, surface_of_request(request), status=200)


@post("/api/v1/auth/logout", summary="Sign out", tags=[TAG], status_code=200, guards=[may_as_person()])
async def logout(request: AnyRequest) -> Response[Done]:
    """End the session with its cookie and all its tokens."""
    identity = identity_of(request)
    await identity.people.logout(person_of(request), address_of(request), identity.now_ns())
    return Response(Done(message="Signed out"), cookies=[_cookie(request, "", max_age_s=0)])


@get(
    "/api/v1/auth/me",
    summary="Who am I",
    tags=[TAG],
    guards=[may_in_account("account:read", scope="usage:read")],
)
async def show_me(
    request: AnyRequest, services: NamedDependency[Services], database: NamedDependency[Database]
) -> MeView:
    """The person whose token or cookie this is, or who made the account-wide key."""
    user = await _find_user(request)
    await wait_for_rows(services)
    return MeView(
        id=_id(user.user_id, "S"),
        email=user.email,
        username=user.username,
        full_name=user.full_name,
        created_at=moment_text(user.created_ns),
        total_predictions=await count_calls(database, caller_of(request).account_id, services.now_ns()),
    )


async def _find_user(request: AnyRequest) -> User:
    caller = caller_of(request)
    if caller.person is not None:
        return (await identity_of(request).people.find_me(caller.person)).user
    assert caller.key is not None, "a caller is a person or a key"  # noqa: S101 - for the type checkers
    project_keys: ProjectKeys = request.app.state.project_keys
    return await project_keys.find_maker(caller.key.key_id)


@post("/api/v1/auth/claim", summary="Claim the installation", tags=[TAG], status_code=200, guards=[may_as_person()])
async def claim(request: AnyRequest, data: JSONBody[ClaimBody]) -> Done:
    """Make the person the operator, by the link that the start or `watchllm admin link` printed; it works once."""
    identity = identity_of(request)
    await identity.people.claim(person_of(request), Secret(data.claim), address_of(request), identity.now_ns())
    return Done(message="You are the operator now")


def read_id(prefix: str, given: str) -> str:
    """Any spelling of an id as it is stored; what is none stays, and is found nowhere."""
    try:
        return f"{prefix}_{parse_id(given)}"
    except ValueError:
        return given


def answer_signed_in(
    request: AnyRequest, signed_in: SignedIn, surface: Surface, *, status: int
) -> Response[SignedInView]:
    """Tokens for programs and the cookie for browsers, which nobody on the way may keep."""
    tokens = _tokens(signed_in.tokens)
    view = SignedInView(access_token=tokens.access_token, user=_user(signed_in.user, surface), tokens=tokens)
    lifetime_s = identity_of(request).lifetimes.cookie_ns // NS_PER_S
    cookie = _cookie(request, signed_in.cookie.reveal(), max_age_s=lifetime_s)
    return Response(view, status_code=status, cookies=[cookie], headers={"cache-control": "no-store"})


def _cookie(request: AnyRequest, value: str, *, max_age_s: int) -> Cookie:
    """Secure, unless the operator says that browsers come by plain HTTP: they would not keep a secure one then."""
    secure = not identity_of(request).public_url.startswith("http://")
    return Cookie(COOKIE, value=value, max_age=max_age_s, httponly=True, samesite="lax", secure=secure)


def _tokens(tokens: Tokens) -> TokensView:
    return TokensView(
        access_token=tokens.access_token.reveal(),
        refresh_token=tokens.refresh_token.reveal(),
        expires_in=tokens.expires_in_s,
    )


def _id(user_id: str, surface: Surface) -> str:
    """A person's id as S writes it, with a prefix, or as A does, a bare UUID (row C4)."""
    bare = parse_id(user_id)
    return f"user-{bare}" if surface == "S" else to_uuid(bare)


def _user(user: User, surface: Surface) -> UserView:
    return UserView(
        id=_id(user.user_id, surface),
        email=user.email,
        username=user.username,
        name=user.full_name,
        full_name=user.full_name,
        created_at=moment_text(user.created_ns),
    )


AUTH_ROUTES = (register, login, refresh, change_password, logout, show_me, claim)
