"""What a connection is about, for how long and how far each of it may go on, and how it ends."""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.config.settings import Server
from gateway.errors import Fault
from gateway.server import checks
from gateway.server.direct import DirectClient
from providers.transport.outbox import Outbox

# From ANSWERING on nothing is read as a request, from ELSEWHERE on no other one may begin.
IDLE, HEAD, BODY, IGNORED_BODY, ELSEWHERE, ANSWERING, REFUSING, LINGERING = range(8)
# A refused request's body up to this size is read and forgotten, so that the connection stays usable.
MAX_IGNORED_BODY_BYTES = 65_536
# Progress that earns a slow body more time.
BODY_PROGRESS_BYTES = 262_144
WRITE_TIMEOUT_S = 60.0
NEVER = float("inf")
# How long, and how far, a client that is still sending is listened to after it was refused: closing at once would make
# its system throw the refusal away unread (RFC 9112 section 9.6).
LINGER_MS = 2_000
MAX_LINGER_BYTES = 67_108_864


class Connection(HttpToolsProtocol):
    """One connection's phase, and the time that it has left."""

    transport: asyncio.Transport

    def __init__(  # noqa: PLR0913 - uvicorn's own, and what all connections share
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None,
        *,
        bounds: Server,
        outbox: Outbox,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        # Where answers of the short way wait for the turn's end: nothing overtakes them, and nothing closes on them.
        self._outbox = outbox
        self._bounds = bounds
        self._phase = IDLE
        # In seconds of the loop's clock, compared by the sweep; 0: set by the next sweep.
        self._deadline_s = 0.0
        self._budget_s = bounds.keepalive_ms / 1000
        self._body_bytes = 0
        self._client: DirectClient | None = None
        self._is_pressed = False

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        super().pause_writing()
        self._is_pressed = True
        self._deadline_s = 0.0
        self._budget_s = WRITE_TIMEOUT_S
        if self._client is not None:
            self._client.press(True)

    def resume_writing(self) -> None:
        """There is room again."""
        super().resume_writing()
        self._is_pressed = False
        if self._phase == ANSWERING:
            self._deadline_s = NEVER
        if self._client is not None:
            self._client.press(False)

    def sweep(self, now_s: float) -> None:
        """Called every second: close what has taken too long."""
        if self._deadline_s == 0.0:
            self._deadline_s = now_s + self._budget_s
        if now_s < self._deadline_s or self.transport.is_closing():
            return
        if self._phase in (HEAD, BODY):
            self._turn_away(checks.too_slow("headers" if self._phase == HEAD else "body"))
        elif self._is_pressed:
            self.transport.abort()
        else:
            self.transport.close()

    def _expect(self, phase: int, within_ms: int) -> None:
        self._phase = phase
        self._deadline_s = 0.0
        self._budget_s = within_ms / 1000

    def _turn_away(self, fault: Fault, *, lingers: bool = True) -> None:
        """Answer what cannot become a call, and close; what is spoken on the connection says how."""

    def _linger(self) -> None:
        """Close our side, and the other once the client has read the answer or the time is up."""
        if self.transport.can_write_eof():
            self._body_bytes = 0
            self._expect(LINGERING, LINGER_MS)
            self.transport.write_eof()
        else:
            self.transport.close()
