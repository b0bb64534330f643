"""A rolling restart under load: nobody who was answered is forgotten, nothing is counted twice, nothing stays held."""

import asyncio
from pathlib import Path

import pytest
from cluster.hosts import cluster
from cluster.judging import judge, settle_down
from cluster.spending import OK, Biller, Crowd, configure, register, wait_until_known
from running import upstream

from tests.servers import RedisServer

CALLERS = 24
ROUNDS = 2
LIMIT_USD = "1000"


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_rolling_restart_loses_and_doubles_nothing(
    tmp_path: Path, redis_server: RedisServer, schema_url: str, workers: int
) -> None:
    """Two hosts are ended by SIGTERM and started again, one after the other, while callers go on at both."""
    biller = Biller(0.2)
    async with upstream(biller.answer) as listening:
        config = configure(listening.url, f"[server]\nworkers = {workers}\n")
        async with cluster(tmp_path, 2, config, redis_server.url, schema_url) as joined:
            ann = await register(joined.hosts[0].port)
            await ann.budget(joined.hosts[0].port, LIMIT_USD)
            await wait_until_known(joined.hosts, ann.key)
            crowd = Crowd(joined.hosts, ann.key, CALLERS)
            async with asyncio.TaskGroup() as group:
                group.create_task(crowd.run(CALLERS))
                codes: list[int] = []
                for _ in range(ROUNDS):
                    for host in joined.hosts:
                        answered = crowd.count(OK)
                        async with asyncio.timeout(60):
                            while crowd.count(OK) < answered + 2 * CALLERS:
                                await asyncio.sleep(0.05)
                        codes.append(await host.stop())
                        await host.start()
                crowd.is_stopped = True
            spent_pusd, _ = await settle_down(joined, ann)
            rows = await joined.rows()
    found = judge(rows, biller, crowd.heard)
    assert codes == [0] * 2 * ROUNDS
    assert sum(row["cost_pusd"] for row in rows) == spent_pusd == biller.billed_pusd
    # A request that met a connection as it was closed was never taken, so whoever sent it may send it again.
    assert biller.bills.keys() == {number for number, status in crowd.heard.items() if status == OK}
    assert {row["status"] for row in rows} == {"complete"}
    assert found["answered"] >= 2 * CALLERS * 2 * ROUNDS
    assert found["in_doubt"] == 0
