"""A future whose outcome goes straight to who waits for it, where that waiter can take it so.

An ordinary future wakes its waiter by way of the event loop, two turns later; on the path of a call that is a tenth of
all work. Who takes directly (gateway.server.drive) sets ``taker``; for every other waiter this is a plain future.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Waiter(Protocol):
    """Who is told of an outcome, within the call that tells it: by ``hand`` or ``fail``, once, unless it is done."""

    def done(self) -> bool:
        """Whether it waits no more."""
        ...

    def hand(self, result: None) -> None:
        """It is there."""
        ...

    def fail(self, error: BaseException) -> None:
        """It will not be."""
        ...


class Handoff(asyncio.Future[T]):
    """Resolved by ``hand`` or ``fail``, which return only when the taker has gone on: call them last."""

    taker: Callable[[], None] | None = None

    def hand(self, result: T) -> None:
        """Resolve, and let the waiter go on at once."""
        self.set_result(result)
        if self.taker is not None:
            self.taker()

    def fail(self, error: BaseException) -> None:
        """Resolve with an error, and let the waiter go on at once."""
        self.set_exception(error)
        if self.taker is not None:
            self.taker()

    def cancel(self, msg: Any = None) -> bool:
        """Give up; the waiter goes on at the loop's next turn."""
        if not super().cancel(msg):
            return False
        taker, self.taker = self.taker, None
        if taker is not None:
            self.get_loop().call_soon(taker)
        return True
