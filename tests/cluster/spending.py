"""Callers who spend from one budget through several gateways, and the provider that keeps its own book of it."""

import asyncio
import itertools
import json
import random
import re
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec
from cluster.hosts import Host
from proof.budget_load import PASSWORD, to_pusd
from proof.raw_client import Heard, RawClient
from running import Request, json_reply

INPUT_PUSD, OUTPUT_PUSD = 1_000_000, 2_000_000
PROMPT_TOKENS = 12
MAX_TOKENS = 40
NUMBER = re.compile(rb"call-(\d+)\b")
# Not all at the same moment.
START_S = 2.0
OK, USED_UP, AWAY = 200, 402, 503


def configure(url: str, more: str = "") -> str:
    """One provider with one price, and calls that are over soon."""
    return (
        f'{more}\n[providers.openai]\nbase_url = "{url}"\napi_key = "k"\n'
        '[[prices]]\nprovider = "openai"\nmodel = "m"\neffective_from = "2020-01-01"\ninput = "1"\noutput = "2"\n'
        '[[models]]\nname = "m"\ntargets = [{ provider = "openai", model = "m" }]\n'
        "[timeouts]\ntotal_ms = 20_000\nfirst_byte_ms = 15_000\n"
    )


class Biller:
    """Bills every call that arrives, by its number, at once; answers after a while."""

    def __init__(self, wait_s: float = 0.05) -> None:
        self.bills: dict[int, int] = {}
        self.wait_s = wait_s

    @property
    def billed_pusd(self) -> int:
        """All of it."""
        return sum(self.bills.values())

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """See running.upstream."""
        found = NUMBER.search(request.body)
        assert found is not None, "every call has a number"
        number, tokens = int(found[1]), int(json.loads(request.body)["max_tokens"])
        cost_pusd = PROMPT_TOKENS * INPUT_PUSD + tokens * OUTPUT_PUSD
        self.bills[number] = self.bills.get(number, 0) + cost_pusd
        await asyncio.sleep(self.wait_s)
        message = {"role": "assistant", "content": "x"}
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": tokens, "total_tokens": PROMPT_TOKENS + tokens}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        writer.write(
            json_reply({"id": "r", "object": "o", "created": 1, "model": "m", "choices": choices, "usage": usage})
        )


class Away(Exception):
    """The gateway says that it cannot tell right now."""


class Person(msgspec.Struct, kw_only=True):
    """Somebody with a key and a budget."""

    token: str
    project_id: str
    key: str
    budget_id: str = ""

    async def ask(self, port: int, method: str, path: str, body: Any = None) -> Any:
        """One request to the management API that has to succeed."""
        headers = {"authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            answer = await client.request(method, path, json=body, headers=headers)
        if answer.status_code == AWAY:
            raise Away
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def budget(self, port: int, limit_usd: str, window: str = "total") -> None:
        """Make the budget."""
        wanted = {"scope": "account", "window": window, "limit_usd": limit_usd}
        self.budget_id = (await self.ask(port, "POST", "/api/budgets", wanted))["id"]

    async def stand(self, port: int) -> tuple[int, int]:
        """What is spent and held of the budget, in picodollars."""
        listed = (await self.ask(port, "GET", "/api/budgets"))["budgets"]
        found = next(one for one in listed if one["id"] == self.budget_id)
        return to_pusd(found["spent_usd"]), to_pusd(found["held_usd"])


async def register(port: int, email: str = "ann@example.com") -> Person:
    """Register somebody, and give them a key."""
    wanted = {"email": email, "password": PASSWORD, "name": "Ann"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
        token = (await client.post("/api/v1/auth/register", json=wanted)).json()["access_token"]
    person = Person(token=token, project_id="", key="")
    person.project_id = (await person.ask(port, "GET", "/api/projects"))["projects"][0]["id"]
    person.key = (await person.ask(port, "POST", f"/api/projects/{person.project_id}/keys", {"name": "k"}))["key"]
    return person


async def wait_until_known(hosts: Sequence[Host], key: str, within_s: float = 1.0) -> float:
    """Wait until every host honours a key; tells how long the last one took, in seconds."""
    begun_s = asyncio.get_running_loop().time()
    async with asyncio.timeout(within_s + 5):
        for host in hosts:
            while (await host.running.ask("/v1/models", key)).status != OK:
                await asyncio.sleep(0.02)
    return asyncio.get_running_loop().time() - begun_s


class Crowd:
    """Callers who go on calling, at whichever host answers, until the budget is used up or they are stopped."""

    def __init__(self, hosts: Sequence[Host], key: str, seed: int) -> None:
        self._hosts = hosts
        self._key = key
        self._numbers = itertools.count(1)
        self._chance = random.Random(seed)  # noqa: S311 - which host to try, no secret
        self._refused_in_a_row = 0
        self.is_stopped = False
        # By call: the status that the caller heard, 0 where the connection broke.
        self.heard: dict[int, int] = {}

    def count(self, status: int) -> int:
        """How many calls ended so."""
        return sum(heard == status for heard in self.heard.values())

    async def run(self, callers: int) -> None:
        """Call, so many at a time."""
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(self._call_on(callers))

    async def _call_on(self, patience: int) -> None:
        clients: dict[int, RawClient] = {}
        await asyncio.sleep(self._chance.uniform(0, START_S))
        while not self.is_stopped and self._refused_in_a_row < patience:
            port = self._chance.choice([host.port for host in self._hosts])
            if not port:
                await asyncio.sleep(0.02)
                continue
            client = clients.setdefault(port, RawClient(port))
            number = next(self._numbers)
            heard = await call(client, self._key, number)
            if heard is None:
                await asyncio.sleep(0.02)
                continue
            self.heard[number] = heard.status
            self._refused_in_a_row = self._refused_in_a_row + 1 if heard.status == USED_UP else 0
            if heard.status in (AWAY, USED_UP):
                # As it was told: who asks again at once keeps a busy machine busy.
                await asyncio.sleep(self._chance.uniform(0.5, 1.5))
        for client in clients.values():
            await client.leave()


async def call(client: RawClient, key: str, number: int, max_tokens: int = MAX_TOKENS) -> Heard | None:
    """One chat with this number; None where nobody listens."""
    messages = [{"role": "user", "content": f"call-{number}"}]
    body = {"model": "m", "max_tokens": max_tokens, "messages": messages}
    try:
        await client.send("/v1/chat/completions", key, body, {"x-watchllm-session": f"call-{number}"})
    except ConnectionError:
        await client.leave()
        return None
    return await client.answer()
