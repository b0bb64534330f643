"""Proves the promises of the settings' own rows."""

import msgspec
import pytest

from gateway.config.settings import ENVIRONMENT, ConfigError, Settings, Timeouts
from gateway.config.texts import list_settings

# interface.md's promises, word by word.
PROMISED = {
    "server.host": '"127.0.0.1"',
    "server.port": "8080",
    "server.max_body_bytes": "10_485_760",
    "server.max_reply_bytes": "33_554_432",
    "server.header_timeout_ms": "30_000",
    "server.body_timeout_ms": "60_000",
    "cache.mode": '"exact"',
    "cache.ttl_s": "86_400",
    "cache.scope": '"project"',
    "cache.max_wrong_hit_rate": "0.01",
    "budgets.unpriced": '"refuse"',
    "limits.enforce": "false",
    "timeouts.connect_ms": "5_000",
    "timeouts.first_byte_ms": "60_000",
    "timeouts.idle_ms": "30_000",
    "timeouts.total_ms": "600_000",
    "data_dir": '"data"',
}


@pytest.mark.parametrize("path", PROMISED)
def test_a_default_is_as_promised(path: str) -> None:
    """The defaults are part of the interface."""
    assert {row.path: row.default for row in list_settings()}[path] == PROMISED[path]


def test_settings_are_frozen() -> None:
    """Nothing changes a setting after the start."""
    with pytest.raises(AttributeError):
        setattr(Timeouts(), "connect_ms", 1)  # noqa: B010 - the type checker already refuses the plain form


def test_every_environment_variable_stands_for_a_setting() -> None:
    """A name that leads nowhere would be read and dropped."""
    assert set(ENVIRONMENT.values()) <= {row.path for row in list_settings()}


def test_every_section_has_defaults() -> None:
    """An empty file is a whole configuration."""
    assert msgspec.structs.replace(Settings()) == Settings()


def test_an_error_is_its_problems() -> None:
    """Whoever prints the error prints every problem."""
    assert str(ConfigError(("a: b", "c: d"))) == "a: b\nc: d"
