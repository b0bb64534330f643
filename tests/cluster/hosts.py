"""Several gateway processes that are one: each with a data directory of its own, on one Redis and one PostgreSQL."""

import asyncio
import base64
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from faults.world import Gateway, gateway

Row = dict[str, Any]


class Host:
    """One place where a gateway runs, is killed, and is started again."""

    def __init__(self, folder: Path, config: str, environ: dict[str, str]) -> None:
        self.folder = folder
        self._config = config
        self._environ = environ
        self._stack = AsyncExitStack()
        self._running: Gateway | None = None

    @property
    def running(self) -> Gateway:
        """The process of the moment."""
        assert self._running is not None, "start first"
        return self._running

    @property
    def port(self) -> int:
        """Where it listens; 0 while nothing does."""
        return 0 if self._running is None else self._running.port

    async def start(self) -> None:
        """Start, and wait until it is ready."""
        self._running = await self._stack.enter_async_context(gateway(self.folder, self._config, self._environ))

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; gives the exit code."""
        running, self._running = self.running, None
        code = await running.stop(number)
        await self._stack.aclose()
        return code


class Cluster:
    """The hosts, and what they share."""

    def __init__(self, hosts: list[Host], database_url: str) -> None:
        self.hosts = hosts
        self.database_url = database_url

    async def read(self, query: str) -> list[Row]:
        """What is in the database."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return [dict(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async def rows(self) -> list[Row]:
        """Every usage row, once no living host keeps one back."""
        for host in self.hosts:
            if host.port:
                async with asyncio.timeout(30):
                    while await host.running.gauge("watchllm_ledger_pending_rows"):
                        await asyncio.sleep(0.05)
        return await self.read("SELECT * FROM usage")


@asynccontextmanager
async def cluster(folder: Path, count: int, config: str, redis_url: str, database_url: str) -> AsyncIterator[Cluster]:
    """Start so many gateways, and end them."""
    environ = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "WATCHLLM_MASTER_KEY": base64.b64encode(os.urandom(32)).decode(),
    }
    hosts = [Host(folder / f"host-{number}", config, environ) for number in range(count)]
    try:
        await asyncio.gather(*(host.start() for host in hosts))
        yield Cluster(hosts, database_url)
    finally:
        for host in hosts:
            if host.port:
                with contextlib.suppress(ProcessLookupError):
                    await host.stop()
