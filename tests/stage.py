"""A stage for one coroutine: an event loop that turns when told, with a task or a drive on it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import uvloop

from gateway.server.drive import Drive
from providers.handoff import Handoff

KINDS = ("task", "drive", "drive-uvloop")
# What a coroutine may wait for; "handed" is a Handoff that was resolved before.
PLACES = ("handoff", "future", "yield", "handed")
CANCELLED = asyncio.CancelledError()


class Boom(Exception):
    """An error of the tests' own."""


BOOM = Boom()


class Stage:
    """An event loop that turns when told; what it runs are tasks, or drives."""

    def __init__(self, kind: str) -> None:
        self.loop = uvloop.new_event_loop() if kind == "drive-uvloop" else asyncio.new_event_loop()
        self.actor = kind[:5]
        self.running: set[asyncio.Task[None]] = set()
        self.log: list[object] = []
        self.complaints: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(context["message"]))

    def make(self, path: Coroutine[Any, Any, None], actor: str = "") -> "asyncio.Task[None]":
        """Make a task or a drive where we are: in a callback, in a task or in a drive."""
        if (actor or self.actor) == "drive":
            return cast("asyncio.Task[None]", Drive(path, self.loop, self.running))
        task = self.loop.create_task(path)
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return task

    def start(self, path: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Make one in a callback, and let it come to where it waits."""
        return self.do(lambda: self.make(path))

    def do(self, act: Callable[[], Any]) -> Any:
        """Act in a callback of the loop, as a connection does when bytes come; see what becomes of it."""
        results: list[Any] = []
        self.loop.call_soon(lambda: results.append(act()))
        for _ in range(8):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        return results[0]

    async def call(self, act: Callable[[], object]) -> None:
        """Act, as a coroutine."""
        act()

    def future(self, place: str) -> "asyncio.Future[None]":
        """Make what is waited for."""
        if place not in ("handoff", "handed"):
            return self.loop.create_future()
        handoff: Handoff[None] = Handoff(loop=self.loop)
        if place == "handed":
            handoff.hand(None)
        return handoff

    async def wait(self, place: str, future: "asyncio.Future[None]") -> None:
        """Wait for it."""
        await (asyncio.sleep(0) if place == "yield" else future)

    async def wait_for_all(self, *futures: "asyncio.Future[None]") -> None:
        """Wait for one after the other."""
        for number, future in enumerate(futures):
            await future
            self.log.append(number)

    def bring(self, future: "asyncio.Future[None]", error: Exception | None = None) -> None:
        """Give the outcome, where it is still wanted."""
        if future.done():
            return
        if isinstance(future, Handoff):
            future.hand(None) if error is None else future.fail(error)
        else:
            future.set_result(None) if error is None else future.set_exception(error)


def me() -> "asyncio.Task[None]":
    """The current task."""
    return cast("asyncio.Task[None]", asyncio.current_task())


def outcome(subject: "asyncio.Future[None]") -> object:
    """How it ended, if it has."""
    if not subject.done():
        return "waits"
    return "cancelled" if subject.cancelled() else subject.exception() or "returned"
