"""Connections to a gateway that are spoken by hand."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from running import Running

SECOND_S = 3.0


class Line:
    """One connection to the gateway, spoken by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Write."""
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one answer with a length, or one that ends with the connection."""
        async with asyncio.timeout(SECOND_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            length = headers.get("content-length")
            body = await self.reader.readexactly(int(length)) if length is not None else await self._unmeasured(headers)
        return int(first.split(" ")[1]), headers, body

    async def _unmeasured(self, headers: dict[str, str]) -> bytes:
        if "transfer-encoding" not in headers:
            return await self.reader.read()
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += (await self.reader.readexactly(size + 2))[:size]
        await self.reader.readexactly(2)
        return body

    async def refusal(self) -> tuple[int, str]:
        """Read an answer: its status, and the code in its envelope."""
        status, _, body = await self.answer()
        return status, json.loads(body)["error"]["code"]

    async def is_closed(self) -> bool:
        """Whether nothing more comes but the end."""
        async with asyncio.timeout(SECOND_S):
            return await self.reader.read() == b""


@asynccontextmanager
async def line(gateway: Running) -> AsyncIterator[Line]:
    """Connect."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
