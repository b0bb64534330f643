"""A streamed answer on its way: the transport's pieces go through the dialect's reader straight to the client.

No task and no queue stands between them: a piece that arrives is checked, noted and written in one call.

Failure behavior: when the client leaves, the upstream is closed at once where that ends the billing, and is read to
its end, for a bounded time, where it does not. When the upstream breaks, ``reader.failure`` says why.
"""

import asyncio
from collections.abc import Callable

from gateway.backends.interface import Client, Exchange
from providers.errors import InvalidAnswer, ProviderError
from providers.handoff import Handoff
from providers.wire import StreamReader

# Bytes that wait for a client that has not been attached yet; more stops the reading.
MAX_WAITING_BYTES = 262_144
# How long an answer that nobody waits for any more is read on, for its usage.
MAX_DRAIN_S = 60
# More than any model writes in one answer.
MAX_STREAM_BYTES = 268_435_456
COMMENT = b": keepalive\n\n"
# Tells of a stream why it must not go on, None while it may.
Guard = Callable[[StreamReader], ProviderError | None]


class Relay:
    """One stream: takes pieces from the exchange, gives bytes to the client, ends exactly once.

    ``started`` is done when there is something to send or nothing more to come; ``done`` when the stream is over.
    """

    __slots__ = (
        "_bytes", "_cancels", "_client", "_drain_timer", "_events", "_exchange", "_guard", "_is_over", "_loop",
        "_waiting", "_waiting_bytes", "_wrote_at", "done", "is_abandoned", "is_attached", "reader", "started",
    )  # fmt: skip

    def __init__(
        self,
        reader: StreamReader,
        exchange: Exchange,
        loop: asyncio.AbstractEventLoop,
        *,
        cancels: bool,
        guard: Guard | None = None,
    ) -> None:
        self.reader = reader
        self.started: Handoff[None] = Handoff(loop=loop)
        self.done: Handoff[None] = Handoff(loop=loop)
        # Whoever waits for ``done`` may be cancelled, which ends the waiting and not the stream.
        self._is_over = False
        self.is_abandoned = False
        # The client has the head of the stream.
        self.is_attached = False
        # Closing the connection ends generation and billing at this provider.
        self._cancels = cancels
        # Says why the stream must not go on, asked after each piece.
        self._guard = guard
        self._exchange = exchange
        self._loop = loop
        self._client: Client | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._bytes = 0
        self._events = 0
        self._wrote_at = 0.0
        self._drain_timer: asyncio.TimerHandle | None = None

    @property
    def is_silent(self) -> bool:
        """Nothing that the client could have seen has come yet; asked before a client is attached."""
        return not self._waiting and self.reader.held is None

    def piece(self, data: bytes) -> None:
        """The next bytes from the provider."""
        if self._is_over:
            return
        reader = self.reader
        self._bytes += len(data)
        if self._bytes > MAX_STREAM_BYTES:
            reader.failure = InvalidAnswer(f"the stream is over {MAX_STREAM_BYTES} bytes")
            self.close()
            return
        out = reader.feed(data)
        if reader.events != self._events:
            self._events = reader.events
            self._exchange.touch()
        if self._guard is not None and reader.failure is None and (overrun := self._guard(reader)) is not None:
            reader.failure = overrun
            self.close()
            return
        if out:
            self._forward(out)
        if (reader.finished or reader.failure is not None) and not self._is_over:
            self._exchange.release()
            self._finish()

    def ended(self, error: ProviderError | None) -> None:
        """The provider sent its last byte, or none more will come."""
        if self._is_over:
            return
        if error is None or self.reader.has_ended:
            # Nothing that the client needs is missing.
            if rest := self.reader.end():
                self._forward(rest)
        else:
            self.reader.failure = error
        if not self._is_over:
            # Who took what was forwarded may have closed.
            self._finish()

    def attach(self, client: Client) -> None:
        """The client's headers are out: send what waited, then everything as it comes."""
        if self.is_abandoned:
            return
        self._client = client
        self.is_attached = True
        client.watch(self.abandon, self._press)
        if self._waiting:
            waited = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
            self._waiting.clear()
            # First: the write may find the client slow already, which holds the provider back again.
            self._exchange.resume()
            client.write(waited)
        self._wrote_at = self._loop.time()

    def comment_if_silent(self, now: float, silence_s: float) -> None:
        """Keep proxies in between from closing a quiet stream; this extends no timeout."""
        if self._client is not None and not self.is_abandoned and now - self._wrote_at >= silence_s:
            self._client.write(COMMENT)
            self._wrote_at = now

    def abandon(self) -> None:
        """The client left: close the connection, or read on for the usage where closing would not lower the bill."""
        if self.is_abandoned or self._is_over:
            return
        self.is_abandoned = True
        self._client = None
        self._waiting.clear()
        if self._cancels:
            self.close()
        else:
            self._exchange.resume()
            self._drain_timer = self._loop.call_later(MAX_DRAIN_S, self.close)

    def close(self) -> None:
        """End now, closing the connection."""
        if not self._is_over:
            self._exchange.abort()
            self._finish()

    def _forward(self, out: bytes) -> None:
        """Send what may be sent, or keep it until the client has the head."""
        if self._client is not None:
            self._client.write(out)
            self._wrote_at = self._loop.time()
            return
        if not self.is_abandoned:
            self._waiting.append(out)
            self._waiting_bytes += len(out)
            if self._waiting_bytes > MAX_WAITING_BYTES:
                self._exchange.pause()
        if not self.started.done():
            self.started.hand(None)

    def _press(self, is_slow: bool) -> None:
        if is_slow:
            self._exchange.pause()
        else:
            self._exchange.resume()

    def _finish(self) -> None:
        if self._drain_timer is not None:
            self._drain_timer.cancel()
            self._drain_timer = None
        self._is_over = True
        if not self.done.done():
            self.done.hand(None)
        if not self.started.done():
            self.started.hand(None)
