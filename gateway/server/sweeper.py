"""One timer that looks at every connection, so that none needs timers of its own."""

import asyncio
import logging
from collections.abc import Callable

from uvicorn.server import ServerState

from gateway.server.protocol import GatewayProtocol

log = logging.getLogger("gateway.server.sweeper")


class Sweeper:
    """Looks at every connection once a second; one timer for all of them."""

    def __init__(
        self, server_state: ServerState, loop: asyncio.AbstractEventLoop, also: Callable[[float], None]
    ) -> None:
        self._connections = server_state.connections
        self._loop = loop
        # Further work of the same second, given the loop's time.
        self._also = also
        self._timer = loop.call_later(1.0, self._sweep)

    def close(self) -> None:
        """Stop."""
        self._timer.cancel()

    def _sweep(self) -> None:
        now_s = self._loop.time()
        self._timer = self._loop.call_later(1.0, self._sweep)
        for connection in list(self._connections):
            if isinstance(connection, GatewayProtocol):
                try:
                    connection.sweep(now_s)
                except Exception:
                    # One that cannot be closed must not keep the others open.
                    log.exception("a connection could not be swept")
        self._also(now_s)
