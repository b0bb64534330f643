"""Calls as they come, over a real connection: told once, resumed, ended with the session, and left without a trace."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import Running, running

from gateway.surfaces.views import live

PERSON = {"email": "ann@example.com", "password": "correct horse battery", "name": "Ann"}
TYPE = "text/event-stream; charset=utf-8"
CHAT = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often."""
    for name, value in (("POLL_S", 0.01), ("HEARTBEAT_S", 0.02), ("RECHECK_S", 0.02)):
        monkeypatch.setattr(live, name, value)


class Listener:
    """One open stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.events: list[dict[str, str]] = []
        self.comments = 0
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, str]:
        """The next event; its fields."""
        event: dict[str, str] = {}
        async with asyncio.timeout(5):
            async for line in self._lines:
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif "event" in event:
                    return event
                else:
                    event = {}
        return {}


@asynccontextmanager
async def listen(client: httpx.AsyncClient, **headers: str) -> AsyncIterator[Listener]:
    """Open a stream."""
    async with client.stream("GET", "/api/requests/live", headers=headers) as response:
        assert (response.status_code, response.headers["content-type"]) == (200, TYPE)
        yield Listener(response)


async def call(found: Running, key: str) -> str:
    """Make a call; its id."""
    async with found.client(key) as caller:
        answer = await caller.post("/v1/chat/completions", json=CHAT)
    return str(answer.headers["x-watchllm-request-id"])


async def wait_until_nobody_listens(found: Running) -> None:
    """A stream that its client left ends."""
    async with asyncio.timeout(5):
        while len(found.gateway.listeners):
            await asyncio.sleep(0.01)


async def test_a_session_follows_calls(tmp_path: Path) -> None:
    """Each once, also after a break; other accounts' are not told; it ends with the session, and with the process."""
    async with running(tmp_path) as found, found.client() as person:
        del person.headers["authorization"]
        signed_in: dict[str, Any] = (await person.post("/api/v1/auth/register", json=PERSON)).json()
        token = {"authorization": f"Bearer {signed_in['access_token']}"}
        person.headers.update(token)
        project_id = (await person.get("/api/projects")).json()["projects"][0]["id"]
        made = await person.post(f"/api/projects/{project_id}/keys", json={"name": "k", "kind": "test"})
        key = made.json()["key"]
        async with listen(person) as listener:
            await asyncio.sleep(0.05)
            await call(found, found.test_key)
            first = await call(found, key)
            event = await listener.next()
            assert (event["event"], json.loads(event["data"])["id"]) == ("request", first)
        await wait_until_nobody_listens(found)
        head = await person.head("/api/requests/live")
        assert (head.status_code, head.headers["content-type"], head.content) == (200, TYPE, b"")
        await wait_until_nobody_listens(found)
        second = await call(found, key)
        async with listen(person, **{"last-event-id": event["id"]}) as listener:
            event = await listener.next()
            assert json.loads(event["data"])["id"] == second
            await person.post("/api/v1/auth/logout")
            assert await listener.next() == {"event": "end", "data": '{"reason":"signed_out"}'}
            assert await listener.next() == {}
        await wait_until_nobody_listens(found)
        async with found.client() as program:
            refused = await program.get("/api/requests/live", params={"after": "x"})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "after")
            async with listen(program, **{"last-event-id": "999"}) as listener:
                assert (await listener.next())["event"] == "gap"
                found.gateway.listeners.end()
                assert await listener.next() == {}
