"""The HTTP protocol of the server: uvicorn's for most requests, a short way without ASGI for the proxy's calls.

It is also what the network meets first, so it is strict for all requests: one Host header, bounded heads, headers and
bodies in time, no answer that waits for a slow reader for ever.

Failure behavior: what is not HTTP gets 400 and a closed connection; a head that is too large 431, too slow 408; a body
that is too large 413 before it is read, too slow 408. A request sent before the answer of the one before is not read:
the connection closes after that answer, which says so. HTTP/1.0 has a connection for each request.
"""

import asyncio
from time import perf_counter_ns
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.config.settings import Server
from gateway.errors import Fault, refuse_body
from gateway.server import checks
from gateway.server.connection import (
    ANSWERING,
    BODY,
    BODY_PROGRESS_BYTES,
    ELSEWHERE,
    HEAD,
    IDLE,
    IGNORED_BODY,
    MAX_IGNORED_BODY_BYTES,
    MAX_LINGER_BYTES,
    NEVER,
    REFUSING,
    Connection,
)
from gateway.server.direct import DirectClient, last_answer
from gateway.server.door import Door
from gateway.server.drive import Drive
from gateway.server.known_head import KnownHead
from providers.transport.outbox import Outbox

MAX_HEAD_BYTES = 131_072


