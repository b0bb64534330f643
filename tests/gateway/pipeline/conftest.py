"""Fixtures for the rooms of a call."""

import pytest
from senders import Sender
from sharing import answer, config, provider, quiet, shared_gateway, shared_provider

__all__ = ["answer", "config", "provider", "quiet", "sender", "shared_gateway", "shared_provider"]


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> Sender:
    """A sender whose waits take no time."""
    return Sender(monkeypatch)
