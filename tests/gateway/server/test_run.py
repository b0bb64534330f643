"""The server around the protocol: its address, its signals, and when it says that it is ready."""

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Any, cast

import pytest

from gateway.config.settings import Server
from gateway.server.run import AddressTaken, GatewayServer, listen, make_server


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Nothing is asked of it."""


class NoDoor:
    """Nothing takes the short way."""

    def serve_by(self, runner: Any, end_turn: Callable[[], None]) -> None:
        """All is answered as it comes."""

    def keep_rows(self) -> None:
        """There is no ledger."""

    def endpoint(self, path: bytes) -> None:
        """No path is a door's."""


def server_of(bounds: Server, ready: list[str], swept: list[float]) -> GatewayServer:
    """A server that tells when it is ready and when it sweeps."""
    return make_server(cast("Any", app), cast("Any", NoDoor()), bounds, lambda: ready.append("ready"), swept.append)


def test_port_0_is_a_free_port() -> None:
    """The kernel chooses."""
    with listen(Server(port=0)) as listener:
        assert listener.getsockname()[1] > 0


def test_a_port_that_is_taken_is_told_with_the_way_out() -> None:
    """One line, no traceback."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(AddressTaken, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*--port"):
            listen(Server(port=port))


def test_an_address_that_is_not_ours_is_told() -> None:
    """TEST-NET-1 belongs to nobody."""
    with pytest.raises(AddressTaken, match="192\\.0\\.2\\.1"):
        listen(Server(host="192.0.2.1", port=0))


def test_a_listener_can_be_inherited() -> None:
    """By worker processes."""
    with listen(Server(port=0)) as listener:
        assert listener.get_inheritable()


async def test_an_answer_in_two_pieces_is_sent_at_once() -> None:
    """On every loop: what a connection writes does not wait until the piece before it is acknowledged."""
    delays: asyncio.Queue[int] = asyncio.Queue()

    def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        delays.put_nowait(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with listen(Server(port=0)) as listener:
        async with await asyncio.start_server(note, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await delays.get()
            writer.close()


def test_times_of_less_than_a_second_are_a_second() -> None:
    """uvicorn counts in seconds, and 0 would mean never."""
    config = server_of(Server(keepalive_ms=1, drain_timeout_ms=1), [], []).config
    assert (config.timeout_keep_alive, config.timeout_graceful_shutdown) == (1, 1)


def test_the_server_does_not_name_itself() -> None:
    """No Server header, no Date, no trust in X-Forwarded-For."""
    config = server_of(Server(), [], []).config
    assert (config.server_header, config.date_header, config.proxy_headers) == (False, False, False)


async def test_a_server_is_ready_once_it_listens_and_ends_when_told() -> None:
    """The signal's handler is put back, and the exit is an ordinary one."""
    ready: list[str] = []
    server = server_of(Server(drain_timeout_ms=1), ready, [])
    with listen(Server(port=0)) as listener:
        serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
        async with asyncio.timeout(5):
            while not ready:
                await asyncio.sleep(0.001)
            _, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
            writer.close()
            server.handle_exit(signal.SIGTERM, None)
            await serving
    assert (ready, server.should_exit) == (["ready"], True)


class Late:
    """What came when all was cut already: it is a task once it is cut itself."""

    def __init__(self, tasks: set[Any]) -> None:
        self.tasks = tasks
        self.log: list[str] = []

    def cancel(self) -> None:
        """Become one, at the next turn of the loop."""
        self.log.append("cut")
        asyncio.get_running_loop().call_soon(self._become)

    def _become(self) -> None:
        self.tasks.discard(self)
        task = asyncio.get_running_loop().create_task(self._settle())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _settle(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        self.log.append("settled")


async def test_what_comes_behind_the_last_cut_is_cut_and_settles() -> None:
    """A call whose body was on its way as the second signal came."""
    ready: list[str] = []
    server = server_of(Server(), ready, [])
    late = Late(cast("set[Any]", server.state.tasks))
    with listen(Server(port=0)) as listener:
        serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
        async with asyncio.timeout(5):
            while not ready:
                await asyncio.sleep(0.001)
            for _ in range(2):
                server.handle_exit(signal.SIGTERM, None)
            late.tasks.add(late)
            await serving
    assert (late.log, server.state.tasks) == (["cut", "settled"], set())
