"""The client of a call that came in through ASGI: writing fills a queue, one task empties it into ``send``.

Failure behavior: the client's leaving is watched for, because no ASGI server cancels a handler that has not begun to
answer. A client that reads too slowly holds the provider's stream back.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine

from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, Receive, Send

from gateway.config.settings import Server
from gateway.errors import Fault, refuse_body

MAX_QUEUED_BYTES = 262_144
OK = 200


class AsgiClient:
    """One answer; see gateway.backends.interface.Client."""

    # It is over when the path is.
    takes_late = False

    def __init__(self, receive: Receive, send: Send) -> None:
        self.is_gone = False
        self._receive = receive
        self._send = send
        self._queue: deque[HTTPResponseStartEvent | HTTPResponseBodyEvent] = deque()
        self._queued_bytes = 0
        self._is_slow = False
        self._filled = asyncio.Event()
        self._is_whole = False
        self._on_gone: Callable[[], None] | None = None
        self._on_pressure: Callable[[bool], None] | None = None

    def send(self, status: int, head: bytes, *body: bytes | memoryview) -> None:
        """Answer at once."""
        whole = b"".join(body)
        self._begin(status, head + b"content-length: %d\r\n" % len(whole))
        self._part(whole, more=False)

    def start(self, head: bytes) -> None:
        """Begin a stream."""
        self._begin(OK, head)

    def write(self, data: bytes) -> None:
        """Send the next part."""
        self._part(data, more=True)

    def end(self, *data: bytes) -> None:
        """Send the last part."""
        self._part(b"".join(data), more=False)

    def watch(self, on_gone: Callable[[], None], on_pressure: Callable[[bool], None]) -> None:
        """Tell of leaving and of slow reading."""
        self._on_gone = on_gone
        self._on_pressure = on_pressure
        if self.is_gone:
            on_gone()

    async def read_body(self, bounds: Server) -> bytes:
        """The request's body; raises Fault when it is too large or too slow."""
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(bounds.body_timeout_ms / 1000):
                while True:
                    message = await self._receive()
                    if message["type"] != "http.request":
                        raise Fault("invalid_request", "The client left before its request was whole.")
                    part = message.get("body", b"")
                    parts.append(part)
                    size += len(part)
                    if size > bounds.max_body_bytes:
                        raise refuse_body(bounds.max_body_bytes)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError as late:
            raise Fault("request_timeout", "The request's body did not arrive in time.") from late

    async def answer(self, path: Coroutine[None, None, None]) -> None:
        """Run the call beside the writer and the watcher."""
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(self._listen())
            writer = group.create_task(self.flush())
            await group.create_task(path)
            if self.is_gone or not self._is_whole:
                writer.cancel()
            await asyncio.wait([writer])
            watcher.cancel()

    async def flush(self) -> None:
        """Send what is queued until the answer is whole."""
        while True:
            while self._queue:
                event = self._queue.popleft()
                if event["type"] == "http.response.body":
                    self._queued_bytes -= len(event["body"])
                try:
                    await self._send(event)
                except OSError:
                    # ASGI 2.4: the client is gone.
                    self._leave()
                    return
                self._press()
            if self._is_whole or self.is_gone:
                return
            self._filled.clear()
            await self._filled.wait()

    def _begin(self, status: int, head: bytes) -> None:
        lines = [line.partition(b": ") for line in head.split(b"\r\n") if line]
        headers = [(name, value) for name, _, value in lines]
        self._put({"type": "http.response.start", "status": status, "headers": headers})

    def _part(self, data: bytes, *, more: bool) -> None:
        self._queued_bytes += len(data)
        self._is_whole = not more
        self._put({"type": "http.response.body", "body": data, "more_body": more})
        self._press()

    def _put(self, event: HTTPResponseStartEvent | HTTPResponseBodyEvent) -> None:
        if not self.is_gone:
            self._queue.append(event)
            self._filled.set()

    def _press(self) -> None:
        is_slow = self._queued_bytes > MAX_QUEUED_BYTES
        if is_slow != self._is_slow:
            self._is_slow = is_slow
            if self._on_pressure is not None:
                self._on_pressure(is_slow)

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._is_whole:
            self._leave()

    def _leave(self) -> None:
        if self.is_gone:
            return
        self.is_gone = True
        self._filled.set()
        if self._on_gone is not None:
            self._on_gone()
