"""A call on its way through the targets of its route, and what comes of it."""

from collections.abc import Awaitable

import msgspec

from gateway.backends.arrived import Arrived
from gateway.backends.interface import Client, Posted
from gateway.backends.relay import Relay
from gateway.budgets.keeping.funds import Funds
from gateway.caching.batch import Batch
from gateway.caching.flights import Flight, SharedClient
from gateway.errors import Fault
from gateway.pipeline.flow import Doubtful, Gist, Inbound, Target
from gateway.pipeline.services import Services
from providers.chat import Answer
from providers.errors import ProviderError
from providers.wire import Call, WireRequest


class Upstream(msgspec.Struct, kw_only=True):
    """An answer: whole (``answer``) or flowing (``relay``)."""

    target: Target
    # What of its head goes on.
    gist: Gist
    answer: Answer | None = None
    relay: Relay | Arrived | None = None
    attempts: int
    dropped: tuple[str, ...]
    # Monotonic ns: the answer's first byte, and all time spent waiting for providers so far.
    first_byte_ns: int
    waited_ns: int
    # Of a call that was sent without the inputs that are kept: their tokens, and the header lines that tell of them.
    spared_tokens: int = 0
    told: bytes = b""


class Shortened(msgspec.Struct, frozen=True):
    """A call without the inputs that are kept, for the target whose answers those are."""

    target: Target
    call: Call
    batch: Batch


class SendFailed(Exception):
    """No target answered. ``error`` is the last failure, ``target`` where it happened."""

    def __init__(self, error: ProviderError, target: Target, attempts: int, waited_ns: int) -> None:
        super().__init__(error.message)
        self.error = error
        self.target = target
        self.attempts = attempts
        self.waited_ns = waited_ns


class TargetSpared(ProviderError):
    """The target's breaker is open; nothing was sent."""

    code = "provider_unavailable"
    status = 503
    sent = False
    retryable = False


class Begun(msgspec.Struct, frozen=True):
    """A try that went out, or was about to, before the call's path was run."""

    request: WireRequest
    # On the monotonic clock.
    started_ns: int
    # What came of it, or was raised; None: it has to be sent.
    answer: Awaitable[Posted] | None = None


class Journey:
    """One call on its way through the targets: where it is, what was tried and how long it waited."""

    __slots__ = (
        "asker", "attempts", "begun", "budgets_revision", "client", "doubtful", "funds", "inbound", "is_admitted",
        "is_ended", "is_recorded", "lost_pusd", "refusal", "services", "short", "target", "trail", "upstream",
        "waited_ns",
    )  # fmt: skip

    def __init__(self, inbound: Inbound, client: Client, services: Services) -> None:
        self.inbound = inbound
        # Who asked, and who waits for the answer: others may as well.
        self.asker = self.client = client
        self.services = services
        self.attempts = 0
        # A try of the first target that the path takes over.
        self.begun: Begun | None = None
        self.waited_ns = 0
        # The tries that failed.
        self.trail = ""
        # Where it was sent last, and what answered.
        self.target: Target | None = None
        self.upstream: Upstream | None = None
        # What it was refused for as it began with others; its path tells it.
        self.refusal: Fault | None = None
        # It counts as open.
        self.is_admitted = False
        # Its row is being written: a second one would be a second charge.
        self.is_recorded = False
        # Its end has come, or comes at the end of this turn of the loop; see gateway.pipeline.ends.together.
        self.is_ended = False
        # What is held for it, and the budgets' revision as it came.
        self.funds: Funds | None = None
        self.budgets_revision = services.budgets.books.directory.revision
        # Where the last try failed that may be billed, and what those before it may have cost.
        self.doubtful: Doubtful | None = None
        self.lost_pusd = 0
        # None: all of it is sent.
        self.short: Shortened | None = None

    def share(self, flight: Flight) -> None:
        """What the client gets is from now on for those who follow the call as well."""
        if self.client is self.asker:
            self.client = SharedClient(self.client, flight)

    def show(self, flight: Flight) -> None:
        """Tell those who follow who answers, and what of the answer is here."""
        upstream = self.upstream
        assert upstream is not None, "asked for answered calls only"  # noqa: S101 - for the type checkers
        relay = upstream.relay
        flight.show(upstream.target.lines, relay.events if isinstance(relay, Arrived) else None)

    def check(self) -> None:
        """Raise what the call was refused for, once."""
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            raise refusal

    @property
    def sent(self) -> Inbound:
        """The request as it was sent last."""
        short = self.short
        if short is None or self.target is not short.target:
            return self.inbound
        return msgspec.structs.replace(self.inbound, call=short.call)
