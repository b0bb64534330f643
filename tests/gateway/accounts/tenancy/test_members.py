"""Members: who may invite, change and remove whom, and what ends with it."""

import asyncio

import pytest
from households import NOW_NS, ORIGIN, House, refused

from gateway.accounts.tenancy.members import INVITATION_NS, MadeInvitation
from gateway.accounts.tenancy.people import SignedIn
from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.accounts.tenancy.roles import Role
from gateway.config.secret import Secret


@pytest.fixture
async def ada(house: House) -> SignedIn:
    """The owner of the account that the tests are about."""
    return await house.register("ada")


async def invite(
    house: House, host: SignedIn, name: str, role: Role = "member", now_ns: int = NOW_NS
) -> MadeInvitation:
    """Invite somebody."""
    return await house.members.invite(host.person, f"{name}@example.com", role, ORIGIN, now_ns)


async def change(house: House, who: SignedIn, whom: SignedIn, role: Role | None) -> None:
    """Change a role, or remove a member."""
    if role is None:
        await house.members.remove_member(who.person, whom.person.user_id, ORIGIN, NOW_NS)
    else:
        await house.members.change_role(who.person, whom.person.user_id, role, ORIGIN, NOW_NS)


async def list_roles(house: House, who: SignedIn) -> dict[str, str]:
    """List the members' roles by the beginning of their addresses."""
    return {one.email.partition("@")[0]: one.role for one in await house.members.list_members(who.person)}


async def test_who_is_invited_joins(house: House, ada: SignedIn) -> None:
    """With an account of their own already, and then goes there."""
    bob = await house.register("bob")
    made = await invite(house, ada, "BOB", "admin")
    invitation = await house.members.accept_invitation(bob.person, made.token, ORIGIN, NOW_NS)
    assert invitation == made.invitation
    assert await list_roles(house, ada) == {"ada": "owner", "bob": "admin"}
    there = await house.people.switch_account(bob.person, ada.person.account_id, ORIGIN, NOW_NS)
    assert there.person.role == "admin"
    assert await house.list_actions(ada.person.account_id) == [
        "invitation.create",
        "member.join",
        "user.register",
        "user.switch_account",
    ]


async def test_an_invitation_works_once_for_one_person_in_time(house: House, ada: SignedIn) -> None:
    """Whatever does not fit is told in the same words."""
    bob, eve = await house.register("bob"), await house.register("eve")
    made = await invite(house, ada, "bob")
    accept = house.members.accept_invitation
    attempts = [(eve, made.token, 0), (bob, Secret("guess"), 0), (bob, made.token, INVITATION_NS)]
    for who, token, passed_ns in attempts:
        with refused(RefusalKind.INVALID, "unknown, used, over or not for"):
            await accept(who.person, token, ORIGIN, NOW_NS + passed_ns)
    await accept(bob.person, made.token, ORIGIN, NOW_NS + INVITATION_NS - 1)
    with refused(RefusalKind.INVALID):
        await accept(bob.person, made.token, ORIGIN, NOW_NS)


async def test_a_member_is_not_invited_again(house: House, ada: SignedIn) -> None:
    """Nor does an invitation from before change the role."""
    bob = await house.register("bob")
    await house.members.accept_invitation(bob.person, (await invite(house, ada, "bob")).token, ORIGIN, NOW_NS)
    with refused(RefusalKind.CONFLICT, "'Bob@example.com' is a member already"):
        await invite(house, ada, "Bob", "owner")


async def test_an_invitation_is_withdrawn(house: House, ada: SignedIn) -> None:
    """It is listed until then, never with its token."""
    made = await invite(house, ada, "bob")
    listed = await house.members.list_invitations(ada.person, NOW_NS)
    assert listed == [made.invitation]
    assert made.token.reveal() not in f"{listed!r}{made!r}"
    await house.members.withdraw_invitation(ada.person, made.invitation.invitation_id, ORIGIN, NOW_NS)
    assert await house.members.list_invitations(ada.person, NOW_NS) == []
    bob = await house.register("bob")
    with refused(RefusalKind.INVALID):
        await house.members.accept_invitation(bob.person, made.token, ORIGIN, NOW_NS)
    for invitation_id in (made.invitation.invitation_id, "a\x00", "\ud800"):
        with refused(RefusalKind.NOT_FOUND, "there is no open invitation"):
            await house.members.withdraw_invitation(ada.person, invitation_id, ORIGIN, NOW_NS)


async def test_another_account_has_no_invitation_of_ours(house: House, ada: SignedIn) -> None:
    """Its id is guessed in vain."""
    made, bob = await invite(house, ada, "eve"), await house.register("bob")
    with refused(RefusalKind.NOT_FOUND):
        await house.members.withdraw_invitation(bob.person, made.invitation.invitation_id, ORIGIN, NOW_NS)
    assert await house.members.list_invitations(bob.person, NOW_NS) == []


