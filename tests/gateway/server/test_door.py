"""Whatever stands behind the server's short way keeps its interface."""

import inspect
from typing import Any

import pytest

from bench.passthrough import BareDoor
from gateway.server.door import Door
from gateway.surfaces.proxy.openai import OpenAiDoor

METHODS = [name for name, value in vars(Door).items() if inspect.isfunction(value) and not name.startswith("_")]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kept", [OpenAiDoor, BareDoor])
def test_a_method_takes_what_the_interface_says(name: str, kept: type[Any]) -> None:
    """The same parameters in the same order: the protocol calls them by position."""
    wanted = list(inspect.signature(getattr(Door, name)).parameters)
    assert list(inspect.signature(getattr(kept, name)).parameters) == wanted
