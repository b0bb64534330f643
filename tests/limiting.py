"""What limits callers, for tests: nothing but a key's own limits, unless it is said otherwise."""

from gateway.counters.interface import Counters
from gateway.counters.memory import MemoryCounters
from gateway.limits.attempts import Attempts
from gateway.limits.buckets import Buckets
from gateway.limits.gate import Gate
from gateway.limits.limiting import Limiting
from gateway.limits.strangers import Strangers

SECRET = bytes(32)
LEASE_MS = 600_000


def make_gate(counters: Counters | None = None, *, enforce: bool = False) -> Gate:
    """A gate, with counters of its own where none are given."""
    return Gate(MemoryCounters() if counters is None else counters, enforce=enforce, lease_ms=LEASE_MS)


def make_limiting(counters: Counters | None = None, *, enforce: bool = False, per_minute: int = 10) -> Limiting:
    """As a gateway of these settings has it."""
    gate, buckets = make_gate(counters, enforce=enforce), Buckets(SECRET)
    return Limiting(
        gate=gate,
        strangers=Strangers(buckets) if enforce else None,
        attempts=Attempts(gate, buckets, per_minute),
    )
