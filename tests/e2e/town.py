"""A gateway with people, projects, budgets and some traffic behind it, made as anybody would: over HTTP."""

import random
from typing import Any

import httpx
import msgspec
from e2e.history import DAY_NS, make_history
from e2e.sights import PASSWORD
from running import Running

ADA, BOB, VIC = "ada@example.com", "bob@example.com", "vic@example.com"
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "llama-3.3-70b-versatile")
PROJECTS = ("Checkout assistant", "Search", "Support bot")
CALLS = 60
PAST_DAYS = 45
PAST_CALLS_A_DAY = 20
# Fewer questions than calls: some are asked again, and answered from the cache.
QUESTIONS = 25


class Town(msgspec.Struct, frozen=True):
    """Who lives there. Ada is an owner, Vic a viewer of her account, Bob has an account of his own."""

    gateway: Running
    client: httpx.AsyncClient
    # By their e-mail addresses.
    tokens: dict[str, str]
    # By their names: id and live key.
    projects: dict[str, tuple[str, str]]

    async def ask(self, method: str, path: str, body: Any = None, *, email: str = ADA) -> Any:
        """Ask as a person and return the answer, which must be good."""
        headers = {"authorization": f"Bearer {self.tokens[email]}"}
        answer = await self.client.request(method, path, json=body, headers=headers)
        assert answer.is_success, f"{method} {path}: {answer.text}"
        return answer.json()


async def build_town(gateway: Running, client: httpx.AsyncClient, *, has_traffic: bool = True) -> Town:
    """Register everybody, make everything and send the calls."""
    town = Town(gateway, client, {}, {})
    for email in (ADA, BOB):
        await _register(town, email, {})
    invited = await town.ask("POST", "/api/account/invitations", {"email": VIC, "role": "viewer"})
    await _register(town, VIC, {"invitation": invited["token"]})
    for name in PROJECTS:
        made = await town.ask("POST", "/api/projects", {"name": name})
        town.projects[name] = (made["id"], made["api_key"])
        budget = {"scope": "project", "scope_id": made["id"], "window": "month", "limit_usd": "500.00"}
        await town.ask("POST", "/api/budgets", {**budget, "action": "block"})
    if has_traffic:
        await remember(town)
        await send_calls(town)
    return town


async def remember(
    town: Town, *, days: int = PAST_DAYS, calls_a_day: int = PAST_CALLS_A_DAY, quiet_days: int = 1
) -> None:
    """Put a past behind the projects, up to the midnight of so many days ago."""
    keys: list[tuple[str, str]] = []
    for project_id, _ in town.projects.values():
        listed = await town.ask("GET", f"/api/projects/{project_id}/keys")
        keys += [(project_id, key["id"]) for key in listed["api_keys"]]
    recorder = town.gateway.gateway.services.recorder
    until_ns = (town.gateway.gateway.services.now_ns() // DAY_NS - quiet_days) * DAY_NS
    for row in make_history(keys, until_ns=until_ns, days=days, calls_a_day=calls_a_day):
        recorder.record(row)
    await recorder.flush()


async def _register(town: Town, email: str, more: dict[str, str]) -> None:
    body = {"email": email, "password": PASSWORD, "name": email.partition("@")[0].title(), **more}
    answer = await town.client.post("/api/v1/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    town.client.cookies.clear()
    town.tokens[email] = answer.json()["access_token"]


async def send_calls(town: Town, count: int = CALLS) -> None:
    """Ask the projects' models; some questions twice, one of an unknown model."""
    chosen = random.Random(7)  # noqa: S311 - traffic that is the same each time, no secret
    for _ in range(count):
        _, key = town.projects[chosen.choice(PROJECTS)]
        tags = chosen.choice(("team-a", "team-b", ""))
        headers = {"authorization": f"Bearer {key}", **({"x-watchllm-tags": tags} if tags else {})}
        question = f"Question {chosen.randrange(QUESTIONS)}"
        body = {"model": chosen.choice(MODELS), "messages": [{"role": "user", "content": question}]}
        answer = await town.client.post("/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
