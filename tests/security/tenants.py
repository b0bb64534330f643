"""Two accounts in a running gateway: Ann's, in which Vic only reads, and Bob's; each with a project and its key."""

import itertools
import sqlite3
from contextlib import closing
from typing import Any

import httpx
import msgspec
from running import Running
from sqlalchemy import text

from gateway.accounts import store
from gateway.accounts.keyring.rights import SCOPES
from gateway.accounts.keys import KeyDigester
from gateway.accounts.master import API_KEYS, derive_key, load_master_key
from gateway.db import SQLITE_FILE, Database
from gateway.ids import new_id

PASSWORD = "correct horse battery"
# No call of these tests goes anywhere.
NOWHERE = '[providers.openai]\nbase_url = "http://127.0.0.1:1/v1"\napi_key = "sk-none"\n'
# Says what happened, or when something was last seen; it changes without anybody changing anything.
VOLATILE_TABLES = {"audit_log", "revisions"}
VOLATILE_COLUMNS = {"last_used_ns", "seen_ns", "last_login_ns", "last_account_id"}
_COLUMNS = (
    "SELECT tables.name, columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns "
    "WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)
_INSERT_PROJECT = text(
    "INSERT INTO projects (project_id, account_id, name, created_ns) VALUES (:project_id, :account_id, :name, 1)"
)
_numbers = itertools.count()


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is signed in."""

    user_id: str
    account_id: str
    email: str
    token: str
    cookie: str


class World(msgspec.Struct, kw_only=True):
    """Everybody, and what belongs to Ann's account."""

    running: Running
    database: Database
    client: httpx.AsyncClient
    ann: Person
    # A viewer of Ann's account.
    vic: Person
    bob: Person
    opal: Person
    project_id: str
    key: str
    # Of Bob's project, and of his whole account; both may manage, and have every scope.
    foreign_key: str
    foreign_wide_key: str
    # Of everything that is Ann's account's, in the order in which they came; each object that a test makes is added.
    marks: dict[str, None]
    _columns: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    # Of each row, as text: with how many marks it was compared in vain, or -1: it has one.
    _known: dict[str, int] = msgspec.field(default_factory=dict[str, int])

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Ask; underscores in headers are hyphens. No answer ever holds a password's hash."""
        written = {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else msgspec.json.encode(body)
        if body is not None:
            written.setdefault("content-type", "application/json")
        # A stream without an end is left after what it begins with.
        async with self.client.stream(method, path, content=content, headers=written) as reply:
            if reply.headers.get("content-type", "").startswith("text/event-stream") and path.endswith("/live"):
                first = await anext(reply.aiter_raw())
                answer = httpx.Response(reply.status_code, headers=reply.headers, content=first)
            else:
                await reply.aread()
                answer = reply
        assert "$argon2" not in answer.text
        return answer

    async def ask_as(self, token: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """Ask with a person's token or a key."""
        return await self.ask(method, path, body, authorization=f"Bearer {token}")

    async def make(self, path: str, body: Any, member: str = "id") -> str:
        """Have Ann make something by POST, and give the id in the answer: ``member`` may be a path like ``key.id``."""
        answer = await self.ask_as(self.ann.token, "POST", path, body)
        assert answer.is_success, answer.text
        found: Any = answer.json()
        for name in member.split("."):
            found = found[name]
        self.marks[found] = None
        return str(found)

    async def make_project(self) -> str:
        """Make another project of Ann's account."""
        project_id = f"proj_{new_id(1)}"
        await _insert_project(self.database, project_id, self.ann.account_id)
        self.marks[project_id] = None
        return project_id

    async def make_member(self) -> Person:
        """Make another member of Ann's account."""
        person = await sign_up(self.client, f"m{next(_numbers)}", self.ann)
        self.marks[person.user_id] = None
        return person

    async def snapshot(self) -> dict[str, set[str]]:
        """Every row that names something of Ann's account, by table."""
        # A call of the test before may wait to be stored.
        await self.running.gateway.services.recorder.flush()
        # Read past the gateway's own way, on which each of some thirty tables would cost a millisecond, 450 times.
        path = self.running.gateway.services.settings.data_dir / SQLITE_FILE
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("BEGIN")
            self._columns = self._columns or _list_columns(connection)
            found: dict[str, set[str]] = {}
            for table, columns in self._columns.items():
                rows = connection.execute(f'SELECT {columns} FROM "{table}"')  # noqa: S608
                found[table] = {kept for row in rows if self._is_own_row(kept := repr(row))}
        return found

    def is_own(self, written: str) -> bool:
        """Tell whether a text names anything of Ann's account."""
        return any(mark in written for mark in self.marks)

    def _is_own_row(self, written: str) -> bool:
        """The same for a text that is asked about again and again: only marks that are new since are looked for."""
        known = self._known.get(written, 0)
        if known < 0:
            return True
        marks = list(self.marks)
        is_own = any(mark in written for mark in marks[known:])
        self._known[written] = -1 if is_own else len(marks)
        return is_own


def _list_columns(connection: sqlite3.Connection) -> dict[str, str]:
    """Every table with its columns, but for those that change by themselves."""
    found: dict[str, list[str]] = {}
    for table, column in connection.execute(_COLUMNS):
        if table not in VOLATILE_TABLES and column not in VOLATILE_COLUMNS:
            found.setdefault(table, []).append(f'"{column}"')
    return {table: ", ".join(columns) for table, columns in found.items()}


async def sign_up(client: httpx.AsyncClient, name: str, host: Person | None = None, **more: str) -> Person:
    """Register somebody, as a viewer of the host's account where there is a host."""
    email = f"{name}@example.com"
    if host is not None:
        headers = {"authorization": f"Bearer {host.token}"}
        body = {"email": email, "role": "viewer"}
        made = await client.post("/api/account/invitations", json=body, headers=headers)
        more["invitation"] = made.json()["token"]
    body = {"email": email, "password": PASSWORD, "name": name, **more}
    answer = await client.post("/api/v1/auth/register", json=body)
    token = answer.json()["access_token"]
    me = (await client.get("/api/users/me", headers={"authorization": f"Bearer {token}"})).json()
    account_id = next(account["id"] for account in me["accounts"] if account["current"])
    cookie = answer.headers["set-cookie"].partition(";")[0]
    client.cookies.clear()
    return Person(user_id=me["id"], account_id=account_id, email=email, token=token, cookie=cookie)


async def _insert_project(database: Database, project_id: str, account_id: str) -> None:
    values = {"project_id": project_id, "account_id": account_id, "name": project_id}
    async with database.write() as connection:
        await connection.execute(_INSERT_PROJECT, values)


async def build_world(running: Running, client: httpx.AsyncClient) -> World:
    """Everybody signs up; the operator by the claim link."""
    database: Database = running.gateway.app.state.database
    settings = running.gateway.services.settings
    digester = KeyDigester(derive_key(load_master_key(None, settings.data_dir), API_KEYS))
    claim = await running.gateway.identity.people.find_open_claim()
    assert claim is not None
    opal = await sign_up(client, "opal", claim=claim.reveal())
    ann, bob = await sign_up(client, "ann"), await sign_up(client, "bob")
    vic = await sign_up(client, "vic", ann)
    projects: list[str] = []
    keys: list[store.MadeKey] = []
    for person in (ann, bob):
        projects.append(f"proj_{new_id(1)}")
        await _insert_project(database, projects[-1], person.account_id)
        for is_wide in (False, True):
            wanted = store.NewKey(
                project_id=projects[-1],
                is_managing=True,
                is_account_wide=is_wide,
                scopes=SCOPES,
                made_by=person.user_id,
            )
            keys.append(await store.create_key(database, digester, wanted, 1))
    await running.gateway.services.directory.refresh()
    return World(
        running=running,
        database=database,
        client=client,
        ann=ann,
        vic=vic,
        bob=bob,
        opal=opal,
        project_id=projects[0],
        key=keys[0].key,
        foreign_key=keys[2].key,
        foreign_wide_key=keys[3].key,
        marks=dict.fromkeys(
            (ann.account_id, ann.user_id, ann.email, vic.user_id, projects[0], keys[0].key_id, keys[1].key_id)
        ),
    )
