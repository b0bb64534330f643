"""Keys over HTTP: those of a project (rows W28 and W29) and the account-wide ones of a person (row A5).

Failure behavior: as gateway.surfaces.access for who may, as gateway.accounts.keyring for what is refused. A key's text
is in the answer that makes it and never again.
"""

from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, UnsetType

from gateway.accounts.keyring.keys_store import KeyDetail
from gateway.accounts.keyring.project_keys import FreshKey, KeyEdit, ProjectKeys
from gateway.accounts.keyring.rights import MAX_MODELS, MAX_TAGS, MODEL_NAME, KeyWish
from gateway.accounts.keys import Issuer, KeyCache, KeyKind
from gateway.accounts.tenancy.names import check_name
from gateway.analytics.moments import MAX_NS, moment_text, parse_moment
from gateway.errors import Fault, shown
from gateway.ids import parse_id
from gateway.surfaces.access import caller_of, may_in_account, may_in_project
from gateway.surfaces.api.auth import Done
from gateway.surfaces.api.projects import MANAGING, READING, maker_of, occasion_of, project_of

AnyRequest = Request[Any, Any, Any]
TAG = "Keys"
DEFAULT_OVERLAP_S = 86_400
SAVE_IT = "Save this API key securely. It will not be shown again."

Name = Annotated[str, Meta(max_length=128)]
Models = Annotated[frozenset[Annotated[str, Meta(pattern=MODEL_NAME)]], Meta(min_length=1, max_length=MAX_MODELS)]
# No space and no comma: they part tags in a header.
Tags = Annotated[tuple[Annotated[str, Meta(pattern=r"^[!-+\--~]{1,64}$")], ...], Meta(max_length=MAX_TAGS)]
T = TypeVar("T")
Limit = Annotated[int, Meta(ge=1, le=1_000_000_000)]


class KeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """W28's ``name``, and what is ours; what is left out is the issuer's and the maker's usual."""

    name: Name = ""
    kind: KeyKind = "live"
    issuer: Issuer = "lgw"
    scopes: frozenset[str] | None = None
    allowed_models: Models | None = None
    expires_at: str | None = None
    tags: Tags = ()
    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    max_concurrent: Limit | None = None
    cache: KeyCache | None = None
    manage: bool = False


class EditBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be changed of a key; null takes a bound away."""

    name: Name | UnsetType = UNSET
    allowed_models: Models | UnsetType | None = UNSET
    expires_at: str | UnsetType | None = UNSET
    tags: Tags | UnsetType = UNSET
    requests_per_minute: Limit | UnsetType | None = UNSET
    tokens_per_minute: Limit | UnsetType | None = UNSET
    max_concurrent: Limit | UnsetType | None = UNSET
    cache: KeyCache | UnsetType | None = UNSET


class RotateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the old key stays valid."""

    overlap_s: int = DEFAULT_OVERLAP_S


class AccountKeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A5."""

    name: Name
    expires_at: str | None = None


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key; ``key`` is its text in the answer that makes it, and its beginning in every other."""

    id: str
    name: str
    key: str
    created_at: str
    kind: str
    issuer: str
    scopes: list[str]
    allowed_models: list[str] | None
    expires_at: str | None
    tags: list[str]
    requests_per_minute: int | None
    tokens_per_minute: int | None
    max_concurrent: int | None
    cache: KeyCache | None
    manage: bool
    account_wide: bool
    made_by: str | None
    replaces: str | None
    last_used_at: str | None
    # In the answer to a rotation: when the old key ends.
    replaced_expires_at: str | UnsetType = UNSET


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a project that are not revoked."""

    api_keys: list[KeyView]


class AccountKeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A5's answer."""

    api_key: str
    message: str = SAVE_IT
    created_at: str
    expires_at: str | None


KEYS = "/api/projects/{project_id:str}/keys"
KEY = KEYS + "/{key_id:str}"


@post(KEYS, summary="Make a key", tags=[TAG], status_code=200, guards=[may_in_project("keys", scope=MANAGING)])
async def make_key(
    request: AnyRequest,
    project_id: FromPath[str],
    data: JSONBody[KeyBody],
    project_keys: NamedDependency[ProjectKeys],
) -> Response[KeyView]:
    """It may at most what its maker may, and is shown only now."""
    caller = caller_of(request)
    wish = KeyWish(
        name=check_name(data.name),
        kind=data.kind,
        issuer=data.issuer,
        is_managing=data.manage,
        scopes=data.scopes,
        allowed_models=data.allowed_models,
        expires_ns=_moment(data.expires_at),
        tags=data.tags,
        requests_per_minute=data.requests_per_minute,
        tokens_per_minute=data.tokens_per_minute,
        max_concurrent=data.max_concurrent,
        cache=data.cache,
    )
    if wish.issuer == "ak":
        raise Fault("rule_broken", "POST /api/v1/auth/apikey makes keys of this issuer.", param="issuer")
    fresh = await project_keys.create(maker_of(caller), project_of(caller), wish, occasion_of(request))
    return _unkept(_fresh_view(fresh))


@get(KEYS, summary="List a project's keys", tags=[TAG], guards=[may_in_project("account:read", scope=READING)])
async def list_keys(
    request: AnyRequest, project_id: FromPath[str], project_keys: NamedDependency[ProjectKeys]
) -> KeyList:
    """Oldest first, never their texts; expired ones for 30 days, unless revoked or in the way of a new key."""
    return KeyList(api_keys=[_view(key) for key in await project_keys.list_keys(project_of(caller_of(request)))])


