"""Whether a request whose kept connection ended was read: what the kernel proves, and what nobody can know."""

import asyncio
import select
import socket
import ssl
import struct
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import cast

import pytest

from providers.errors import Unreachable
from providers.transport.origin import Origin, Timeouts
from providers.transport.pool import Transport
from providers.transport.unread import is_unread

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\nok"
SMALL, LARGE = b"{}" * 50, b"x" * 3_000_000
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: upstream\r\n"
LIMITS = Timeouts(connect_ms=5_000, first_byte_ms=5_000, idle_ms=5_000, total_ms=5_000)


class Peer:
    """A server whose sockets the test reads, answers and closes at the moment that it wants."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.origin = Origin("http", "127.0.0.1", self.listener.getsockname()[1])
        self.taken: list[socket.socket] = []
        self.read: list[bytes] = []

    async def take(self) -> socket.socket:
        """Wait for a connection."""
        async with asyncio.timeout(5):
            taken, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        taken.setblocking(False)
        self.taken.append(taken)
        return taken

    async def hear(self, taken: socket.socket, body: bytes) -> None:
        """Read a request to its end."""
        heard = b""
        async with asyncio.timeout(5):
            while not heard.endswith(b"\r\n\r\n" + body):
                heard += await asyncio.get_running_loop().sock_recv(taken, 1 << 20)
        self.read.append(heard)

    async def serve(self, taken: socket.socket, body: bytes = SMALL) -> None:
        """Read a request and answer it."""
        await self.hear(taken, body)
        taken.send(OK)

    async def serve_next(self, body: bytes = SMALL) -> None:
        """Take another connection, and answer what comes there."""
        await self.serve(await self.take(), body)

    def close(self) -> None:
        """End everything."""
        for known in (self.listener, *self.taken):
            known.close()


@pytest.fixture
def peer():
    """A server that is closed at the end."""
    server = Peer()
    yield server
    server.close()


def reset(taken: socket.socket) -> None:
    """Close with a reset, whatever was read."""
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    taken.close()


def has_come(taken: socket.socket) -> bool:
    """Whether there is something to read."""
    return bool(select.select([taken], [], [], 0)[0])


async def keep_one(lab, peer: Peer) -> socket.socket:
    """Leave the transport with one kept connection; gives the server's end."""
    call = asyncio.create_task(lab.fetch_from(peer.origin, SMALL))
    taken = await peer.take()
    await peer.serve(taken)
    assert await call == (200, b"ok")
    assert lab.transport.connections()[peer.origin] == (0, 1)
    return taken


async def meet(lab, peer: Peer, end: Callable[[], None], body: bytes = SMALL) -> tuple[int, bytes]:
    """Have the server end a connection and send a request before anybody notices; the next connection is served."""
    serving = asyncio.create_task(peer.serve_next(body))
    await asyncio.sleep(0)
    end()
    # The event loop is not asked for news before this is written.
    answer = await lab.fetch_from(peer.origin, body)
    await serving
    return answer


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
async def test_what_meets_a_closed_connection_goes_out_on_a_fresh_one(lab, peer, body):
    """The server had closed it, and nobody had noticed yet: one request, and no word of it to the caller."""
    taken = await keep_one(lab, peer)
    assert await meet(lab, peer, taken.close, body) == (200, b"ok")
    assert len(peer.read) == 2


async def test_who_posted_to_a_closed_connection_is_told_that_nothing_was_read(lab, peer):
    """Nothing goes out again by itself: it may, and who waits knows."""
    taken = await keep_one(lab, peer)
    told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiter = SimpleNamespace(done=told.done, fail=told.set_exception)
    taken.close()
    assert lab.transport.post(peer.origin, HEAD, SMALL, LIMITS, waiter, limit_bytes=10) is not None
    with pytest.raises(Unreachable) as error:
        await asyncio.wait_for(told, 5)
    assert (error.value.is_unread, error.value.sent, len(peer.taken)) == (True, True, 1)


async def test_several_that_meet_closed_connections_go_out_on_fresh_ones(lab, peer):
    """Also those whose bytes wait for the end of the turn, and never left."""
    calls = [asyncio.create_task(lab.fetch_from(peer.origin, SMALL)) for _ in range(6)]
    kept = [await peer.take() for _ in calls]
    for taken in kept:
        await peer.serve(taken)
    await asyncio.gather(*calls)
    for taken in kept:
        taken.close()
    calls = [asyncio.create_task(lab.fetch_from(peer.origin, SMALL)) for _ in range(6)]
    for _ in calls:
        await peer.serve(await peer.take())
    assert await asyncio.gather(*calls) == [(200, b"ok")] * 6
    assert len(peer.read) == 12


async def test_what_meets_a_reset_connection_goes_out_on_a_fresh_one(lab, peer):
    """Nothing left the socket after it was reset; that is told in ticks, so it has to have been idle for a moment."""
    taken = await keep_one(lab, peer)
    await asyncio.sleep(0.03)
    assert await meet(lab, peer, partial(reset, taken)) == (200, b"ok")


