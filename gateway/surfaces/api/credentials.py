"""The keys with which providers are called (rows W32 and W33): a project's own, and the operator's for all projects.

Failure behavior: as gateway.surfaces.access for who may, as gateway.accounts.credentials for what is refused. No answer
ever holds a secret.
"""

from typing import Any

import msgspec
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gateway.accounts.audit import Actor, Occasion
from gateway.accounts.credentials import Credentials, NewCredential
from gateway.accounts.credentials_store import CredentialListing
from gateway.analytics.moments import moment_text
from gateway.config.secret import Secret
from gateway.pipeline.services import Services
from gateway.surfaces.access import caller_of, may_in_project
from gateway.surfaces.api.auth import Done
from gateway.surfaces.api.projects import MANAGING, occasion_of, project_of
from gateway.surfaces.guards import as_operator, person_of
from gateway.surfaces.limits import address_of

AnyRequest = Request[Any, Any, Any]
TAG = "Provider keys"


class CredentialBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """W32; ``base_url`` is an address of one's own that speaks the provider's protocol, on the public Internet."""

    provider: str
    api_key: str
    name: str = ""
    base_url: str | None = None


class StoredView(msgspec.Struct, frozen=True, kw_only=True):
    """W32's answer."""

    success: bool = True
    message: str = "Provider key updated"
    provider: str


class CredentialView(msgspec.Struct, frozen=True, kw_only=True):
    """A stored key: at most its first three and last four characters."""

    id: str
    provider: str
    name: str
    api_key: str
    base_url: str | None
    created_at: str
    last_used_at: str | None


class CredentialList(msgspec.Struct, frozen=True, kw_only=True):
    """Stored keys, oldest first."""

    providers: list[CredentialView]


OF_PROJECT = "/api/projects/{project_id:str}/providers"
OF_OPERATOR = "/api/providers"


@post(
    OF_PROJECT,
    summary="Store a project's key at a provider",
    tags=[TAG],
    status_code=200,
    guards=[may_in_project("credentials", scope=MANAGING)],
)
async def put_credential(
    request: AnyRequest,
    project_id: FromPath[str],
    data: JSONBody[CredentialBody],
    credentials: NamedDependency[Credentials],
) -> StoredView:
    """It wins over the operator's, and makes a provider callable that has none; the one before it is replaced."""
    await credentials.put(_wanted(data, project_of(caller_of(request))), occasion_of(request))
    return StoredView(provider=data.provider)


@get(
    OF_PROJECT,
    summary="List a project's keys at providers",
    tags=[TAG],
    guards=[may_in_project("account:read", scope=MANAGING)],
)
async def list_credentials(
    request: AnyRequest, project_id: FromPath[str], credentials: NamedDependency[Credentials]
) -> CredentialList:
    """Names, ends and dates; never the keys."""
    return CredentialList(providers=list(map(_view, await credentials.list(project_of(caller_of(request))))))


@delete(
    OF_PROJECT + "/{provider:str}",
    summary="Remove a project's key at a provider",
    tags=[TAG],
    status_code=200,
    guards=[may_in_project("credentials", scope=MANAGING)],
)
async def remove_credential(
    request: AnyRequest,
    project_id: FromPath[str],
    provider: FromPath[str],
    credentials: NamedDependency[Credentials],
) -> Done:
    """The operator's serves the project again, where there is one."""
    await credentials.remove(project_of(caller_of(request)), provider, occasion_of(request))
    return Done(message="Provider key removed")


@post(OF_OPERATOR, summary="Store the operator's key at a provider", tags=[TAG], status_code=200, guards=[as_operator])
async def put_operators(
    request: AnyRequest, data: JSONBody[CredentialBody], credentials: NamedDependency[Credentials]
) -> StoredView:
    """For every project that has none of its own; it wins over the configuration's."""
    await credentials.put(_wanted(data, None), _operators_occasion(request))
    return StoredView(provider=data.provider)


@get(OF_OPERATOR, summary="List the operator's keys at providers", tags=[TAG], guards=[as_operator])
async def list_operators(request: AnyRequest, credentials: NamedDependency[Credentials]) -> CredentialList:
    """Those that are stored; never the keys."""
    return CredentialList(providers=list(map(_view, await credentials.list(None))))


@delete(
    OF_OPERATOR + "/{provider:str}",
    summary="Remove the operator's key at a provider",
    tags=[TAG],
    status_code=200,
    guards=[as_operator],
)
async def remove_operators(
    request: AnyRequest, provider: FromPath[str], credentials: NamedDependency[Credentials]
) -> Done:
    """The configuration's serves again, where there is one."""
    await credentials.remove(None, provider, _operators_occasion(request))
    return Done(message="Provider key removed")


def _wanted(body: CredentialBody, project_id: str | None) -> NewCredential:
    return NewCredential(
        project_id=project_id,
        provider=body.provider,
        secret=Secret(body.api_key),
        name=body.name,
        base_url=body.base_url,
    )


def _operators_occasion(request: AnyRequest) -> Occasion:
    actor = Actor(kind="user", actor_id=person_of(request).user_id, origin=address_of(request))
    services: Services = request.app.state.services
    return Occasion(actor=actor, account_id=None, now_ns=services.now_ns())


def _view(listing: CredentialListing) -> CredentialView:
    used_ns = listing.last_used_ns
    return CredentialView(
        id=listing.credential_id,
        provider=listing.provider,
        name=listing.name,
        api_key=listing.display,
        base_url=listing.base_url,
        created_at=moment_text(listing.created_ns),
        last_used_at=None if used_ns is None else moment_text(used_ns),
    )


CREDENTIAL_ROUTES = (
    put_credential,
    list_credentials,
    remove_credential,
    put_operators,
    list_operators,
    remove_operators,
)
