"""What people and programs do with the keys of a project: make, list, change, rotate, revoke.

What a maker may is asked in the transaction of the change: a role that was taken away a moment ago, or a key that was
just revoked, makes nothing any more. Keys belong to their project and yet never outlive their maker's rights: whoever
leaves an account takes the keys along that they made, since they know them; whoever steps down leaves keys that may no
more than they may now; with a key go the keys that it made, whether it is revoked, expires or is rotated away, and a
key that is narrowed narrows them.

Failure behavior: raises Refusal where a rule forbids it and DatabaseUnavailable as gateway.db does; nothing is then
changed. Every process honours a change within 1 s, this one at once.
"""

from collections.abc import Awaitable, Callable, Collection

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts import store
from gateway.accounts.audit import Occasion, note
from gateway.accounts.directory import KeyRecord
from gateway.accounts.keyring import keys_store, projects_store
from gateway.accounts.keyring.following import follow_key
from gateway.accounts.keyring.keys_store import KeyDetail
from gateway.accounts.keyring.rights import (
    KeyGrant,
    KeyWish,
    Rights,
    grant,
    require_models,
    require_own,
    require_within,
    rights_of_key,
    rights_of_person,
)
from gateway.accounts.keys import KeyCache, KeyDigester
from gateway.accounts.store import MadeKey, NewKey
from gateway.accounts.tenancy import members_store
from gateway.accounts.tenancy.people_store import DEFAULT_PROJECT, User, find_user
from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.accounts.tenancy.sessions import Person
from gateway.db import Database
from gateway.errors import shown

MAX_KEYS = 1_000
MAX_OVERLAP_S = 30 * 86_400
_NS_PER_S = 1_000_000_000


