"""Sessions: each sign-in is one, with a cookie for the dashboard and a family of refresh tokens for programs.

Cookie and refresh tokens are opaque and stored as their digests. Whatever ends a session ends all that came from it:
the cookie, every refresh token, and the access tokens, which name their session.

A refresh token is spent by its first use, which brings the next. Whoever presents a spent one, however soon, has either
stolen it or been robbed, so the session ends: in that moment nobody can tell which of the two was first. Programs that
share a session must therefore share its refreshes too, and a client that lost the answer to one signs in again.

Failure behavior: raises DatabaseUnavailable as gateway.db does; a cookie is then neither valid nor invalid.
"""

import enum
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts.audit import Actor, Deed, append_entry
from gateway.accounts.tenancy.names import to_searchable
from gateway.accounts.tenancy.roles import Role
from gateway.accounts.tenancy.tokens import AccessClaims, digest_opaque_token, make_opaque_token
from gateway.config.secret import Secret
from gateway.db import Database
from gateway.ids import new_id

_NS_PER_S = 1_000_000_000
_DAY_NS = 86_400 * _NS_PER_S
# A write at each request would cost more than it tells.
_SEEN_STEP_NS = 60 * _NS_PER_S

_INSERT_SESSION = text(
    "INSERT INTO sessions (session_id, user_id, account_id, cookie_digest, created_ns, seen_ns, ended_ns) "
    "VALUES (:session_id, :user_id, :account_id, :cookie_digest, :now_ns, :now_ns, NULL)"
)
_INSERT_REFRESH = text(
    "INSERT INTO refresh_tokens (digest, session_id, created_ns, expires_ns, spent_ns) "
    "VALUES (:digest, :session_id, :created_ns, :expires_ns, NULL)"
)
# A session is worth nothing once its person has left the account.
_PERSON = (
    "SELECT sessions.session_id, sessions.user_id, sessions.account_id, members.role, users.is_operator, "
    "sessions.created_ns, sessions.seen_ns FROM sessions JOIN members ON members.account_id = sessions.account_id "
    "AND members.user_id = sessions.user_id JOIN users ON users.user_id = sessions.user_id "
    "WHERE sessions.ended_ns IS NULL"
)
_FIND_BY_COOKIE = text(f"{_PERSON} AND sessions.cookie_digest = :cookie_digest")
_FIND_BY_ID = text(f"{_PERSON} AND sessions.session_id = :session_id")
_NOTE_SEEN = text("UPDATE sessions SET seen_ns = :now_ns WHERE session_id = :session_id AND seen_ns < :now_ns")
_END = text("UPDATE sessions SET ended_ns = :now_ns WHERE session_id = :session_id AND ended_ns IS NULL")
_END_ALL = text("UPDATE sessions SET ended_ns = :now_ns WHERE user_id = :user_id AND ended_ns IS NULL")
_END_IN_ACCOUNT = text(
    "UPDATE sessions SET ended_ns = :now_ns WHERE user_id = :user_id AND account_id = :account_id AND ended_ns IS NULL"
)
_FIND_REFRESH = text("SELECT session_id, expires_ns FROM refresh_tokens WHERE digest = :digest")
_SPEND = text("UPDATE refresh_tokens SET spent_ns = :now_ns WHERE digest = :digest AND spent_ns IS NULL")
# A session lives as long as its cookie or a refresh token of its family.
_LIST = text(
    "SELECT sessions.session_id, sessions.account_id, accounts.name AS account_name, sessions.created_ns, "
    "sessions.seen_ns FROM sessions JOIN accounts ON accounts.account_id = sessions.account_id "
    "JOIN members ON members.account_id = sessions.account_id AND members.user_id = sessions.user_id "
    "WHERE sessions.user_id = :user_id AND sessions.ended_ns IS NULL AND sessions.created_ns > :oldest_ns "
    "ORDER BY sessions.created_ns DESC, sessions.session_id DESC LIMIT :limit"
)
_END_OWN = text(
    "UPDATE sessions SET ended_ns = :now_ns WHERE user_id = :user_id AND session_id = :session_id AND ended_ns IS NULL"
)
_PURGE_SESSIONS = text(
    "DELETE FROM sessions WHERE session_id IN "
    "(SELECT session_id FROM sessions WHERE created_ns < :before_ns ORDER BY created_ns LIMIT :limit)"
)
_PURGE_REFRESH = text(
    "DELETE FROM refresh_tokens WHERE digest IN "
    "(SELECT digest FROM refresh_tokens WHERE expires_ns < :before_ns LIMIT :limit)"
)
MAX_LISTED = 100


class Lifetimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long what a sign-in brings is valid, in ns."""

    # Since the cookie was last used, and since it was made.
    cookie_idle_ns: int = _DAY_NS
    cookie_ns: int = 30 * _DAY_NS
    # Since the refresh token was made, and since the first of its family was.
    refresh_ns: int = 30 * _DAY_NS
    family_ns: int = 90 * _DAY_NS


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts, in which account and as what; what a cookie or an access token stands for."""

    user_id: str
    account_id: str
    role: Role
    # Runs this installation.
    is_operator: bool
    session_id: str


class OpenSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session as its person sees it among theirs."""

    session_id: str
    account_id: str
    account_name: str
    created_ns: int
    # When the cookie was last used, to within a minute; a session of tokens alone stays at its beginning.
    seen_ns: int


class OpenedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh session; the only value that ever holds its secrets."""

    session_id: str
    cookie: Secret
    refresh_token: Secret


class Refreshed(msgspec.Struct, frozen=True, kw_only=True):
    """The next token of a family, and whose it is."""

    person: Person
    refresh_token: Secret


class RefreshFault(enum.Enum):
    """Why a refresh token is not honoured; the value is fit for a message."""

    UNKNOWN = "the refresh token is unknown or over: sign in again"
    REPLAYED = "the refresh token was used before, so its session has been ended: sign in again"


class _Row(Person, frozen=True, kw_only=True):
    created_ns: int
    seen_ns: int


async def open_session(
    connection: AsyncConnection, user_id: str, account_id: str, lifetimes: Lifetimes, now_ns: int
) -> OpenedSession:
    """Begin a session inside the caller's transaction, under names that nobody knew before."""
    opened = OpenedSession(
        session_id=f"sess_{new_id(now_ns)}", cookie=make_opaque_token(), refresh_token=make_opaque_token()
    )
    session: dict[str, Any] = {
        "session_id": opened.session_id,
        "user_id": user_id,
        "account_id": account_id,
        "cookie_digest": digest_opaque_token(opened.cookie),
        "now_ns": now_ns,
    }
    await connection.execute(_INSERT_SESSION, session)
    await _insert_refresh(connection, opened.session_id, opened.refresh_token, now_ns, lifetimes.refresh_ns)
    return opened


async def find_by_cookie(database: Database, cookie: Secret, lifetimes: Lifetimes, now_ns: int) -> Person | None:
    """Find whose cookie this is, and note that it was used; None: nobody's, or no longer."""
    async with database.read() as connection:
        row = await _find(connection, _FIND_BY_COOKIE, {"cookie_digest": digest_opaque_token(cookie)})
    if row is None or now_ns >= min(row.created_ns + lifetimes.cookie_ns, row.seen_ns + lifetimes.cookie_idle_ns):
        return None
    if now_ns >= row.seen_ns + _SEEN_STEP_NS:
        async with database.write() as connection:
            await connection.execute(_NOTE_SEEN, {"session_id": row.session_id, "now_ns": now_ns})
    return _to_person(row)


async def find_by_claims(database: Database, claims: AccessClaims) -> Person | None:
    """Find who shows an access token, as what they are at this moment; None: its session has ended."""
    async with database.read() as connection:
        row = await _find(connection, _FIND_BY_ID, {"session_id": claims.session_id})
    if row is None or (row.user_id, row.account_id) != (claims.user_id, claims.account_id):
        return None
    return _to_person(row)


