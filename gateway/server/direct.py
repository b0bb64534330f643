"""The client of a call that came in by the short way: its answer is written straight to the socket."""

import asyncio
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus

from gateway.envelope import render
from gateway.errors import Fault
from gateway.ids import new_id
from gateway.surfaces.paths import surface_of
from providers.transport.outbox import Data, Outbox, Parts

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
# Up to here one copy of the body is cheaper than parts of a write, and up to there it is cheaper to leave with others'
# bytes than at once: what is more has left the processor's caches by then.
JOINED_BYTES, QUEUED_BYTES = 16_384, 65_536
CLOSE = b"connection: close\r\n"
# The end of a chunk, and of all.
LAST_CHUNK = b"\r\n0\r\n\r\n"
# RFC 9110: what a server that has no better name for a status says.
UNNAMED = "HTTP/1.1 {} Unnamed\r\n"


def status_line(status: int) -> bytes:
    """The first line of an answer."""
    return STATUS_LINES.get(status) or UNNAMED.format(status).encode()


def last_answer(fault: Fault, url: bytes = b"", headers: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """All of the answer to what cannot become a call, after which the connection closes; as its path's document says.

    ``url`` and ``headers`` are what is known of the request by then.
    """
    path = url.partition(b"?")[0].decode("latin-1")
    surface = surface_of(path, {name.decode("latin-1"): value.decode("latin-1") for name, value in headers})
    request_id = new_id(time.time_ns())
    status, body = render(fault, surface, request_id)
    return b"%scontent-type: application/json\r\nx-request-id: req_%s\r\ncontent-length: %d\r\n%s\r\n%s" % (
        status_line(status),
        request_id.encode(),
        len(body),
        CLOSE,
        body,
    )


class DirectClient:
    """One answer on one connection; see gateway.backends.interface.Client.

    ``on_complete`` is called once, when the answer is out.
    """

    takes_late = True
    __slots__ = (
        "_has_begun", "_head", "_is_chunked", "_is_complete", "_on_complete", "_on_gone", "_on_pressure", "_outbox",
        "_transport", "is_gone", "keeps_alive",
    )  # fmt: skip

    def __init__(
        self,
        transport: asyncio.Transport,
        outbox: Outbox,
        on_complete: Callable[[], None],
        *,
        keeps_alive: bool,
        is_http_11: bool,
    ) -> None:
        self._transport = transport
        self._outbox = outbox
        self._on_complete = on_complete
        self.keeps_alive = keeps_alive
        self.is_gone = False
        self._is_chunked = is_http_11
        self._is_complete = False
        self._has_begun = False
        self._head: bytes | None = None
        self._on_gone: Callable[[], None] | None = None
        self._on_pressure: Callable[[bool], None] | None = None

    def send(self, status: int, head: bytes, *body: bytes | memoryview) -> None:
        """Answer at once."""
        if self.is_gone or self._is_complete or self._has_begun:
            return
        size = sum(map(len, body))
        close = b"" if self.keeps_alive else CLOSE
        begin = b"%b%bcontent-length: %d\r\n%b\r\n" % (status_line(status), head, size, close)
        self._put_parts((begin, *body), size)
        self._complete()

    def start(self, head: bytes) -> None:
        """Begin a stream; its head leaves with the first part."""
        if not self._is_chunked:
            self.keeps_alive = False
        self._has_begun = True
        framing = b"transfer-encoding: chunked\r\n" if self._is_chunked else b""
        self._head = b"%s%s%s%s\r\n" % (STATUS_LINES[200], head, framing, b"" if self.keeps_alive else CLOSE)

    def write(self, data: bytes) -> None:
        """Send the next part."""
        if self.is_gone or self._is_complete or not data:
            # An empty chunk would be the end.
            return
        part = b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data
        head = self._head
        if head is None:
            self._put(part)
        else:
            self._head = None
            self._put(head + part)

    def end(self, *data: bytes) -> None:
        """Send the last part."""
        if self.is_gone or self._is_complete:
            return
        head, self._head = self._head or b"", None
        size = sum(map(len, data))
        parts = (b"%b%x\r\n" % (head, size), *data, LAST_CHUNK) if self._is_chunked else (head, *data)
        self._put_parts(parts, size)
        self._complete()

    def watch(self, on_gone: Callable[[], None], on_pressure: Callable[[bool], None]) -> None:
        """Tell of leaving and of slow reading; a client that left already is told at once."""
        self._on_gone = on_gone
        self._on_pressure = on_pressure
        if self.is_gone:
            on_gone()

    def left(self) -> None:
        """The connection is closed."""
        if not self._is_complete and not self.is_gone:
            self.is_gone = True
            if self._on_gone is not None:
                self._on_gone()

    def press(self, is_slow: bool) -> None:
        """The socket's buffer is full, or has room again."""
        if self._on_pressure is not None:
            self._on_pressure(is_slow)

    def _put_parts(self, parts: Parts, size: int) -> None:
        if size <= JOINED_BYTES:
            self._put(b"".join(parts))
        elif size <= QUEUED_BYTES:
            self._put(parts)
        else:
            self._outbox.write_now(self._transport, parts)

    def _put(self, data: Data) -> None:
        self._outbox.write(self._transport, data)
        if not self.keeps_alive:
            # The connection may be closed right behind it.
            self._outbox.flush()

    def _complete(self) -> None:
        self._is_complete = True
        self._on_gone = self._on_pressure = None
        self._on_complete()
