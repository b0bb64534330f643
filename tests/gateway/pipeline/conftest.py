"""Fixtures for the rooms of a call."""

import pytest
from senders import Sender


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> Sender:
    """A sender whose waits take no time."""
    return Sender(monkeypatch)