async def test_the_replacement_is_the_last_try(lab, peer):
    """A fresh connection that is closed unread is told: nothing is tried on and on."""
    taken = await keep_one(lab, peer)

    async def close_next() -> None:
        (await peer.take()).close()

    closing = asyncio.create_task(close_next())
    await asyncio.sleep(0)
    taken.close()
    with pytest.raises(Unreachable) as error:
        await lab.fetch_from(peer.origin, SMALL)
    await closing
    assert (error.value.sent, error.value.is_likely_unread, len(peer.taken)) == (True, False, 2)


async def test_the_replacement_is_fresh(lab, peer):
    """The next kept connection may be as dead."""
    calls = [asyncio.create_task(lab.fetch_from(peer.origin, SMALL)) for _ in range(2)]
    kept = [await peer.take() for _ in calls]
    await peer.serve(kept[0])
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    await peer.serve(kept[1])
    await asyncio.gather(*calls)
    # The last used is taken first.
    assert await meet(lab, peer, kept[1].close) == (200, b"ok")
    assert lab.transport.connections()[peer.origin] == (0, 2)


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("end", [socket.socket.close, reset], ids=["close", "reset"])
async def test_what_was_read_is_not_sent_again(lab, peer, end, body):
    """However soon the connection ends: the provider may have worked, and bills it."""
    taken = await keep_one(lab, peer)
    call = asyncio.create_task(lab.fetch_from(peer.origin, body))
    await peer.hear(taken, body)
    end(taken)
    with pytest.raises(Unreachable) as error:
        await call
    assert (error.value.sent, len(peer.taken), len(peer.read)) == (True, 1, 2)
    # A reset is what a server sends that was told something and did not listen; a close comes after having read all.
    assert error.value.is_likely_unread == (end is reset)


async def test_what_the_server_did_not_read_is_reset_and_likely_unread(lab, peer, wait_until):
    """The kernel took it, so nothing is proved."""
    taken = await keep_one(lab, peer)
    call = asyncio.create_task(lab.fetch_from(peer.origin, SMALL))
    await wait_until(lambda: has_come(taken))
    taken.close()
    with pytest.raises(Unreachable) as error:
        await call
    assert (error.value.is_likely_unread, len(peer.taken)) == (True, 1)


async def test_a_reset_that_comes_late_tells_nothing(lab, peer, monkeypatch):
    """A server that had closed before says so within the time that word takes."""
    monkeypatch.setattr("providers.transport.connection._LEAST_CROSSING_NS", 20_000_000)
    monkeypatch.setattr("providers.transport.connection._MOST_CROSSING_NS", 20_000_000)
    taken = await keep_one(lab, peer)
    call = asyncio.create_task(lab.fetch_from(peer.origin, SMALL))
    await peer.hear(taken, SMALL)
    await asyncio.sleep(0.04)
    reset(taken)
    with pytest.raises(Unreachable) as error:
        await call
    assert (error.value.sent, error.value.is_likely_unread) == (True, False)


@pytest.mark.parametrize("is_read", [False, True])
async def test_under_tls_it_is_the_same(lab, peer, certificates, wait_until, is_read):
    """The alert with which TLS ends is answered by one of ours, which is no request that was not acknowledged."""
    path = certificates("127.0.0.1")
    lab.use(Transport(ssl_context=ssl.create_default_context(cafile=path)))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    origin = Origin("https", "127.0.0.1", peer.origin.port)

    def shake_hands(taken: socket.socket) -> ssl.SSLSocket:
        taken.setblocking(True)
        return context.wrap_socket(taken, server_side=True)

    def serve(taken: ssl.SSLSocket) -> None:
        while not taken.recv(1 << 16).endswith(SMALL):
            pass
        taken.send(OK)

    async def answer() -> ssl.SSLSocket:
        taken = await asyncio.to_thread(shake_hands, await peer.take())
        await asyncio.to_thread(serve, taken)
        return taken

    call = asyncio.create_task(lab.fetch_from(origin, SMALL))
    taken = await answer()
    await call
    taken.setblocking(False)
    if is_read:
        call = asyncio.create_task(lab.fetch_from(origin, SMALL))
        await wait_until(lambda: has_come(taken))
        assert taken.recv(1 << 16).endswith(SMALL)
    with pytest.raises(ssl.SSLWantReadError):
        # Sends the alert, and does not wait for ours.
        taken.unwrap()
    taken.close()
    if is_read:
        with pytest.raises(Unreachable) as error:
            await call
        assert (error.value.is_likely_unread, len(peer.taken)) == (False, 1)
    else:
        call = asyncio.create_task(lab.fetch_from(origin, SMALL))
        (await answer()).close()
        assert await call == (200, b"ok")


async def test_a_transport_without_a_socket_proves_nothing():
    """As uvloop's is under TLS once it is lost."""

    class Lost:
        def get_extra_info(self, name: str) -> None:
            assert name == "socket"

    assert not is_unread(cast("asyncio.Transport", Lost()), None, 0)
