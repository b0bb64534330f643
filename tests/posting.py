"""A provider to whom a request can leave at once: what it answers is told to who waits, a turn later or when asked."""

import asyncio
from collections.abc import Callable
from typing import Any

from fakes import FakeBackend

from gateway.backends.in_process import InProcessReply
from providers.handoff import Waiter
from providers.wire import Call, WireRequest


class Posted:
    """An answer that is on its way."""

    gist = InProcessReply.gist

    def __init__(self, step: Any, waiter: Waiter) -> None:
        self._step = step
        self._waiter = waiter
        self.is_aborted = False

    def __getattr__(self, name: str) -> Any:
        """What the reply has."""
        return getattr(self._step, name)

    def arrive(self) -> None:
        """Tell who waits, as the transport would."""
        if self._waiter.done():
            return
        if isinstance(self._step, BaseException):
            self._waiter.fail(self._step)
        else:
            self._waiter.hand(None)

    def abort(self) -> None:
        """Nobody waits."""
        self.is_aborted = True


class PostingBackend(FakeBackend):
    """A provider that does what its script says, to what is posted and to what is fetched."""

    def __init__(self, *script: Any, is_prompt: bool = True, **parts: Any) -> None:
        super().__init__(*script, **parts)
        self._is_prompt = is_prompt
        self.posted: list[Posted] = []
        # Called when a request has left.
        self.on_posted: Callable[[], None] = lambda: None

    def post(self, call: Call, request: WireRequest, waiter: Waiter) -> Posted:
        """Do the next step, in the next turn of the loop."""
        posted = Posted(self.step(request), waiter)
        self.posted.append(posted)
        self.on_posted()
        if self._is_prompt:
            asyncio.get_running_loop().call_soon(posted.arrive)
        return posted
