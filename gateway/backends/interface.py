"""The two ends that a call connects: everything that answers, behind one interface, and the client that waits.

Failure behavior: every failure of a backend is a ProviderError; writing to a client that is gone does nothing.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from providers.errors import ProviderError
from providers.handoff import Waiter
from providers.wire import Call, Dialect, Headers, WireRequest

T = TypeVar("T")


class Sink(Protocol):
    """Takes the body of a streamed answer, piece by piece."""

    def piece(self, data: bytes) -> None:
        """The next bytes."""
        ...

    def ended(self, error: ProviderError | None) -> None:
        """There is no more; ``error`` tells why when that is too early."""
        ...


class Head(Protocol):
    """The headers of an answer."""

    def get(self, name: bytes) -> bytes | None:
        """The first value of a header, by its name in lower case."""
        ...

    def lines(self, wanted: re.Pattern[bytes]) -> list[bytes]:
        """Header lines as they stand, found by a pattern that begins with CRLF and has one group."""
        ...


class Exchange(Protocol):
    """An answer whose head has arrived. See providers.transport.pool.Exchange."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Headers:
        """The headers, names in lower case."""
        ...

    def gist(self, reading: Callable[[Any], T]) -> T:
        """What ``reading`` makes of the headers, which it gets as ``Head``; not asked again where they are the same."""
        ...

    @property
    def whole(self) -> Sequence[bytes] | None:
        """The body as it was framed, where all of it is here already: the caller's to release then, or to attach to."""
        ...

    def attach(self, sink: Sink) -> None:
        """Have the body delivered."""
        ...

    async def read(self, limit_bytes: int) -> bytes:
        """Read the body whole, instead."""
        ...

    def touch(self) -> None:
        """An event was complete: the idle time begins anew."""
        ...

    def pause(self) -> None:
        """Stop reading."""
        ...

    def resume(self) -> None:
        """Go on reading."""
        ...

    def release(self) -> None:
        """The rest is of no interest."""
        ...

    def abort(self) -> None:
        """Close the connection now."""
        ...


class WholeReply(Protocol):
    """An answer that arrived whole."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Headers:
        """The headers, names in lower case."""
        ...

    def gist(self, reading: Callable[[Any], T]) -> T:
        """What ``reading`` makes of the headers, which it gets as ``Head``; not asked again where they are the same."""
        ...

    @property
    def body(self) -> bytes:
        """The decoded body."""
        ...


class Posted(WholeReply, Exchange, Protocol):
    """An answer that is on its way, whole or as a stream; there is nothing to be read of it before it has arrived."""


class Backend(Protocol):
    """Anything that answers a call: its protocol, how to reach it, and what cancelling does there."""

    @property
    def name(self) -> str:
        """The provider's name, as in configuration, prices and usage rows."""
        ...

    @property
    def dialect(self) -> Dialect:
        """How it is spoken to."""
        ...

    @property
    def is_free(self) -> bool:
        """Answers cost nothing: it runs in this process."""
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """Its credentials: no word of what it says may hold them."""
        ...

    @property
    def cancel_stops_whole_calls(self) -> bool:
        """Whether cancelling ``fetch`` stops the work; else nobody gains by it, and the answer is awaited."""
        ...

    def cancel_stops_billing(self, model: str) -> bool:
        """Whether closing the connection of a stream ends generation and billing."""
        ...

    def fetch(self, call: Call, request: WireRequest) -> Awaitable[WholeReply]:
        """Get a whole answer."""
        ...

    def post(self, call: Call, request: WireRequest, waiter: Waiter) -> Posted | None:
        """As ``fetch``, or for a stream as ``open``, where the request can leave at once; None: nothing was done.

        ``waiter`` is told that the answer is here, or why not.
        """
        ...

    def open(self, call: Call, request: WireRequest) -> Awaitable[Exchange]:
        """Get the head of a streamed answer."""
        ...


class Client(Protocol):
    """The other end of the answer. Writing to one that is gone does nothing."""

    @property
    def takes_late(self) -> bool:
        """Whether a whole answer may come after the call's path is over, by the end of the same turn of the loop."""
        ...

    @property
    def is_gone(self) -> bool:
        """Whether the client has closed its connection."""
        ...

    def send(self, status: int, head: bytes, *body: bytes | memoryview) -> None:
        """Answer at once; ``head`` is header lines, each ended by CRLF, without content-length; the body in parts."""
        ...

    def start(self, head: bytes) -> None:
        """Begin a streamed answer with status 200."""
        ...

    def write(self, data: bytes) -> None:
        """Send the next part of a streamed answer."""
        ...

    def end(self, *data: bytes) -> None:
        """Send the last part of a streamed answer, in pieces; it is whole then."""
        ...

    def watch(self, on_gone: Callable[[], None], on_pressure: Callable[[bool], None]) -> None:
        """Have ``on_gone`` called when the client leaves, ``on_pressure(True)`` when it reads too slowly."""
        ...
