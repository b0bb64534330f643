"""Who calls an ordinary route, and the guard that each route carries.

A person shows an access token (``Authorization: Bearer``, two dots) or the dashboard's cookie, a program a key; the
cookie counts for a write only with the gateway's own Origin and a JSON body, since browsers send it along unasked. What
gives a cookie is refused to other pages.

Failure behavior: without a credential, or with a bad one, there is a 401; without the permission a 403. While the
database is away people get 503, keys as gateway.pipeline.auth says.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from gateway.accounts.directory import KeyRecord
from gateway.accounts.tenancy.people import People
from gateway.accounts.tenancy.roles import Permission, may
from gateway.accounts.tenancy.sessions import Lifetimes, Person
from gateway.accounts.tenancy.tokens import TokenFault
from gateway.config.secret import Secret
from gateway.errors import Fault, shown
from gateway.limits.attempts import Attempts
from gateway.pipeline import run
from gateway.pipeline.services import Services
from gateway.surfaces.credentials import read_credentials
from gateway.surfaces.limits import note_caller

COOKIE = "watchllm_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
BEARER = "bearer "
# A token has two dots, a key none.
TOKEN_DOTS = 2

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to know a caller."""

    people: People
    lifetimes: Lifetimes
    # Wall clock, ns since the epoch.
    now_ns: Callable[[], int]
    # Sign-up is open to anybody.
    open_sign_up: bool
    # Where browsers find the gateway; empty: the address that the request itself names.
    public_url: str
    # None: attempts to sign in are not limited.
    attempts: Attempts | None = None


def identity_of(connection: Connection) -> Identity:
    """The application's."""
    identity: Identity = connection.app.state.identity
    return identity


async def anybody(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard: no credential is asked for."""


async def by_no_other_page(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard of what answers with a session's cookie: another page must not put a browser into a session of its choice.

    A program sends no Origin.
    """
    given = connection.headers.get("origin")
    if given is not None and given not in _own_origins(connection, identity_of(connection).public_url):
        raise Fault(
            "insufficient_scope", f"This gives a session's cookie to the gateway's own page, not {shown(given)}."
        )


async def by_the_door(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard of the proxied calls: their door knows the caller, before the body is read."""


async def with_key(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard: a valid key; which of its scopes counts is the handler's matter."""
    headers = list(connection.scope["headers"])
    services: Services = connection.app.state.services
    key = await run.meet(read_credentials(headers, dict(headers)), services)
    note_caller(connection, key)
    connection.state["key"] = key


def key_of(connection: Connection) -> KeyRecord:
    """Which key the route's guard let in."""
    key: KeyRecord = connection.state["key"]
    return key


def may_as_person(permission: Permission | None = None) -> Guard:
    """Guard: a person who is signed in, with a role that has the permission."""

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        person = await find_person(connection)
        if permission is not None and not may(person.role, permission):
            raise Fault("insufficient_scope", f"Your role {person.role!r} lacks the permission {permission!r}.")
        connection.state["person"] = person

    return guard


async def as_operator(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard: the person who runs the installation."""
    person = await find_person(connection)
    if not person.is_operator:
        raise Fault("insufficient_scope", "Only the installation's operator may do this.")
    connection.state["person"] = person


def person_of(connection: Connection) -> Person:
    """Whom the route's guard let in."""
    person: Person = connection.state["person"]
    return person


async def find_person(connection: Connection) -> Person:
    """The person who is signed in; raises Fault."""
    identity = identity_of(connection)
    authorization = connection.headers.get("authorization")
    if authorization is not None:
        bearer = await _find_by_token(identity, authorization)
        note_caller(connection, bearer)
        return bearer
    cookie = connection.cookies.get(COOKIE)
    if not cookie:
        raise Fault("no_credential", "Sign in: POST /api/v1/auth/login gives an access token and a cookie.")
    _check_write(connection, identity.public_url)
    person = await identity.people.find_by_cookie(Secret(cookie), identity.now_ns())
    if person is None:
        raise Fault("invalid_api_key", "The session has ended: sign in again.")
    note_caller(connection, person, by_cookie=True)
    return person


async def _find_by_token(identity: Identity, authorization: str) -> Person:
    token = authorization[len(BEARER) :].strip()
    if authorization[: len(BEARER)].lower() != BEARER or token.count(".") != TOKEN_DOTS:
        raise Fault("invalid_api_key", "This route takes a person's access token: 'Authorization: Bearer TOKEN'.")
    found = await identity.people.find_by_access_token(Secret(token), identity.now_ns())
    if isinstance(found, TokenFault):
        raise Fault("invalid_api_key", f"The access token {found.value}.")
    return found


def _check_write(connection: Connection, public_url: str) -> None:
    """A browser sends the cookie with whatever page made the request; only our own may change anything."""
    scope: dict[str, Any] = dict(connection.scope)
    if scope["method"] in SAFE_METHODS:
        return
    given = connection.headers.get("origin", "")
    if given not in _own_origins(connection, public_url):
        raise Fault("insufficient_scope", f"A write by cookie needs the gateway's own Origin, not {shown(given)}.")
    kind = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Fault("unsupported_media_type", f"A write by cookie needs a JSON body, not {shown(kind)}.")


def _own_origins(connection: Connection, public_url: str) -> frozenset[str]:
    if public_url:
        return frozenset({origin_of(public_url)})
    # Without the setting the scheme is unknown: a proxy in front may have ended TLS.
    host = connection.headers.get("host", "")
    return frozenset({f"https://{host}", f"http://{host}"})


def origin_of(url: str) -> str:
    """Scheme, host and port of an address, as browsers write them in Origin."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}".lower()
