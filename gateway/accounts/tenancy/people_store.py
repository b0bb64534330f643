"""The SQL of users and accounts; names are compared by their folded text and kept as written.

Failure behavior: raises DatabaseUnavailable as gateway.db does. Everything happens inside the caller's transaction.
"""

from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts.tenancy.names import fold, to_searchable
from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.accounts.tenancy.roles import Role
from gateway.config.secret import Secret
from gateway.errors import shown
from gateway.ids import new_id

DEFAULT_PROJECT = "Default"
# Followed by the number of the claim link; that of the first start is 0 and has none.
_INSTALLATION = "installation"
_CLAIM_LINKS = "claim-links"

_INSERT_USER = text(
    "INSERT INTO users (user_id, email, email_folded, username, username_folded, full_name, is_operator, "
    "password_hash, password_version, created_ns, last_login_ns, last_account_id) VALUES (:user_id, :email, "
    ":email_folded, :username, :username_folded, :full_name, FALSE, :password_hash, 1, :created_ns, NULL, NULL) "
    "ON CONFLICT DO NOTHING"
)
_HAS_EMAIL = text("SELECT COUNT(*) FROM users WHERE email_folded = :email_folded")
_FIND_USER = text(
    "SELECT user_id, email, username, full_name, is_operator, created_ns FROM users WHERE user_id = :user_id"
)
# The account where the person was last, else the one that they joined first.
_HOME = (
    "COALESCE((SELECT account_id FROM members WHERE members.user_id = users.user_id "
    "AND members.account_id = users.last_account_id), (SELECT account_id FROM members "
    "WHERE members.user_id = users.user_id ORDER BY joined_ns, account_id LIMIT 1)) AS account_id"
)
_CREDENTIAL = f"SELECT user_id, {_HOME}, password_hash, password_version FROM users"  # noqa: S608 - made of constants
_FIND_CREDENTIAL_BY_EMAIL = text(f"{_CREDENTIAL} WHERE email_folded = :email_folded")
_FIND_CREDENTIAL = text(f"{_CREDENTIAL} WHERE user_id = :user_id")
_NOTE_SIGN_IN = text(
    "UPDATE users SET last_login_ns = :now_ns, last_account_id = :account_id "
    "WHERE user_id = :user_id AND (CAST(:password_version AS BIGINT) IS NULL OR password_version = :password_version)"
)
_RENEW_HASH = text(
    "UPDATE users SET password_hash = :password_hash WHERE user_id = :user_id AND password_version = :password_version"
)
_CHANGE_PASSWORD = text(
    "UPDATE users SET password_hash = :password_hash, password_version = password_version + 1 "
    "WHERE user_id = :user_id AND password_version = :password_version"
)
_INSERT_ACCOUNT = text("INSERT INTO accounts (account_id, name, created_ns) VALUES (:account_id, :name, :created_ns)")
_INSERT_PROJECT = text(
    "INSERT INTO projects (project_id, account_id, name, provider, created_ns) "
    "VALUES (:project_id, :account_id, :name, NULL, :created_ns)"
)
_LIST_MEMBERSHIPS = text(
    "SELECT accounts.account_id, accounts.name AS account_name, members.role, members.joined_ns FROM members "
    "JOIN accounts ON accounts.account_id = members.account_id WHERE members.user_id = :user_id "
    "ORDER BY members.joined_ns, members.account_id"
)
_RENAME_USER = text("UPDATE users SET full_name = :full_name WHERE user_id = :user_id")
_LIST_USERS = text(
    "SELECT user_id, email, username, full_name, is_operator, created_ns, last_login_ns FROM users "
    "WHERE user_id > :after ORDER BY user_id LIMIT :limit"
)
_FIND_ACCOUNT = text("SELECT account_id, name, zone, plan, created_ns FROM accounts WHERE account_id = :account_id")
_CHANGE_ACCOUNT = text("UPDATE accounts SET name = :name, zone = :zone WHERE account_id = :account_id")
_HAS_OPERATOR = text("SELECT COUNT(*) FROM users WHERE is_operator")
_FIND_LINK = text("SELECT value FROM revisions WHERE name = :name")
_NEXT_LINK = text(
    "INSERT INTO revisions (name, value) VALUES (:name, 1) "
    "ON CONFLICT (name) DO UPDATE SET value = revisions.value + 1 RETURNING value"
)
_CLAIM = text(
    "INSERT INTO claims (name, user_id, created_ns) VALUES (:name, :user_id, :created_ns) ON CONFLICT DO NOTHING"
)
_MAKE_OPERATOR = text("UPDATE users SET is_operator = TRUE WHERE user_id = :user_id")


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person, as they and their fellow members see them."""

    user_id: str
    email: str
    username: str | None
    full_name: str
    created_ns: int
    # Runs this installation.
    is_operator: bool = False


class ListedUser(User, frozen=True, kw_only=True):
    """A person, as the installation's operator sees them."""

    # None: never since the registration.
    last_login_ns: int | None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to its members together."""

    account_id: str
    name: str
    # Of the IANA database.
    zone: str
    plan: str
    created_ns: int


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """By what a person signs in, and to which account; the version counts the changes of the password."""

    user_id: str
    # None: the person belongs to no account.
    account_id: str | None
    password_hash: Secret
    password_version: int


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """An account that a person belongs to."""

    account_id: str
    account_name: str
    role: Role
    joined_ns: int


async def insert_user(connection: AsyncConnection, user: User, password_hash: Secret) -> None:
    """Add a person. Raises Refusal when address or username are taken; of several at once one is added."""
    email_folded = fold(user.email)
    values: dict[str, Any] = {
        "user_id": user.user_id,
        "email": user.email,
        "email_folded": email_folded,
        "username": user.username,
        "username_folded": None if user.username is None else fold(user.username),
        "full_name": user.full_name,
        "password_hash": password_hash.reveal(),
        "created_ns": user.created_ns,
    }
    if (await connection.execute(_INSERT_USER, values)).rowcount:
        return
    if (await connection.execute(_HAS_EMAIL, {"email_folded": email_folded})).scalar_one():
        raise Refusal(RefusalKind.TAKEN, f"{shown(user.email)} is taken: sign in, or use another address", "email")
    raise Refusal(RefusalKind.TAKEN, f"{shown(user.username)} is taken: choose another username", "username")


async def find_user(connection: AsyncConnection, user_id: str) -> User:
    """Read a person that exists."""
    row = (await connection.execute(_FIND_USER, {"user_id": user_id})).mappings().one()
    return msgspec.convert(dict(row), User, strict=False)


async def find_credential_by_email(connection: AsyncConnection, email: str) -> Credential | None:
    """Find by what the person of an address signs in, however it is spelt."""
    found = await connection.execute(_FIND_CREDENTIAL_BY_EMAIL, {"email_folded": to_searchable(fold(email))})
    row = found.mappings().one_or_none()
    return None if row is None else _to_credential(dict(row))


async def find_credential(connection: AsyncConnection, user_id: str) -> Credential:
    """Read by what a person that exists signs in."""
    row = (await connection.execute(_FIND_CREDENTIAL, {"user_id": user_id})).mappings().one()
    return _to_credential(dict(row))


async def note_sign_in(
    connection: AsyncConnection, user_id: str, account_id: str, password_version: int | None, now_ns: int
) -> bool:
    """Note the sign-in and tell whether the password is still the one that was checked; None: none was.

    The row stays locked until the commit, so that a change of the password ends this sign-in too, or is seen by it.
    """
    values = {
        "user_id": user_id,
        "account_id": account_id,
        "password_version": password_version,
        "now_ns": now_ns,
    }
    return bool((await connection.execute(_NOTE_SIGN_IN, values)).rowcount)


async def renew_hash(connection: AsyncConnection, credential: Credential, fresh_hash: Secret) -> None:
    """Store the same password hashed at another cost, unless it was changed meanwhile."""
    await connection.execute(_RENEW_HASH, _hash_values(credential, fresh_hash))


async def change_hash(connection: AsyncConnection, credential: Credential, fresh_hash: Secret) -> bool:
    """Store another password, and tell whether the old one was still the one that was checked."""
    return bool((await connection.execute(_CHANGE_PASSWORD, _hash_values(credential, fresh_hash))).rowcount)


async def insert_account(connection: AsyncConnection, name: str, now_ns: int) -> str:
    """Add an account with its first project, and give its id."""
    account_id = f"acct_{new_id(now_ns)}"
    await connection.execute(_INSERT_ACCOUNT, {"account_id": account_id, "name": name, "created_ns": now_ns})
    project_id = f"proj_{new_id(now_ns)}"
    project = {"project_id": project_id, "account_id": account_id, "name": DEFAULT_PROJECT, "created_ns": now_ns}
    await connection.execute(_INSERT_PROJECT, project)
    return account_id


async def list_memberships(connection: AsyncConnection, user_id: str) -> list[Membership]:
    """List a person's accounts, in the order in which they joined them."""
    rows = await connection.execute(_LIST_MEMBERSHIPS, {"user_id": user_id})
    return [msgspec.convert(dict(row), Membership) for row in rows.mappings()]


