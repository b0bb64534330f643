"""What a maker may give to a key: never more than the maker has.

A person gives scopes that their role has. A key gives what it may itself: its scopes, its models, its limits, its life.
What it makes bears its tags, by which budgets find it, and counts in the limits that it has and in the budgets on it:
many keys may together no more than the one that made them.
Pure: the same wish of the same maker is answered alike.

Failure behavior: a wish that goes beyond the maker's rights raises Refusal, which names what is too much; a key is
never made with less than was asked for by name.
"""

import re
from collections.abc import Iterable

import msgspec

from gateway.accounts.directory import KeyRecord
from gateway.accounts.keys import PREFIXES, Issuer, KeyCache, KeyKind
from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.accounts.tenancy.roles import PERMISSIONS, Role, may
from gateway.errors import shown

# Row C3. "admin": manage the project's keys and credentials, and its project. "budgets": make and delete the account's,
# for keys that act on it.
SCOPES = frozenset(
    {"proxy", "inference", "deploy", "data", "usage:read", "billing", "gpu", "agents", "budgets", "admin"}
)
ISSUER_SCOPES: dict[Issuer, frozenset[str]] = {
    "lgw": frozenset({"proxy", "usage:read"}),
    "efg": frozenset({"inference", "deploy", "usage:read"}),
    "ak": SCOPES - {"admin"},
}
MAX_TAGS = 32
MODEL_NAME = r"^[!-~]{1,256}$"
MAX_MODELS = 256
# Of one key: those that it comes from, each of which counts what it spends.
MAX_MAKERS = 8
LIMITS = ("requests_per_minute", "tokens_per_minute", "max_concurrent")


class KeyWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a key is wanted with; None leaves it to the issuer and to the maker's own bounds."""

    name: str = ""
    kind: KeyKind = "live"
    issuer: Issuer = "lgw"
    is_managing: bool = False
    scopes: frozenset[str] | None = None
    allowed_models: frozenset[str] | None = None
    expires_ns: int | None = None
    tags: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrent: int | None = None
    cache: KeyCache | None = None


class KeyGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What a key may, all told."""

    kind: KeyKind
    is_managing: bool
    scopes: frozenset[str]
    allowed_models: frozenset[str] | None
    expires_ns: int | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    max_concurrent: int | None
    tags: tuple[str, ...] = ()
    # The keys in whose counters its limits count, by the limits' names; None: all in its own.
    limits_in: dict[str, str] | None = None
    # The keys in whose budgets it counts besides its own.
    spends_in: tuple[str, ...] = ()


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a maker may give; None bounds nothing."""

    # The person's or the key's own.
    maker_id: str
    # May touch the keys that others made.
    has_all_keys: bool
    has_live_keys: bool
    may_manage: bool
    scopes: frozenset[str]
    allowed_models: frozenset[str] | None = None
    expires_ns: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrent: int | None = None
    # What every key must bear that it gives.
    tags: tuple[str, ...] = ()
    # Where the limits of what it gives count, by their names: those that it has itself.
    limits_in: dict[str, str] | None = None
    # The keys in whose budgets counts what it gives: itself, and those that it comes from.
    spends_in: tuple[str, ...] = ()


def rights_of_person(user_id: str, role: Role) -> Rights:
    """What a person's role lets them give."""
    is_admin = may(role, "admin")
    return Rights(
        maker_id=user_id,
        has_all_keys=is_admin,
        has_live_keys=True,
        may_manage=is_admin,
        scopes=scopes_of_role(role),
    )


def rights_of_key(key: KeyRecord) -> Rights:
    """What a key lets its holder give."""
    return Rights(
        maker_id=key.key_id,
        has_all_keys=True,
        has_live_keys=key.kind == "live",
        may_manage=key.is_managing,
        scopes=key.scopes,
        allowed_models=key.allowed_models,
        expires_ns=key.expires_ns,
        requests_per_minute=key.requests_per_minute,
        tokens_per_minute=key.tokens_per_minute,
        max_concurrent=key.max_concurrent,
        tags=key.tags,
        limits_in={name: key.count_in(name) for name in LIMITS if getattr(key, name) is not None} or None,
        spends_in=(key.counted_id, *key.spends_in),
    )


def scopes_of_role(role: Role) -> frozenset[str]:
    """The scopes that a person of this role may give to a key."""
    return frozenset(SCOPES & PERMISSIONS[role])


