"""A provider's server as a backend: its address, its credential and its protocol.

Failure behavior: as providers.transport; every failure is a ProviderError.
"""

from collections.abc import Awaitable

import msgspec

from gateway.backends.interface import Exchange, Posted, WholeReply
from providers.handoff import Waiter
from providers.transport.origin import Origin, Timeouts
from providers.transport.pool import Transport
from providers.wire import Call, Dialect, WireRequest

JSON_HEADERS = b"content-type: application/json\r\naccept-encoding: identity\r\n"
AGENT = b"user-agent: watchllm/1.0\r\n"
HTTP_PORT, HTTPS_PORT = 80, 443
# A shorter header value is a word that errors may well contain.
MIN_SECRET_CHARS = 8


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a provider is and what every request to it carries."""

    origin: Origin
    # In front of the dialect's paths, without a trailing slash.
    path_prefix: str
    # Authorisation and the operator's own headers.
    headers: dict[str, str]
    timeouts: Timeouts
    max_reply_bytes: int
    # Closing the connection of a stream ends generation and billing; for models that begin so, or for all.
    cancel_stops_billing: bool
    cancel_models: tuple[str, ...] = ()
    # Closing the connection of a call that is no stream stops the work on it.
    cancel_stops_whole_calls: bool = False


class HttpBackend:
    """A provider behind a base URL."""

    is_free = False

    def __init__(self, name: str, dialect: Dialect, transport: Transport, address: Address) -> None:
        self.name = name
        self.dialect = dialect
        self._transport = transport
        self._address = address
        self.cancel_stops_whole_calls = address.cancel_stops_whole_calls
        origin = address.origin
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        is_default_port = origin.port == (HTTPS_PORT if origin.scheme == "https" else HTTP_PORT)
        self._lines = f"host: {host if is_default_port else f'{host}:{origin.port}'}\r\n".encode() + JSON_HEADERS
        if "user-agent" not in map(str.lower, address.headers):
            self._lines += AGENT
        self._lines += "".join(f"{name}: {value}\r\n" for name, value in address.headers.items()).encode()
        self.secrets = tuple(
            value.removeprefix("Bearer ") for value in address.headers.values() if len(value) >= MIN_SECRET_CHARS
        )
        self._heads: dict[str, bytes] = {}

    def cancel_stops_billing(self, model: str) -> bool:
        """As the provider's row or the operator says."""
        address = self._address
        return address.cancel_stops_billing and (not address.cancel_models or model.startswith(address.cancel_models))

    def fetch(self, call: Call, request: WireRequest) -> Awaitable[WholeReply]:
        """POST and read the whole answer."""
        address = self._address
        head = self._head(request)
        limit_bytes = address.max_reply_bytes
        return self._transport.fetch(address.origin, head, request.body, address.timeouts, limit_bytes=limit_bytes)

    def post(self, call: Call, request: WireRequest, waiter: Waiter) -> Posted | None:
        """POST over a connection that was kept, where there is one."""
        address, head = self._address, self._head(request)
        limit_bytes = None if call.stream else address.max_reply_bytes
        return self._transport.post(
            address.origin, head, request.body, address.timeouts, waiter, limit_bytes=limit_bytes
        )

    def open(self, call: Call, request: WireRequest) -> Awaitable[Exchange]:
        """POST and read the head of the answer."""
        address = self._address
        return self._transport.open(address.origin, self._head(request), request.body, address.timeouts)

    def _head(self, request: WireRequest) -> bytes:
        head = self._heads.get(request.path)
        if head is None:
            # Paths are the dialect's three or four constants, so this stays small.
            prefix = self._address.path_prefix.rstrip("/")
            head = f"POST {prefix}/{request.path} HTTP/1.1\r\n".encode() + self._lines
            self._heads[request.path] = head
        if request.headers:
            head += "".join(f"{name}: {value}\r\n" for name, value in request.headers).encode()
        return head