async def rename_user(connection: AsyncConnection, user_id: str, full_name: str) -> None:
    """Change how a person is called."""
    await connection.execute(_RENAME_USER, {"user_id": user_id, "full_name": full_name})


async def list_users(connection: AsyncConnection, after: str, limit: int) -> list[ListedUser]:
    """List people in the order in which they came, those after the given one."""
    rows = await connection.execute(_LIST_USERS, {"after": to_searchable(after), "limit": limit})
    return [msgspec.convert(dict(row), ListedUser, strict=False) for row in rows.mappings()]


async def find_account(connection: AsyncConnection, account_id: str) -> Account:
    """Read an account that exists."""
    row = (await connection.execute(_FIND_ACCOUNT, {"account_id": account_id})).mappings().one()
    return msgspec.convert(dict(row), Account)


async def change_account(connection: AsyncConnection, account: Account) -> None:
    """Store an account's name and zone."""
    await connection.execute(
        _CHANGE_ACCOUNT, {"account_id": account.account_id, "name": account.name, "zone": account.zone}
    )


async def find_claim_link(connection: AsyncConnection) -> int:
    """Read the number of the newest claim link, the only one that may lead anywhere."""
    number: int | None = (await connection.execute(_FIND_LINK, {"name": _CLAIM_LINKS})).scalar_one_or_none()
    return number or 0


