"""Users and accounts in the database."""

import asyncio

import msgspec
import pytest
from households import NOW_NS
from sqlalchemy import text

from gateway.accounts.tenancy import members_store, people_store
from gateway.accounts.tenancy.people_store import User
from gateway.accounts.tenancy.refusals import Refusal
from gateway.config.secret import Secret
from gateway.db import Database
from gateway.ids import parse_id

HASH = Secret("$argon2id$secret")


def make_user(name: str, email: str = "", username: str | None = None) -> User:
    """Describe a person."""
    email = email or f"{name}@example.com"
    return User(user_id=f"user_{name}", email=email, username=username, full_name=name, created_ns=NOW_NS)


async def insert(database: Database, *users: User) -> None:
    """Add people, each in a transaction."""
    for user in users:
        async with database.write() as connection:
            await people_store.insert_user(connection, user, HASH)


async def test_a_person_is_read_as_they_were_written(database: Database) -> None:
    """Names keep their spelling."""
    user = make_user("ada", "Ada@Example.com", "Ada_L")
    await insert(database, user)
    async with database.read() as connection:
        assert await people_store.find_user(connection, "user_ada") == user


async def test_a_taken_address_is_told_in_any_spelling(database: Database) -> None:
    """And nothing else, not even that the username is taken as well."""
    await insert(database, make_user("ada", "Ada@Example.com", "ada"))
    with pytest.raises(Refusal, match=r"^'ada@EXAMPLE.com' is taken: sign in, or use another address$") as caught:
        await insert(database, make_user("eve", "ada@EXAMPLE.com", "ADA"))
    assert caught.value.param == "email"


async def test_a_taken_username_is_told_in_any_spelling(database: Database) -> None:
    """Having none collides with nobody."""
    await insert(database, make_user("ada", username="Finn"), make_user("bob"), make_user("eve"))
    with pytest.raises(Refusal, match="'ﬁnn' is taken: choose another username") as caught:
        await insert(database, make_user("mallory", username="ﬁnn"))
    assert caught.value.param == "username"


async def test_a_credential_is_found_in_any_spelling(database: Database) -> None:
    """Who belongs to no account has one without."""
    await insert(database, make_user("ada", "Straße@Example.com"))
    async with database.read() as connection:
        found = await people_store.find_credential_by_email(connection, " STRASSE@example.COM")
        assert found == await people_store.find_credential(connection, "user_ada")
        assert await people_store.find_credential_by_email(connection, "nobody@example.com") is None
    assert found is not None
    assert (found.user_id, found.account_id, found.password_hash, found.password_version) == ("user_ada", None, HASH, 1)
    assert "argon2" not in repr(found)


async def test_home_is_where_the_person_was_last(database: Database) -> None:
    """Else the account that they joined first; one that they have left is none."""
    await insert(database, make_user("ada"))
    async with database.write() as connection:
        accounts = [await people_store.insert_account(connection, name, NOW_NS) for name in "abc"]
        for joined_ns, account_id in enumerate(accounts, NOW_NS):
            await members_store.insert_member(connection, account_id, "user_ada", "member", joined_ns)

        async def home() -> str | None:
            return (await people_store.find_credential(connection, "user_ada")).account_id

        assert await home() == accounts[0]
        await people_store.note_sign_in(connection, "user_ada", accounts[2], None, NOW_NS)
        assert await home() == accounts[2]
        await members_store.put_role(connection, accounts[2], "user_ada", None)
        assert await home() == accounts[0]
        listed = await people_store.list_memberships(connection, "user_ada")
    assert [(one.account_id, one.account_name, one.role) for one in listed] == [
        (accounts[0], "a", "member"),
        (accounts[1], "b", "member"),
    ]