async def refresh(
    connection: AsyncConnection, presented: Secret, lifetimes: Lifetimes, origin: str, now_ns: int
) -> Refreshed | RefreshFault:
    """Spend a refresh token for the next of its family, inside the caller's transaction, which must commit.

    Of several uses of one token at once, on however many hosts, one at most is answered with the next, and it is void.
    """
    digest = digest_opaque_token(presented)
    token = (await connection.execute(_FIND_REFRESH, {"digest": digest})).one_or_none()
    row = None if token is None else await _find(connection, _FIND_BY_ID, {"session_id": token.session_id})
    if token is None or row is None or now_ns >= token.expires_ns:
        return RefreshFault.UNKNOWN
    # None are changed where another use has spent it since it was read.
    if not (await connection.execute(_SPEND, {"digest": digest, "now_ns": now_ns})).rowcount:
        await end_session(connection, row.session_id, now_ns)
        actor = Actor(kind="nobody", actor_id=None, origin=origin)
        deed = Deed(account_id=row.account_id, action="session.replay", object_id=row.session_id)
        await append_entry(connection, actor, deed, now_ns)
        return RefreshFault.REPLAYED
    refreshed = Refreshed(person=_to_person(row), refresh_token=make_opaque_token())
    lifetime_ns = min(lifetimes.refresh_ns, row.created_ns + lifetimes.family_ns - now_ns)
    await _insert_refresh(connection, row.session_id, refreshed.refresh_token, now_ns, lifetime_ns)
    return refreshed


async def end_session(connection: AsyncConnection, session_id: str, now_ns: int) -> bool:
    """End a session with all that came from it, inside the caller's transaction; tell whether it was open."""
    return bool((await connection.execute(_END, {"session_id": session_id, "now_ns": now_ns})).rowcount)


async def end_sessions(connection: AsyncConnection, user_id: str, account_id: str | None, now_ns: int) -> None:
    """End a person's sessions in one account, or, with None, in all, inside the caller's transaction."""
    if account_id is None:
        await connection.execute(_END_ALL, {"user_id": user_id, "now_ns": now_ns})
    else:
        values = {"user_id": user_id, "account_id": account_id, "now_ns": now_ns}
        await connection.execute(_END_IN_ACCOUNT, values)


async def list_sessions(
    connection: AsyncConnection, user_id: str, lifetimes: Lifetimes, now_ns: int
) -> list[OpenSession]:
    """List a person's open sessions, the newest first, at most MAX_LISTED."""
    values = {"user_id": user_id, "oldest_ns": _oldest(lifetimes, now_ns), "limit": MAX_LISTED}
    rows = await connection.execute(_LIST, values)
    return [msgspec.convert(dict(row), OpenSession) for row in rows.mappings()]


async def end_own_session(connection: AsyncConnection, user_id: str, session_id: str, now_ns: int) -> bool:
    """End a session if it is this person's, inside the caller's transaction; tell whether it was and was open."""
    values = {"user_id": user_id, "session_id": to_searchable(session_id), "now_ns": now_ns}
    return bool((await connection.execute(_END_OWN, values)).rowcount)


async def purge(connection: AsyncConnection, lifetimes: Lifetimes, now_ns: int, limit: int) -> int:
    """Delete up to ``limit`` each of the sessions and refresh tokens that are too old to be of use; tell how many."""
    tokens = await connection.execute(_PURGE_REFRESH, {"before_ns": now_ns, "limit": limit})
    ended = await connection.execute(_PURGE_SESSIONS, {"before_ns": _oldest(lifetimes, now_ns), "limit": limit})
    return tokens.rowcount + ended.rowcount


def _oldest(lifetimes: Lifetimes, now_ns: int) -> int:
    """Give the moment before which no session that still lives was opened."""
    return now_ns - max(lifetimes.cookie_ns, lifetimes.family_ns)


async def _insert_refresh(
    connection: AsyncConnection, session_id: str, token: Secret, now_ns: int, lifetime_ns: int
) -> None:
    values: dict[str, Any] = {
        "digest": digest_opaque_token(token),
        "session_id": session_id,
        "created_ns": now_ns,
        "expires_ns": now_ns + lifetime_ns,
    }
    await connection.execute(_INSERT_REFRESH, values)


async def _find(connection: AsyncConnection, statement: Any, values: dict[str, Any]) -> _Row | None:
    row = (await connection.execute(statement, values)).mappings().one_or_none()
    return None if row is None else msgspec.convert(dict(row), _Row, strict=False)


def _to_person(row: _Row) -> Person:
    return Person(
        user_id=row.user_id,
        account_id=row.account_id,
        role=row.role,
        is_operator=row.is_operator,
        session_id=row.session_id,
    )
