"""A Redis that is slow or dead costs few calls a little time, and is then spared until it is well."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec
import pytest
from waiting_clock import waiting_clock

from gateway.counters.interface import CountersSpared, CountersUnavailable
from gateway.counters.link import LinkLimits, RedisLink
from gateway.counters.scripts import make_script

ECHO = make_script("return ARGV[1]")
WRONG = make_script("return redis.call('NO SUCH COMMAND')")
# The proportions are those of the defaults.
LIMITS = LinkLimits(timeout_ms=200, slow_ms=40, failures=5, probe_ms=10)
SLOW_S = 0.05
# Where many calls must be answered in time, also on a busy machine.
PATIENT_MS = 300
NEVER_MS = 3_600_000


class Proxy(msgspec.Struct):
    """Stands between a link and Redis; what Redis says is handed on after ``delay_s``, or never while it hangs."""

    redis_port: int
    port: int = 0
    delay_s: float = 0
    asked: int = 0
    pings: int = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.redis_port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.hand_on(reader, server_writer))
                group.create_task(self.hand_on(server_reader, writer, is_answer=True))
        except* (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            server_writer.close()

    async def hand_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool = False
    ) -> None:
        """Copy one direction until its end."""
        while data := await reader.read(65_536):
            if is_answer:
                await asyncio.sleep(self.delay_s)
            else:
                self.asked += b"EVAL" in data
                self.pings += b"PING" in data
            writer.write(data)
        raise ConnectionError


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    """A proxy in front of a real Redis."""
    proxy = Proxy(redis_port=urlsplit(redis_url).port or 0)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        await proxy.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    yield proxy
    server.close()
    for task in connections:
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)


@asynccontextmanager
async def linked(url: str, limits: LinkLimits = LIMITS) -> AsyncIterator[RedisLink]:
    """Open a link for one test."""
    link = RedisLink.open(url, limits)
    try:
        yield link
    finally:
        await link.close()


async def ask(link: RedisLink, text: str = "x") -> float | None:
    """Call once; None when it was answered, else the seconds until it was given up."""
    async with waiting_clock() as clock:
        try:
            assert await link.run(ECHO, [], [text]) == text.encode()
        except CountersUnavailable:
            return clock.seconds
    return None


def without_probes() -> LinkLimits:
    """Let nothing but the calls ask."""
    return msgspec.structs.replace(LIMITS, probe_ms=NEVER_MS)


async def test_a_redis_that_hangs_costs_five_calls_and_no_more(proxy: Proxy) -> None:
    """One after the other: each waits no longer than its limit, and from the sixth on nothing is asked."""
    async with linked(proxy.url, without_probes()) as link:
        assert await ask(link) is None
        proxy.delay_s = 60
        before = proxy.asked
        waits_s = [await ask(link) for _ in range(30)]
        assert proxy.asked - before <= 5
        assert link.is_sparing
        assert None not in waits_s
        assert sum(wait_s or 0 for wait_s in waits_s[5:]) < LIMITS.slow_ms / 1_000
        assert max(wait_s for wait_s in waits_s[:5] if wait_s) < LIMITS.timeout_ms / 1_000 + 0.2


async def test_of_many_calls_at_once_none_waits_for_its_own_limit(proxy: Proxy) -> None:
    """As soon as five have waited too long all are let go."""
    limits = LinkLimits(timeout_ms=20_000, slow_ms=PATIENT_MS, probe_ms=NEVER_MS)
    async with linked(proxy.url, limits) as link:
        assert await asyncio.gather(*(ask(link) for _ in range(40))) == [None] * 40
        proxy.delay_s = 60
        async with asyncio.timeout(10):
            waits_s = await asyncio.gather(*(ask(link) for _ in range(60)))
        assert None not in waits_s
        assert link.is_sparing


async def test_answers_that_come_late_are_used_and_held_against_it(proxy: Proxy) -> None:
    """Slow is nearly as bad as dead: after five of them it is spared too."""
    async with linked(proxy.url, msgspec.structs.replace(without_probes(), timeout_ms=20_000)) as link:
        assert await ask(link) is None
        proxy.delay_s = SLOW_S
        assert [await ask(link) for _ in range(4)] == [None] * 4
        assert not link.is_sparing
        # A look that a busy machine made late is not counted, so it may take one more.
        while not link.is_sparing:
            await ask(link)


async def test_a_fast_answer_forgives(proxy: Proxy) -> None:
    """Only failures in a row count."""
    async with linked(
        proxy.url, msgspec.structs.replace(without_probes(), slow_ms=PATIENT_MS, timeout_ms=20_000)
    ) as link:
        for _ in range(3):
            for _ in range(4):
                with pytest.raises(CountersUnavailable):
                    await link.run(WRONG, [], [])
            assert await ask(link) is None
        assert not link.is_sparing


async def test_a_damaged_value_is_not_held_against_it(proxy: Proxy) -> None:
    """What else lies there is well, and is not to wait for it."""
    patient = msgspec.structs.replace(without_probes(), slow_ms=PATIENT_MS, timeout_ms=20_000)
    name = f"damaged-{time.time_ns()}"
    count = make_script("return redis.call('INCR', KEYS[1])")
    async with linked(proxy.url, patient) as link:
        for damage in ("redis.call('LPUSH', KEYS[1], 'x')", "redis.call('SET', KEYS[1], 'x', 'PX', 10000)"):
            await link.run(make_script(f"redis.call('UNLINK', KEYS[1]) {damage}"), [name], [])
            for _ in range(6):
                with pytest.raises(CountersUnavailable):
                    await link.run(count, [name], [])
        assert not link.is_sparing
        await link.run(make_script("redis.call('UNLINK', KEYS[1])"), [name], [])


async def test_it_is_used_again_once_a_probe_is_answered_fast(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    """No call pays for finding out; the log tells of both moments."""
    async with linked(proxy.url) as link:
        with caplog.at_level(logging.WARNING):
            for _ in range(5):
                with pytest.raises(CountersUnavailable, match="cannot be used"):
                    await link.run(WRONG, [], [])
            assert link.is_sparing
            with pytest.raises(CountersUnavailable, match="spared"):
                await link.run(ECHO, [], ["x"])
            async with asyncio.timeout(10):
                while link.is_sparing:
                    await asyncio.sleep(0.005)
            assert await ask(link) is None
        assert [record.message.split(",")[0] for record in caplog.records] == [
            "Redis is spared after 5 failures in a row",
            "Redis answers again",
        ]


async def test_a_slow_probe_keeps_it_spared(proxy: Proxy) -> None:
    """It has to be well, not only alive."""
    async with linked(proxy.url) as link:
        assert await ask(link) is None
        proxy.delay_s = SLOW_S
        while not link.is_sparing:
            await ask(link)
        probes = proxy.pings + 4
        async with asyncio.timeout(10):
            while proxy.pings < probes:
                await asyncio.sleep(0.005)
        assert link.is_sparing
        proxy.delay_s = 0
        async with asyncio.timeout(10):
            while link.is_sparing:
                await asyncio.sleep(0.005)


async def test_a_dead_redis_costs_nothing_but_the_refusals(unused_tcp_port: int) -> None:
    """Nobody listens: five calls are refused at once, and the rest do not ask."""
    async with linked(f"redis://:secret@127.0.0.1:{unused_tcp_port}/0", without_probes()) as link:
        for _ in range(6):
            with pytest.raises(CountersUnavailable) as caught:
                await link.run(ECHO, [], ["x"])
            assert "secret" not in str(caught.value)
        assert link.is_sparing


async def test_a_cancelled_call_leaves_no_answer_to_the_next(proxy: Proxy) -> None:
    """One caller's answer never reaches another, and the one who left is not held against Redis."""
    async with linked(proxy.url, LinkLimits(timeout_ms=20_000, slow_ms=10_000)) as link:
        assert await ask(link) is None
        proxy.delay_s = 0.02
        for n in range(8):
            leaving = asyncio.ensure_future(link.run(ECHO, [], [f"of one who left {n}"]))
            await asyncio.sleep(0.01)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            assert await ask(link, f"{n}") is None
        assert not link.is_sparing


