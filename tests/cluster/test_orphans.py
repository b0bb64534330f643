"""Workers whose parent was killed: they end what they were at, and leave the address to the next start."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import httpx
import msgspec
import pytest
from cluster.hosts import cluster
from cluster.spending import OK, Biller, configure, register, wait_until_known
from running import upstream

from gateway.config.settings import Server
from gateway.server.run import AddressTaken, listen
from tests.servers import RedisServer

ANSWER_S = 2.0
# Far less than an answer takes.
FREE_WITHIN_S = 1.0


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_killing_the_parent_frees_the_address_and_cuts_no_call(
    tmp_path: Path, redis_server: RedisServer, schema_url: str
) -> None:
    """The workers listen no more at once, answer what they have, and are gone."""
    biller = Biller(ANSWER_S)
    async with (
        upstream(biller.answer) as listening,
        cluster(
            tmp_path, 1, configure(listening.url, "[server]\nworkers = 2\n"), redis_server.url, schema_url
        ) as joined,
    ):
        [host] = joined.hosts
        port, parent = host.port, host.running.process.pid
        ann = await register(port)
        await wait_until_known(joined.hosts, ann.key)
        workers = list_children(parent)
        body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "call-1"}]}
        headers = {"authorization": f"Bearer {ann.key}"}
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client, asyncio.TaskGroup() as group:
            address = f"http://127.0.0.1:{port}/v1/chat/completions"
            call = group.create_task(client.post(address, json=body, headers=headers))
            async with asyncio.timeout(10):
                while not biller.bills:
                    await asyncio.sleep(0.01)
            await host.stop(signal.SIGKILL)
            async with asyncio.timeout(FREE_WITHIN_S):
                while not is_free(port):
                    await asyncio.sleep(0.01)
            assert not call.done()
        assert call.result().status_code == OK
        async with asyncio.timeout(20):
            while any(map(is_alive, workers)):
                await asyncio.sleep(0.05)


def list_children(process_id: int) -> list[int]:
    """The workers of a gateway."""
    return [int(child) for child in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]


def is_free(port: int) -> bool:
    """Whether another gateway could listen there."""
    with contextlib.suppress(AddressTaken):
        with listen(msgspec.structs.replace(Server(), host="127.0.0.1", port=port)) as listener:
            listener.listen()
        return True
    return False


def is_alive(process_id: int) -> bool:
    """Whether there is such a process that has not ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(process_id, 0)
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(") ")[2][:1] != "Z"
    return False
