"""Calls that the gateway makes by itself to check an answer that the semantic layer gave, within a sum a day.

Each is a call like any other, with a row of its own (``cache_layer`` audit) on the budgets of the key that asked. Those
that ask a judge are among them; about answers that were not served, it is asked out of the first half of the sum alone,
so that what is served can be checked in the other.

Failure behavior: what would pass the sum, or comes while many are under way, is not made: the answer stays unchecked,
and whoever ordered it is told.
While the database is away the sum is the one known last.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.caching.semantic import store
from gateway.db import Database, DatabaseUnavailable

# At once, and with those that wait for one of these.
MAX_RUNNING, MAX_TASKS = 4, 64
# What other processes spent is asked for this often.
REFRESH_NS = 30 * 10**9
DAY_NS = 86_400 * 10**9
# A project that was idle is asked anew.
MAX_PROJECTS = 10_000
Make = Callable[[], Coroutine[Any, Any, None]]


class _Purse:
    """What a project's audits cost today."""

    __slots__ = ("asked_ns", "day", "held_pusd", "spent_pusd")

    def __init__(self, day: int) -> None:
        self.day = day
        self.asked_ns = 0
        self.spent_pusd = 0
        # By those under way, as they were estimated.
        self.held_pusd = 0


class Audits:
    """One a process, built by the application."""

    def __init__(self, database: Database, limit_pusd: int, now_ns: Callable[[], int]) -> None:
        self._database = database
        self._limit_pusd = limit_pusd
        self._now_ns = now_ns
        self._purses: dict[str, _Purse] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = asyncio.Semaphore(MAX_RUNNING)
        self._is_closed = False
        self.made = 0

    def order(
        self, project_id: str, cost_pusd: int, make: Make, decline: Callable[[], None], *, is_spare: bool = False
    ) -> None:
        """Have a call made that costs about so much; ``decline`` is told where it is not, now or later."""
        limit_pusd = self._limit_pusd // 2 if is_spare else self._limit_pusd
        if self._is_closed or len(self._tasks) >= MAX_TASKS or not limit_pusd:
            decline()
            return
        task = asyncio.get_running_loop().create_task(self._make(project_id, cost_pusd, limit_pusd, make, decline))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def spend(self, project_id: str, cost_pusd: int) -> None:
        """One has cost so much."""
        self._purse(project_id).spent_pusd += cost_pusd

    async def settle(self) -> None:
        """Wait for those under way."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def close(self) -> None:
        """End those under way: each is settled as a call that the gateway's end cut off. None is made after."""
        self._is_closed = True
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def _make(
        self, project_id: str, cost_pusd: int, limit_pusd: int, make: Make, decline: Callable[[], None]
    ) -> None:
        try:
            async with self._running:
                await self._refresh(project_id)
                purse = self._purse(project_id)
                if purse.spent_pusd + purse.held_pusd + cost_pusd > limit_pusd:
                    return
                decline = _nothing
                purse.held_pusd += cost_pusd
                self.made += 1
                try:
                    await make()
                finally:
                    purse.held_pusd -= cost_pusd
        finally:
            decline()

    def _purse(self, project_id: str) -> _Purse:
        day = self._now_ns() // DAY_NS
        purse = self._purses.get(project_id)
        if purse is None or purse.day != day:
            if len(self._purses) >= MAX_PROJECTS:
                self._purses.clear()
            purse = self._purses[project_id] = _Purse(day)
        return purse

    async def _refresh(self, project_id: str) -> None:
        purse, now_ns = self._purse(project_id), self._now_ns()
        if now_ns - purse.asked_ns < REFRESH_NS:
            return
        purse.asked_ns = now_ns
        try:
            async with self._database.read() as connection:
                stored_pusd = await store.read_spent(connection, project_id, purse.day * DAY_NS)
        except DatabaseUnavailable:
            return
        # Rows reach the database a moment later than they are spent here.
        purse.spent_pusd = max(purse.spent_pusd, stored_pusd)


def _nothing() -> None:
    """It was made."""


class SilentClient:
    """Nobody: the answer of an audit is for the cache alone."""

    is_gone = takes_late = False

    def send(self, status: int, head: bytes, *body: bytes | memoryview) -> None:
        """Take a whole answer."""

    def start(self, head: bytes) -> None:
        """Take the beginning of a stream."""

    def write(self, data: bytes) -> None:
        """Take the next part."""

    def end(self, *data: bytes) -> None:
        """Take the last part."""

    def watch(self, on_gone: Callable[[], None], on_pressure: Callable[[bool], None]) -> None:
        """It never leaves, and takes everything."""
