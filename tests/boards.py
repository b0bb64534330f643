"""The usage routes over a real, small database, with people, projects and keys that may and may not read it."""

import asyncio
from typing import Any, cast

import httpx
import msgspec
from fakes import CALLER, FakeDirectory, FakeRecorder, make_services
from households import NOW_NS, House
from idle_keeper import make_keeper
from litestar import Litestar
from sqlalchemy import text
from standing_apps import StandingApp

from gateway.accounts.store import find_or_create_project
from gateway.accounts.tenancy.people import SignedIn
from gateway.accounts.tenancy.sessions import Lifetimes
from gateway.db import Database, DatabaseUnavailable
from gateway.ledger import store
from gateway.surfaces.api.auth import AUTH_ROUTES
from gateway.surfaces.guards import Identity
from gateway.surfaces.views.catalogue import CATALOGUE_ROUTES
from gateway.surfaces.views.listeners import Listeners
from gateway.surfaces.views.live import follow_requests
from gateway.surfaces.views.log import LOG_ROUTES
from gateway.surfaces.views.overview import OVERVIEW_ROUTES
from gateway.surfaces.views.prompt_cache import show_prompt_cache
from gateway.surfaces.views.requests import show_request
from gateway.surfaces.views.statistics import STATISTICS_ROUTES
from gateway.surfaces.views.usage import SCOPE, export_usage, show_usage
from tests.gateway.usage_rows import PROJECT_ID

READER = msgspec.structs.replace(CALLER, project_id=PROJECT_ID, scopes=frozenset({SCOPE}))
APP = StandingApp(
    *AUTH_ROUTES,
    *STATISTICS_ROUTES,
    *OVERVIEW_ROUTES,
    *CATALOGUE_ROUTES,
    *LOG_ROUTES,
    follow_requests,
    show_request,
    show_prompt_cache,
    show_usage,
    export_usage,
    handed=("services", "database", "listeners"),
)


class Recorder(FakeRecorder):
    """A ledger's writer whose rows reach the database when somebody waits for them."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.is_stuck = False

    async def flush(self) -> None:
        """Store what was recorded, or wait for ever."""
        if self.is_stuck:
            await asyncio.get_running_loop().create_future()
        async with self.database.write() as connection:
            await store.insert_rows(connection, self.rows)
        self.rows = []


class Away(Database):
    """A database that does not answer."""

    def __init__(self) -> None:
        """Open nothing."""

    def read(self) -> Any:
        """Fail."""
        raise DatabaseUnavailable("away")


class Board:
    """The routes; ``reader`` is a key of the operator's project PROJECT_ID, which nobody's account has."""

    def __init__(self, house: House) -> None:
        self.house, self.database = house, house.database
        self.recorder = Recorder(house.database)
        self.listeners = Listeners()
        self.keys: dict[bytes, Any] = {
            b"reader": READER,
            b"narrow": msgspec.structs.replace(READER, scopes=frozenset()),
        }
        directory = FakeDirectory(cast("Any", self.keys))
        made = make_services(directory=cast("Any", directory), recorder=cast("Any", self.recorder))
        self.services = msgspec.structs.replace(made, budgets=make_keeper(house.database))

    def app(self) -> Litestar:
        """Its paths."""
        identity = Identity(
            people=self.house.people,
            lifetimes=Lifetimes(),
            now_ns=lambda: NOW_NS,
            open_sign_up=True,
            public_url="",
        )
        return APP.give(services=self.services, database=self.database, listeners=self.listeners, identity=identity)

    async def ask(self, path: str, key: str = "reader", **params: str) -> httpx.Response:
        """Ask with a key or a token; ``from_`` stands for ``from``."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        transport = httpx.ASGITransport(cast("Any", self.app()))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test", headers=headers) as client:
            return await client.get(path, params={name.rstrip("_"): value for name, value in params.items()})

    async def get(self, path: str = "usage", *, project: str = PROJECT_ID, key: str = "reader", **params: str) -> Any:
        """Ask for something of a project."""
        return await self.ask(f"/api/projects/{project}/{path}", key, **params)

    async def refused(self, path: str, **how: str) -> tuple[int, str, str | None]:
        """Status, code and parameter of a refusal."""
        response = await self.get(path, **how)
        error = response.json()["error"]
        return response.status_code, error["code"], error["param"]

    async def register(self, name: str) -> tuple[str, str, SignedIn]:
        """Make a person; her token, her project's id, and herself."""
        signed_in = await self.house.register(name)
        async with self.database.read() as connection:
            found = await connection.execute(
                text("SELECT project_id FROM projects WHERE account_id = :id"), {"id": signed_in.person.account_id}
            )
            project_id: str = found.scalar_one()
        return signed_in.tokens.access_token.reveal(), project_id, signed_in

    async def make_operators_project(self) -> str:
        """A project without an account."""
        return (await find_or_create_project(self.database, "operators", NOW_NS)).project_id
