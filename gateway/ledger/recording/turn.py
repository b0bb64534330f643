"""What a turn of the event loop puts off to its own end, where it is done together with the like of it.

Many calls end in one turn. What is left to do for each before its answer leaves takes less time where it is done in one
loop: between a call's other steps its code and its data have to come back to the processor's caches first.

Failure behavior: what fails is logged, and keeps nothing else from being done.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
Works = dict[Callable[[Any], None], list[Any]]
log = logging.getLogger("gateway.ledger.recording.turn")


def _nothing() -> None:
    """Nobody wants to know."""


class Turn:
    """The work of one turn, which ``end`` does at the latest: it is called at the end of each turn that has begun."""

    __slots__ = ("_end", "_has_begun", "_last", "_loop", "_work", "after")

    def __init__(self, end: Callable[[], object]) -> None:
        self._end = end
        # Called when a turn has ended, where the server wants it: what the turn had to say need not wait for another.
        self.after: Callable[[], object] = _nothing
        self._has_begun = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: Works = {}
        self._last: Works = {}

    def begin(self) -> None:
        """Have the end of this turn come; once is enough."""
        if self._has_begun:
            return
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        self._has_begun = True
        loop.call_soon(self._come)

    def put_off(self, work: Callable[[Sequence[T]], None], item: T, *, is_last: bool = False) -> None:
        """Have work done by the turn's end, with all other items of it, in their order.

        Different works are done one after the other, as each came first; what is last at the end and no sooner, behind
        all others.
        """
        works = self._last if is_last else self._work
        items = works.get(work)
        if items is None:
            self.begin()
            works[work] = [item]
        else:
            items.append(item)

    def finish(self) -> None:
        """Do now what was put off, and what that puts off."""
        while self._work:
            works, self._work = self._work, {}
            _do(works)

    def _come(self) -> None:
        self._has_begun = False
        if self._last:
            self.finish()
            # What is put off to be last meanwhile is another turn's.
            works, self._last = self._last, {}
            _do(works)
        self._end()
        self.after()


def _do(works: Works) -> None:
    for work, items in works.items():
        try:
            work(items)
        except Exception:
            log.exception("what was put off to the end of the turn failed")
