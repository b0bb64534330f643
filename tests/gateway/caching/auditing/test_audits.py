"""Checks of served answers cost a project no more a day than it may, whoever makes them."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

from caches import AT_NS

from gateway.caching.auditing.audits import DAY_NS, MAX_TASKS, Audits, SilentClient
from gateway.db import Database, DatabaseUnavailable
from gateway.ledger import store as ledger
from tests.gateway.usage_rows import make_row


class Absent:
    """A database that is away."""

    def read(self) -> Any:
        raise DatabaseUnavailable("away")


class Clock:
    """A time that is set."""

    now_ns = AT_NS

    def __call__(self) -> int:
        return self.now_ns


def spending(audits: Audits, cost_pusd: int, made: list[int]) -> Any:
    """A call that costs so much."""

    def make() -> Coroutine[Any, Any, None]:
        async def call() -> None:
            made.append(cost_pusd)
            audits.spend("p", cost_pusd)

        return call()

    return make


async def test_no_more_is_spent_than_is_allowed() -> None:
    """What would pass the sum is not made; the next day begins anew."""
    clock, made, declined = Clock(), list[int](), list[int]()
    audits = Audits(cast("Database", Absent()), 100, clock)
    for _ in range(3):
        audits.order("p", 40, spending(audits, 40, made), lambda: declined.append(40))
        await audits.settle()
    assert (made, declined) == ([40, 40], [40])
    clock.now_ns += DAY_NS
    audits.order("p", 40, spending(audits, 40, made), lambda: None)
    await audits.settle()
    assert made == [40] * 3
    assert audits.made == 3


async def test_those_under_way_count() -> None:
    """Each is held at its estimate, so that many at once do not pass the sum together."""
    audits, going, made = Audits(cast("Database", Absent()), 100, Clock()), asyncio.Event(), list[int]()

    def make() -> Coroutine[Any, Any, None]:
        async def call() -> None:
            made.append(1)
            await going.wait()

        return call()

    for _ in range(3):
        audits.order("p", 40, make, lambda: None)
    await asyncio.sleep(0.01)
    assert len(made) == 2
    going.set()
    await audits.settle()
    assert len(made) == 2


async def test_what_other_processes_spent_counts(database: Database) -> None:
    """By the ledger's rows of the day, those of audits only."""
    today = AT_NS - AT_NS % DAY_NS
    rows = [
        make_row(today, project_id="p", cache_layer="audit", cost_pusd=70),
        make_row(today - 1, project_id="p", cache_layer="audit", cost_pusd=70),
        make_row(today + 1, project_id="p", cost_pusd=70),
        make_row(today + 2, project_id="q", cache_layer="audit", cost_pusd=70),
    ]
    async with database.write() as connection:
        await ledger.insert_rows(connection, rows)
    audits, made = Audits(database, 100, Clock()), list[int]()
    audits.order("p", 40, spending(audits, 40, made), lambda: None)
    audits.order("p", 30, spending(audits, 30, made), lambda: None)
    await audits.settle()
    assert made == [30]


async def test_what_was_not_served_has_half_of_the_sum() -> None:
    """The other half is left for what was, though it comes later."""
    audits, made, declined = Audits(cast("Database", Absent()), 100, Clock()), list[int](), list[int]()
    for is_spare in (True, True, False, False):
        audits.order("p", 30, spending(audits, 30, made), lambda: declined.append(30), is_spare=is_spare)
        await audits.settle()
    assert (made, declined) == ([30] * 3, [30])


async def test_none_is_made_once_they_are_closed() -> None:
    """What is learnt while the gateway ends asks nobody any more."""
    audits, made, declined = Audits(cast("Database", Absent()), 100, Clock()), list[int](), list[int]()
    await audits.close()
    audits.order("p", 1, spending(audits, 1, made), lambda: declined.append(1))
    await audits.settle()
    assert (made, declined) == ([], [1])


async def test_without_a_sum_nothing_is_checked() -> None:
    """Nor beyond the tasks that may wait; those are ended with the gateway. Whoever ordered it is told, once."""
    audits = Audits(cast("Database", Absent()), 0, Clock())
    declined: list[int] = []
    audits.order("p", 0, spending(audits, 0, []), lambda: declined.append(1))
    assert declined == [1]
    audits = Audits(cast("Database", Absent()), 100, Clock())
    ended: list[int] = []

    def make() -> Coroutine[Any, Any, None]:
        async def call() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(1)

        return call()

    for _ in range(MAX_TASKS + 1):
        audits.order("p", 0, make, lambda: declined.append(1))
    assert len(declined) == 2
    await asyncio.sleep(0.01)
    await audits.close()
    assert (len(ended), len(declined)) == (4, 2 + MAX_TASKS - 4)
    await audits.close()


def test_nobody_takes_everything() -> None:
    """An audit's client never leaves."""
    client = SilentClient()
    client.watch(lambda: None, lambda _: None)
    client.send(200, b"", b"")
    client.start(b"")
    client.write(b"")
    client.end(b"")
    assert not client.is_gone
