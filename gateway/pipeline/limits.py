"""Room 2: a call is admitted and counted as open until it has settled.

Failure behavior: while the ledger cannot take rows no call is admitted, since its cost would be known to nobody.
"""

from gateway.errors import Fault
from gateway.ledger.recorder import Recorder
from gateway.telemetry import Metrics


class Hold:
    """A call that has not settled yet; released exactly once, whatever happens to the call."""

    __slots__ = ("_metrics",)

    def __init__(self, metrics: Metrics) -> None:
        self._metrics: Metrics | None = metrics
        metrics.holds_open += 1

    def release(self) -> None:
        """Settled, or failed for good. A second release changes nothing."""
        if self._metrics is not None:
            self._metrics.holds_open -= 1
            self._metrics = None


def admit(recorder: Recorder, metrics: Metrics) -> Hold:
    """Open a hold for one call; raises Fault while the ledger is full."""
    if not recorder.is_accepting:
        raise Fault(
            "service_unavailable",
            "The usage ledger cannot be written, so no call is made. The operator has to make room on the disk.",
            retry_after_ms=5_000,
        )
    return Hold(metrics)
