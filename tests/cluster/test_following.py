"""What is changed at one host holds at the other within a second: keys revoked, budgets made and taken away."""

import asyncio
import time
from pathlib import Path

import pytest
from cluster.hosts import cluster
from cluster.spending import OK, USED_UP, Biller, call, configure, register, wait_until_known
from proof.raw_client import RawClient
from running import upstream

from tests.servers import RedisServer

UNAUTHORIZED = 401
# The promise, and what a busy machine may add to it.
WITHIN_S, SLACK_S = 1.0, 4.0


async def wait_for(client: RawClient, key: str, status: int) -> float:
    """Call until the answer has this status; gives the seconds that it took."""
    begun_s, number = time.monotonic(), 1
    while (heard := await call(client, key, number)) is None or heard.status != status:
        assert time.monotonic() - begun_s < WITHIN_S + SLACK_S
        number += 1
        await asyncio.sleep(0.02)
    return time.monotonic() - begun_s


@pytest.mark.long
async def test_a_change_at_one_host_holds_at_the_other(
    tmp_path: Path, redis_server: RedisServer, schema_url: str
) -> None:
    """A budget without room stops a key everywhere, taken away it lets it go on, and a revoked key is nobody's."""
    async with (
        upstream(Biller(0).answer) as listening,
        cluster(tmp_path, 2, configure(listening.url), redis_server.url, schema_url) as joined,
    ):
        here, there = joined.hosts
        ann = await register(here.port)
        await wait_until_known(joined.hosts, ann.key)
        client = RawClient(there.port)
        await wait_for(client, ann.key, OK)
        await ann.budget(here.port, "0.000001")
        took_s = [await wait_for(client, ann.key, USED_UP)]
        await ann.ask(here.port, "DELETE", f"/api/budgets/{ann.budget_id}")
        took_s.append(await wait_for(client, ann.key, OK))
        listed = await ann.ask(here.port, "GET", f"/api/projects/{ann.project_id}/keys")
        keys = listed["api_keys"]
        key_id = next(key["id"] for key in keys if key["name"] == "k")
        await ann.ask(here.port, "DELETE", f"/api/projects/{ann.project_id}/keys/{key_id}")
        took_s.append(await wait_for(client, ann.key, UNAUTHORIZED))
        await client.leave()
    print(f"budget made, taken away, key revoked: {took_s} s")
