"""What people do with the members of their account: invite, join, list, change roles, remove.

The role that counts is the one in the database at the moment of the change, not the one that the person came with.

Failure behavior: raises Refusal where a rule forbids it and DatabaseUnavailable as gateway.db does; nothing is then
changed.
"""

from collections.abc import Awaitable, Callable

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts.audit import Actor, Deed, Occasion, append_entry
from gateway.accounts.keyring.following import follow_role
from gateway.accounts.tenancy import members_store
from gateway.accounts.tenancy.members_store import Invitation, Member
from gateway.accounts.tenancy.names import check_email
from gateway.accounts.tenancy.people_store import User, find_user
from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.accounts.tenancy.roles import Permission, Role, find_obstacle, may, may_grant
from gateway.accounts.tenancy.sessions import Person, end_sessions
from gateway.accounts.tenancy.tokens import digest_opaque_token, make_opaque_token
from gateway.config.secret import Secret
from gateway.db import Database
from gateway.errors import shown
from gateway.ids import new_id

INVITATION_NS = 7 * 86_400 * 1_000_000_000


class MadeInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh invitation; the only value that ever holds its token, for the link that the invited person gets."""

    invitation: Invitation
    token: Secret


class Members:
    """The members of every account. ``follow`` has this process honour a change of their keys at once."""

    def __init__(self, database: Database, follow: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._follow = follow

    async def invite(self, person: Person, email: str, role: Role, origin: str, now_ns: int) -> MadeInvitation:
        """Invite somebody to the person's account; an earlier invitation of theirs ends. Valid for 7 days, once.

        Whether the address belongs to anybody is not told, unless they are a member already. Raises Refusal.
        """
        token = make_opaque_token()
        invitation = Invitation(
            invitation_id=f"inv_{new_id(now_ns)}",
            account_id=person.account_id,
            email=check_email(email),
            role=role,
            invited_by=person.user_id,
            created_ns=now_ns,
            expires_ns=now_ns + INVITATION_NS,
        )
        async with self._database.write() as connection:
            actor_role = await require_permission(connection, person, "members")
            if not may_grant(actor_role, role):
                raise _refuse_role(actor_role, role)
            if await members_store.has_member(connection, person.account_id, invitation.email):
                message = f"{shown(invitation.email)} is a member already: change their role"
                raise Refusal(RefusalKind.CONFLICT, message, "email")
            await members_store.put_invitation(connection, invitation, digest_opaque_token(token))
            deed = _deed(person, "invitation.create", invitation.invitation_id, role)
            await append_entry(connection, _actor(person, origin), deed, now_ns)
        return MadeInvitation(invitation=invitation, token=token)

    async def list_invitations(self, person: Person, now_ns: int) -> list[Invitation]:
        """List the open invitations to the person's account. Raises Refusal."""
        async with self._database.read() as connection:
            await require_permission(connection, person, "members", is_change=False)
            return await members_store.list_invitations(connection, person.account_id, now_ns)

    async def withdraw_invitation(self, person: Person, invitation_id: str, origin: str, now_ns: int) -> None:
        """Make an invitation worthless. Raises Refusal."""
        async with self._database.write() as connection:
            await require_permission(connection, person, "members")
            if not await members_store.delete_invitation(connection, person.account_id, invitation_id):
                raise Refusal(RefusalKind.NOT_FOUND, f"there is no open invitation {shown(invitation_id)}")
            deed = _deed(person, "invitation.withdraw", invitation_id)
            await append_entry(connection, _actor(person, origin), deed, now_ns)

    async def accept_invitation(self, person: Person, token: Secret, origin: str, now_ns: int) -> Invitation:
        """Join the account that the person was invited to; People.switch_account then goes there. Raises Refusal."""
        async with self._database.write() as connection:
            user = await find_user(connection, person.user_id)
            return await join(connection, user, token, "token", origin, now_ns)

    async def list_members(self, person: Person) -> list[Member]:
        """List the members of the person's account. Raises Refusal."""
        async with self._database.read() as connection:
            await require_permission(connection, person, "account:read", is_change=False)
            return await members_store.list_members(connection, person.account_id)

    async def change_role(self, person: Person, user_id: str, role: Role, origin: str, now_ns: int) -> None:
        """Give a member of the person's account another role; their sessions there end, and the keys that they made
        may no more than they may. Raises Refusal.
        """
        async with self._database.write() as connection:
            await _change(connection, person, user_id, role, now_ns)
            await follow_role(connection, user_id, role, _occasion(person, origin, now_ns))
            deed = _deed(person, "member.change_role", user_id, role)
            await append_entry(connection, _actor(person, origin), deed, now_ns)
        await self._follow()

    async def remove_member(self, person: Person, user_id: str, origin: str, now_ns: int) -> None:
        """Remove a member from the person's account, or leave it; their sessions there end, and the keys that they
        made. Raises Refusal.
        """
        async with self._database.write() as connection:
            await _change(connection, person, user_id, None, now_ns)
            await follow_role(connection, user_id, None, _occasion(person, origin, now_ns))
            deed = _deed(person, "member.remove", user_id)
            await append_entry(connection, _actor(person, origin), deed, now_ns)
        await self._follow()


