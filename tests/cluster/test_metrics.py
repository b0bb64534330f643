"""With several workers a scrape tells of all of them, whoever takes it, and one that is killed takes nothing back."""

import asyncio
import os
import re
import signal
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from cluster.hosts import cluster
from cluster.spending import configure, register
from running import always, chat_reply, json_reply, upstream

from tests.servers import RedisServer

CALLS, SCRAPES = 20, 12
# Longer than any worker may take to hear of a key.
KNOWN_FOR_S = 1.5
TOTAL = re.compile(r"^watchllm_requests_total\{.*\} (\d+)$", re.MULTILINE)
BUCKETS = re.compile(r'^watchllm_request_duration_seconds_bucket\{.*le="\+Inf"\} (\d+)$', re.MULTILINE)
IN_FLIGHT = re.compile(r"^watchllm_requests_in_flight (\d+)$", re.MULTILINE)


def list_workers(process_id: int) -> list[int]:
    """The children of a process."""
    return [int(child) for child in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]


class Front:
    """The port that the workers share; every request has a connection of its own, so any of them may take it."""

    def __init__(self, port: int, key: str) -> None:
        self.base_url = f"http://127.0.0.1:{port}"
        self.key = key

    async def ask(self, method: str, path: str, **more: object) -> httpx.Response:
        """Ask whoever takes it."""
        async with httpx.AsyncClient(base_url=self.base_url, trust_env=False, timeout=20) as client:
            return await client.request(method, path, **more)  # type: ignore[arg-type]

    async def wait_until_known(self) -> None:
        """Wait until every worker honours the key: each does within a second, but any number of asks may meet one."""
        headers, known_s = {"authorization": f"Bearer {self.key}"}, None
        async with asyncio.timeout(20):
            while known_s is None or time.monotonic() - known_s < KNOWN_FOR_S:
                is_known = (await self.ask("GET", "/v1/models", headers=headers)).status_code == 200
                known_s = (known_s or time.monotonic()) if is_known else None

    async def call(self, number: int) -> None:
        """One call."""
        headers = {"authorization": f"Bearer {self.key}"}
        body = {
            "model": "m",
            "max_tokens": 9,
            "user": str(number),
            "messages": [{"role": "user", "content": str(number)}],
        }
        answer = await self.ask("POST", "/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200, answer.text

    async def scrape(self) -> tuple[int, int, int]:
        """Calls by the counter and by the histogram, and those in flight."""
        text = (await self.ask("GET", "/metrics")).text
        return tuple(sum(map(int, found.findall(text))) for found in (TOTAL, BUCKETS, IN_FLIGHT))  # type: ignore[return-value]


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_a_scrape_of_any_worker_tells_of_all(tmp_path: Path, redis_server: RedisServer, schema_url: str) -> None:
    """All calls, in every scrape; after a worker was killed by SIGKILL as well, and its successor goes on counting."""
    async with (
        upstream(always(json_reply(chat_reply("Hi.")))) as listening,
        cluster(
            tmp_path, 1, configure(listening.url, "[server]\nworkers = 2\n"), redis_server.url, schema_url
        ) as joined,
    ):
        [host] = joined.hosts
        ann = await register(host.port)
        front, process_id = Front(host.port, ann.key), host.running.process.pid
        await front.wait_until_known()
        for number in range(CALLS):
            await front.call(number)
        [(first, histogram, in_flight)] = Counter([await front.scrape() for _ in range(SCRAPES)])
        assert (first, histogram, in_flight) == (CALLS, CALLS, 0)
        victim, survivor = list_workers(process_id)
        os.kill(victim, signal.SIGKILL)
        async with asyncio.timeout(30):
            while len(now := list_workers(process_id)) < 2 or victim in now:
                await asyncio.sleep(0.05)
        assert survivor in now
        assert {(await front.scrape())[0] for _ in range(SCRAPES)} == {first}
        for number in range(CALLS):
            await front.call(CALLS + number)
        async with asyncio.timeout(30):
            while (await front.scrape())[0] < first + CALLS:
                await asyncio.sleep(0.05)
        assert {(await front.scrape())[0] for _ in range(SCRAPES)} == {first + CALLS}