async def begin_claim_link(connection: AsyncConnection) -> int:
    """Make every earlier claim link worthless, and give the number of the next."""
    number: int = (await connection.execute(_NEXT_LINK, {"name": _CLAIM_LINKS})).scalar_one()
    return number


async def has_operator(connection: AsyncConnection) -> bool:
    """Tell whether anybody is the installation's operator."""
    return bool((await connection.execute(_HAS_OPERATOR)).scalar_one())


async def claim(connection: AsyncConnection, user_id: str, number: int, now_ns: int) -> bool:
    """Make a person the installation's operator, unless the link was used; of several at once one becomes it."""
    name = f"{_INSTALLATION}-{number}" if number else _INSTALLATION
    values = {"name": name, "user_id": user_id, "created_ns": now_ns}
    if not (await connection.execute(_CLAIM, values)).rowcount:
        return False
    await connection.execute(_MAKE_OPERATOR, {"user_id": user_id})
    return True


def _to_credential(row: dict[str, Any]) -> Credential:
    row["password_hash"] = Secret(row["password_hash"])
    return msgspec.convert(row, Credential)


def _hash_values(credential: Credential, fresh_hash: Secret) -> dict[str, Any]:
    return {
        "user_id": credential.user_id,
        "password_version": credential.password_version,
        "password_hash": fresh_hash.reveal(),
    }
