"""An account as its members see it: its name and time zone, which owners change, and its audit log.

Failure behavior: raises Refusal where a rule forbids it and DatabaseUnavailable as gateway.db does; nothing is then
changed.
"""

import re
from collections.abc import Awaitable, Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts import audit
from gateway.accounts.audit import Actor, AuditEntry, Deed, append_entry
from gateway.accounts.tenancy import people_store
from gateway.accounts.tenancy.members import require_permission
from gateway.accounts.tenancy.names import check_name, to_searchable
from gateway.accounts.tenancy.people_store import Account
from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.accounts.tenancy.sessions import Person
from gateway.db import Database
from gateway.errors import shown

# Names of the IANA database, but for its copies with another idea of leap seconds, and for what is a file there and no
# place: what the server's own machine is set to, and what one that is not set at all says.
_ZONE = re.compile(
    r"(?!posix/|right/|(?:localtime|posixrules|Factory)$)[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}"
)
MAX_ZONE_CHARS = 64


# Tells whoever reckons by the account's days, inside the transaction that moves them: account and zone.
TellZone = Callable[[AsyncConnection, str, str], Awaitable[None]]


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of the log, newest first, and the id to ask for older ones with; None: there are no older ones."""

    entries: list[AuditEntry]
    before: str | None


class Accounts:
    """Every account."""

    def __init__(self, database: Database, tell_zone: TellZone) -> None:
        self._database = database
        self._tell_zone = tell_zone

    async def find(self, person: Person) -> Account:
        """Read the person's account. Raises Refusal."""
        async with self._database.read() as connection:
            await require_permission(connection, person, "account:read", is_change=False)
            return await people_store.find_account(connection, person.account_id)

    async def change(self, person: Person, name: str | None, zone: str | None, origin: str, now_ns: int) -> Account:
        """Change the name or the zone of the person's account; None leaves it as it is. Raises Refusal."""
        if name is None and zone is None:
            raise Refusal(RefusalKind.INVALID, "there is nothing to change: give a name or a zone", "name")
        changes: dict[str, str] = {}
        if name is not None:
            changes["name"] = check_name(name, least_chars=1)
        if zone is not None:
            changes["zone"] = check_zone(zone)
        async with self._database.write() as connection:
            await require_permission(connection, person, "account")
            before = await people_store.find_account(connection, person.account_id)
            account = msgspec.structs.replace(before, **changes)
            await people_store.change_account(connection, account)
            if account.zone != before.zone:
                await self._tell_zone(connection, account.account_id, account.zone)
            actor = Actor(kind="user", actor_id=person.user_id, origin=origin)
            told = ", ".join(f"{field} {shown(value)}" for field, value in changes.items())
            deed = Deed(account_id=person.account_id, action="account.change", object_id=person.account_id, detail=told)
            await append_entry(connection, actor, deed, now_ns)
        return account

    async def read_log(self, person: Person, limit: int, before: str | None) -> AuditPage:
        """Read up to ``limit`` entries of the account's log, older than the one of an id. Raises Refusal."""
        async with self._database.read() as connection:
            await require_permission(connection, person, "audit:read", is_change=False)
            return await _read_page(connection, person.account_id, limit, before)

    async def read_installation_log(self, limit: int, before: str | None) -> AuditPage:
        """Read, for the operator, what concerns no account: their own things, and sign-ins of unknown people."""
        async with self._database.read() as connection:
            return await _read_page(connection, None, limit, before)


async def _read_page(connection: AsyncConnection, account_id: str | None, limit: int, before: str | None) -> AuditPage:
    place = None
    if before is not None:
        place = await audit.find_entry(connection, account_id, to_searchable(before))
        if place is None:
            raise Refusal(RefusalKind.INVALID, f"there is no entry {shown(before)} in this log", "before")
    # One more than asked for tells whether there are older ones.
    entries = await audit.read_entries(connection, account_id, limit + 1, place)
    page = entries[:limit]
    return AuditPage(entries=page, before=page[-1].audit_id if len(entries) > limit else None)


def check_zone(text: str) -> str:
    """Check the name of a time zone. Raises Refusal."""
    if len(text) <= MAX_ZONE_CHARS and _ZONE.fullmatch(text):
        try:
            return ZoneInfo(text).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            # No such file, a file that is none, a folder.
            pass
    raise Refusal(RefusalKind.INVALID, f"{shown(text)} is no time zone: write one like Europe/Berlin or UTC", "zone")
