"""A desk for tests: the routes of people and accounts over a real database, without the rest of a gateway."""

from typing import Any, cast

import httpx
from boards import Recorder
from fakes import make_services
from households import NOW_NS, House
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from gateway.accounts.tenancy.people import SignedIn
from gateway.accounts.tenancy.sessions import Lifetimes
from gateway.surfaces import faults
from gateway.surfaces.api.auth import AUTH_ROUTES
from gateway.surfaces.api.people import PEOPLE_ROUTES
from gateway.surfaces.api.team import TEAM_ROUTES
from gateway.surfaces.guards import Identity


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
        services = make_services(recorder=cast("Any", Recorder(house.database)))
        self.app = Litestar(
            [*AUTH_ROUTES, *PEOPLE_ROUTES, *TEAM_ROUTES],
            dependencies={
                "services": Provide(lambda: services, sync_to_thread=False),
                "database": Provide(lambda: house.database, sync_to_thread=False),
                "members": Provide(lambda: house.members, sync_to_thread=False),
                "accounts": Provide(lambda: house.accounts, sync_to_thread=False),
            },
            after_request=faults.name_answer,
            exception_handlers=faults.HANDLERS,
            state=State({"identity": self.identity}),
            openapi_config=None,
            logging_config=None,
        )

    async def ask(
        self, method: str, path: str, body: Any = None, by: SignedIn | str | None = None, **headers: str
    ) -> httpx.Response:
        """Ask with a JSON body, as a person or with an access token; underscores in headers are hyphens."""
        written = {name.replace("_", "-"): value for name, value in headers.items()}
        if by is not None:
            token = by if isinstance(by, str) else by.tokens.access_token.reveal()
            written["authorization"] = f"Bearer {token}"
        transport = httpx.ASGITransport(cast("Any", self.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            return await client.request(method, path, json=body, headers=written)
