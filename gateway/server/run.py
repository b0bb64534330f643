"""Runs the server: uvicorn's, with our protocol, our signals and a drain that ends with exit code 0.

Failure behavior: SIGTERM and SIGINT stop the listening at once and give running calls the drain time; a second signal
ends the wait. A port that is taken is an error message, not a traceback.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Generator
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn
from litestar import Litestar
from uvicorn.server import ServerState

from gateway.config.settings import Server as Bounds
from gateway.server.door import Door
from gateway.server.drive import Runner
from gateway.server.protocol import GatewayProtocol
from gateway.server.sweeper import Sweeper
from providers.transport.outbox import Outbox

log = logging.getLogger("gateway.server")
BACKLOG = 4_096
# How long calls that were cancelled may take to settle.
SETTLE_TIMEOUT_S = 10


class AddressTaken(OSError):
    """The address cannot be listened on; the message says which and why."""


class GatewayServer(uvicorn.Server):
    """uvicorn's server with signal handlers that leave the exit code alone."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_ready: Callable[[], None],
        sweep: Callable[[float], None],
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._on_end = on_end
        self._on_ready = on_ready
        self._sweep = sweep
        self._told_to_end = asyncio.Event()

    @property
    def state(self) -> ServerState:
        """Connections and tasks."""
        return self.server_state

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Have the loop handle the signals; uvicorn would raise them again when it is done."""
        loop = asyncio.get_running_loop()
        handled: list[signal.Signals] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            # Not in a thread other than the main one, as in tests.
            with contextlib.suppress(RuntimeError, ValueError):
                loop.add_signal_handler(number, self.handle_exit, number, None)
                handled.append(number)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first signal; on the second, stop waiting for what still runs."""
        if self.should_exit:
            self.force_exit = True
            self._cut()
        self.should_exit = True
        self._on_end()
        self._told_to_end.set()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal; every call has settled when this returns."""
        await super().serve(sockets)
        # Of uvicorn's tasks, drives, and what becomes one when it is cut; see gateway.pipeline.tries.first.
        tasks: set[Any] = cast("set[Any]", self.server_state.tasks)
        for late in [known for known in tasks if not isinstance(known, asyncio.Future)]:
            # A call that came behind the cut.
            late.cancel()
        await asyncio.sleep(0)
        if tasks:
            # Calls that were cut at the end of the drain write their rows and their last words.
            await asyncio.wait(tasks, timeout=SETTLE_TIMEOUT_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, and cut what has not ended within the drain time; uvicorn's own begins with a tenth idle."""
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                await self._wait_tasks_to_complete()
        except TimeoutError:
            log.error("the drain time is over: %d calls are cut", len(self.server_state.tasks))
            self._cut()

    def _cut(self) -> None:
        # What is cancelled may be replaced by what it becomes.
        for task in tuple(self.server_state.tasks):
            task.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def main_loop(self) -> None:
        """Sweep the connections until the server is told to end; uvicorn's own loop would look ten times a second."""
        sweeper = Sweeper(self.server_state, asyncio.get_running_loop(), self._sweep)
        try:
            await self.on_tick(0)
            await self._told_to_end.wait()
        finally:
            sweeper.close()


def listen(bounds: Bounds) -> socket.socket:
    """Bind the address; raises AddressTaken."""
    family = socket.AF_INET6 if ":" in bounds.host else socket.AF_INET
    # asyncio's own loop sends small answers at once only where the protocol is named: else a head and its body, written
    # one after the other, are 40 ms apart.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((bounds.host, bounds.port))
    except OSError as error:
        listener.close()
        raise AddressTaken(
            f"cannot listen on {bounds.host}:{bounds.port}: {error.strerror}; choose another with --port"
        ) from error
    listener.set_inheritable(True)
    return listener


def make_server(  # noqa: PLR0913, PLR0917 - the parts of a server
    app: Litestar,
    door: Door,
    bounds: Bounds,
    on_ready: Callable[[], None],
    sweep: Callable[[float], None],
    on_end: Callable[[], None] = lambda: None,
) -> GatewayServer:
    """The server for one process; ``on_end`` is called when it is told to end, before it drains."""
    outbox = Outbox(door.keep_rows)
    # A callable that makes the protocol of one connection.
    http: Any = partial(GatewayProtocol, door=door, bounds=bounds, outbox=outbox)
    config = uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        limit_concurrency=None,
        timeout_keep_alive=max(1, bounds.keepalive_ms // 1000),
        timeout_graceful_shutdown=max(1, bounds.drain_timeout_ms // 1000),
    )
    server = GatewayServer(config, on_ready, sweep, on_end)
    door.serve_by(Runner(server.state.tasks), outbox.end_turn)
    return server