class Maker(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes or changes a key: exactly one of the two is there."""

    person: Person | None = None
    key: KeyRecord | None = None


class KeyEdit(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be changed of a key; None takes a bound away."""

    name: str | UnsetType = UNSET
    allowed_models: frozenset[str] | UnsetType | None = UNSET
    expires_ns: int | UnsetType | None = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    requests_per_minute: int | UnsetType | None = UNSET
    tokens_per_minute: int | UnsetType | None = UNSET
    max_concurrent: int | UnsetType | None = UNSET
    cache: KeyCache | UnsetType | None = UNSET


class FreshKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was just made; the only value that ever holds its text."""

    key: str
    detail: KeyDetail


class RotatedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that takes over, and the moment at which the one before it ends."""

    fresh: FreshKey
    old_ends_ns: int


class ProjectKeys:
    """The keys of every project. ``follow`` has this process honour a change at once."""

    def __init__(self, database: Database, digester: KeyDigester, follow: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._digester = digester
        self._follow = follow

    async def list_keys(self, project_id: str) -> list[KeyDetail]:
        """List a project's keys, oldest first; revoked ones are not told."""
        async with self._database.read() as connection:
            return await keys_store.list_keys(connection, project_id)

    async def find_maker(self, key_id: str) -> User:
        """Tell which person made a key. Raises Refusal where none did."""
        async with self._database.read() as connection:
            user_id = await keys_store.find_maker(connection, key_id)
            if user_id is None:
                raise Refusal(
                    RefusalKind.NOT_FOUND, "this key stands for no person: one of POST /api/v1/auth/apikey does"
                )
            return await find_user(connection, user_id)

    async def create(self, maker: Maker, project_id: str, wish: KeyWish, occasion: Occasion) -> FreshKey:
        """Make a key of a project. Raises Refusal."""
        async with self._database.write() as connection:
            fresh = await self.insert(connection, maker, project_id, wish, occasion)
        await self._follow()
        return fresh

    async def insert(
        self, connection: AsyncConnection, maker: Maker, project_id: str, wish: KeyWish, occasion: Occasion
    ) -> FreshKey:
        """Make a key inside the caller's transaction. Raises Refusal."""
        rights = await _find_rights(connection, maker, occasion)
        granted = grant(wish, rights, occasion.now_ns)
        await require_project(connection, project_id)
        new_key = NewKey(
            project_id=project_id,
            issuer=wish.issuer,
            name=wish.name,
            cache=wish.cache,
            made_by=rights.maker_id,
            **msgspec.structs.asdict(granted),
        )
        return await self._insert(connection, new_key, "key.create", occasion)

    async def create_account_key(
        self, person: Person, name: str, expires_ns: int | None, occasion: Occasion
    ) -> FreshKey:
        """Make a key that acts for the person on their whole account, in its project ``Default``. Raises Refusal."""
        wish = KeyWish(name=name, issuer="ak", expires_ns=expires_ns)
        async with self._database.write() as connection:
            rights = await _find_rights(connection, Maker(person=person), occasion)
            granted = grant(wish, rights, occasion.now_ns)
            project_id = await _find_default(connection, person.account_id, occasion.now_ns)
            new_key = NewKey(
                project_id=project_id,
                issuer=wish.issuer,
                name=name,
                is_account_wide=True,
                made_by=person.user_id,
                **msgspec.structs.asdict(granted),
            )
            fresh = await self._insert(connection, new_key, "key.create", occasion)
        await self._follow()
        return fresh

    async def change(self, maker: Maker, project_id: str, key_id: str, edit: KeyEdit, occasion: Occasion) -> KeyDetail:
        """Change a key's name, models, life, tags, limits or wishes of the cache. Raises Refusal."""
        changes = {name: value for name, value in msgspec.structs.asdict(edit).items() if value is not UNSET}
        async with self._database.write() as connection:
            rights = await _find_rights(connection, maker, occasion)
            found = await _find_changeable(connection, rights, project_id, key_id)
            changed = _with_limits(msgspec.structs.replace(found, **changes), maker, changes)
            if edit.expires_ns is not UNSET and edit.expires_ns is not None and edit.expires_ns <= occasion.now_ns:
                raise Refusal(RefusalKind.INVALID, "the moment of expiry is over: revoke the key instead", "expires_at")
            require_models(changed.allowed_models if "allowed_models" in changes else None)
            require_within(_grant_of(changed), rights)
            if edit.expires_ns is not UNSET:
                await _require_within_life(connection, changed)
            revision = await store.take_revision(connection)
            await keys_store.update_key(connection, changed, revision)
            await note(connection, occasion, "key.change", key_id, ", ".join(sorted(changes)))
            await follow_key(connection, found, changed, revision, occasion)
        await self._follow()
        return changed

    async def rotate(
        self, maker: Maker, project_id: str, key_id: str, overlap_s: int, occasion: Occasion
    ) -> RotatedKey:
        """Make a key with the same rights, and let the old one end after ``overlap_s``. Raises Refusal."""
        if not 0 <= overlap_s <= MAX_OVERLAP_S:
            raise Refusal(RefusalKind.INVALID, f"overlap_s is {overlap_s}, not 0 to {MAX_OVERLAP_S}", "overlap_s")
        async with self._database.write() as connection:
            rights = await _find_rights(connection, maker, occasion)
            await require_project(connection, project_id)
            old = await _find_changeable(connection, rights, project_id, key_id)
            await _require_rotatable(connection, old, occasion.now_ns)
            require_within(_grant_of(old), rights)
            new_key = NewKey(
                project_id=project_id,
                issuer=old.issuer,
                name=old.name,
                cache=old.cache,
                is_account_wide=old.is_account_wide,
                # A key that renews itself is one key still: revoking what it was must not end what it became. Whoever
                # renews another's key knows the new one, which ends with them.
                made_by=old.made_by if rights.maker_id == key_id else rights.maker_id,
                replaces=key_id,
                **msgspec.structs.asdict(_grant_of(old)),
            )
            fresh = await self._insert(connection, new_key, "key.rotate", occasion)
            ends_ns = occasion.now_ns + overlap_s * _NS_PER_S
            ends_ns = min(ends_ns, old.expires_ns or ends_ns)
            ending = msgspec.structs.replace(old, expires_ns=ends_ns)
            revision = await store.take_revision(connection)
            await keys_store.update_key(connection, ending, revision)
            await follow_key(connection, old, ending, revision, occasion)
        await self._follow()
        return RotatedKey(fresh=fresh, old_ends_ns=ends_ns)

    async def revoke(self, maker: Maker, project_id: str, key_id: str, occasion: Occasion) -> None:
        """Revoke a key, and the keys that it made. Raises Refusal."""
        async with self._database.write() as connection:
            rights = await _find_rights(connection, maker, occasion)
            found = await keys_store.find_key(connection, project_id, key_id)
            if found is None:
                raise _unknown(key_id)
            require_own(found.made_by, rights)
            made = await keys_store.list_made_by(connection, occasion.account_id, key_id)
            ended = [key_id, *(key.key_id for key in made)]
            await keys_store.revoke_keys(connection, ended, occasion.now_ns, await store.take_revision(connection))
            for ended_id in ended:
                await note(connection, occasion, "key.revoke", ended_id)
        await self._follow()

    async def _insert(self, connection: AsyncConnection, new_key: NewKey, action: str, occasion: Occasion) -> FreshKey:
        beyond = await keys_store.count_keys(connection, new_key.project_id) + 1 - MAX_KEYS
        # Keys that are over make room: who rotates theirs for ever is never told that there are too many.
        if beyond > 0 and beyond != await keys_store.clear_ended(
            connection, occasion.now_ns, beyond, occasion.now_ns, new_key.project_id
        ):
            raise Refusal(RefusalKind.CONFLICT, f"the project has {MAX_KEYS} keys: revoke those that nobody uses")
        made: MadeKey = await store.insert_key(connection, self._digester, new_key, occasion.now_ns)
        detail = await keys_store.find_key(connection, new_key.project_id, made.key_id)
        assert detail is not None, "it was inserted"  # noqa: S101 - for the type checkers
        told = " ".join(sorted(detail.scopes)) if new_key.replaces is None else f"replaces {new_key.replaces}"
        await note(connection, occasion, action, made.key_id, told)
        return FreshKey(key=made.key, detail=detail)


async def require_project(connection: AsyncConnection, project_id: str) -> None:
    """Keep the project from being deleted until the commit; raises Refusal where it was."""
    if not await projects_store.lock_project(connection, project_id):
        raise Refusal(RefusalKind.NOT_FOUND, f"there is no project {shown(project_id)} of yours")


async def _find_rights(connection: AsyncConnection, maker: Maker, occasion: Occasion) -> Rights:
    """What the maker may at this moment. Raises Refusal."""
    # Before the maker is looked at: whoever revokes it, or changes its role, comes before or after this transaction.
    await store.take_revision(connection)
    if maker.key is not None:
        return rights_of_key(await _find_maker(connection, maker.key, occasion.now_ns))
    person = maker.person
    assert person is not None, "a maker is one of the two"  # noqa: S101 - for the type checkers
    if occasion.account_id is None:
        # The operator's own projects have no members.
        return rights_of_person(person.user_id, "owner")
    role = await members_store.find_role(connection, occasion.account_id, person.user_id)
    if role is None:
        raise Refusal(RefusalKind.NOT_FOUND, f"there is no account {shown(occasion.account_id)} of yours")
    return rights_of_person(person.user_id, role)


async def _find_maker(connection: AsyncConnection, believed: KeyRecord, now_ns: int) -> KeyRecord:
    """A key that makes others as it is now: this process may not have heard yet that it may less, or has ended."""
    found = await keys_store.find_active(connection, believed.key_id)
    if found is None:
        raise Refusal(RefusalKind.NOT_ALLOWED, "the key that asks for this was revoked a moment ago")
    if found.expires_ns is not None and found.expires_ns <= now_ns:
        raise Refusal(RefusalKind.NOT_ALLOWED, "the key that asks for this has expired a moment ago")
    if "admin" not in found.scopes:
        raise Refusal(RefusalKind.NOT_ALLOWED, "the key that asks for this has lost the scope 'admin' a moment ago")
    return msgspec.structs.replace(believed, **msgspec.structs.asdict(_grant_of(found)))


async def _require_within_life(connection: AsyncConnection, key: KeyDetail) -> None:
    """Refuse to let a key outlive the key that made it, whoever asks for it."""
    ends_ns = await keys_store.read_end(connection, key.made_by)
    if ends_ns is not None and (key.expires_ns is None or key.expires_ns > ends_ns):
        raise Refusal(
            RefusalKind.INVALID,
            f"the key {key.made_by!r} made this one and ends before that: give a moment until then, or make a new key",
            "expires_at",
        )


async def _find_changeable(connection: AsyncConnection, rights: Rights, project_id: str, key_id: str) -> KeyDetail:
    found = await keys_store.find_key(connection, project_id, key_id)
    if found is None:
        raise _unknown(key_id)
    require_own(found.made_by, rights)
    return found


async def _require_rotatable(connection: AsyncConnection, old: KeyDetail, now_ns: int) -> None:
    if old.expires_ns is not None and old.expires_ns <= now_ns:
        raise Refusal(RefusalKind.CONFLICT, "the key has expired: make a new one")
    successor = await keys_store.find_successor(connection, old.key_id)
    if successor is not None:
        raise Refusal(RefusalKind.CONFLICT, f"the key was rotated already: rotate {successor!r}, which replaces it")


async def _find_default(connection: AsyncConnection, account_id: str, now_ns: int) -> str:
    """The account's project ``Default``, made anew where it was deleted."""
    made = await store.insert_project(connection, account_id, DEFAULT_PROJECT, None, now_ns)
    if made is not None:
        return made.project_id
    return await projects_store.find_by_name(connection, account_id, DEFAULT_PROJECT)


def _with_limits(key: KeyDetail, maker: Maker, changes: Collection[str]) -> KeyDetail:
    """A limit that a person sets is the key's own, whatever made it; one that a key sets stays in its maker's."""
    if maker.key is not None or key.limits_in is None:
        return key
    shared = {name: key_id for name, key_id in key.limits_in.items() if name not in changes}
    return msgspec.structs.replace(key, limits_in=shared or None)


def _grant_of(key: KeyDetail) -> KeyGrant:
    return msgspec.convert(key, KeyGrant, from_attributes=True)


def _unknown(key_id: str) -> Refusal:
    return Refusal(RefusalKind.NOT_FOUND, f"there is no key {shown(key_id)} in this project", "key_id")
