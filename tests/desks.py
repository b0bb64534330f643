"""A desk for tests: the routes of people and accounts over a real database, without the rest of a gateway."""

from typing import Any, cast

import httpx
from boards import Recorder
from fakes import make_services
from households import NOW_NS, House
from standing_apps import StandingApp

from gateway.accounts.tenancy.people import SignedIn
from gateway.accounts.tenancy.sessions import Lifetimes
from gateway.surfaces.api.auth import AUTH_ROUTES
from gateway.surfaces.api.people import PEOPLE_ROUTES
from gateway.surfaces.api.team import TEAM_ROUTES
from gateway.surfaces.guards import Identity

APP = StandingApp(*AUTH_ROUTES, *PEOPLE_ROUTES, *TEAM_ROUTES, handed=("services", "database", "members", "accounts"))


class Desk:
    """Everything that people do over HTTP."""

    def __init__(self, house: House, *, open_sign_up: bool = True, public_url: str = "") -> None:
        self.house = house
        self.now_ns = NOW_NS
        self.identity = Identity(
            people=house.people,
            lifetimes=Lifetimes(),
            now_ns=lambda: self.now_ns,
            open_sign_up=open_sign_up,
            public_url=public_url,
        )
        self.services = make_services(recorder=cast("Any", Recorder(house.database)))

    async def ask(
        self, method: str, path: str, body: Any = None, by: SignedIn | str | None = None, **headers: str
    ) -> httpx.Response:
        """Ask with a JSON body, as a person or with an access token; underscores in headers are hyphens."""
        written = {name.replace("_", "-"): value for name, value in headers.items()}
        if by is not None:
            token = by if isinstance(by, str) else by.tokens.access_token.reveal()
            written["authorization"] = f"Bearer {token}"
        house = self.house
        app = APP.give(
            services=self.services, database=house.database, members=house.members, accounts=house.accounts,
            identity=self.identity,
        )  # fmt: skip
        transport = httpx.ASGITransport(cast("Any", app))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            return await client.request(method, path, json=body, headers=written)
