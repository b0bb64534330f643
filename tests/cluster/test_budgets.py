"""One budget over two real processes: never passed, whoever is killed, and what is left can be spent."""

import asyncio
import random
import signal
from pathlib import Path

import httpx
import pytest
from cluster.hosts import Cluster, cluster
from cluster.judging import judge, settle_down
from cluster.spending import OK, USED_UP, Away, Biller, Crowd, Person, call, configure, register, wait_until_known
from proof.budget_load import to_pusd
from proof.raw_client import RawClient
from running import upstream

from tests.servers import RedisServer

SEED = 20261126
CALLERS = 1_000
KILLS = 4
LIMIT_USD = "0.6"
# Long enough that most calls are under way at a kill.
ANSWER_S = 1.0
WATCH_S = 0.25
ZONES = ("Asia/Tokyo", "UTC", "Asia/Kathmandu")


class Watcher:
    """Looks, again and again, whether the limit holds at the provider and in what the gateways say."""

    def __init__(self, joined: Cluster, ann: Person, biller: Biller, limit_pusd: int) -> None:
        self._joined = joined
        self._ann = ann
        self._biller = biller
        self._limit_pusd = limit_pusd
        self.looks = 0
        self.overshoot_pusd = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(WATCH_S)

    async def look(self) -> None:
        """Once."""
        seen_pusd = self._biller.billed_pusd
        for host in self._joined.hosts:
            try:
                if host.port:
                    spent_pusd, held_pusd = await self._ann.stand(host.port)
                    seen_pusd = max(seen_pusd, spent_pusd + held_pusd)
                    self.looks += 1
            except (httpx.HTTPError, Away):
                # A host that was just killed tells nothing.
                continue
        self.overshoot_pusd = max(self.overshoot_pusd, seen_pusd - self._limit_pusd)


async def kill_as_money_goes(joined: Cluster, biller: Biller, limit_pusd: int, chance: random.Random) -> None:
    """Kill one host after another while the budget is being used up, and start each again."""
    for kill in range(KILLS):
        while biller.billed_pusd < limit_pusd * (kill + chance.random()) / (3 * KILLS):
            await asyncio.sleep(0.005)
        host = chance.choice(joined.hosts)
        await host.stop(signal.SIGKILL)
        await asyncio.sleep(chance.uniform(0, 0.3))
        await host.start()


async def spend_the_rest(joined: Cluster, ann: Person, biller: Biller, limit_pusd: int) -> int:
    """One caller more, until refused: what is left then is less than a call may cost."""
    clients = [RawClient(host.port) for host in joined.hosts]
    number, answered = 10**9, 0
    while True:
        heard = await call(clients[number % len(clients)], ann.key, number)
        assert heard is not None
        if heard.status == USED_UP:
            break
        assert heard.status == OK, heard.body
        answered, number = answered + 1, number + 1
    for client in clients:
        await client.leave()
    spent_pusd, held_pusd = await ann.stand(joined.hosts[0].port)
    body = {"model": "m", "max_tokens": 40, "messages": [{"role": "user", "content": f"call-{number}"}]}
    async with asyncio.timeout(10):
        reply = RawClient(joined.hosts[0].port)
        await reply.send("/v1/quote", ann.key, body)
        quote = (await reply.answer()).json()
        await reply.leave()
    assert held_pusd == 0
    assert biller.billed_pusd <= spent_pusd <= limit_pusd
    assert limit_pusd - spent_pusd < to_pusd(quote["max_cost_usd"])
    return answered


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_thousand_callers_never_pass_a_budget_through_kills(
    tmp_path: Path, redis_server: RedisServer, schema_url: str
) -> None:
    """Two processes, killed and started again at any moment: not a picodollar over, and nothing left unusable."""
    chance = random.Random(SEED)  # noqa: S311 - a plan, no secret
    biller, limit_pusd = Biller(ANSWER_S), to_pusd(LIMIT_USD)
    async with (
        upstream(biller.answer) as listening,
        cluster(tmp_path, 2, configure(listening.url), redis_server.url, schema_url) as joined,
    ):
        ann = await register(joined.hosts[0].port)
        await ann.budget(joined.hosts[0].port, LIMIT_USD)
        await wait_until_known(joined.hosts, ann.key)
        crowd = Crowd(joined.hosts, ann.key, SEED)
        watcher = Watcher(joined, ann, biller, limit_pusd)
        begun_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watcher.run())
            calling = group.create_task(crowd.run(CALLERS))
            await kill_as_money_goes(joined, biller, limit_pusd, chance)
            killed_s = asyncio.get_running_loop().time() - begun_s
            await calling
            watching.cancel()
        took_s = asyncio.get_running_loop().time() - begun_s
        spent_pusd, waited_s = await settle_down(joined, ann)
        rows = await joined.rows()
        found = judge(rows, biller, crowd.heard)
        assert sum(row["cost_pusd"] for row in rows) == spent_pusd
        # What dead calls held and did not cost is room again, for one call after the other.
        biller.wait_s = 0
        rest = await spend_the_rest(joined, ann, biller, limit_pusd)
    overshoot_pusd = max(watcher.overshoot_pusd, biller.billed_pusd - limit_pusd, 0)
    print(
        f"{CALLERS} callers, {KILLS} kills in {killed_s:.0f} of {took_s:.0f} s, {watcher.looks} looks, overshoot "
        f"{overshoot_pusd} pusd, holds gone after {waited_s} s, {rest} calls more: {found}"
    )
    assert overshoot_pusd == 0
    # How many calls a kill cuts off, each charged at its most, is chance: it may be as much as all of the money then.
    assert found["answered"] > CALLERS // 4
    assert found["answered"] + found["in_doubt"] > CALLERS
    assert found["refused"] >= CALLERS


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_changes_of_the_zone_never_pass_a_budget(
    tmp_path: Path, redis_server: RedisServer, schema_url: str
) -> None:
    """Back and forth, at one process and the other, while calls of all callers run: the limit is one throughout."""
    biller, limit_pusd = Biller(ANSWER_S), to_pusd("0.15")
    async with (
        upstream(biller.answer) as listening,
        cluster(tmp_path, 2, configure(listening.url), redis_server.url, schema_url) as joined,
    ):
        ann = await register(joined.hosts[0].port)
        await ann.budget(joined.hosts[0].port, "0.15", "month")
        await wait_until_known(joined.hosts, ann.key)
        crowd = Crowd(joined.hosts, ann.key, SEED)
        calling = asyncio.ensure_future(crowd.run(200))
        changes = 0
        while not calling.done():
            changes += 1
            await ann.ask(joined.hosts[changes % 2].port, "PATCH", "/api/account", {"zone": ZONES[changes % 3]})
            await asyncio.sleep(0.5)
        await calling
        spent_pusd, _ = await settle_down(joined, ann)
        rows = await joined.rows()
        assert sum(row["cost_pusd"] for row in rows) == spent_pusd
        found = judge(rows, biller, crowd.heard)
        print(f"{changes} changes, {spent_pusd} of {limit_pusd} pusd: {found}")
        assert biller.billed_pusd <= spent_pusd <= limit_pusd
        biller.wait_s = 0
        await spend_the_rest(joined, ann, biller, limit_pusd)
        # So that calls ran at most of them.
        assert changes >= 5