async def join(  # noqa: PLR0913, PLR0917 - who joins by what, and when and from where
    connection: AsyncConnection, user: User, token: Secret, param: str, origin: str, now_ns: int
) -> Invitation:
    """Use an invitation up for a person, inside the caller's transaction; ``param`` is where the token was given.

    Raises Refusal.
    """
    invitation = await members_store.take_invitation(connection, digest_opaque_token(token), user.email, now_ns)
    if invitation is None:
        raise Refusal(
            RefusalKind.INVALID,
            f"the invitation is unknown, used, over or not for {shown(user.email)}: ask for a new one",
            param,
        )
    if not await members_store.insert_member(connection, invitation.account_id, user.user_id, invitation.role, now_ns):
        raise Refusal(RefusalKind.CONFLICT, "the invitation is to an account that you are a member of already")
    actor = Actor(kind="user", actor_id=user.user_id, origin=origin)
    account_id, role = invitation.account_id, invitation.role
    deed = Deed(account_id=account_id, action="member.join", object_id=user.user_id, detail=role)
    await append_entry(connection, actor, deed, now_ns)
    return invitation


async def _change(connection: AsyncConnection, person: Person, user_id: str, wanted: Role | None, now_ns: int) -> None:
    actor_role = await require_permission(connection, person, "account:read")
    current = await members_store.find_role(connection, person.account_id, user_id)
    if current is None:
        raise Refusal(RefusalKind.NOT_FOUND, f"there is no member {shown(user_id)} in this account")
    if current == wanted:
        raise Refusal(RefusalKind.CONFLICT, f"the member is {wanted} already", "role")
    owners = await members_store.count_owners(connection, person.account_id)
    is_self = user_id == person.user_id
    obstacle = find_obstacle(actor_role, current, wanted, is_self=is_self, owners=owners)
    if obstacle is RefusalKind.LAST_OWNER:
        raise Refusal(obstacle, "this is the account's last owner: make another member owner first")
    if obstacle is not None:
        raise _refuse_role(actor_role, wanted or current)
    await members_store.put_role(connection, person.account_id, user_id, wanted)
    await end_sessions(connection, user_id, person.account_id, now_ns)


async def require_permission(
    connection: AsyncConnection, person: Person, permission: Permission, *, is_change: bool = True
) -> Role:
    """Read the person's role as it is, for a change under the account's lock. Raises Refusal without permission."""
    if is_change:
        await members_store.lock_account(connection, person.account_id)
    role = await members_store.find_role(connection, person.account_id, person.user_id)
    if role is None:
        raise Refusal(RefusalKind.NOT_FOUND, f"there is no account {shown(person.account_id)} of yours")
    if not may(role, permission):
        raise Refusal(
            RefusalKind.NOT_ALLOWED, f"the role {role} may not do this ({permission}): ask an owner of the account"
        )
    return role


def _refuse_role(actor: Role, concerned: Role) -> Refusal:
    return Refusal(
        RefusalKind.NOT_ALLOWED, f"the role {actor} may not give or take the role {concerned}: ask an owner", "role"
    )


def _actor(person: Person, origin: str) -> Actor:
    return Actor(kind="user", actor_id=person.user_id, origin=origin)


def _occasion(person: Person, origin: str, now_ns: int) -> Occasion:
    return Occasion(actor=_actor(person, origin), account_id=person.account_id, now_ns=now_ns)


def _deed(person: Person, action: str, object_id: str, detail: str = "") -> Deed:
    return Deed(account_id=person.account_id, action=action, object_id=object_id, detail=detail)
