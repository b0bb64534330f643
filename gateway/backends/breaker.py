"""One target's circuit breaker: after failures in a row it is spared, then one probe decides.

closed ──failures in a row──▶ open ──cooldown over──▶ half-open ──probe succeeds──▶ closed
                                ▲                          │
                                └───────probe fails────────┘
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

BreakerState = Literal["closed", "open", "half-open"]
# Projects whose last failure at a target is kept; who failed longest ago is forgotten first.
MAX_FAILED_PROJECTS = 32
SPARED = "Not tried: it failed repeatedly and is spared for a while."


class LastFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The last try of a project at a target that failed, in words that may be shown to anybody of the project."""

    # Wall clock, ns since the epoch.
    at_ns: int
    # The public error code.
    code: str
    message: str


class Breaker:
    """Counts failures in a row. Only faults of the provider count, never a caller's 4xx."""

    __slots__ = ("_cooldown_ns", "_failures", "_limit", "_probe_started_ns", "last_failures", "opened_ns")

    def __init__(self, *, failures: int, cooldown_ms: int) -> None:
        self._limit = failures
        self._cooldown_ns = cooldown_ms * 1_000_000
        self._failures = 0
        # When it opened, in monotonic ns; None: it is closed.
        self.opened_ns: int | None = None
        self._probe_started_ns: int | None = None
        # By project, the latest at the end; they stay when the target is well again.
        self.last_failures: dict[str, LastFailure] = {}

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

    def note_failure(self, project_id: str, failure: LastFailure) -> None:
        """Keep what went wrong for the project whose call it was: nobody else is told of it."""
        self.last_failures.pop(project_id, None)
        if len(self.last_failures) >= MAX_FAILED_PROJECTS:
            del self.last_failures[next(iter(self.last_failures))]
        self.last_failures[project_id] = failure

    def note_spared(self, project_id: str, at_ns: int) -> None:
        """A call was refused because this is open: a project that had no failure itself can then see why."""
        if project_id not in self.last_failures:
            self.note_failure(project_id, LastFailure(at_ns=at_ns, code="provider_unavailable", message=SPARED))

    def last_failure(self, project_ids: Iterable[str]) -> LastFailure | None:
        """The last failure of a call of these projects."""
        own = [self.last_failures[project_id] for project_id in project_ids if project_id in self.last_failures]
        return max(own, key=lambda failure: failure.at_ns, default=None)

    def gave_up(self) -> None:
        """A call was dropped before its outcome was known: it told nothing, and the next may probe."""
        self._probe_started_ns = None

    def failed(self, now_ns: int) -> None:
        """The target failed."""
        self._failures += 1
        self._probe_started_ns = None
        if self.opened_ns is not None or self._failures >= self._limit:
            self.opened_ns = now_ns
