"""One look a second at every connection, until it is closed."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from uvicorn.server import ServerState

from gateway.server.protocol import GatewayProtocol
from gateway.server.sweeper import Sweeper


class Timer:
    """A call that was asked for."""

    def __init__(self, delay_s: float, call: Callable[[], None]) -> None:
        self.delay_s = delay_s
        self.call = call
        self.is_cancelled = False

    def cancel(self) -> None:
        """Do not call."""
        self.is_cancelled = True


class Loop:
    """An event loop whose time passes when told."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        """The time in seconds."""
        return self.now_s

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Remember a call."""
        self.timers.append(Timer(delay_s, call))
        return self.timers[-1]

    def fire(self) -> None:
        """Let the time of the newest call come."""
        timer = self.timers[-1]
        self.now_s += timer.delay_s
        timer.call()


class Connection(GatewayProtocol):
    """A connection that notes when it was looked at."""

    def __init__(self, on_sweep: Callable[[], None] = lambda: None) -> None:
        self.swept_s: list[float] = []
        self._on_sweep = on_sweep

    def sweep(self, now_s: float) -> None:
        """Note it."""
        self.swept_s.append(now_s)
        self._on_sweep()


class Room:
    """A sweeper with its loop and its connections."""

    def __init__(self, *connections: object) -> None:
        self.state = ServerState()
        self.state.connections.update(cast("Any", connections))
        self.loop = Loop()
        self.also_s: list[float] = []
        self.sweeper = Sweeper(self.state, cast("asyncio.AbstractEventLoop", self.loop), self.also_s.append)


def test_nothing_is_swept_before_a_second_has_passed() -> None:
    """A new server has nothing that is overdue."""
    connection = Connection()
    room = Room(connection)
    assert (connection.swept_s, [timer.delay_s for timer in room.loop.timers]) == ([], [1.0])


def test_every_connection_is_looked_at_every_second() -> None:
    """With the loop's own time."""
    first, second = Connection(), Connection()
    room = Room(first, second)
    room.loop.fire()
    room.loop.fire()
    assert (first.swept_s, second.swept_s) == ([101.0, 102.0], [101.0, 102.0])


def test_there_is_one_timer_for_all() -> None:
    """However many connections there are."""
    room = Room(*(Connection() for _ in range(50)))
    room.loop.fire()
    assert len(room.loop.timers) == 2


def test_a_connection_that_fails_does_not_keep_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """Their time is looked at all the same, and the log tells."""
    broken, other = Connection(lambda: 1 // 0), Connection()
    room = Room(broken, other)
    room.loop.fire()
    assert (other.swept_s, room.also_s, "swept" in caplog.text) == ([101.0], [101.0], True)
    assert len(room.loop.timers) == 2


def test_further_work_of_the_second_is_done_after_the_connections() -> None:
    """Once, also where nobody is connected."""
    room = Room()
    room.loop.fire()
    assert room.also_s == [101.0]


def test_a_connection_that_closes_as_it_is_looked_at_does_not_hide_the_next() -> None:
    """Closing takes it out of the set that is being walked."""
    room = Room()
    connections = [Connection(room.state.connections.clear) for _ in range(3)]
    room.state.connections.update(connections)
    room.loop.fire()
    assert [connection.swept_s for connection in connections] == [[101.0]] * 3


def test_a_connection_of_another_protocol_is_left_alone() -> None:
    """The server's set is typed for any."""
    connection = Connection()
    room = Room(object(), connection)
    room.loop.fire()
    assert connection.swept_s == [101.0]


def test_a_sweeper_that_is_closed_looks_no_more() -> None:
    """Its last timer is cancelled, whichever that is."""
    room = Room()
    room.loop.fire()
    room.sweeper.close()
    assert [timer.is_cancelled for timer in room.loop.timers] == [False, True]
