"""A real gateway with a person who is signed in, to ask ordinary routes as people and programs do."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx
from running import Running, running
from sqlalchemy import text

PASSWORD = "correct horse"
CHAT = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hello!"}]}
_numbers = itertools.count()


class Office:
    """One gateway, one HTTP client, and the token of whoever is signed in."""

    def __init__(self, gateway: Running, client: httpx.AsyncClient, token: str = "", email: str = "") -> None:
        self.gateway = gateway
        self.client = client
        self.token = token
        self.email = email

    async def ask(
        self, method: str, path: str, body: Any = None, *, bearer: str | None = None, **headers: str
    ) -> httpx.Response:
        """Ask as the person, or with another bearer; an empty one sends none."""
        given = self.token if bearer is None else bearer
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if given:
            sent["authorization"] = f"Bearer {given}"
        return await self.client.request(method, path, json=body, headers=sent)

    async def give(self, method: str, path: str, body: Any = None, *, bearer: str | None = None) -> Any:
        """Ask what is answered with 200 or 201; gives the answer."""
        answer = await self.ask(method, path, body, bearer=bearer)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def status(self, method: str, path: str, body: Any = None, *, bearer: str | None = None) -> int:
        """Ask, and give the status."""
        return (await self.ask(method, path, body, bearer=bearer)).status_code

    async def chat(self, key: str, model: str = "gpt-4") -> httpx.Response:
        """Call a model with a key."""
        return await self.ask("POST", "/v1/chat/completions", {**CHAT, "model": model}, bearer=key)

    async def enter(self, name: str) -> Self:
        """Register another person; gives the office as they see it."""
        email = f"{name}{next(_numbers)}@example.com"
        body = {"email": email, "password": PASSWORD, "name": name}
        token = (await self.give("POST", "/api/v1/auth/register", body, bearer=""))["access_token"]
        return type(self)(self.gateway, self.client, token, email)

    async def make_operator(self) -> None:
        """This person runs the installation."""
        database = self.gateway.gateway.app.state.database
        async with database.write() as connection:
            statement = text("UPDATE users SET is_operator = TRUE WHERE email = :email")
            await connection.execute(statement, {"email": self.email})

    async def project(self, name: str = "shop") -> tuple[str, str]:
        """Make a project: the path of its routes, and its key."""
        made = await self.give("POST", "/api/projects", {"name": name, "provider": "openai"})
        return f"/api/projects/{made['id']}", made["api_key"]


@asynccontextmanager
async def office(folder: Path, config: str = "") -> AsyncIterator[Office]:
    """Open an office for Ann at a gateway of its own."""
    async with running(folder, config) as gateway, office_at(gateway) as ann:
        yield ann


@asynccontextmanager
async def office_at(gateway: Running) -> AsyncIterator[Office]:
    """Open an office for an Ann whom the gateway has not met."""
    base_url = gateway.url.removesuffix("/v1")
    async with httpx.AsyncClient(base_url=base_url, timeout=20, trust_env=False) as client:
        yield await Office(gateway, client).enter("ann")