class GatewayProtocol(Connection):
    """One connection."""

    def __init__(  # noqa: PLR0913 - uvicorn's own, and what all connections share
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        door: Door,
        bounds: Server,
        outbox: Outbox,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop, bounds=bounds, outbox=outbox)
        self._door = door
        self._head_bytes = 0
        # The headers by name; of several with one name, the last.
        self._single: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._visit: Any = None
        # Monotonic ns, when the head of the request was there.
        self._started_ns = 0
        # The first bytes of the request, and the head of the one before.
        self._first = b""
        self._known: KnownHead | None = None
        self._is_http_11 = True
        # The parser is inside a message.
        self._is_within = False
        self._is_direct = self._is_overrun = False
        self._is_ending = self._is_resuming = self._is_lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected; over the bound it is told so and let go."""
        super().connection_made(transport)
        if len(self.connections) > self._bounds.max_connections:
            self._turn_away(checks.too_many_connections(self._bounds.max_connections), lingers=False)

    def data_received(self, data: bytes) -> None:
        """Parse; the callbacks below do the rest."""
        if self._phase >= ANSWERING:
            self._ignore(data)
            return
        if self._phase == IDLE:
            if self._known is not None and not self._is_within and self._repeats(self._known, data):
                return
            self._unset_keepalive_if_required()
            self._expect(HEAD, self._bounds.header_timeout_ms)
            self._head_bytes = 0
            self._first = b"" if self._is_within else data
        self._head_bytes += len(data)
        if self._is_lost:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._turn_away(checks.parsing_failed(error))
        if self._phase == HEAD and self._head_bytes > MAX_HEAD_BYTES:
            self._turn_away(checks.head_too_large(MAX_HEAD_BYTES))

    def _repeats(self, known: KnownHead, data: bytes) -> bool:
        """Answer a request with the head of the one before, without reading that again; False where it is another."""
        body = known.body_of(data)
        if body is None or len(body) > self._bounds.max_body_bytes or self._is_lost or self.transport.is_closing():
            return False
        if not self._door.welcomes(known.visit):
            self._known = None
            return False
        self._unset_keepalive_if_required()
        self._started_ns = perf_counter_ns()
        self._is_direct = True
        self._client = client = DirectClient(
            self.transport, self._outbox, self._answered, keeps_alive=not self._is_ending, is_http_11=True
        )
        self._enter(known.visit, body, client)
        return True

    def _ignore(self, data: bytes) -> None:
        """Bytes that come while an answer is under way, or after a refusal."""
        if self._phase == ANSWERING:
            # The next request, before this one is answered.
            self._overrun()
            return
        self._body_bytes += len(data)
        if self._body_bytes > MAX_LINGER_BYTES:
            self.transport.abort()

    def _decline_upgrade(self, rest: bytes) -> None:
        """Go on in HTTP/1.1 after an offer of another protocol, which ended the parser's interest in the body."""
        if not self._is_direct:
            # Such requests have no body worth keeping; the connection ends after the answer, or has ended already.
            if self._phase == ELSEWHERE:
                self.cycle.keep_alive = False
            return
        framing = b"content-length: " + self._single.get(b"content-length", b"0")
        if b"transfer-encoding" in self._single:
            framing = b"transfer-encoding: chunked"
        self.parser = httptools.HttpRequestParser(self)
        self._is_resuming = True
        try:
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
            self._is_resuming = False
            self.parser.feed_data(rest)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._turn_away(checks.parsing_failed(error))

    def on_message_begin(self) -> None:
        """A new request."""
        if self._is_resuming:
            return
        self._is_within = True
        if self._phase >= ELSEWHERE:
            # Before the answer, or behind a refusal that ends the connection.
            self._overrun()
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def _overrun(self) -> None:
        """Nothing is read behind this request; its answer tells that, where it has not begun."""
        self._is_overrun = True
        if self._client is not None:
            self._client.keeps_alive = False
        elif self._phase == ELSEWHERE:
            self.cycle.keep_alive = False

    def on_headers_complete(self) -> None:
        """The head is whole: check it, and take the short way or uvicorn's."""
        if self._is_resuming or self._is_overrun or self.transport.is_closing() or self._is_lost:
            return
        self._is_direct = False
        version = self.parser.get_http_version()
        self._is_http_11 = version == "1.1"
        fault = self._check_head() if self._is_http_11 or version == "1.0" else checks.unknown_version(version)
        if fault is not None:
            self._turn_away(fault)
            return
        endpoint = self._door.endpoint(self.url) if self.parser.get_method() == b"POST" else None
        # The parser has refused anything but one number.
        length = int(self._single.get(b"content-length", b"0"))
        if length > self._bounds.max_body_bytes:
            self._refuse_length(endpoint)
        elif endpoint is None or not self._knock(endpoint, length, keeps_alive=self.parser.should_keep_alive()):
            self._go_elsewhere()

    def on_body(self, body: bytes) -> None:
        """The next bytes of a body."""
        if self._is_overrun:
            return
        if not self._is_direct:
            if self._phase == ELSEWHERE:
                super().on_body(body)
            return
        if self._phase != BODY:
            return
        self._body.append(body)
        before = self._body_bytes
        self._body_bytes += len(body)
        if self._body_bytes > self._bounds.max_body_bytes:
            self._turn_away(refuse_body(self._bounds.max_body_bytes))
        elif self._body_bytes // BODY_PROGRESS_BYTES > before // BODY_PROGRESS_BYTES:
            self._expect(BODY, self._bounds.body_timeout_ms)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._is_direct and not self._is_overrun and self.parser.should_upgrade():
            return
        self._is_within = False
        if self._is_overrun or self._is_lost:
            return
        if not self._is_direct:
            if self._phase == ELSEWHERE:
                self._deadline_s = NEVER
                super().on_message_complete()
        elif self._phase == IGNORED_BODY:
            # Another request may follow in the same read: its head is not the one that this read begins with.
            self._first = b""
            self._is_direct = False
            self._expect(IDLE, self._bounds.keepalive_ms)
        elif self._phase == BODY and self._client is not None:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._body = []
            visit, self._visit = self._visit, None
            if self._head_bytes == len(self._first) and self._client.keeps_alive:
                self._known = KnownHead.read(self._first, self._single, visit)
            self._first = b""
            self._enter(visit, body, self._client)

    def _enter(self, visit: Any, body: bytes, client: DirectClient) -> None:
        self._phase = ANSWERING
        self._deadline_s = NEVER
        path = self._door.enter(visit, body, client, self._started_ns)
        if path is not None:
            Drive(path, self.loop, self.tasks)

    def on_response_complete(self) -> None:
        """An answer by uvicorn's way is out."""
        super().on_response_complete()
        if self._phase == REFUSING:
            self._linger()
        elif self._is_overrun:
            self.transport.close()
        elif not self.pipeline:
            self._expect(IDLE, self._bounds.keepalive_ms)

    def eof_received(self) -> None:
        """The client says no more, and the connection closes; what it was answered in this turn leaves before."""
        self._outbox.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client closed, or the network did."""
        self._is_lost = True
        client, self._client = self._client, None
        super().connection_lost(exc)
        if client is not None:
            client.left()

    def _unsupported_upgrade_warning(self) -> None:
        """An offer that is not taken up is nothing to warn of."""

    def shutdown(self) -> None:
        """The server drains: what is being answered may end, nothing follows it."""
        self._is_ending = True
        self._outbox.flush()
        if self._client is not None and self._phase in (BODY, ANSWERING, REFUSING):
            self._client.keeps_alive = False
        else:
            super().shutdown()

    def _check_head(self) -> Fault | None:
        self._single = dict(self.headers)
        if self._head_bytes > MAX_HEAD_BYTES and sum(len(n) + len(v) for n, v in self.headers) > MAX_HEAD_BYTES:
            return checks.head_too_large(MAX_HEAD_BYTES)
        return checks.check_target(self.url) or checks.check_headers(
            self.headers, self._single, is_http_11=self._is_http_11
        )

    def _go_elsewhere(self) -> None:
        headers, url, expects = self.headers, self.url, self.expect_100_continue
        super().on_message_begin()
        self.headers.extend(headers)
        self.url = url
        self.expect_100_continue = expects
        self._expect(ELSEWHERE, self._bounds.body_timeout_ms)
        super().on_headers_complete()

    def _knock(self, endpoint: str, length: int, *, keeps_alive: bool) -> bool:
        alive = keeps_alive and self._is_http_11 and not self._is_ending
        client = self._begin(keeps_alive=alive)
        self._started_ns = perf_counter_ns()
        try:
            self._visit = self._door.knock(endpoint, self.headers, self._single)
        except Fault as fault:
            if self.expect_100_continue or not 0 < length <= MAX_IGNORED_BODY_BYTES:
                client.keeps_alive = False
            self._phase = IGNORED_BODY
            self._door.refuse(client, fault, "" if self.client is None else self.client[0])
            return True
        if self._visit is None:
            self._is_direct, self._client = False, None
            return False
        self._expect(BODY, self._bounds.body_timeout_ms)
        if self.expect_100_continue:
            self._outbox.flush()
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _begin(self, *, keeps_alive: bool) -> DirectClient:
        self._is_direct = True
        self._body = []
        self._body_bytes = 0
        self._client = client = DirectClient(
            self.transport, self._outbox, self._answered, keeps_alive=keeps_alive, is_http_11=self._is_http_11
        )
        return client

    def _refuse_length(self, endpoint: str | None) -> None:
        """Refuse a body before it is read, by the way that its request would have gone: who is known is counted."""
        if endpoint is None:
            # Nobody waits for it there: whoever would read it looks at its length first.
            self.headers = [pair for pair in self.headers if pair[0] != b"connection"]
            self._go_elsewhere()
            # The connection is closed here, once the client has had the time to read why.
            self.cycle.keep_alive = self._is_overrun = True
            self._phase, self._deadline_s, self._body_bytes = REFUSING, NEVER, 0
            return
        fault = refuse_body(self._bounds.max_body_bytes)
        try:
            self._visit = self._door.knock(endpoint, self.headers, self._single)
        except Fault:
            self._visit = None
        if self._visit is None:
            self._turn_away(fault)
        else:
            self._refuse(self._begin(keeps_alive=False), fault)

    def _refuse(self, client: DirectClient, fault: Fault) -> None:
        """Refuse a request whose head was good, before its body is whole, and close."""
        visit, self._visit = self._visit, None
        client.keeps_alive = False
        self._is_overrun = True
        self._body, self._body_bytes = [], 0
        self._phase, self._deadline_s = REFUSING, NEVER
        path = self._door.decline(visit, client, fault)
        if path is not None:
            Drive(path, self.loop, self.tasks)

    def _answered(self) -> None:
        """An answer by the short way is out."""
        client, self._client = self._client, None
        self.server_state.total_requests += 1
        if client is None:
            return
        if not client.keeps_alive and self._phase in (IGNORED_BODY, REFUSING):
            self._linger()
        elif not client.keeps_alive or self._is_overrun:
            self.transport.close()
        elif self._phase == IGNORED_BODY:
            self._expect(IGNORED_BODY, self._bounds.body_timeout_ms)
        else:
            self._is_direct = False
            self._expect(IDLE, self._bounds.keepalive_ms)

    def _turn_away(self, fault: Fault, *, lingers: bool = True) -> None:
        """Answer what cannot become a call, and close."""
        if self.transport.is_closing() or self._phase >= REFUSING:
            return
        if self._client is not None and self._phase == BODY:
            self._refuse(self._client, fault)
            return
        client, self._client = self._client, None
        if client is not None and self._phase == ANSWERING:
            client.left()
        url, headers = (self.url, self.headers) if self._is_within else (b"", [])
        self._outbox.flush()
        self.transport.write(last_answer(fault, url, headers))
        if lingers:
            self._linger()
        else:
            self.transport.close()
