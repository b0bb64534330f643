"""One target's circuit breaker: after failures in a row it is spared, then one probe decides.

closed ──failures in a row──▶ open ──cooldown over──▶ half-open ──probe succeeds──▶ closed
                                ▲                          │
                                └───────probe fails────────┘
"""

from typing import Literal

import msgspec

BreakerState = Literal["closed", "open", "half-open"]


class LastFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The last try at a target that failed, in words that may be shown to anybody who may use it."""

    # Wall clock, ns since the epoch.
    at_ns: int
    # The public error code.
    code: str
    message: str


class Breaker:
    """Counts failures in a row. Only faults of the provider count, never a caller's 4xx."""

    __slots__ = ("_cooldown_ns", "_failures", "_limit", "_probe_started_ns", "last_failure", "opened_ns")

    def __init__(self, *, failures: int, cooldown_ms: int) -> None:
        self._limit = failures
        self._cooldown_ns = cooldown_ms * 1_000_000
        self._failures = 0
        # When it opened, in monotonic ns; None: it is closed.
        self.opened_ns: int | None = None
        self._probe_started_ns: int | None = None
        # It stays when the target is well again.
        self.last_failure: LastFailure | None = None

    def state(self, now_ns: int) -> BreakerState:
        """Where it stands at this monotonic time."""
        if self.opened_ns is None:
            return "closed"
        return "half-open" if now_ns - self.opened_ns >= self._cooldown_ns else "open"

    def admits(self, now_ns: int) -> bool:
        """Whether a call may go now; in half-open state one at a time, a lost probe is forgotten after a cooldown."""
        if self.opened_ns is None:
            return True
        if now_ns - self.opened_ns < self._cooldown_ns:
            return False
        if self._probe_started_ns is not None and now_ns - self._probe_started_ns < self._cooldown_ns:
            return False
        self._probe_started_ns = now_ns
        return True

    def succeeded(self) -> None:
        """The target answered, be it with a refusal of the caller's request."""
        if self._failures or self.opened_ns is not None:
            self._failures = 0
            self.opened_ns = None
            self._probe_started_ns = None

    def rest_ns(self, now_ns: int) -> int:
        """How long nothing passes any more; 0 where a call may go."""
        return 0 if self.opened_ns is None else max(0, self.opened_ns + self._cooldown_ns - now_ns)

    def spare(self, now_ns: int, rest_ns: int) -> None:
        """Open for this long, but at most a cooldown: another process found the target failing."""
        self.opened_ns = now_ns - self._cooldown_ns + min(rest_ns, self._cooldown_ns)
        self._probe_started_ns = None

    def gave_up(self) -> None:
        """A call was dropped before its outcome was known: it told nothing, and the next may probe."""
        self._probe_started_ns = None

    def failed(self, now_ns: int) -> None:
        """The target failed."""
        self._failures += 1
        self._probe_started_ns = None
        if self.opened_ns is not None or self._failures >= self._limit:
            self.opened_ns = now_ns
