"""One connection to an upstream, and the connections of one origin.

Failure behavior: a connection that breaks, ends or speaks out of turn fails the exchange that it carries and is gone;
only one whose response ended exactly where its framing says goes back to the idle ones.
"""

import asyncio
from time import monotonic_ns
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from providers.errors import InvalidAnswer, ProviderError, Truncated, Unreachable, Withheld
from providers.transport.exchange import Exchange
from providers.transport.head import REDIRECTION, ResponseHead, read_whole
from providers.transport.known_answer import BLANK_LINE, KnownAnswer, KnownStream, read_stream
from providers.transport.origin import Origin
from providers.transport.outbox import Outbox
from providers.transport.unread import is_unread

# Up to here one copy of the body is cheaper than a second write.
_JOIN_BYTES = 65_536
_CONTINUE, _SWITCHING, _OK = 100, 101, 200
# A turn of a busy event loop; and hardly more than the way to the other side of the earth and back.
_LEAST_CROSSING_NS, _MOST_CROSSING_NS = 50_000_000, 250_000_000
# Their requests carry a Content-Length even where it is 0 (RFC 9110, 8.6).
_METHODS_WITH_BODY = (b"POST ", b"PUT ", b"PATCH ")


class OriginPool:
    """The connections of one origin: idle ones, the last used at the end, and the number of busy ones."""

    __slots__ = ("active", "busy", "idle", "known", "known_stream", "live", "max_header_bytes", "origin", "outbox")

    def __init__(
        self, origin: Origin, max_header_bytes: int, active: set[Exchange], live: set["Connection"], outbox: Outbox
    ) -> None:
        self.origin = origin
        self.max_header_bytes = max_header_bytes
        # Shared by all pools of a transport: what the sweeper looks at, what close() must close, what is to be sent.
        self.active = active
        self.live = live
        self.outbox = outbox
        self.idle: list[Connection] = []
        # How the last ordinary answer began.
        self.known: KnownAnswer | None = None
        # The same of the last stream that was here at once.
        self.known_stream: KnownStream | None = None
        self.busy = 0

    def take(self, oldest_ns: int) -> "Connection | None":
        """Return the connection that was used last, unless it has been idle since before ``oldest_ns``."""
        if not self.idle:
            return None
        if self.idle[-1].idle_since_ns < oldest_ns:
            self.expire(oldest_ns)
            return None
        self.busy += 1
        connection = self.idle.pop()
        connection.is_idle = False
        return connection

    def expire(self, oldest_ns: int) -> None:
        """Close what has been idle since before ``oldest_ns``."""
        if not self.idle or self.idle[0].idle_since_ns >= oldest_ns:
            return
        for connection in [known for known in self.idle if known.idle_since_ns < oldest_ns]:
            connection.close()


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 on one socket, one exchange at a time."""

    __slots__ = (
        "_body_at", "_body_bytes", "_buffer", "_interim_heads", "_is_complete", "_is_followed", "_is_head_request",
        "_is_paused", "_keeps_alive", "_own_pieces", "_parser", "_pieces", "_pool", "_received", "_status",
        "_transport", "crossing_ns", "exchange", "idle_since_ns", "is_idle", "is_used", "on_body",
    )  # fmt: skip

    _transport: asyncio.Transport

    def __init__(self, pool: OriginPool) -> None:
        self._pool = pool
        self.exchange: Exchange | None = None
        self.is_idle = False
        self.idle_since_ns = 0
        # It has carried an exchange before, so the server may have closed it meanwhile.
        self.is_used = False
        # So long after a request was written it may still be reset for having met a closed connection.
        self.crossing_ns = _LEAST_CROSSING_NS
        self._is_paused = self._is_head_request = False
        self._pieces: list[bytes] = []
        # The parser calls this with every chunk; no method of ours is as fast as the list's own.
        self.on_body = self._pieces.append
        self._parser = HttpResponseParser(self)
        self._status = 0
        self._is_complete = False

    # For the pool and the exchange.

    def reached(self, took_ns: int) -> None:
        """The socket was open after this time: at least once there and back, so a refusal comes within it."""
        self.crossing_ns = min(max(took_ns, _LEAST_CROSSING_NS), _MOST_CROSSING_NS)

    def send(self, exchange: Exchange, head: bytes, body: bytes) -> None:
        """Write a request; what comes back is the exchange's."""
        self.exchange = exchange
        self._pool.active.add(exchange)
        # Bytes of all that came; of the heads, 0 until ours was handed on; of the body without its framing.
        self._received = 0
        self._body_at = 0
        if len(body) > _JOIN_BYTES:
            self._pool.outbox.write(self._transport, b"%bcontent-length: %d\r\n\r\n" % (head, len(body)))
            self._pool.outbox.write(self._transport, body)
        elif body or head.startswith(_METHODS_WITH_BODY):
            request = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
            self._pool.outbox.write(self._transport, request)
        else:
            self._is_head_request = head.startswith(b"HEAD ")
            self._transport.write(head + b"\r\n")

    def withheld(self, error: Withheld) -> None:
        """The request did not leave."""
        if self.exchange is not None:
            self.exchange.fail(error)

    def pause(self) -> None:
        """Stop reading from the socket."""
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def drop(self) -> None:
        """Close the socket and leave the exchange to itself."""
        exchange = self.exchange
        if exchange is not None:
            self._leave(exchange)
        self.close()

    def close(self) -> None:
        """Close the socket without waiting for anything."""
        if self.is_idle:
            self.is_idle = False
            self._pool.idle.remove(self)
        self._transport.abort()

    def give_up(self) -> None:
        """Close a connection whose making was broken off; uvloop does not always report its loss."""
        if self in self._pool.live:
            self._pool.live.discard(self)
            self._transport.abort()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open, TLS included; both kinds of event loop have set TCP_NODELAY."""
        self._transport = cast(asyncio.Transport, transport)
        self._pool.live.add(self)

    def data_received(self, data: bytes) -> None:
        """Parse what one read brought; deliver its body bytes in one piece."""
        exchange = self.exchange
        if exchange is None:
            # Nobody asked: whatever it is, the next answer on this connection could not be trusted.
            self.close()
            return
        if not self._received and self._take_whole(exchange, data):
            return
        self._received += len(data)
        error: ProviderError | None = None
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as reason:
            error = self._note_garbage(reason)
        if self._body_at:
            self._feed(exchange)
        elif self._take_arrived(exchange, data) or not self._take_head(exchange, data, error):
            return
        if self.exchange is not exchange:
            # It took offence, or its sink did.
            return
        if self._is_complete:
            self._finish(exchange, data)
        elif error is not None:
            exchange.fail(error)
        elif exchange.counts_bytes:
            exchange.extend(monotonic_ns())

    def eof_received(self) -> None:
        """The server will send no more; the event loop closes the socket."""
        self._closed_by_server(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by whom ever."""
        self._pool.live.discard(self)
        self._closed_by_server(exc)
        # The parser and the connection hold each other.
        del self._parser, self.on_body

    # Called by the parser.

    def on_headers_complete(self) -> None:
        """A head ended: an interim one, ours, or one that nobody asked for."""
        parser = self._parser
        status = parser.get_status_code()
        if self._status:
            self._is_followed = True
        elif _CONTINUE <= status < _OK and status != _SWITCHING:
            self._interim_heads += 1
        else:
            self._status = status
            self._keeps_alive = parser.should_keep_alive()

    def on_message_complete(self) -> None:
        """A response ended by its framing; an interim one does not count, nor one behind ours."""
        if self._status and not self._is_complete:
            self._is_complete = True
            self._own_pieces = len(self._pieces)

    # Inside.

    def _take_whole(self, exchange: Exchange, data: bytes) -> bool:
        """Take an ordinary answer that came in one read, without the parser; False where it is not one."""
        exchange.first_byte_ns = now_ns = monotonic_ns()
        pool = self._pool
        found = None
        if exchange.reads_all:
            known = pool.known
            found = None if known is None else known.read(data, pool.max_header_bytes)
            if found is None:
                found = read_whole(data, pool.max_header_bytes)
                if found is not None:
                    pool.known = KnownAnswer(found[0])
        if found is None or self._is_head_request or not exchange.takes(len(data) - found[1]):
            self._begin_reading()
            return False
        head, start = found
        self._leave(exchange)
        self._keep(now_ns)
        exchange.complete(head, [data[start:]])
        return True

    def _take_arrived(self, exchange: Exchange, data: bytes) -> bool:
        """Take a chunked answer that came to its end in one read; False where it is not an ordinary one."""
        if not self._is_complete or exchange.reads_all or self._is_head_request:
            return False
        if self._received != len(data) or self._interim_heads or self._is_followed:
            return False
        pool = self._pool
        known = pool.known_stream
        if known is None or not data.startswith(known.raw):
            known = pool.known_stream = read_stream(data, self._status, pool.max_header_bytes)
            if known is None:
                return False
        exchange.head, self._body_at = known.head, len(known.raw)
        parts = self._pieces.copy()
        self._pieces.clear()
        self._part(exchange, data, exchange.first_byte_ns)
        exchange.complete(known.head, parts)
        return True

    def _begin_reading(self) -> None:
        # The cut head of a response, as long as it is not complete.
        self._buffer = b""
        self._interim_heads = 0
        self._status = 0
        self._body_bytes = 0
        self._is_complete = self._is_followed = False
        self._own_pieces = 0

    def _feed(self, exchange: Exchange) -> None:
        """Deliver the body bytes of one read in one piece."""
        pieces = self._pieces
        if self._is_followed and self._is_complete:
            # The parser went on to another response and its body.
            del pieces[self._own_pieces :]
        if pieces and self.exchange is exchange:
            if len(pieces) == 1:
                piece = pieces.pop()
            else:
                piece = b"".join(pieces)
                pieces.clear()
            self._body_bytes += len(piece)
            exchange.feed(piece)

    def _note_garbage(self, reason: Exception) -> InvalidAnswer | None:
        """Return the error that unreadable bytes are, unless the answer was complete before them."""
        self._is_followed = True
        if self._is_complete:
            return None
        garbage = InvalidAnswer(f"the answer is not HTTP/1.1: {reason!r}")
        # 0 where not even that could be read: no provider said that.
        garbage.has_begun = 0 < self._parser.get_status_code() < REDIRECTION
        return garbage

    def _take_head(self, exchange: Exchange, data: bytes, error: ProviderError | None) -> bool:
        """Give the exchange the head, once it is complete, and what came with it; until then keep it, to its limit."""
        buffer = self._buffer + data if self._buffer else data
        if not self._status:
            if error is None and len(buffer) > self._pool.max_header_bytes:
                error = self._too_long_head()
            if error is not None:
                exchange.fail(error)
            self._buffer = buffer
            return False
        start = 0
        for _ in range(self._interim_heads):
            start = buffer.find(BLANK_LINE, start) + len(BLANK_LINE)
        end = buffer.find(BLANK_LINE, start)
        head = ResponseHead(self._status, buffer[start : end + 2])
        self._body_at = end + len(BLANK_LINE)
        self._buffer = b""
        if self._is_head_request:
            # The parser waits for a body that will not come, so this connection cannot be used again.
            self._is_complete = True
            self._keeps_alive = False
            self._pieces.clear()
        try:
            if end > self._pool.max_header_bytes:
                raise self._too_long_head()
            head.check()
            exchange.answered(head, is_complete=self._is_complete)
        except InvalidAnswer as refusal:
            refusal.has_begun = head.tells_of_answer
            exchange.fail(refusal)
            return False
        self._feed(exchange)
        exchange.hand_on()
        return True

    def _too_long_head(self) -> InvalidAnswer:
        return InvalidAnswer(f"the head of the answer is larger than {self._pool.max_header_bytes} bytes")

    def _finish(self, exchange: Exchange, data: bytes) -> None:
        """The response is complete."""
        self._part(exchange, data, monotonic_ns())
        exchange.finish()

    def _part(self, exchange: Exchange, data: bytes, now_ns: int) -> None:
        """The exchange goes its way; keep the connection if nothing speaks against it."""
        self._leave(exchange)
        if self._keeps_alive and self._ended_exactly(exchange, data):
            self._keep(now_ns)
        else:
            self._transport.abort()

    def _keep(self, now_ns: int) -> None:
        """Put the connection to the idle ones, unless the server answered before it had read the request."""
        if self._transport.get_write_buffer_size():
            self._transport.abort()
            return
        if self._is_paused:
            self.resume()
        self.is_used = self.is_idle = True
        self.idle_since_ns = now_ns
        self._pool.idle.append(self)

    def _ended_exactly(self, exchange: Exchange, data: bytes) -> bool:
        """Tell whether not one byte followed the response; the parser itself skips line ends between responses."""
        if self._is_followed:
            return False
        if self._received == self._body_at + self._body_bytes:
            return True
        # Both the last chunk and the trailers end with one empty line, not with two.
        return exchange.head.is_chunked and data.endswith(BLANK_LINE) and data[-5:-4] not in (b"", b"\n")

    def _leave(self, exchange: Exchange) -> None:
        self.exchange = None
        self._pool.busy -= 1
        self._pool.active.discard(exchange)

    def _closed_by_server(self, exc: Exception | None) -> None:
        exchange = self.exchange
        if exchange is None:
            if self.is_idle:
                self.close()
        elif self._body_at and exc is None and exchange.head.ends_with_connection:
            self._leave(exchange)
            self._transport.abort()
            exchange.finish()
        else:
            exchange.fail(self._broken_off(exchange, exc))

    def _broken_off(self, exchange: Exchange, exc: Exception | None) -> ProviderError:
        if self._received:
            how = "closed" if exc is None else "broken"
            return Truncated(f"the connection was {how} in the middle of the answer, after {self._received} bytes")
        how = "closed the connection" if exc is None else f"broke the connection ({exc!r})"
        error = Unreachable(f"{self._pool.origin} {how} before it answered", sent=True)
        if self.is_used:
            transport, begun_ns = self._transport, exchange.begun_ns
            error.is_unread = self._pool.outbox.holds(transport) or is_unread(transport, exc, begun_ns)
            error.is_likely_unread = exc is not None and monotonic_ns() - begun_ns <= self.crossing_ns
        return error