async def test_a_changed_password_is_noticed(database: Database) -> None:
    """By a sign-in, by another change and by a renewal that began before it."""
    await insert(database, make_user("ada"))
    fresh = Secret("fresh")
    async with database.write() as connection:
        before = await people_store.find_credential(connection, "user_ada")
        await people_store.renew_hash(connection, before, Secret("renewed"))
        assert await people_store.note_sign_in(connection, "user_ada", "acct", before.password_version, NOW_NS)
        assert await people_store.change_hash(connection, before, fresh)
        assert not await people_store.change_hash(connection, before, Secret("late"))
        await people_store.renew_hash(connection, before, Secret("late"))
        assert not await people_store.note_sign_in(connection, "user_ada", "acct", before.password_version, NOW_NS)
        assert await people_store.note_sign_in(connection, "user_ada", "acct", None, NOW_NS)
        after = await people_store.find_credential(connection, "user_ada")
    assert (after.password_hash, after.password_version) == (fresh, 2)


async def test_an_account_begins_with_a_project(database: Database) -> None:
    """So that nobody has to know the word; each account has its own of that name."""
    async with database.write() as connection:
        accounts = [await people_store.insert_account(connection, "a", NOW_NS) for _ in range(2)]
        rows = (await connection.execute(text("SELECT account_id, name, project_id FROM projects"))).all()
    assert {(row.account_id, row.name) for row in rows} == {(account_id, "Default") for account_id in accounts}
    for spelt, kind in [(accounts[0], "acct"), (rows[0].project_id, "proj")]:
        assert spelt == f"{kind}_{parse_id(spelt)}"


async def test_the_installation_is_claimed_once(database: Database) -> None:
    """Of several at once one person becomes the operator."""
    names = ["ada", "bob", "eve"]
    await insert(database, *map(make_user, names))

    async def claim(name: str) -> bool:
        async with database.write() as connection:
            return await people_store.claim(connection, f"user_{name}", 0, NOW_NS)

    async with database.read() as connection:
        assert not await people_store.has_operator(connection)
    won = await asyncio.gather(*map(claim, names))
    assert won.count(True) == 1
    async with database.read() as connection:
        assert await people_store.has_operator(connection)
        assert [(await people_store.find_user(connection, f"user_{name}")).is_operator for name in names] == won


async def test_a_new_claim_link_replaces_the_one_before(database: Database) -> None:
    """Each has a number and makes one operator more; only the newest has any worth, which people.py sees to."""
    await insert(database, *map(make_user, ["ada", "bob", "eve"]))
    async with database.write() as connection:
        assert await people_store.find_claim_link(connection) == 0
        assert await people_store.claim(connection, "user_ada", 0, NOW_NS)
        assert [await people_store.begin_claim_link(connection) for _ in range(2)] == [1, 2]
        assert await people_store.find_claim_link(connection) == 2
        assert await people_store.claim(connection, "user_bob", 2, NOW_NS)
        assert not await people_store.claim(connection, "user_eve", 2, NOW_NS)


async def test_people_are_listed_by_pages(database: Database) -> None:
    """In the order of their ids, without their passwords."""
    await insert(database, *map(make_user, ["ada", "bob", "eve"]))
    async with database.read() as connection:
        first = await people_store.list_users(connection, "", 2)
        rest = await people_store.list_users(connection, first[-1].user_id, 2)
        assert await people_store.list_users(connection, "\0", 1) == first[:1]
    assert [user.user_id for user in (*first, *rest)] == ["user_ada", "user_bob", "user_eve"]
    assert {user.last_login_ns for user in first} == {None}
    assert not hasattr(first[0], "password_hash")


async def test_an_account_is_changed_and_a_person_renamed(database: Database) -> None:
    """By their ids, and nobody else's."""
    await insert(database, make_user("ada"), make_user("bob"))
    async with database.write() as connection:
        one, other = [await people_store.insert_account(connection, name, NOW_NS) for name in ("one", "other")]
        account = await people_store.find_account(connection, one)
        assert (account.name, account.zone, account.plan) == ("one", "UTC", "free")
        await people_store.change_account(connection, msgspec.structs.replace(account, name="new", zone="Asia/Tokyo"))
        found = [await people_store.find_account(connection, account_id) for account_id in (one, other)]
        await people_store.rename_user(connection, "user_ada", "Ada L.")
        names = [(await people_store.find_user(connection, f"user_{name}")).full_name for name in ("ada", "bob")]
    assert [(each.name, each.zone) for each in found] == [("new", "Asia/Tokyo"), ("other", "UTC")]
    assert (names[0], names[1] == "Ada L.") == ("Ada L.", False)
