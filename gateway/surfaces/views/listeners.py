"""Who listens to streams that have no end of their own: how many there are, and the word that the process ends.

Failure behavior: more than MAX_LISTENERS are refused, so that they cannot keep the database busy.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from gateway.errors import Fault

MAX_LISTENERS = 100


class Listeners:
    """The open streams of this process."""

    def __init__(self) -> None:
        self._endings: set[asyncio.Event] = set()

    def __len__(self) -> int:
        """Count them."""
        return len(self._endings)

    def check(self) -> None:
        """Raise Fault where there are as many as there may be."""
        if len(self._endings) >= MAX_LISTENERS:
            raise Fault(
                "service_unavailable",
                f"{MAX_LISTENERS} streams are open, which is the most; close one, or ask again and again.",
                retry_after_ms=5_000,
            )

    @contextmanager
    def enter(self) -> Generator[asyncio.Event]:
        """Count a stream; the event is set when the process ends."""
        ending = asyncio.Event()
        self._endings.add(ending)
        try:
            yield ending
        finally:
            self._endings.discard(ending)

    def end(self) -> None:
        """Let all end."""
        for ending in self._endings:
            ending.set()
