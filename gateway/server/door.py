"""What the server's short way leads to; see gateway.surfaces.proxy.openai."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from gateway.errors import Fault
from gateway.server.direct import DirectClient
from gateway.server.drive import Runner

Headers = list[tuple[bytes, bytes]]


class Door(Protocol):
    """What stands behind the short way."""

    def endpoint(self, path: bytes) -> str | None:
        """The endpoint that is called by POST to this path, None for paths that are not the door's."""
        ...

    def knock(self, endpoint: str, headers: Headers, single: dict[bytes, bytes]) -> Any:
        """Read the head of a request; raises Fault, before a byte of the body is wanted.

        None: something must be waited for first, so the request takes the ordinary way.
        """
        ...

    def welcomes(self, visit: Any) -> bool:
        """Whether a further request with the same head is the same visit."""
        ...

    def enter(self, visit: Any, body: bytes, client: DirectClient, started_ns: int) -> Coroutine[Any, Any, None] | None:
        """Return what answers the request, to be run; None where it is answered already, or is run with others."""
        ...

    def decline(self, visit: Any, client: DirectClient, fault: Fault) -> Coroutine[Any, Any, None] | None:
        """Return what refuses a request that the server gave up behind its head; None where it is answered already."""
        ...

    def keep_rows(self) -> None:
        """Make durable what the ledger has to know before answers leave; asked before each write."""
        ...

    def serve_by(self, runner: Runner, end_turn: Callable[[], None]) -> None:
        """Have calls that came in one turn of the loop begin together, at the turn's end.

        ``end_turn`` is called when calls were answered there, so that their answers leave.
        """
        ...

    def refuse(self, client: DirectClient, fault: Fault, address: str = "") -> None:
        """Answer with a fault; ``address`` is the client's."""
        ...
