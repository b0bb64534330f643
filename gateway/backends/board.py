"""The breakers of several processes behave as one: what opens or closes in one is told to all through Redis.

Each process counts failures in a row by itself. What it opened it puts on a board in Redis for the rest of the
cooldown, by Redis's own clock; the others spare the target too, and whoever's probe succeeds first takes it off the
board for all.

Failure behavior: while Redis is away, slow or being spared every process goes by what it sees itself; the board is
exchanged again when Redis is back.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

from gateway.backends.breaker import Breaker
from gateway.counters.interface import CountersUnavailable
from gateway.counters.link import RedisLink
from gateway.counters.scripts import make_script, read_text

EXCHANGE_INTERVAL_MS = 500
# Callers can invent names; those of all processes together are bounded.
MAX_NAMES = 10_000
# An hour after the last opening the board is gone: a cooldown is shorter.
BOARD_LIFE_MS = 3_600_000
_NS_PER_MS = 1_000_000


class BreakerBoard:
    """Exchanges this process's breakers with those of the others, twice a second, from ``start`` to ``close``."""

    def __init__(
        self,
        link: RedisLink,
        breakers: Callable[[], Mapping[str, Breaker]],
        ticks_ns: Callable[[], int],
        namespace: str = "watchllm",
    ) -> None:
        """``breakers`` gives those there are at the moment, by their targets' names."""
        self._link = link
        self._breakers = breakers
        self._ticks_ns = ticks_ns
        self._script = make_script(read_text("breakers"))
        self._key = f"{{{namespace}}}:breakers"
        # What the board said last, and when this process's breaker opened for it.
        self._known: dict[str, int | None] = {}
        self._exchanging: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Exchange again and again."""
        self._exchanging = asyncio.create_task(self._exchange_forever())  # noqa: TID251 - kept, and awaited on close

    async def close(self) -> None:
        """Stop, and close the way to Redis."""
        if self._exchanging is not None:
            self._exchanging.cancel()
            await asyncio.wait((self._exchanging,))
        await self._link.close()

    async def exchange(self) -> None:
        """Tell what opened and closed here, and take over what the board says. Raises CountersUnavailable."""
        now_ns = self._ticks_ns()
        breakers = self._breakers()
        opened: list[str | int] = []
        closed: list[str] = []
        for name, breaker in breakers.items():
            state = breaker.state(now_ns)
            if state == "open" and breaker.opened_ns != self._known.get(name):
                opened += (name, breaker.rest_ns(now_ns) // _NS_PER_MS + 1)
            elif state == "closed" and name in self._known:
                closed.append(name)
        arguments = [MAX_NAMES, BOARD_LIFE_MS, len(opened) // 2, *opened, *closed]
        told = cast("list[bytes]", await self._link.run(self._script, (self._key,), arguments))
        rests_ns = {
            name.decode("utf-8", "replace"): int(rest_ms) * _NS_PER_MS
            for name, rest_ms in zip(told[::2], told[1::2], strict=True)
        }
        self._take_over(breakers, rests_ns)

    def _take_over(self, breakers: Mapping[str, Breaker], rests_ns: dict[str, int]) -> None:
        now_ns = self._ticks_ns()
        for name, rest_ns in rests_ns.items():
            breaker = breakers.get(name)
            if breaker is not None and breaker.state(now_ns) != "open":
                breaker.spare(now_ns, rest_ns)
        for name in self._known.keys() - rests_ns.keys():
            breaker = breakers.get(name)
            if breaker is not None and breaker.state(now_ns) == "open" and breaker.opened_ns == self._known[name]:
                # Taken off before its time: another process found the target well.
                breaker.succeeded()
        self._known = {name: breakers[name].opened_ns if name in breakers else None for name in rests_ns}

    async def _exchange_forever(self) -> None:
        while True:
            try:
                await self.exchange()
            except CountersUnavailable:
                # The link tells of it in the log, once.
                pass
            await asyncio.sleep(EXCHANGE_INTERVAL_MS / 1_000)
