"""Attempts to sign in or register, limited by network address and e-mail address (row S30).

By both, so that nobody can lock a person out from elsewhere. Where plans are not enforced only failed attempts count:
guessing passwords is limited on every installation, signing in is not.

Failure behavior: as gateway.limits.gate.
"""

import msgspec

from gateway.counters.interface import RateWindow, WindowState
from gateway.errors import Fault
from gateway.limits.buckets import Buckets
from gateway.limits.gate import Gate
from gateway.limits.refusals import choose_shown, refuse_rate


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One that was let in, what to show of it, or the refusal of one too many."""

    windows: tuple[RateWindow, ...]
    taken_ns: int
    shown: WindowState | None
    refusal: Fault | None


class Attempts:
    """Counts attempts."""

    def __init__(self, gate: Gate, buckets: Buckets, per_minute: int) -> None:
        self._gate = gate
        self._buckets = buckets
        self._per_minute = per_minute

    async def begin(self, address: str, email: str, now_ns: int) -> Attempt:
        """Count an attempt before it is made."""
        key = f"auth_per_minute:{self._buckets.find(address, email)}"
        windows = (RateWindow(policy_key=key, period="minute", limit=self._per_minute),)
        taken = await self._gate.take(windows, (1,), now_ns)
        shown = choose_shown(windows, taken.windows)
        if taken.is_admitted:
            return Attempt(windows=windows, taken_ns=now_ns, shown=shown if self._gate.enforce else None, refusal=None)
        refusal = refuse_rate(windows, taken.windows, None, now_ns)
        return Attempt(windows=windows, taken_ns=now_ns, shown=shown, refusal=refusal)

    async def succeeded(self, attempt: Attempt) -> None:
        """It was no guess."""
        if not self._gate.enforce:
            await self._gate.give_back(attempt.windows, (1,), attempt.taken_ns)
