"""The cases about the process itself: its database, its signals."""

import asyncio
import contextlib
import os
import secrets
import signal
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from faults.cases import Case, chat_request, load_cases, request_bytes
from faults.judging import Seen
from faults.upstreams import STREAM_HEAD, Asked, GoodProvider, Peer, event, framed, good_provider, usage_event
from faults.wire import Connection, Reply, assemble, connect, exchange, nothing
from faults.world import ROOT, Gateway, Row, configure, gateway

README = ROOT / "README.md"
STREAMS = 100
LOCKED_S = 10.0
DRAIN_S = 2
LONG_DRAIN_S = 6
# More than one address may try in two minutes, should one of them end in between.
STRANGERS = 24
UNAUTHORIZED = 401
Play = Callable[[Case, Path], Awaitable[Seen]]


async def locked_database(case: Case, folder: Path) -> Seen:
    """Another writer holds SQLite's lock for ten seconds while calls go on."""
    async with good_provider() as good, gateway(folder, configure([case], good.port, 1, {})) as running:
        key = running.keys["api_key"]
        with contextlib.closing(
            sqlite3.connect(running.folder / "data" / "watchllm.db", isolation_level=None)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            ends = time.monotonic() + LOCKED_S
            replies: list[Reply] = []
            while time.monotonic() < ends:
                replies.append(await exchange(running.port, chat_request(f"{case['id']}/m", key)))
                await asyncio.sleep(0.1)
            other.execute("ROLLBACK")
        rows = await running.settled_rows()
    answered = all(reply.status == 200 and reply.seconds < 1 for reply in replies)
    return Seen(case=case, replies=[nothing()], facts={"none_lost": answered and len(rows) == len(replies)}, rows=rows)


async def corrupt_database(case: Case, folder: Path) -> Seen:
    """A database whose first pages are noise."""
    async with gateway(folder, ""):
        pass
    database = folder / "data" / "watchllm.db"
    for extra in ("-wal", "-shm"):
        database.with_name(database.name + extra).unlink(missing_ok=True)
    database.write_bytes(os.urandom(8_192) + database.read_bytes()[8_192:])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "serve", "--data-dir", str(folder / "data"), "--port", "0",
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            _, told = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    text = told.decode()
    clear = process.returncode not in (0, None) and "watchllm.db" in text and "Traceback" not in text
    documented = "backup" in README.read_text(encoding="utf-8").lower()
    facts = {"refused_clearly": clear and documented, "told": text[:500], "code": process.returncode}
    return Seen(case=case, replies=[nothing()], facts=facts)


async def no_redis(case: Case, folder: Path) -> Seen:
    """Redis is configured and nobody answers there."""
    environ = {"REDIS_URL": "redis://127.0.0.1:1/0"}
    async with good_provider() as good, gateway(folder, configure([case], good.port, 1, {}), environ) as running:
        reply = await exchange(running.port, chat_request(f"{case['id']}/m", running.keys["api_key"]))
        health = await running.ask("/health")
    facts = {"health": health.json(), "degraded": health.json()["status"] == "degraded"}
    return Seen(case=case, replies=[reply], facts=facts)


class Streams:
    """Streams of which some end soon and the others never, and what their clients got."""

    def __init__(self, case: Case, good: GoodProvider, ending: int) -> None:
        self.case = case
        self.released = asyncio.Event()
        self._ending = ending
        self._begun = 0
        good.behaviours[case["id"]] = self._answer
        self.connections: list[Connection] = []

    async def _answer(self, _: Asked, peer: Peer) -> None:
        self._begun += 1
        ends = self._begun <= self._ending
        await peer.send(STREAM_HEAD + framed(event({"content": "Hello"})))
        if not ends:
            await peer.is_left(60.0)
            raise ConnectionResetError
        await self.released.wait()
        await peer.send(b"".join(map(framed, (event({}, "stop"), usage_event(), b"data: [DONE]\n\n"))) + b"0\r\n\r\n")

    async def open(self, running: Gateway) -> list["asyncio.Task[Reply]"]:
        """Begin all of them; each is read by a task until it ends."""
        request = chat_request(f"{self.case['id']}/m", running.keys["api_key"], stream=True)
        for _ in range(STREAMS):
            connection = await connect(running.port)
            connection.send(request)
            self.connections.append(connection)
        tasks = [asyncio.get_running_loop().create_task(connection.reply(30.0)) for connection in self.connections]
        while self._begun < STREAMS:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        return tasks

    async def close(self) -> None:
        """Leave them all."""
        for connection in self.connections:
            await connection.close()


async def drain(case: Case, folder: Path) -> Seen:
    """SIGTERM while a hundred streams run: half of them end in time, half never."""
    config = f"[server]\ndrain_timeout_ms = {DRAIN_S * 1000}\n"
    async with good_provider() as good, gateway(folder, config + _provider_of(case, good)) as running:
        streams = Streams(case, good, STREAMS // 2)
        tasks = await streams.open(running)
        running.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        refused = await _is_refused(running)
        streams.released.set()
        replies = await asyncio.gather(*tasks)
        started = time.monotonic()
        code = await running.process.wait()
        await streams.close()
        rows = running.rows()
    ends = [assemble(reply.body) for reply in replies]
    facts = {
        "refused": refused,
        "finished": sum(end.is_done for end in ends),
        "told": sum(bool(end.errors) for end in ends),
        "rows": len(rows),
        "code": code,
        "late_s": round(time.monotonic() - started, 2),
    }
    half = STREAMS // 2
    wanted = {"refused": True, "finished": half, "told": half, "rows": STREAMS, "code": 0}
    facts["drained"] = all(facts[name] == value for name, value in wanted.items())
    return Seen(case=case, replies=[nothing()], facts=facts, rows=rows)


def _provider_of(case: Case, good: GoodProvider) -> str:
    # Without the section of times, which would end a stream that waits.
    return configure([case], good.port, 1, {}).partition("max_retry_after_ms = 2_500\n")[2]


async def _is_refused(running: Gateway) -> bool:
    try:
        return (await exchange(running.port, chat_request("good/m", running.keys["api_key"]), 2.0)).status in (0, 503)
    except ConnectionError:
        return True


async def drain_twice(case: Case, folder: Path) -> Seen:
    """A second SIGTERM while streams run that never end."""
    config = f"[server]\ndrain_timeout_ms = {LONG_DRAIN_S * 1000}\n"
    async with good_provider() as good, gateway(folder, config + _provider_of(case, good)) as running:
        streams = Streams(case, good, 0)
        tasks = await streams.open(running)
        running.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        started = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        code = await running.process.wait()
        took_s = time.monotonic() - started
        await asyncio.gather(*tasks)
        await streams.close()
        at_exit = len(running.rows())
    rows = await _recovered(folder)
    facts = {
        "rows": len(rows),
        "rows_at_exit": at_exit,
        "code": code,
        "took_s": took_s,
        "statuses": sorted({row["status"] for row in rows}),
    }
    facts["stopped_fast"] = took_s < LONG_DRAIN_S / 2 and len(rows) == STREAMS
    return Seen(case=case, replies=[nothing()], facts=facts, rows=rows)


async def _recovered(folder: Path) -> list[Row]:
    """The rows after the next start, which finds them in the journal."""
    ends = time.monotonic() + 5.0
    async with gateway(folder, "") as again:
        while len(rows := await again.settled_rows()) < STREAMS and time.monotonic() < ends:
            await asyncio.sleep(0.05)
        return rows


async def strangers(case: Case, folder: Path) -> Seen:
    """One who tries key after key, and claims another address with each."""
    async with gateway(folder, "[limits]\nenforce = true\n") as running:
        replies: list[Reply] = []
        for number in range(STRANGERS):
            names = {"RANDOM": secrets.token_urlsafe(), "RANDOM_IP": f"192.0.2.{number}"}
            replies.append(await exchange(running.port, request_bytes(case["request"], names)))
    assert replies[0].status == UNAUTHORIZED
    return Seen(case=case, replies=replies[-1:])


PROCESSES: dict[str, Play] = {
    "auth-029": strangers,
    "storage-001": no_redis,
    "storage-010": locked_database,
    "storage-011": corrupt_database,
    "storage-014": drain,
    "storage-015": drain_twice,
}
HERE = [name for name in PROCESSES if name in load_cases()]
