"""A client that reads raw answers, and that can leave in the middle of one."""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

import msgspec

DEADLINE_S = 30.0
RUDE = struct.pack("ii", 1, 0)


class Heard(msgspec.Struct, kw_only=True):
    """What came of an answer: ``status`` 0 where nothing did, ``is_whole`` where its framing says so."""

    status: int = 0
    headers: dict[str, str] = {}
    body: bytes = b""
    is_whole: bool = False

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def request_id(self) -> str:
        """The gateway's name of the call."""
        return self.headers.get("x-watchllm-request-id", "")

    @property
    def is_done(self) -> bool:
        """A stream came to its proper end."""
        return self.is_whole and self.body.endswith(b"data: [DONE]\n\n")


class RawClient:
    """One connection at a time to a gateway on this machine, opened where there is none."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, path: str, key: str, body: Any, headers: Mapping[str, str] | None = None) -> None:
        """POST a JSON body."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"host": "proof", "authorization": f"Bearer {key}", "content-type": "application/json"}
        lines |= {"content-length": str(len(payload)), **(headers or {})}
        await self._write(f"POST {path} HTTP/1.1\r\n", lines, payload)

    async def get(self, path: str, key: str = "") -> Heard:
        """GET a path."""
        await self._write(f"GET {path} HTTP/1.1\r\n", {"host": "proof", "authorization": f"Bearer {key}"}, b"")
        return await self.answer()

    async def _write(self, first: str, lines: Mapping[str, str], payload: bytes) -> None:
        head = first + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(head.encode() + payload)

    async def answer(self, until: bytes | None = None) -> Heard:
        """Read one answer, or a stream until these bytes were heard; the connection stays where it can."""
        heard = Heard(headers={})
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._read(heard, until)
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.leave()
        except BaseException:
            # Nobody reads on, so nobody would close.
            await self.leave()
            raise
        if heard.is_whole and heard.headers.get("connection") == "close":
            await self.leave()
        return heard

    async def leave(self, *, rudely: bool = False) -> None:
        """Close the connection, orderly or by a reset."""
        writer, self._writer, self._reader = self._writer, None, None
        if writer is None:
            return
        if rudely:
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RUDE)
            writer.transport.abort()
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            # The other side was faster.
            return

    async def _read(self, heard: Heard, until: bytes | None) -> None:
        assert self._reader is not None, "send first"
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        heard.status = int(first.split(" ")[1])
        heard.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if "content-length" in heard.headers:
            heard.body = await self._reader.readexactly(int(heard.headers["content-length"]))
            heard.is_whole = True
            return
        while until is None or until not in heard.body:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            chunk = await self._reader.readexactly(size + 2)
            heard.body += chunk[:-2]
            if not size:
                heard.is_whole = True
                return
