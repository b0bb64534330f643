"""The SQL of members and invitations.

Failure behavior: raises DatabaseUnavailable as gateway.db does. Everything happens inside the caller's transaction.
"""

from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts.tenancy.names import fold, to_searchable
from gateway.accounts.tenancy.roles import Role

# Changes of an account's members wait for each other here: of two last owners who leave at once one stays.
_LOCK_ACCOUNT = text("UPDATE accounts SET name = name WHERE account_id = :account_id")
_INSERT_MEMBER = text(
    "INSERT INTO members (account_id, user_id, role, joined_ns) VALUES (:account_id, :user_id, :role, :joined_ns) "
    "ON CONFLICT DO NOTHING"
)
_FIND_ROLE = text("SELECT role FROM members WHERE account_id = :account_id AND user_id = :user_id")
_COUNT_OWNERS = text("SELECT COUNT(*) FROM members WHERE account_id = :account_id AND role = 'owner'")
_CHANGE_ROLE = text("UPDATE members SET role = :role WHERE account_id = :account_id AND user_id = :user_id")
_DELETE_MEMBER = text("DELETE FROM members WHERE account_id = :account_id AND user_id = :user_id")
_LIST_MEMBERS = text(
    "SELECT users.user_id, users.email, users.username, users.full_name, members.role, members.joined_ns FROM members "
    "JOIN users ON users.user_id = members.user_id WHERE members.account_id = :account_id "
    "ORDER BY members.joined_ns, members.user_id"
)
_HAS_MEMBER = text(
    "SELECT COUNT(*) FROM members JOIN users ON users.user_id = members.user_id "
    "WHERE members.account_id = :account_id AND users.email_folded = :email_folded"
)
_PUT_INVITATION = text(
    "INSERT INTO invitations (invitation_id, account_id, email, email_folded, role, digest, invited_by, created_ns, "
    "expires_ns) VALUES (:invitation_id, :account_id, :email, :email_folded, :role, :digest, :invited_by, "
    ":created_ns, :expires_ns) ON CONFLICT (account_id, email_folded) DO UPDATE SET "
    "invitation_id = excluded.invitation_id, email = excluded.email, role = excluded.role, digest = excluded.digest, "
    "invited_by = excluded.invited_by, created_ns = excluded.created_ns, expires_ns = excluded.expires_ns"
)
_LIST_INVITATIONS = text(
    "SELECT invitation_id, account_id, email, role, invited_by, created_ns, expires_ns FROM invitations "
    "WHERE account_id = :account_id AND expires_ns > :now_ns ORDER BY created_ns, invitation_id"
)
# Deleted by its use, so that it has only one.
_TAKE_INVITATION = text(
    "DELETE FROM invitations WHERE digest = :digest AND email_folded = :email_folded AND expires_ns > :now_ns "
    "RETURNING invitation_id, account_id, email, role, invited_by, created_ns, expires_ns"
)
_DELETE_INVITATION = text("DELETE FROM invitations WHERE account_id = :account_id AND invitation_id = :invitation_id")
_PURGE_INVITATIONS = text(
    "DELETE FROM invitations WHERE invitation_id IN "
    "(SELECT invitation_id FROM invitations WHERE expires_ns < :before_ns LIMIT :limit)"
)
_DELETE_INVITATIONS_BY = text("DELETE FROM invitations WHERE account_id = :account_id AND invited_by = :user_id")


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A person in an account."""

    user_id: str
    email: str
    username: str | None
    full_name: str
    role: Role
    joined_ns: int


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation that nobody used yet; its token is stored only as a digest."""

    invitation_id: str
    account_id: str
    email: str
    role: Role
    # The user who made it.
    invited_by: str
    created_ns: int
    # The first moment at which it is no longer valid.
    expires_ns: int


async def lock_account(connection: AsyncConnection, account_id: str) -> None:
    """Keep every other change of the account's members waiting until the commit."""
    await connection.execute(_LOCK_ACCOUNT, {"account_id": account_id})


async def insert_member(connection: AsyncConnection, account_id: str, user_id: str, role: Role, now_ns: int) -> bool:
    """Add a member and tell whether they were none before."""
    values = {"account_id": account_id, "user_id": user_id, "role": role, "joined_ns": now_ns}
    return bool((await connection.execute(_INSERT_MEMBER, values)).rowcount)


async def find_role(connection: AsyncConnection, account_id: str, user_id: str) -> Role | None:
    """Read a member's role; None: they are no member."""
    values = {"account_id": to_searchable(account_id), "user_id": to_searchable(user_id)}
    found = await connection.execute(_FIND_ROLE, values)
    role: Role | None = found.scalar_one_or_none()
    return role


async def count_owners(connection: AsyncConnection, account_id: str) -> int:
    """Count an account's owners."""
    owners: int = (await connection.execute(_COUNT_OWNERS, {"account_id": account_id})).scalar_one()
    return owners


async def put_role(connection: AsyncConnection, account_id: str, user_id: str, role: Role | None) -> None:
    """Change a member's role, or remove them with None; the invitations that they made end with their role."""
    values: dict[str, Any] = {"account_id": account_id, "user_id": user_id}
    if role is None:
        await connection.execute(_DELETE_MEMBER, values)
    else:
        await connection.execute(_CHANGE_ROLE, {**values, "role": role})
    await connection.execute(_DELETE_INVITATIONS_BY, values)


async def list_members(connection: AsyncConnection, account_id: str) -> list[Member]:
    """List an account's members in the order in which they joined."""
    rows = await connection.execute(_LIST_MEMBERS, {"account_id": account_id})
    return [msgspec.convert(dict(row), Member) for row in rows.mappings()]


async def has_member(connection: AsyncConnection, account_id: str, email: str) -> bool:
    """Tell whether the person of an address is a member."""
    values = {"account_id": account_id, "email_folded": fold(email)}
    return bool((await connection.execute(_HAS_MEMBER, values)).scalar_one())


async def put_invitation(connection: AsyncConnection, invitation: Invitation, digest: bytes) -> None:
    """Add an invitation, in the place of an earlier one of the same person to the same account."""
    values = {**msgspec.structs.asdict(invitation), "email_folded": fold(invitation.email), "digest": digest}
    await connection.execute(_PUT_INVITATION, values)


async def list_invitations(connection: AsyncConnection, account_id: str, now_ns: int) -> list[Invitation]:
    """List an account's open invitations, oldest first."""
    rows = await connection.execute(_LIST_INVITATIONS, {"account_id": account_id, "now_ns": now_ns})
    return [msgspec.convert(dict(row), Invitation) for row in rows.mappings()]


async def take_invitation(connection: AsyncConnection, digest: bytes, email: str, now_ns: int) -> Invitation | None:
    """Use an invitation up, if it is open and was made for this address; of several uses at once one gets it."""
    values = {"digest": digest, "email_folded": fold(email), "now_ns": now_ns}
    row = (await connection.execute(_TAKE_INVITATION, values)).mappings().one_or_none()
    return None if row is None else msgspec.convert(dict(row), Invitation)


async def delete_invitation(connection: AsyncConnection, account_id: str, invitation_id: str) -> bool:
    """Withdraw an invitation and tell whether it was there."""
    values = {"account_id": account_id, "invitation_id": to_searchable(invitation_id)}
    return bool((await connection.execute(_DELETE_INVITATION, values)).rowcount)


async def purge_invitations(connection: AsyncConnection, now_ns: int, limit: int) -> int:
    """Delete up to ``limit`` invitations that are over, and tell how many."""
    return (await connection.execute(_PURGE_INVITATIONS, {"before_ns": now_ns, "limit": limit})).rowcount
