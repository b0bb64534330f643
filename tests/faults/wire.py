"""A plain client that sends any bytes and reads whatever comes back: no library stands between test and gateway."""

import asyncio
import contextlib
import json
import socket
import time
from types import TracebackType
from typing import Any, Self

import msgspec

DEADLINE_S = 20.0


class Reply(msgspec.Struct, kw_only=True):
    """One HTTP answer; status 0 where the connection ended without any."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    # The body came to its declared end.
    is_whole: bool
    seconds: float

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for key, value in self.headers if key == name), None)

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def head_text(self) -> str:
        """All headers as text."""
        return "\n".join(f"{name}: {value}" for name, value in self.headers)


def nothing() -> Reply:
    """No answer, where none is to be looked at."""
    return Reply(status=0, headers=[], body=b"", is_whole=True, seconds=0.0)


class Connection:
    """One TCP connection to the gateway; sending goes on in the background, so a refusal can come before its end."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""
        self._is_ended = False
        self._sending: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        self._sock.close()

    def send(self, data: bytes, *, half_close: bool = False) -> None:
        """Begin to send; what the other side no longer takes is forgotten."""
        self._sending.append(asyncio.get_running_loop().create_task(self._send(data, half_close)))

    async def _send(self, data: bytes, half_close: bool) -> None:
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._sock, data)
            if half_close:
                self._sock.shutdown(socket.SHUT_WR)

    async def receive(self) -> bool:
        """Take the next bytes into the buffer; False when there are no more."""
        if self._is_ended:
            return False
        try:
            data = await asyncio.get_running_loop().sock_recv(self._sock, 65_536)
        except OSError:
            data = b""
        self._buffer += data
        self._is_ended = not data
        return not self._is_ended

    async def read_some(self, size: int) -> bytes:
        """At most this many bytes, straight from the socket; none at the end."""
        try:
            return await asyncio.get_running_loop().sock_recv(self._sock, size)
        except OSError:
            return b""

    async def read_until(self, mark: bytes) -> bytes:
        """Everything up to and with the mark; what there is where it never comes."""
        while mark not in self._buffer:
            if not await self.receive():
                mark = self._buffer or b"\0"
                break
        at = self._buffer.find(mark)
        return self._take(at + len(mark) if at >= 0 else len(self._buffer))

    async def is_closed(self, within_s: float = 3.0) -> bool:
        """Whether the gateway closes the connection, whatever else it still sends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while await self.receive():
                    pass
        return self._is_ended

    async def reply(self, deadline_s: float = DEADLINE_S, *, has_body: bool = True) -> Reply:
        """Read one answer."""
        started = time.monotonic()
        reply = nothing()
        reply.is_whole = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._read(reply, has_body)
        reply.seconds = time.monotonic() - started
        return reply

    async def _read(self, reply: Reply, has_body: bool) -> None:
        head = await self.read_until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        if not first.startswith("HTTP/1."):
            return
        reply.status = int(first.split(" ")[1])
        reply.headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines if line)]
        if reply.status == 100:
            await self._read(reply, has_body)
        elif (length := reply.header("content-length")) is not None:
            await self._read_exactly(reply, int(length) if has_body else 0)
        elif "chunked" in (reply.header("transfer-encoding") or ""):
            await self._read_chunks(reply)
        else:
            while await self.receive():
                pass
            reply.body, reply.is_whole = self._take(len(self._buffer)), True

    async def _read_exactly(self, reply: Reply, size: int) -> None:
        while len(self._buffer) < size and await self.receive():
            pass
        reply.is_whole = len(self._buffer) >= size
        reply.body = self._take(min(size, len(self._buffer)))

    async def _read_chunks(self, reply: Reply) -> None:
        while True:
            line = (await self.read_until(b"\r\n")).strip()
            if not line:
                return
            size = int(line, 16)
            while len(self._buffer) < size + 2 and await self.receive():
                pass
            reply.body += self._take(size + 2)[:size]
            if self._is_ended or not size:
                reply.is_whole = not size
                return

    def _take(self, size: int) -> bytes:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


async def connect(port: int, *, receive_buffer_bytes: int = 0) -> Connection:
    """Open a connection to a port of this machine."""
    sock = socket.socket()
    sock.setblocking(False)
    if receive_buffer_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    try:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    return Connection(sock)


async def exchange(port: int, request: bytes, deadline_s: float = DEADLINE_S) -> Reply:
    """Send one request on a connection of its own and read its answer."""
    async with await connect(port) as connection:
        started = time.monotonic()
        connection.send(request)
        reply = await connection.reply(deadline_s, has_body=not request.startswith(b"HEAD "))
        reply.seconds = time.monotonic() - started
    return reply


class Stream(msgspec.Struct, kw_only=True):
    """What a client assembles from an event stream."""

    text: str = ""
    tool_arguments: str = ""
    finish: str | None = None
    is_done: bool = False
    errors: list[dict[str, Any]] = []
    # The data of the last event that is neither a comment nor empty.
    last: str = ""
    fields: set[str] = set()


def assemble(body: bytes) -> Stream:
    """Read an event stream as a strict client does: every data line is JSON, or [DONE]."""
    stream = Stream(errors=[], fields=set())
    for event in body.decode().split("\n\n"):
        lines = [line for line in event.split("\n") if line and not line.startswith(":")]
        stream.fields |= {line.partition(":")[0] for line in lines}
        data = "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))
        if not data:
            continue
        stream.last = data
        if data == "[DONE]":
            stream.is_done = True
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            stream.errors.append(chunk["error"])
        for choice in chunk.get("choices") or []:
            _add(stream, choice)
    return stream


def _add(stream: Stream, choice: dict[str, Any]) -> None:
    delta = choice.get("delta") or {}
    stream.text += delta.get("content") or ""
    for call in delta.get("tool_calls") or []:
        stream.tool_arguments += call.get("function", {}).get("arguments") or ""
    stream.finish = choice.get("finish_reason") or stream.finish
