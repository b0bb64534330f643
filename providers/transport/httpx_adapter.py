"""The transport behind httpx's own interface, for everything that is not on the hot path.

Failure behavior: a ProviderError becomes the httpx exception that stock httpx would raise there.
"""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx

from providers.errors import PoolExhausted, ProviderError, TimedOut, Unreachable
from providers.transport.exchange import MAX_DECODED_BYTES, Exchange
from providers.transport.origin import DEFAULT_PORTS, Origin, Timeouts
from providers.transport.pool import Transport

_MS_PER_S = 1000
# httpx's None: no limit; a day stands for it.
_UNLIMITED_MS = 86_400_000
# What may wait for a slow reader before the socket is left alone.
_WAITING_BYTES = 262_144
# Framing is the transport's business, and it can only undo these encodings.
_OWN_FIELDS = (b"content-length", b"transfer-encoding", b"accept-encoding")
_ACCEPT_ENCODING = b"accept-encoding: gzip, deflate\r\n"
# A line end or another control character would let a value write fields of its own.
_UNSAFE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_UNSAFE_TARGET = re.compile(rb"[\x00-\x20\x7f]")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
# What httpx would decode a second time, or check against a length that is no longer true.
_UNDONE_FIELDS = (b"content-encoding", b"content-length", b"transfer-encoding")


class PooledTransport(httpx.AsyncBaseTransport):
    """Sends what an ``httpx.AsyncClient`` asks for through a Transport, which its builder closes.

    Timeouts are the client's: ``read`` limits the wait for the head and between two pieces of the body, ``write`` and
    ``pool`` have no counterpart. ``total_ms`` limits the whole response, which httpx itself cannot.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        total_ms: int = _UNLIMITED_MS,
        max_decoded_bytes: int = MAX_DECODED_BYTES,
    ) -> None:
        self._transport = transport
        self._total_ms = total_ms
        self._max_decoded_bytes = max_decoded_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, read its body first where it is a stream; the body of the response may be streamed."""
        head = _write_head(request)
        body = await request.aread()
        try:
            exchange = await self._transport.open(_origin_of(request.url), head, body, self._timeouts(request))
        except ProviderError as error:
            raise _translate(error, request) from error
        headers = exchange.headers
        if exchange.head.has_codings:
            headers = [(name, value) for name, value in headers if name not in _UNDONE_FIELDS]
        stream = _BodyStream(exchange, request)
        exchange.attach(stream, max_decoded_bytes=self._max_decoded_bytes)
        # A cut of the head at its first line end; the reason phrase follows the status, RFC 9112, 4.
        reason = exchange.head.raw.split(b"\r\n", 1)[0][13:]
        extensions = {"http_version": b"HTTP/1.1", "reason_phrase": reason}
        return httpx.Response(exchange.status, headers=headers, stream=stream, extensions=extensions, request=request)

    def _timeouts(self, request: httpx.Request) -> Timeouts:
        limits: dict[str, float | None] = request.extensions.get("timeout", {})
        connect_ms, read_ms = _in_ms(limits.get("connect")), _in_ms(limits.get("read"))
        return Timeouts(connect_ms=connect_ms, first_byte_ms=read_ms, idle_ms=read_ms, total_ms=self._total_ms)


class _BodyStream(httpx.AsyncByteStream):
    """The body of a response as httpx reads it; the sink of the exchange, which waits when its reader is slow."""

    def __init__(self, exchange: Exchange, request: httpx.Request) -> None:
        self._exchange = exchange
        self._request = request
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._has_ended = False
        self._error: ProviderError | None = None
        self._news = asyncio.Event()

    def piece(self, data: bytes) -> None:
        """Keep a piece for the reader."""
        self._pieces.append(data)
        self._waiting_bytes += len(data)
        self._exchange.touch()
        if self._waiting_bytes > _WAITING_BYTES:
            self._exchange.pause()
        self._news.set()

    def ended(self, error: ProviderError | None) -> None:
        """Note how the body ended."""
        self._has_ended = True
        self._error = error
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            # Bounded by the read timeout of the exchange, which ends it.
            await self._news.wait()
            self._news.clear()
            pieces, self._pieces = self._pieces, []
            self._waiting_bytes = 0
            for piece in pieces:
                yield piece
            self._exchange.resume()
            if self._has_ended and not self._pieces:
                break
        if self._error is not None:
            raise _translate(self._error, self._request) from self._error

    async def aclose(self) -> None:
        """Give the connection back, or close it where the body goes on."""
        self._exchange.release()


def _in_ms(seconds: float | None) -> int:
    return _UNLIMITED_MS if seconds is None else max(1, int(seconds * _MS_PER_S))


def _origin_of(url: httpx.URL) -> Origin:
    if url.scheme not in DEFAULT_PORTS:
        raise httpx.UnsupportedProtocol(f"cannot send to {str(url)!r}: only http and https are spoken")
    return Origin(url.scheme, url.raw_host.decode("ascii"), url.port or DEFAULT_PORTS[url.scheme])


def _write_head(request: httpx.Request) -> bytes:
    """Return the request's head as the transport wants it; raises LocalProtocolError for what would break out of it."""
    method, target = request.method.encode("ascii", "replace"), request.url.raw_path
    if not _TOKEN.match(method) or method == b"CONNECT" or _UNSAFE_TARGET.search(target):
        raise httpx.LocalProtocolError(f"cannot send {request.method!r} {target!r}", request=request)
    lines = [b"%b %b HTTP/1.1\r\n" % (method, target)]
    for name, value in request.headers.raw:
        if not _TOKEN.match(name) or _UNSAFE.search(value):
            # The value may be a secret.
            raise httpx.LocalProtocolError(f"the request header {name!r} has a character not allowed", request=request)
        if name.lower() not in _OWN_FIELDS:
            lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join((*lines, _ACCEPT_ENCODING))


def _translate(error: ProviderError, request: httpx.Request) -> httpx.TransportError:
    if isinstance(error, TimedOut):
        kind = httpx.ConnectTimeout if error.phase == "connect" else httpx.ReadTimeout
        return kind(error.message, request=request)
    if isinstance(error, PoolExhausted):
        return httpx.PoolTimeout(error.message, request=request)
    if isinstance(error, Unreachable) and not error.sent:
        return httpx.ConnectError(error.message, request=request)
    return httpx.RemoteProtocolError(error.message, request=request)
