"""Room 2: a call is open until it is settled, and none is made that cannot be recorded."""

from typing import cast

import pytest
from fakes import FakeRecorder

from gateway.errors import Fault
from gateway.ledger.recorder import Recorder
from gateway.pipeline.limits import Hold, admit
from gateway.telemetry import Metrics


def test_an_admitted_call_counts_as_open() -> None:
    """The gauge tells how many are not settled."""
    metrics = Metrics(version="1")
    admit(cast("Recorder", FakeRecorder()), metrics)
    assert metrics.holds_open == 1


def test_a_released_hold_counts_no_more() -> None:
    """At rest the gauge is 0."""
    metrics = Metrics(version="1")
    Hold(metrics).release()
    assert metrics.holds_open == 0


def test_a_second_release_changes_nothing() -> None:
    """However a call ends, it is counted once."""
    metrics = Metrics(version="1")
    first, _ = Hold(metrics), Hold(metrics)
    first.release()
    first.release()
    assert metrics.holds_open == 1


def test_a_full_ledger_admits_no_call() -> None:
    """The cost of such a call would be known to nobody."""
    recorder = FakeRecorder()
    recorder.is_accepting = False
    with pytest.raises(Fault) as refused:
        admit(cast("Recorder", recorder), Metrics(version="1"))
    assert (refused.value.status, refused.value.retry_after_ms) == (503, 5_000)


def test_a_refused_call_leaves_no_hold() -> None:
    """Nothing is open that nobody would close."""
    recorder, metrics = FakeRecorder(), Metrics(version="1")
    recorder.is_accepting = False
    with pytest.raises(Fault):
        admit(cast("Recorder", recorder), metrics)
    assert metrics.holds_open == 0
