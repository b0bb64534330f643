"""The behaviours that take a minute or thousands of sockets; each gets a gateway of its own with default times."""

import asyncio
import contextlib
import resource
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from faults.cases import Case, chat_request, get_request
from faults.judging import Seen
from faults.upstreams import STREAM_HEAD, Asked, Peer, event, framed
from faults.wire import Connection, connect, exchange, nothing
from faults.world import World

MIB = 1 << 20
HELD_BYTES = MIB
WRITE_TIMEOUT_S = 60.0
SWEEP_S = 5.0
HUNG_STREAMS = 1_000
OPEN_FILES = 16_384


class Flood:
    """A provider whose stream never ends, and how much of it was taken."""

    def __init__(self, total_bytes: int) -> None:
        self.sent_bytes = 0
        self.is_left = asyncio.Event()
        self._total_bytes = total_bytes

    async def answer(self, _: Asked, peer: Peer) -> None:
        """Stream until all is taken or the gateway leaves."""
        part = framed(event({"content": "x" * 8_000}))
        try:
            await peer.send(STREAM_HEAD)
            while self.sent_bytes < self._total_bytes:
                await peer.send(part)
                self.sent_bytes += len(part)
            await peer.is_left(2 * WRITE_TIMEOUT_S)
        finally:
            self.is_left.set()


async def slow_read(case: Case, world: World) -> Seen:
    """The client of a stream of 10 MB reads a byte a second."""
    flood = Flood(10 * MIB)
    world.good.behaviours[case["id"]] = flood.answer
    world.gateway.forget_peak()
    before = world.gateway.memory_kib("VmRSS")
    async with await connect(world.port, receive_buffer_bytes=4_096) as connection:
        connection.send(chat_request(f"{case['id']}/m", world.key, stream=True))
        first = await connection.read_some(1)
        reading = asyncio.get_running_loop().create_task(_read_slowly(connection))
        await asyncio.sleep(2.0)
        taken = flood.sent_bytes
        # How far the kernel's own buffers grow is each machine's own affair; they are no memory of the gateway's.
        held = taken - _queued_bytes(world.port) - _queued_bytes(world.good.port)
        closed = await _happens(flood.is_left, WRITE_TIMEOUT_S + SWEEP_S)
        reading.cancel()
    growth_kib = world.gateway.memory_kib("VmHWM") - before
    reply = nothing()
    reply.status = 200 if first == b"H" else 0
    facts: dict[str, Any] = {"held": closed and taken == flood.sent_bytes and held <= HELD_BYTES}
    facts |= {"taken_bytes": taken, "held_bytes": held, "closed": closed}
    return Seen(case=case, replies=[reply], facts=facts, growth_kib=growth_kib)


def _queued_bytes(port: int) -> int:
    """What the kernel holds of the connections to a port, on both their ends: sent and not received, not read."""
    total, mark = 0, f":{port:04X}"
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if local.endswith(mark) or remote.endswith(mark):
            total += sum(int(part, 16) for part in queues.split(":"))
    return total


async def _read_slowly(connection: Connection) -> None:
    while await connection.read_some(1):
        await asyncio.sleep(1.0)


async def _happens(happening: asyncio.Event, within_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await happening.wait()
    return happening.is_set()


async def vanish(case: Case, world: World) -> Seen:
    """A client that has gone without a word: it neither reads nor closes."""
    flood = Flood(1 << 40)
    world.good.behaviours[case["id"]] = flood.answer
    async with await connect(world.port, receive_buffer_bytes=4_096) as connection:
        connection.send(chat_request(f"{case['id']}/m", world.key, stream=True))
        closed = await _happens(flood.is_left, WRITE_TIMEOUT_S + SWEEP_S)
    return Seen(case=case, replies=[nothing()], facts={"closed": closed})


async def idle_conns(case: Case, world: World) -> Seen:
    """Thousands of idle connections, each of which was used once, and then a call."""
    raise_file_limit()
    async with contextlib.AsyncExitStack() as stack:
        room = asyncio.Semaphore(100)

        async def use() -> None:
            async with room:
                connection = await stack.enter_async_context(await connect(world.port))
                connection.send(get_request("/v1/models", "wrong"))
                assert (await connection.reply()).status == 401

        await asyncio.gather(*(use() for _ in range(case["behaviour"]["conns"])))
        started = time.monotonic()
        reply = await exchange(world.port, chat_request(f"{case['id']}/m", world.key))
        reply.seconds = time.monotonic() - started
    return Seen(case=case, replies=[reply])


async def pool_exhaust(case: Case, world: World) -> Seen:
    """Streams that hang take all of a provider's connections; the next call is refused, another provider's is not."""
    raise_file_limit()

    async def hang(_: Asked, peer: Peer) -> None:
        await peer.send(STREAM_HEAD + framed(event({"content": "Hello"})))
        await peer.is_left(WRITE_TIMEOUT_S)

    world.good.behaviours[case["id"]] = hang
    request = chat_request(f"{case['id']}/m", world.key, stream=True)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(HUNG_STREAMS // 50):
            batch = [await stack.enter_async_context(await connect(world.port)) for _ in range(50)]
            for connection in batch:
                connection.send(request)
            await asyncio.gather(*(connection.read_until(b"\n\n") for connection in batch))
        refused = await exchange(world.port, request)
        other = await exchange(world.port, chat_request("good/m", world.key))
    facts = {"bulkhead": other.status == 200 and max(other.seconds, refused.seconds) < 1}
    return Seen(case=case, replies=[refused], facts=facts)


def raise_file_limit() -> None:
    """Let this process, and those it starts, open as many files as thousands of sockets need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(OPEN_FILES, hard)), hard))


LONG: dict[str, Callable[[Case, World], Awaitable[Seen]]] = {
    "idle_conns": idle_conns,
    "pool_exhaust": pool_exhaust,
    "slow_read": slow_read,
    "vanish": vanish,
}
