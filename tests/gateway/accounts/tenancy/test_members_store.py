"""Members and invitations in the database."""

import asyncio

import pytest
from households import NOW_NS, House
from msgspec.structs import replace

from gateway.accounts.tenancy import members_store
from gateway.accounts.tenancy.members_store import Invitation
from gateway.accounts.tenancy.people import SignedIn
from gateway.db import Database

DIGEST = bytes(32)


@pytest.fixture
async def ada(house: House) -> SignedIn:
    """An owner."""
    return await house.register("ada")


def make_invitation(ada: SignedIn, name: str = "bob") -> Invitation:
    """Describe an invitation that is open for 10 ns."""
    return Invitation(
        invitation_id=f"inv_{name}",
        account_id=ada.person.account_id,
        email=f"{name}@example.com",
        role="member",
        invited_by=ada.person.user_id,
        created_ns=NOW_NS,
        expires_ns=NOW_NS + 10,
    )


async def test_a_member_is_added_once(database: Database, house: House, ada: SignedIn) -> None:
    """Adding again does not change the role."""
    bob, account_id = await house.register("bob"), ada.person.account_id
    async with database.write() as connection:
        assert await members_store.find_role(connection, account_id, bob.person.user_id) is None
        assert await members_store.insert_member(connection, account_id, bob.person.user_id, "viewer", NOW_NS + 1)
        assert not await members_store.insert_member(connection, account_id, bob.person.user_id, "owner", NOW_NS + 2)
        assert await members_store.find_role(connection, account_id, bob.person.user_id) == "viewer"
        assert await members_store.count_owners(connection, account_id) == 1
        listed = await members_store.list_members(connection, account_id)
    assert [(one.full_name, one.email, one.role, one.joined_ns) for one in listed] == [
        ("ada", "ada@example.com", "owner", NOW_NS),
        ("bob", "bob@example.com", "viewer", NOW_NS + 1),
    ]


async def test_a_member_is_known_by_any_spelling(database: Database, ada: SignedIn) -> None:
    """Of the address."""
    async with database.read() as connection:
        assert await members_store.has_member(connection, ada.person.account_id, "ADA@example.com")
        assert not await members_store.has_member(connection, ada.person.account_id, "bob@example.com")
        assert not await members_store.has_member(connection, "acct_other", "ada@example.com")


async def test_an_invitation_is_listed_while_it_is_open(database: Database, ada: SignedIn) -> None:
    """To the nanosecond."""
    invitation = make_invitation(ada)
    async with database.write() as connection:
        await members_store.put_invitation(connection, invitation, DIGEST)
        account_id = ada.person.account_id
        assert await members_store.list_invitations(connection, account_id, NOW_NS + 9) == [invitation]
        assert await members_store.list_invitations(connection, account_id, NOW_NS + 10) == []


async def test_a_second_invitation_takes_the_place_of_the_first(database: Database, ada: SignedIn) -> None:
    """Whose token is then worthless; other people's stay."""
    first, other = make_invitation(ada), make_invitation(ada, "eve")
    second = replace(first, invitation_id="inv_2", email="BOB@example.com", role="viewer")
    async with database.write() as connection:
        await members_store.put_invitation(connection, first, DIGEST)
        await members_store.put_invitation(connection, other, b"other")
        await members_store.put_invitation(connection, second, b"second")
        listed = await members_store.list_invitations(connection, ada.person.account_id, NOW_NS)
        assert sorted(one.invitation_id for one in listed) == ["inv_2", "inv_eve"]
        assert await members_store.take_invitation(connection, DIGEST, first.email, NOW_NS) is None
        assert await members_store.take_invitation(connection, b"second", first.email, NOW_NS) == second


@pytest.mark.parametrize(
    ("digest", "email", "passed_ns"),
    [(b"other", "bob@example.com", 0), (DIGEST, "eve@example.com", 0), (DIGEST, "bob@example.com", 10)],
    ids=["token", "address", "over"],
)
async def test_what_does_not_fit_takes_nothing(
    digest: bytes, email: str, passed_ns: int, database: Database, ada: SignedIn
) -> None:
    """And the invitation stays."""
    async with database.write() as connection:
        await members_store.put_invitation(connection, make_invitation(ada), DIGEST)
        assert await members_store.take_invitation(connection, digest, email, NOW_NS + passed_ns) is None
        assert await members_store.take_invitation(connection, DIGEST, "Bob@Example.com", NOW_NS + 9) is not None


async def test_an_invitation_is_used_once(database: Database, ada: SignedIn) -> None:
    """However many try at once."""
    async with database.write() as connection:
        await members_store.put_invitation(connection, make_invitation(ada), DIGEST)

    async def take() -> bool:
        async with database.write() as connection:
            return await members_store.take_invitation(connection, DIGEST, "bob@example.com", NOW_NS) is not None

    assert sum(await asyncio.gather(*(take() for _ in range(5)))) == 1


async def test_an_invitation_is_withdrawn_once(database: Database, ada: SignedIn) -> None:
    """By a member of its own account."""
    async with database.write() as connection:
        await members_store.put_invitation(connection, make_invitation(ada), DIGEST)
        assert not await members_store.delete_invitation(connection, "acct_other", "inv_bob")
        assert await members_store.delete_invitation(connection, ada.person.account_id, "inv_bob")
        assert not await members_store.delete_invitation(connection, ada.person.account_id, "inv_bob")


async def test_invitations_that_are_over_are_deleted(database: Database, ada: SignedIn) -> None:
    """And those that are open stay."""
    invitation = make_invitation(ada)
    async with database.write() as connection:
        await members_store.put_invitation(connection, invitation, DIGEST)
        assert await members_store.purge_invitations(connection, invitation.expires_ns, 10) == 0
        assert await members_store.purge_invitations(connection, invitation.expires_ns + 1, 10) == 1