async def test_a_loop_that_was_busy_is_not_held_against_redis(proxy: Proxy) -> None:
    """Answers that have come and wait to be read are not late."""
    limits = LinkLimits(timeout_ms=20_000, slow_ms=PATIENT_MS, probe_ms=NEVER_MS)
    async with linked(proxy.url, limits) as link:
        assert await asyncio.gather(*(ask(link) for _ in range(20))) == [None] * 20
        asking = [asyncio.ensure_future(ask(link)) for _ in range(20)]
        await asyncio.sleep(0)
        time.sleep(1.2 * PATIENT_MS / 1_000)
        assert await asyncio.gather(*asking) == [None] * 20
        assert not link.is_sparing


@pytest.mark.parametrize("url", ["http://u:hidden@h", "redis://u:hidden@h:port/0"])
def test_an_address_that_is_none_is_a_mistake(url: str) -> None:
    """The message says what to write and repeats nothing of it."""
    with pytest.raises(ValueError, match="redis://USER:PASSWORD@HOST:PORT/0") as caught:
        RedisLink.open(url)
    assert "hidden" not in str(caught.value)


async def test_waiting_for_a_turn_is_no_waiting_for_redis(proxy: Proxy) -> None:
    """However many calls there are at once: here the last wait longer than an answer may take, and all are answered."""
    proxy.delay_s = 0.02
    limits = LinkLimits(timeout_ms=1_000, turn_ms=20_000, slow_ms=500, probe_ms=NEVER_MS)
    async with linked(proxy.url, limits) as link:
        started_s = asyncio.get_running_loop().time()
        assert await asyncio.gather(*(link.run(ECHO, [], ["x"]) for _ in range(480))) == [b"x"] * 480
        assert asyncio.get_running_loop().time() - started_s > limits.timeout_ms / 1_000
        assert not link.is_sparing


async def test_a_call_that_never_had_its_turn_blames_nobody(proxy: Proxy) -> None:
    """Its time was over before it asked: of forty that were not answered, only the eight that asked count."""
    limits = LinkLimits(timeout_ms=20_000, turn_ms=60, slow_ms=20, failures=30, probe_ms=NEVER_MS)
    async with linked(proxy.url, limits) as link:
        assert await ask(link) is None
        proxy.delay_s = 60
        before = proxy.asked
        asking = [asyncio.ensure_future(ask(link)) for _ in range(8)]
        waiting = [link.run(ECHO, [], ["x"]) for _ in range(32)]
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(outcome, CountersSpared)
            assert "no turn within 0.06 s" in str(outcome)
        assert not link.is_sparing
        assert proxy.asked - before <= 8
        for asked in asking:
            asked.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
