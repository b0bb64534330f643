"""The SQL of a project's keys."""

import msgspec
from households import NOW_NS
from keyrings import Ring

from gateway.accounts import store
from gateway.accounts.keyring import keys_store
from gateway.accounts.keyring.project_keys import Maker
from gateway.accounts.keys import KeyCache


async def test_what_is_changed_is_read_again(ring: Ring) -> None:
    """Each column, on each kind of database; the rest of the key stays as it is."""
    detail = (await ring.create(name="a")).detail
    changed = msgspec.structs.replace(
        detail,
        name="b",
        scopes=frozenset({"data"}),
        allowed_models=frozenset({"x", "y"}),
        tags=("t",),
        requests_per_minute=1,
        tokens_per_minute=2,
        max_concurrent=3,
        cache=KeyCache(mode="off", ttl_s=4, max_wrong_rate=0.05),
        expires_ns=NOW_NS + 4,
        is_managing=True,
    )
    async with ring.database.write() as connection:
        await keys_store.update_key(connection, changed, await store.take_revision(connection))
        assert await keys_store.find_key(connection, ring.project_id, detail.key_id) == changed
        assert await keys_store.find_key(connection, "proj_other", detail.key_id) is None


async def test_a_revoked_key_is_neither_found_nor_counted(ring: Ring) -> None:
    """Its row stays, for its usage."""
    first, second = (await ring.create()).detail, (await ring.create()).detail
    async with ring.database.write() as connection:
        assert await keys_store.count_keys(connection, ring.project_id) == 2
        revision = await store.take_revision(connection)
        await keys_store.revoke_keys(connection, [first.key_id], NOW_NS, revision)
        assert await keys_store.count_keys(connection, ring.project_id) == 1
        assert [key.key_id for key in await keys_store.list_keys(connection, ring.project_id)] == [second.key_id]
        assert await keys_store.find_active(connection, first.key_id) is None
        assert await keys_store.find_active(connection, second.key_id) == second
    assert {key.revoked_ns for key in await store.list_keys(ring.database)} == {NOW_NS, None}


async def test_what_a_maker_made_is_found_to_the_last(ring: Ring) -> None:
    """Through the keys in between, however many; of no other account, and nothing that is revoked."""
    makers = [ring.by()]
    made: list[str] = []
    for _ in range(3):
        fresh = await ring.create(makers[-1], scopes=frozenset({"admin"}))
        makers.append(Maker(key=ring.record(fresh)))
        made.append(fresh.detail.key_id)
    async with ring.database.read() as connection:

        async def list_made_by(account_id: str | None, maker_id: str) -> set[str]:
            return {key.key_id for key in await keys_store.list_made_by(connection, account_id, maker_id)}

        assert await list_made_by(ring.account_id, ring.owner.person.user_id) == set(made)
        assert await list_made_by(ring.account_id, made[0]) == set(made[1:])
        assert await list_made_by("acct_other", ring.owner.person.user_id) == set()
        assert await list_made_by(None, made[0]) == set()


async def test_a_maker_that_is_a_person_is_told(ring: Ring) -> None:
    """A key's and the command line's is none."""
    fresh = await ring.create()
    async with ring.database.read() as connection:
        assert await keys_store.find_maker(connection, fresh.detail.key_id) == ring.owner.person.user_id
        assert await keys_store.find_maker(connection, "key_nothing") is None
        assert await keys_store.find_successor(connection, fresh.detail.key_id) is None
