"""The two ends of a call: everything that claims to be one has what the interface asks for."""

import inspect
from typing import Any

import fakes
import pytest

from gateway.backends import interface
from gateway.backends.http import HttpBackend
from gateway.backends.in_process import InProcessReply, LocalEmbeddings, SandboxBackend, ScriptedExchange
from gateway.backends.relay import Relay
from gateway.server.direct import DirectClient
from gateway.surfaces.proxy.asgi_client import AsgiClient
from providers.transport.exchange import Exchange

PAIRS = [
    (interface.Backend, HttpBackend),
    (interface.Backend, SandboxBackend),
    (interface.Backend, LocalEmbeddings),
    (interface.Backend, fakes.FakeBackend),
    (interface.Client, DirectClient),
    (interface.Client, AsgiClient),
    (interface.Client, fakes.FakeClient),
    (interface.Exchange, Exchange),
    (interface.Exchange, ScriptedExchange),
    (interface.Exchange, fakes.FakeExchange),
    (interface.Sink, Relay),
    (interface.WholeReply, InProcessReply),
    (interface.WholeReply, Exchange),
]
METHODS = [
    (promised, name, kept)
    for promised, kept in PAIRS
    for name, value in vars(promised).items()
    if inspect.isfunction(value) and not name.startswith("_")
]


@pytest.mark.parametrize(("promised", "name", "kept"), METHODS)
def test_a_method_takes_what_the_interface_says(promised: type[Any], name: str, kept: type[Any]) -> None:
    """The same parameters in the same order: the rooms call them by position."""
    wanted = list(inspect.signature(getattr(promised, name)).parameters)
    assert list(inspect.signature(getattr(kept, name)).parameters)[: len(wanted)] == wanted