@patch(KEY, summary="Change a key", tags=[TAG], guards=[may_in_project("keys", scope=MANAGING)])
async def change_key(
    request: AnyRequest,
    project_id: FromPath[str],
    key_id: FromPath[str],
    data: JSONBody[EditBody],
    project_keys: NamedDependency[ProjectKeys],
) -> KeyView:
    """Name, models, expiry, tags, limits and wishes of the cache; every process obeys within a second."""
    caller = caller_of(request)
    edit = KeyEdit(
        name=data.name if data.name is UNSET else check_name(data.name),
        allowed_models=data.allowed_models,
        expires_ns=data.expires_at if data.expires_at is UNSET else _moment(data.expires_at),
        tags=data.tags,
        requests_per_minute=data.requests_per_minute,
        tokens_per_minute=data.tokens_per_minute,
        max_concurrent=data.max_concurrent,
        cache=data.cache,
    )
    occasion = occasion_of(request)
    return _view(await project_keys.change(maker_of(caller), project_of(caller), _key_id(key_id), edit, occasion))


@delete(KEY, summary="Revoke a key", tags=[TAG], status_code=200, guards=[may_in_project("keys", scope=MANAGING)])
async def revoke_key(
    request: AnyRequest,
    project_id: FromPath[str],
    key_id: FromPath[str],
    project_keys: NamedDependency[ProjectKeys],
) -> Done:
    """It stops within a second everywhere, and so do the keys that it made."""
    caller = caller_of(request)
    await project_keys.revoke(maker_of(caller), project_of(caller), _key_id(key_id), occasion_of(request))
    return Done(message="API key revoked")


@post(
    KEY + "/rotate",
    summary="Rotate a key",
    tags=[TAG],
    status_code=200,
    guards=[may_in_project("keys", scope=MANAGING)],
)
async def rotate_key(
    request: AnyRequest,
    project_id: FromPath[str],
    key_id: FromPath[str],
    data: JSONBody[RotateBody],
    project_keys: NamedDependency[ProjectKeys],
) -> Response[KeyView]:
    """A new key with the same rights; the old one stays valid for `overlap_s` (a day, at most 30)."""
    caller = caller_of(request)
    rotated = await project_keys.rotate(
        maker_of(caller), project_of(caller), _key_id(key_id), data.overlap_s, occasion_of(request)
    )
    view = _fresh_view(rotated.fresh)
    return _unkept(msgspec.structs.replace(view, replaced_expires_at=moment_text(rotated.old_ends_ns)))


@post(
    "/api/v1/auth/apikey",
    summary="Make a key for one's whole account",
    tags=[TAG],
    status_code=201,
    guards=[may_in_account("keys")],
)
async def make_account_key(
    request: AnyRequest,
    data: JSONBody[AccountKeyBody],
    project_keys: NamedDependency[ProjectKeys],
) -> Response[AccountKeyView]:
    """Everything that the person may but managing keys and projects; calls count to the project `Default`."""
    person = caller_of(request).person
    assert person is not None, "the guard lets people in only"  # noqa: S101 - for the type checkers
    fresh = await project_keys.create_account_key(
        person, check_name(data.name), _moment(data.expires_at), occasion_of(request)
    )
    return _unkept(
        AccountKeyView(
            api_key=fresh.key,
            created_at=moment_text(fresh.detail.created_ns),
            expires_at=_text(fresh.detail.expires_ns),
        )
    )


def _unkept(view: T) -> Response[T]:
    """An answer with a secret: no cache on its way keeps it."""
    return Response(view, headers={"cache-control": "no-store"})


def _key_id(given: str) -> str:
    try:
        return f"key_{parse_id(given)}"
    except ValueError:
        raise Fault("not_found", f"There is no key {shown(given)} in this project.", param="key_id") from None


def _moment(given: str | None) -> int | None:
    if given is None:
        return None
    try:
        moment_ns = parse_moment(given, is_end=True)
    except ValueError as error:
        raise Fault("invalid_request", f"expires_at: {error}.", param="expires_at") from None
    if moment_ns >= MAX_NS:
        why = (
            f"{shown(given)} is too late: the last day is 2261-12-30; leave expires_at out for a key that never expires"
        )
        raise Fault("invalid_request", f"expires_at: {why}.", param="expires_at")
    return moment_ns


def _text(moment_ns: int | None) -> str | None:
    return None if moment_ns is None else moment_text(moment_ns)


def _fresh_view(fresh: FreshKey) -> KeyView:
    return msgspec.structs.replace(_view(fresh.detail), key=fresh.key)


def _view(key: KeyDetail) -> KeyView:
    return KeyView(
        id=key.key_id,
        name=key.name,
        key=key.display,
        created_at=moment_text(key.created_ns),
        kind=key.kind,
        issuer=key.issuer,
        scopes=sorted(key.scopes),
        allowed_models=None if key.allowed_models is None else sorted(key.allowed_models),
        expires_at=_text(key.expires_ns),
        tags=list(key.tags),
        requests_per_minute=key.requests_per_minute,
        tokens_per_minute=key.tokens_per_minute,
        max_concurrent=key.max_concurrent,
        cache=key.cache,
        manage=key.is_managing,
        account_wide=key.is_account_wide,
        made_by=key.made_by,
        replaces=key.replaces,
        last_used_at=_text(key.last_used_ns),
    )


KEY_ROUTES = (make_key, list_keys, change_key, revoke_key, rotate_key, make_account_key)
