"""Keys follow whoever made them, a person or a key: none ever may more than its maker may now.

Whoever leaves an account takes the keys along that they made, since they know them; whoever steps down leaves keys that
may no more than they may now. What a key made follows its life, models, limits and tags as these are narrowed: a key
that leaked is bounded by bounding it, whatever it made meanwhile. Keys that such keys made go the same way. Nothing is
widened again: who rises, and a key that gets more, gives more to new keys alone.

Failure behavior: everything happens inside the transaction that changes the maker: both are so, or neither. Raises
Refusal where a key would bear too many tags.
"""

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts import store
from gateway.accounts.audit import Occasion, note
from gateway.accounts.keyring import keys_store
from gateway.accounts.keyring.keys_store import KeyDetail
from gateway.accounts.keyring.rights import LIMITS, MAX_TAGS, rights_of_person
from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.accounts.tenancy.roles import Role

_LIFE = "expires_ns"


async def follow_role(connection: AsyncConnection, user_id: str, role: Role | None, occasion: Occasion) -> None:
    """Bring the keys that a member made under their role in the occasion's account, inside the caller's transaction.

    None: they are no member any more, and their keys end.
    """
    # First: a key that its maker is just making is then there, or finds them as what they are now.
    revision = await store.take_revision(connection)
    made = await keys_store.list_made_by(connection, occasion.account_id, user_id)
    if role is None:
        if made:
            await keys_store.revoke_keys(connection, [key.key_id for key in made], occasion.now_ns, revision)
        for key in made:
            await note(connection, occasion, "key.revoke", key.key_id, "its maker left")
        return
    rights = rights_of_person(user_id, role)
    scopes, may_manage = rights.scopes, rights.may_manage
    stronger = [key for key in made if not key.scopes <= scopes or (key.is_managing and not may_manage)]
    for key in stronger:
        weaker = msgspec.structs.replace(key, scopes=key.scopes & scopes, is_managing=key.is_managing and may_manage)
        await keys_store.update_key(connection, weaker, revision)
        await note(connection, occasion, "key.narrow", key.key_id, f"its maker is {role}")


async def follow_key(
    connection: AsyncConnection, before: KeyDetail, after: KeyDetail, revision: int, occasion: Occasion
) -> None:
    """Bring what a key made within what the key has become, inside the caller's transaction. Raises Refusal."""
    narrowed = _find_narrowed(before, after)
    if not narrowed:
        return
    for key in await keys_store.list_made_by(connection, occasion.account_id, after.key_id):
        weaker = _narrow(key, before, after, narrowed)
        if len(weaker.tags) > MAX_TAGS:
            raise Refusal(
                RefusalKind.CONFLICT,
                f"the key {key.key_id!r}, which this one made, would have {len(weaker.tags)} tags, not {MAX_TAGS} at "
                "most: take some off it, or revoke it",
                "tags",
            )
        if weaker == key:
            continue
        await keys_store.update_key(connection, weaker, revision)
        if narrowed == [_LIFE]:
            await note(connection, occasion, "key.shorten", key.key_id, f"its maker {after.key_id} ends")
        else:
            told = f"its maker {after.key_id} may less: {', '.join(narrowed)}"
            await note(connection, occasion, "key.narrow", key.key_id, told)


def _find_narrowed(before: KeyDetail, after: KeyDetail) -> list[str]:
    """In what a key may less than it did."""
    narrowed: list[str] = []
    if after.expires_ns is not None and (before.expires_ns is None or after.expires_ns < before.expires_ns):
        narrowed.append(_LIFE)
    models, old_models = after.allowed_models, before.allowed_models
    if models is not None and (old_models is None or old_models - models):
        narrowed.append("allowed_models")
    if set(after.tags) - set(before.tags):
        narrowed.append("tags")
    for name in LIMITS:
        old_limit, limit = getattr(before, name), getattr(after, name)
        if limit is not None and (old_limit is None or limit < old_limit):
            narrowed.append(name)
    return narrowed


def _narrow(key: KeyDetail, before: KeyDetail, after: KeyDetail, narrowed: Collection[str]) -> KeyDetail:
    """What a key is left with of what its maker lost; where the maker stayed as it was, the key does too."""
    changes: dict[str, Any] = {}
    if _LIFE in narrowed and after.expires_ns is not None:
        changes[_LIFE] = min(key.expires_ns or after.expires_ns, after.expires_ns)
    if "allowed_models" in narrowed and after.allowed_models is not None:
        # Nothing may be left: such a key calls no model.
        own_models = after.allowed_models if key.allowed_models is None else key.allowed_models
        changes["allowed_models"] = own_models & after.allowed_models
    if "tags" in narrowed:
        changes["tags"] = tuple(dict.fromkeys((*key.tags, *(tag for tag in after.tags if tag not in before.tags))))
    # Together they may what the maker may, as keys that it makes from now on.
    limits_in = dict(key.limits_in or {})
    for name in LIMITS:
        if name in narrowed:
            limit, own_limit = getattr(after, name), getattr(key, name)
            changes[name] = limit if own_limit is None else min(own_limit, limit)
            limits_in[name] = (after.limits_in or {}).get(name, after.root_id or after.key_id)
    return msgspec.structs.replace(key, limits_in=limits_in or None, **changes)
