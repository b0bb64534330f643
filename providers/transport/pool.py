"""The transport: sends requests over pooled connections, last used first, and keeps every deadline with one timer.

Failure behavior: see ``providers.errors``. A kept connection that ends with the request provably unread is replaced by
a fresh one, once, unless it was posted; nothing else is retried here. A cancelled caller's connection is closed, never
pooled.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from time import monotonic_ns

from providers.errors import PoolExhausted, TimedOut, Unreachable, Withheld
from providers.handoff import Handoff, Waiter
from providers.transport.address_guard import AddressGuard, AddressRefused
from providers.transport.connection import Connection, OriginPool
from providers.transport.exchange import Exchange
from providers.transport.origin import TIMEOUT_WORDS, Origin, Timeouts
from providers.transport.outbox import Outbox

# How often deadlines are looked at while something is in flight, and, at most, idle connections otherwise.
_SWEEP_S = 0.05
_IDLE_SWEEP_S = 1.0
# close() waits so long for the event loop to let go of the sockets.
_CLOSE_S = 1.0
_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


class Transport:
    """All upstream connections of one event loop; build one, ``close`` it at the end.

    A request head is all lines up to the last field, each with its CRLF, without Content-Length: the transport appends
    that and the empty line. The caller vouches that no value in it holds a line end.
    """

    def __init__(  # noqa: PLR0913 - each has its default
        self,
        *,
        max_connections_per_origin: int = 1024,
        keepalive_ms: int = 55_000,
        ssl_context: ssl.SSLContext | None = None,
        max_header_bytes: int = 65_536,
        guard: AddressGuard | None = None,
        before: Callable[[], Withheld | None] | None = None,
    ) -> None:
        """``before``: see Outbox."""
        self._max_connections = max_connections_per_origin
        self._keepalive_ns = keepalive_ms * _NS_PER_MS
        self._idle_sweep_s = min(_IDLE_SWEEP_S, max(_SWEEP_S, keepalive_ms / 1000))
        self._ssl_context = ssl_context
        self._max_header_bytes = max_header_bytes
        # For origins that strangers name.
        self._guard = guard
        self._pools: dict[Origin, OriginPool] = {}
        self._active: set[Exchange] = set()
        self._live: set[Connection] = set()
        self._outbox = Outbox(before)
        # Known from the first call on: asking for it is a system call, one for each request.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        # The timer is the quick one, which keeps deadlines.
        self._is_sweeping = False
        self._is_closed = False

    def fetch(
        self, origin: Origin, head: bytes, body: bytes, timeouts: Timeouts, *, limit_bytes: int
    ) -> Awaitable[Exchange]:
        """Send a request and wait for the whole response, its body at most ``limit_bytes``; raises ProviderError."""
        return self._perform(Exchange(origin, timeouts, monotonic_ns(), limit_bytes), head, body)

    def post(  # noqa: PLR0913 - as fetch
        self, origin: Origin, head: bytes, body: bytes, timeouts: Timeouts, waiter: Waiter, *, limit_bytes: int | None
    ) -> Exchange | None:
        """Send a request over a connection that was kept; None where there is none.

        ``waiter`` is told what ``fetch`` would return or raise, or without a limit ``open``. Where the connection
        proves to have ended before the request was read, it is told that (Unreachable with ``is_unread``): to send it
        again is left to the caller.
        """
        pool, now_ns = self._pools.get(origin), monotonic_ns()
        connection = pool.take(now_ns - self._keepalive_ns) if pool is not None else None
        if connection is None:
            return None
        exchange = Exchange(origin, timeouts, now_ns, limit_bytes)
        self._send(exchange, connection, waiter, now_ns, head, body)
        return exchange

    def open(self, origin: Origin, head: bytes, body: bytes, timeouts: Timeouts) -> Awaitable[Exchange]:
        """Send a request and wait until the head of the response is here; raises ProviderError."""
        return self._perform(Exchange(origin, timeouts, monotonic_ns()), head, body)

    async def close(self) -> None:
        """Break off what is in flight and close every connection."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for exchange in tuple(self._active):
            exchange.fail(Unreachable(f"the transport was closed during the call to {exchange.origin}", sent=True))
        for connection in tuple(self._live):
            connection.close()
        ends_ns = monotonic_ns() + int(_CLOSE_S * _NS_PER_S)
        while self._live and monotonic_ns() < ends_ns:
            await asyncio.sleep(0)

    def connections(self) -> dict[Origin, tuple[int, int]]:
        """Return (busy, idle) for every origin that has connections."""
        return {origin: (pool.busy, len(pool.idle)) for origin, pool in self._pools.items()}

    async def _perform(self, exchange: Exchange, head: bytes, body: bytes) -> Exchange:
        """Write the request and wait for the head, or for the whole body where the exchange reads all."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        now_ns = monotonic_ns()
        pool = self._pools.get(exchange.origin)
        connection = pool.take(now_ns - self._keepalive_ns) if pool is not None else None
        if connection is None:
            connection = await self._connect(loop, exchange)
            now_ns = monotonic_ns()
        while True:
            waiter: Handoff[None] = Handoff(loop=loop)
            self._send(exchange, connection, waiter, now_ns, head, body)
            try:
                await waiter
                return exchange
            except Unreachable as error:
                if not error.is_unread:
                    raise
            except asyncio.CancelledError:
                exchange.abort()
                raise
            connection = await self._connect(loop, exchange)
            now_ns = monotonic_ns()

    def _send(  # noqa: PLR0913, PLR0917 - all that an exchange begins with
        self, exchange: Exchange, connection: Connection, waiter: Waiter, now_ns: int, head: bytes, body: bytes
    ) -> None:
        exchange.begin(connection, waiter, now_ns)
        connection.send(exchange, head, body)
        if not self._is_sweeping:
            self._start_sweeping()

    async def _connect(self, loop: asyncio.AbstractEventLoop, exchange: Exchange) -> Connection:
        """Open a connection, which counts as busy from now on."""
        origin = exchange.origin
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = OriginPool(
                origin, self._max_header_bytes, self._active, self._live, self._outbox
            )
        if pool.busy >= self._max_connections:
            raise PoolExhausted(f"all {self._max_connections} connections are busy")
        pool.busy += 1
        connection = Connection(pool)
        try:
            self._refuse_if_closed(origin)
            began_ns = monotonic_ns()
            await self._open_socket(loop, connection, exchange)
            connection.reached(monotonic_ns() - began_ns)
            self._refuse_if_closed(origin)
        except BaseException:
            pool.busy -= 1
            connection.give_up()
            raise
        return connection

    def _refuse_if_closed(self, origin: Origin) -> None:
        if self._is_closed:
            raise Unreachable(f"the transport is closed, so {origin} cannot be called", sent=False)

    async def _open_socket(self, loop: asyncio.AbstractEventLoop, connection: Connection, exchange: Exchange) -> None:
        """Resolve, connect and shake hands within the connect deadline; raises TimedOut and Unreachable."""
        origin = exchange.origin
        is_tls = origin.scheme == "https"
        limit_ns, phase = exchange.connect_limit()
        try:
            async with asyncio.timeout(limit_ns / _NS_PER_S):
                host = origin.host if self._guard is None else (await self._guard.find(origin))[0]
                await loop.create_connection(
                    lambda: connection,
                    host,
                    origin.port,
                    ssl=self._tls() if is_tls else None,
                    server_hostname=origin.host if is_tls else None,
                )
        except TimeoutError as error:
            limit_ms = exchange.timeouts.connect_ms if phase == "connect" else exchange.timeouts.total_ms
            raise TimedOut(f"{TIMEOUT_WORDS[phase]} {limit_ms} ms", phase=phase) from error
        except AddressRefused as error:
            raise Unreachable(f"no connection to {origin}: {error}", sent=False) from error
        except (OSError, UnicodeError) as error:
            # UnicodeError: a host name that IDNA cannot encode.
            raise Unreachable(f"no connection to {origin}: {error}", sent=False) from error

    def _tls(self) -> ssl.SSLContext:
        """Return the one context; the default trusts the system's authorities and checks host names."""
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
            self._ssl_context.set_alpn_protocols(["http/1.1"])
        return self._ssl_context

    def _start_sweeping(self) -> None:
        loop = self._loop or asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._is_sweeping = True
        self._timer = loop.call_later(_SWEEP_S, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Expire what is overdue; slow down when nothing is in flight, stop when nothing is open."""
        now_ns = monotonic_ns()
        self._is_sweeping = bool(self._active)
        for pool in tuple(self._pools.values()):
            pool.expire(now_ns - self._keepalive_ns)
            if not pool.idle and not pool.busy:
                del self._pools[pool.origin]
        # Before anybody is told, so that a sink which raises cannot stop the clock.
        if self._pools:
            self._timer = loop.call_later(_SWEEP_S if self._is_sweeping else self._idle_sweep_s, self._sweep, loop)
        else:
            self._timer = None
        for exchange in [known for known in self._active if known.due_ns <= now_ns]:
            exchange.expire(now_ns)