def grant(wish: KeyWish, rights: Rights, now_ns: int) -> KeyGrant:
    """Turn a wish into what the key will have: bounds that it leaves open are the maker's. Raises Refusal."""
    if (wish.issuer, wish.kind) not in PREFIXES:
        raise _invalid(f"a {wish.kind} key of the issuer {wish.issuer!r} is not made: test keys are lgw's", "kind")
    unknown = (wish.scopes or frozenset()) - SCOPES
    if unknown:
        raise _invalid(f"there is no scope {_words(unknown)}; there are {_words(SCOPES)}", "scopes")
    require_models(wish.allowed_models)
    if wish.expires_ns is not None and wish.expires_ns <= now_ns:
        raise _invalid("the moment of expiry is over: give one in the future, or none", "expires_at")
    granted = KeyGrant(
        kind=wish.kind,
        is_managing=wish.is_managing,
        scopes=ISSUER_SCOPES[wish.issuer] & rights.scopes if wish.scopes is None else wish.scopes,
        allowed_models=rights.allowed_models if wish.allowed_models is None else wish.allowed_models,
        expires_ns=rights.expires_ns if wish.expires_ns is None else wish.expires_ns,
        tags=tuple(dict.fromkeys((*rights.tags, *wish.tags))),
        limits_in=rights.limits_in,
        spends_in=rights.spends_in,
        **{name: getattr(rights if getattr(wish, name) is None else wish, name) for name in LIMITS},
    )
    if len(granted.spends_in) > MAX_MAKERS:
        raise Refusal(
            RefusalKind.NOT_ALLOWED,
            f"keys made each other {MAX_MAKERS} times over: let a person make this one, or a key that came earlier",
        )
    if len(granted.tags) > MAX_TAGS:
        raise _invalid(f"the key would have {len(granted.tags)} tags with its maker's, not {MAX_TAGS} at most", "tags")
    require_within(granted, rights)
    return granted


def require_models(allowed: frozenset[str] | None) -> None:
    """Refuse models that no call can name, such as patterns: a key limited to them could call nothing."""
    if allowed is None:
        return
    if not 0 < len(allowed) <= MAX_MODELS:
        raise _invalid(f"allowed_models has {len(allowed)} names, not 1 to {MAX_MODELS}", "allowed_models")
    wrong = sorted(name for name in allowed if "*" in name or re.fullmatch(MODEL_NAME, name) is None)
    if wrong:
        raise _invalid(
            f"allowed_models has {shown(wrong[0])}, which no call names: write each name in full, as GET /v1/models "
            "lists them, or leave allowed_models out for every model",
            "allowed_models",
        )


def require_within(wanted: KeyGrant, rights: Rights) -> None:
    """Refuse what a maker does not have; of a key that is there, whoever changes or renews it needs all it may."""
    beyond = wanted.scopes - rights.scopes
    if beyond:
        raise _beyond(f"scope {_words(beyond)}", "scopes")
    if wanted.kind == "live" and not rights.has_live_keys:
        raise _beyond("a key for real calls", "kind")
    if wanted.is_managing and not rights.may_manage:
        raise _beyond("the right to manage the project", "manage")
    if rights.allowed_models is not None and (
        wanted.allowed_models is None or not wanted.allowed_models <= rights.allowed_models
    ):
        raise _beyond("models beyond your own", "allowed_models")
    if rights.expires_ns is not None and (wanted.expires_ns is None or wanted.expires_ns > rights.expires_ns):
        raise _beyond("a longer life than your own", "expires_at")
    for name in LIMITS:
        own, given = getattr(rights, name), getattr(wanted, name)
        if own is not None and (given is None or given > own):
            raise _beyond(f"{name} above {own}", name)
    missing = set(rights.tags) - set(wanted.tags)
    if missing:
        raise _beyond(f"a key without your own tags {_words(missing)}", "tags")


def require_own(made_by: str | None, rights: Rights) -> None:
    """Refuse to let a maker touch a key that is not theirs. Raises Refusal."""
    if not rights.has_all_keys and made_by != rights.maker_id:
        raise Refusal(RefusalKind.NOT_ALLOWED, "this key was made by somebody else: ask an owner or an admin")


def _invalid(message: str, param: str) -> Refusal:
    return Refusal(RefusalKind.INVALID, message, param)


def _beyond(what: str, param: str) -> Refusal:
    return Refusal(RefusalKind.NOT_ALLOWED, f"you cannot give {what}: a key never may more than its maker", param)


def _words(words: Iterable[str]) -> str:
    return ", ".join(shown(word) for word in sorted(words))
