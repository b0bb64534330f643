"""Open streams are counted, bounded, and told when the process ends."""

import pytest

from gateway.errors import Fault
from gateway.surfaces.views import listeners
from gateway.surfaces.views.listeners import Listeners


def test_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused until one leaves."""
    monkeypatch.setattr(listeners, "MAX_LISTENERS", 1)
    found = Listeners()
    with found.enter():
        assert len(found) == 1
        with pytest.raises(Fault) as refused:
            found.check()
        assert (refused.value.status, refused.value.retry_after_ms) == (503, 5_000)
    found.check()


def test_all_are_told_of_the_end() -> None:
    """And one that comes later is not."""
    found = Listeners()
    with found.enter() as first, found.enter() as second:
        found.end()
        assert first.is_set() and second.is_set()
    with found.enter() as late:
        assert not late.is_set()
