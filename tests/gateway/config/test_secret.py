"""Proves that a Secret does not leak by accident."""

import json
import logging
import pickle
from collections.abc import Callable

import msgspec
import pytest

from gateway.config.secret import Secret

CANARY = "sk-canary-0123456789"
SHOWN: dict[str, Callable[[Secret], str]] = {
    "repr": repr,
    "str": str,
    "format": "{}".format,
    "padded format": "{:>40}".format,
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - logging formats this way
    "container": lambda secret: repr([{"key": secret}]),
    "log record": lambda secret: logging.makeLogRecord({"msg": "%s", "args": (secret,)}).getMessage(),
}
ENCODERS: dict[str, Callable[[object], object]] = {
    "json": json.dumps,
    "msgspec": msgspec.json.encode,
    "builtins": msgspec.to_builtins,
    "pickle": pickle.dumps,
}


@pytest.mark.parametrize("how", SHOWN)
def test_no_way_of_showing_reveals_it(how: str) -> None:
    """Whoever prints a Secret sees a mask."""
    shown = SHOWN[how](Secret(CANARY))
    assert CANARY not in shown
    assert "***" in shown


@pytest.mark.parametrize("how", ENCODERS)
def test_no_encoder_takes_it(how: str) -> None:
    """A Secret that is put into a reply or a file is a TypeError, not a leak."""
    with pytest.raises(TypeError):
        ENCODERS[how](Secret(CANARY))


def test_reveal_gives_it_back() -> None:
    """The one who sends a credential gets it."""
    assert Secret(CANARY).reveal() == CANARY


def test_equality_is_by_value() -> None:
    """Settings that hold secrets can be compared and hashed."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_an_empty_secret_is_false() -> None:
    """An empty api_key means that no credential is sent."""
    assert not Secret("")
    assert Secret("x")