async def test_nobody_grants_more_than_they_have(house: House, ada: SignedIn) -> None:
    """By invitation, by a change of role, or by touching who is above."""
    bob = await house.join(ada, "bob", "admin")
    eve = await house.join(ada, "eve", "member")
    await invite(house, bob, "x", "admin")
    with refused(RefusalKind.NOT_ALLOWED, "the role admin may not give or take the role owner"):
        await invite(house, bob, "x", "owner")
    for whom, role in ((eve, "owner"), (bob, "owner"), (ada, "viewer"), (ada, None)):
        with refused(RefusalKind.NOT_ALLOWED):
            await change(house, bob, whom, role)  # type: ignore[arg-type]
    assert await list_roles(house, ada) == {"ada": "owner", "bob": "admin", "eve": "member"}


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_who_may_not_manage_members_does_not(role: Role, house: House, ada: SignedIn) -> None:
    """They see the members, and may leave."""
    bob, eve = await house.join(ada, "bob", role), await house.join(ada, "eve", "viewer")
    for attempt in (
        invite(house, bob, "x", "viewer"),
        house.members.list_invitations(bob.person, NOW_NS),
        house.members.withdraw_invitation(bob.person, "inv_x", ORIGIN, NOW_NS),
        change(house, bob, eve, None),
    ):
        with refused(RefusalKind.NOT_ALLOWED):
            await attempt
    assert set(await list_roles(house, bob)) == {"ada", "bob", "eve"}
    await change(house, bob, bob, None)
    assert set(await list_roles(house, ada)) == {"ada", "eve"}


async def test_the_role_at_the_moment_counts(house: House, ada: SignedIn) -> None:
    """Not the one that a person came with, nor that of a member who left."""
    bob, eve = await house.join(ada, "bob", "admin"), await house.join(ada, "eve", "admin")
    await change(house, ada, bob, "viewer")
    await change(house, ada, eve, None)
    with refused(RefusalKind.NOT_ALLOWED, "the role viewer may not do this"):
        await invite(house, bob, "x")
    with refused(RefusalKind.NOT_FOUND, "there is no account"):
        await house.members.list_members(eve.person)


async def test_a_change_of_role_ends_the_sessions_there(house: House, ada: SignedIn) -> None:
    """The person signs in to what they may now; a removed one to their own account."""
    bob = await house.join(ada, "bob", "admin")
    await change(house, ada, bob, "viewer")
    assert not await house.is_open(bob)
    again = await house.login("bob@example.com")
    assert (again.person.account_id, again.person.role) == (ada.person.account_id, "viewer")
    await change(house, ada, bob, None)
    assert not await house.is_open(again)
    home = await house.login("bob@example.com")
    assert (home.person.account_id != ada.person.account_id, home.person.role) == (True, "owner")
    actions = await house.list_actions(ada.person.account_id)
    assert [action for action in actions if action.startswith("member.")] == [
        "member.change_role",
        "member.join",
        "member.remove",
    ]


async def test_invitations_end_with_the_role_of_who_made_them(house: House, ada: SignedIn) -> None:
    """Else a removed admin would come back by a friend."""
    bob = await house.join(ada, "bob", "admin")
    made = await invite(house, bob, "eve", "admin")
    await change(house, ada, bob, "viewer")
    eve = await house.register("eve")
    with refused(RefusalKind.INVALID):
        await house.members.accept_invitation(eve.person, made.token, ORIGIN, NOW_NS)


@pytest.mark.parametrize("role", ["admin", "viewer", None])
async def test_the_last_owner_stays(role: Role | None, house: House, ada: SignedIn) -> None:
    """Until somebody else is owner too."""
    bob = await house.join(ada, "bob", "admin")
    with refused(RefusalKind.LAST_OWNER, "make another member owner first"):
        await change(house, ada, ada, role)
    await change(house, ada, bob, "owner")
    await change(house, ada, ada, role)
    assert await list_roles(house, bob) == {"bob": "owner", **({"ada": role} if role else {})}


async def test_of_owners_who_leave_at_once_one_stays(hosts: list[House]) -> None:
    """On two hosts; an account without an owner could never be managed again."""
    house = hosts[0]
    ada = await house.register("ada")
    owners = [ada, *[await house.join(ada, name, "owner") for name in ("bob", "eve", "kim")]]
    attempts = [change(hosts[number % 2], one, one, None) for number, one in enumerate(owners)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert results.count(None) == 3
    (left,) = (one for one, result in zip(owners, results, strict=True) if isinstance(result, Refusal))
    assert list((await list_roles(house, left)).values()) == ["owner"]


async def test_an_invitation_is_used_once_however_many_try(hosts: list[House]) -> None:
    """On two hosts; who comes late is told."""
    ada, bob = await hosts[0].register("ada"), await hosts[0].register("bob")
    token = (await invite(hosts[0], ada, "bob")).token
    attempts = [hosts[n % 2].members.accept_invitation(bob.person, token, ORIGIN, NOW_NS) for n in range(6)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert {result.kind for result in results if isinstance(result, Refusal)} == {RefusalKind.INVALID}
    assert sum(not isinstance(result, Refusal) for result in results) == 1


async def test_who_is_no_member_is_not_to_be_found(house: House, ada: SignedIn) -> None:
    """Whether the person exists or not."""
    bob = await house.register("bob")
    for user_id in (bob.person.user_id, "user_x", "a\x00", "\ud800"):
        with refused(RefusalKind.NOT_FOUND, "there is no member"):
            await house.members.change_role(ada.person, user_id, "viewer", ORIGIN, NOW_NS)


async def test_a_role_that_one_has_is_not_given_again(house: House, ada: SignedIn) -> None:
    """Their sessions need not end for it."""
    bob = await house.join(ada, "bob", "viewer")
    with refused(RefusalKind.CONFLICT, "is viewer already"):
        await change(house, ada, bob, "viewer")
    assert await house.is_open(bob)


async def test_an_address_is_checked_before_it_is_invited(house: House, ada: SignedIn) -> None:
    """It will be the To of a mail."""
    with refused(RefusalKind.INVALID, "is no e-mail address"):
        await house.members.invite(ada.person, "bob\r\nBcc: eve@example.com", "viewer", ORIGIN, NOW_NS)
