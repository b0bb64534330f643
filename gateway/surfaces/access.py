"""The guards of an account's and a project's things, for people by their role and for programs by their key's scopes.

A person acts in the account of their session; an operator also on the projects that have no account, which are the
operator's own. A key acts on its project; one that is account-wide on its whole account.

Failure behavior: what belongs to somebody else is told as if it were not there, on surface A as forbidden (row A49).
While the database is away the answer is 503.
"""

from contextlib import suppress
from typing import Any

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Message, Scope

from gateway.accounts import store
from gateway.accounts.audit import Actor
from gateway.accounts.directory import KeyRecord
from gateway.accounts.tenancy.roles import Permission, may
from gateway.accounts.tenancy.sessions import Person
from gateway.db import Database, DatabaseUnavailable
from gateway.errors import Fault, shown
from gateway.ids import parse_id
from gateway.pipeline import run
from gateway.pipeline.auth import read_key
from gateway.pipeline.services import Services
from gateway.surfaces.credentials import read_credentials
from gateway.surfaces.guards import COOKIE, TOKEN_DOTS, Connection, Guard, find_person
from gateway.surfaces.limits import note_caller
from gateway.surfaces.paths import group_of

PROJECT_ID = "project_id"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts, and on whose things: exactly one of ``person`` and ``key`` is there."""

    # None: the operator's own things.
    account_id: str | None
    # Of the route's path, or the key's own; None for a person and for an account-wide key on an account's route.
    project_id: str | None = None
    person: Person | None = None
    key: KeyRecord | None = None

    def actor(self, origin: str) -> Actor:
        """Who it is, for the audit log; ``origin`` is the network address."""
        if self.person is not None:
            return Actor(kind="user", actor_id=self.person.user_id, origin=origin)
        return Actor(kind="key", actor_id=None if self.key is None else self.key.key_id, origin=origin)


def caller_of(connection: Connection) -> Caller:
    """Whom the route's guard let in."""
    caller: Caller = connection.state["caller"]
    return caller


def may_read_prompts(caller: Caller) -> bool:
    """Whether the caller may see what others asked and were answered: more than looking at figures needs."""
    if caller.person is not None:
        return may(caller.person.role, "prompts:read")
    return caller.key is not None and caller.key.is_managing


def may_in_account(permission: Permission, *, scope: str | None = None) -> Guard:
    """Guard: a person with the permission, or an account-wide key with the scope; without one, people only."""

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        connection.state["caller"] = await _find_caller(connection, permission, scope)

    return guard


def may_in_project(permission: Permission, *, scope: str | None = None, is_managing: bool = False) -> Guard:
    """Guard of a route with ``project_id`` in its path: as above, and the project's own keys with the scope.

    ``is_managing``: a key must have been made to manage its project as well.
    """

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        caller = await _find_caller(connection, permission, scope, is_projects=True)
        if is_managing and caller.key is not None and not caller.key.is_managing:
            raise Fault("insufficient_scope", "This key may not manage its project; one made with --manage may.")
        connection.state["caller"] = await _in_project(connection, caller)

    return guard


def may_in_own(permission: Permission, *, scope: str) -> Guard:
    """Guard of a route that shows whatever is the caller's: a person's account, a key's account or its project."""

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        connection.state["caller"] = await _find_caller(connection, permission, scope, is_projects=True)

    return guard


async def note_lost(message: Message, scope: Scope) -> None:
    """Know who asks for what is not there, or in a way that it does not take: no guard did, and it counts too."""
    if message["type"] != "http.response.start" or "route_handler" in scope:
        return
    connection: Connection = ASGIConnection(scope)
    services: Services = connection.app.state.services
    if not services.limiting.gate.enforce or group_of(connection.url.path, connection.headers) is None:
        return
    # What is wrong with the credentials is not what is answered.
    with suppress(Fault, DatabaseUnavailable):
        if await _find_key(connection) is None:
            await find_person(connection)


async def _find_caller(
    connection: Connection, permission: Permission, scope: str | None, *, is_projects: bool = False
) -> Caller:
    key = await _find_key(connection)
    if key is None:
        person = await find_person(connection)
        if not may(person.role, permission):
            raise Fault("insufficient_scope", f"Your role {person.role!r} lacks the permission {permission!r}.")
        return Caller(account_id=person.account_id, person=person)
    if scope is None:
        raise Fault("insufficient_scope", "A key cannot do this: sign in as a person of the account.")
    if scope not in key.scopes:
        raise Fault("insufficient_scope", f"This key lacks the scope {scope!r}.")
    if not key.is_account_wide and not is_projects:
        raise Fault("insufficient_scope", "This key is of one project; what concerns the account needs another.")
    return Caller(account_id=key.account_id, project_id=None if key.is_account_wide else key.project_id, key=key)


async def _find_key(connection: Connection) -> KeyRecord | None:
    """The key that the request shows; None where it shows a person's token or cookie, or nothing."""
    headers: list[tuple[bytes, bytes]] = list(connection.scope["headers"])
    credentials = read_credentials(headers, dict(headers))
    if not credentials.authorization and not credentials.api_key:
        # Without anything, what is missing is told as a person is told it.
        return None
    if read_key(credentials).count(b".") == TOKEN_DOTS:
        return None
    if connection.cookies.get(COOKIE):
        raise Fault("invalid_request", "The request carries both a key and a session's cookie; send one.")
    services: Services = connection.app.state.services
    key = await run.meet(credentials, services)
    note_caller(connection, key)
    return key


async def _in_project(connection: Connection, caller: Caller) -> Caller:
    given = str(connection.path_params.get(PROJECT_ID, ""))
    try:
        project_id = f"proj_{parse_id(given)}"
    except ValueError:
        raise _unknown(given) from None
    if caller.project_id is not None:
        # A key is of one project, which is there as long as the key is.
        if caller.project_id != project_id:
            raise _unknown(given)
        return caller
    database: Database = connection.app.state.database
    project = await store.find_project(database, project_id)
    is_operator = caller.person is not None and caller.person.is_operator
    is_own = project is not None and (
        project.account_id == caller.account_id or (is_operator and project.account_id is None)
    )
    if project is None or not is_own:
        raise _unknown(given)
    return msgspec.structs.replace(caller, account_id=project.account_id, project_id=project_id)


def _unknown(given: Any) -> Fault:
    return Fault("foreign", f"There is no project {shown(given)} of yours.", param=PROJECT_ID)
