"""The audit log: who did what to which thing, when and from where. It is appended to, and shortened by age alone.

Failure behavior: an entry is written in the transaction of what it tells of: both are there or neither. Raises
DatabaseUnavailable as gateway.db does.
"""

from typing import Any, Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ids import new_id

MAX_PAGE = 1_000

_APPEND = text(
    "INSERT INTO audit_log (audit_id, account_id, actor_kind, actor_id, action, object_id, detail, origin, created_ns) "
    "VALUES (:audit_id, :account_id, :actor_kind, :actor_id, :action, :object_id, :detail, :origin, :created_ns)"
)
_READ = (
    "SELECT audit_id, account_id, actor_kind, actor_id, action, object_id, detail, origin, created_ns "
    "FROM audit_log WHERE"
)
_OF_ACCOUNT = "account_id = :account_id"
# What was done to the installation itself, to the operator's own things, or in vain by nobody.
_OF_NOBODY = "account_id IS NULL"
_BEFORE = "AND (created_ns, audit_id) < (:before_ns, :before_id)"
_ORDER = "ORDER BY created_ns DESC, audit_id DESC LIMIT :limit"
# By whether they are of an account, and whether they begin at an entry.
_READ_PAGE = {
    (is_of_account, has_place): text(f"{_READ} {owner} {place} {_ORDER}")
    for is_of_account, owner in ((True, _OF_ACCOUNT), (False, _OF_NOBODY))
    for has_place, place in ((False, ""), (True, _BEFORE))
}
_FIND = {
    True: text(f"{_READ} {_OF_ACCOUNT} AND audit_id = :audit_id"),
    False: text(f"{_READ} {_OF_NOBODY} AND audit_id = :audit_id"),
}

_PURGE = text(
    "DELETE FROM audit_log WHERE audit_id IN "
    "(SELECT audit_id FROM audit_log WHERE created_ns < :before_ns ORDER BY created_ns LIMIT :limit)"
)

# "nobody" is a caller who did not prove to be anyone; "command" is the operator at the command line.
ActorKind = Literal["user", "key", "command", "nobody"]


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who does something, and from which network address."""

    kind: ActorKind
    # Of the user or the key.
    actor_id: str | None
    origin: str


# Who holds the machine is not asked who they are.
COMMAND_LINE = Actor(kind="command", actor_id=None, origin="")


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """What is done."""

    # None: to the installation itself, or in vain to nobody's account.
    account_id: str | None
    # Object and verb: "member.remove".
    action: str
    # The id of what it is done to.
    object_id: str
    # What the ids do not tell, such as a member's new role.
    detail: str = ""


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts, on whose things, and when: what every deed of a request has in common."""

    actor: Actor
    # None: the operator's own things.
    account_id: str | None
    now_ns: int


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log: an Actor, a Deed and a moment."""

    audit_id: str
    account_id: str | None
    actor_kind: ActorKind
    actor_id: str | None
    action: str
    object_id: str
    detail: str
    origin: str
    created_ns: int


async def append_entry(connection: AsyncConnection, actor: Actor, deed: Deed, now_ns: int) -> None:
    """Write an entry inside the caller's transaction."""
    entry = AuditEntry(
        audit_id=f"audit_{new_id(now_ns)}",
        account_id=deed.account_id,
        actor_kind=actor.kind,
        actor_id=actor.actor_id,
        action=deed.action,
        object_id=deed.object_id,
        detail=deed.detail,
        origin=actor.origin,
        created_ns=now_ns,
    )
    await connection.execute(_APPEND, msgspec.structs.asdict(entry))


async def note(connection: AsyncConnection, occasion: Occasion, action: str, object_id: str, detail: str = "") -> None:
    """Write the entry of one deed of an occasion inside the caller's transaction."""
    deed = Deed(account_id=occasion.account_id, action=action, object_id=object_id, detail=detail)
    await append_entry(connection, occasion.actor, deed, occasion.now_ns)


async def read_entries(
    connection: AsyncConnection, account_id: str | None, limit: int, before: AuditEntry | None = None
) -> list[AuditEntry]:
    """Read up to ``limit`` (at most MAX_PAGE) entries, newest first, all of them older than ``before``.

    Without an account they are those of no account.
    """
    values: dict[str, Any] = {"limit": min(limit, MAX_PAGE)}
    if account_id is not None:
        values["account_id"] = account_id
    if before is not None:
        values |= {"before_ns": before.created_ns, "before_id": before.audit_id}
    found = await connection.execute(_READ_PAGE[account_id is not None, before is not None], values)
    return [msgspec.convert(dict(row), AuditEntry) for row in found.mappings()]


async def find_entry(connection: AsyncConnection, account_id: str | None, audit_id: str) -> AuditEntry | None:
    """Find an entry of an account, or of none."""
    values = {"audit_id": audit_id} if account_id is None else {"audit_id": audit_id, "account_id": account_id}
    row = (await connection.execute(_FIND[account_id is not None], values)).mappings().one_or_none()
    return None if row is None else msgspec.convert(dict(row), AuditEntry)


async def purge(connection: AsyncConnection, before_ns: int, limit: int) -> int:
    """Delete up to ``limit`` entries older than a moment, the oldest first, and tell how many."""
    return (await connection.execute(_PURGE, {"before_ns": before_ns, "limit": limit})).rowcount
