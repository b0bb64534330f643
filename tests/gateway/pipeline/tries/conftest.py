"""Fixtures for the tries of a call."""

from typing import Any

import pytest

from gateway.pipeline import run


@pytest.fixture
def no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call's path may not be run."""

    def fail(*_: Any) -> None:
        raise AssertionError("the path was run")

    monkeypatch.setattr(run, "go_on", fail)
