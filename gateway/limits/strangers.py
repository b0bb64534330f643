"""Callers whose credential is not known: limited by their network address, in this process and without waiting.

A caller who is known is never counted here, so strangers behind the same address take nothing from them.
"""

from gateway.counters.interface import WindowState
from gateway.counters.local_limits import LocalRates
from gateway.errors import Fault
from gateway.limits.buckets import Buckets
from gateway.limits.plans import LEAST, Group, find_windows
from gateway.limits.refusals import choose_shown, refuse_rate


class Strangers:
    """Counts the requests of strangers."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._rates = LocalRates()

    def count(self, address: str, group: Group, now_ns: int) -> tuple[WindowState | None, Fault | None]:
        """Count a refused request; tell what to show, and the refusal of one too many."""
        windows = find_windows(group, LEAST, None, f"stranger:{self._buckets.find(address)}")
        taken = self._rates.take(windows, (1,) * len(windows), now_ns)
        shown = choose_shown(windows, taken.windows)
        return shown, None if taken.is_admitted else refuse_rate(windows, taken.windows, None, now_ns)
