"""Proves that every wrong value is named by its path, and that nothing secret is shown."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.reading import Source, describe, read_struct, suggest
from gateway.config.settings import (
    Cache,
    ModelSettings,
    Ops,
    PriceSettings,
    ProviderSettings,
    Server,
    Settings,
    Timeouts,
)

CANARY = "sk-canary-0123456789"


def read(
    cls: type[msgspec.Struct], table: object, path: str, **environ: str
) -> tuple[msgspec.Struct | None, list[str]]:
    source = Source(environ=environ, folder=Path("/nonexistent"))
    return read_struct(cls, table, path, source), source.problems


WRONG: list[tuple[type[msgspec.Struct], dict[str, Any], str]] = [
    (ProviderSettings, {"dialect": "openai", "base_ur": "x"}, "x.base_ur: unknown key; did you mean 'base_url'?"),
    (Timeouts, {"connect_ms": "5s"}, "x.connect_ms: '5s' is not an integer of milliseconds"),
    (Timeouts, {"connect_ms": True}, "x.connect_ms: true is not an integer of milliseconds"),
    (Timeouts, {"connect_ms": 1.5}, "x.connect_ms: 1.5 is not an integer of milliseconds"),
    (Timeouts, {"connect_ms": 0}, "x.connect_ms: 0 is not an integer of milliseconds from 1 to 86400000"),
    (Server, {"max_body_bytes": 1}, "x.max_body_bytes: 1 is not an integer of bytes from 1024 to 1099511627776"),
    (Server, {"port": 65_536}, "x.port: 65536 is not an integer from 0 to 65535"),
    (Server, {"host": ""}, "x.host: '' is not a non-empty string"),
    (
        Cache,
        {"mode": "exakt"},
        "x.mode: 'exakt' is not one of 'off', 'exact', 'shadow', 'semantic'; did you mean 'exact'?",
    ),
    (Cache, {"max_wrong_rate": float("nan")}, "x.max_wrong_rate: nan is not a number above 0 and below 1"),
    (Cache, {"max_wrong_rate": 1}, "x.max_wrong_rate: 1 is not a number above 0 and below 1"),
    (Cache, {"semantic_max_temperature": 3}, "x.semantic_max_temperature: 3 is not a number from 0 to 2"),
    (Ops, {"allow": "10.0.0.0/8"}, "x.allow: '10.0.0.0/8' is not a list of strings"),
    (Ops, {"allow": [1]}, "x.allow: [1] is not a list of strings"),
    (ProviderSettings, {"dialect": "openai", "stream_usage": 1}, "x.stream_usage: 1 is not true or false"),
    (ProviderSettings, {"dialect": "openai", "headers": []}, "x.headers: is not a table of strings"),
    (ProviderSettings, {}, "x.dialect: is missing"),
    (ModelSettings, {"name": "a", "targets": []}, "x.targets: [] is not a list of tables with at least one entry"),
    (ModelSettings, {"name": "a", "targets": [{"provider": "p"}]}, "x.targets[0].model: is missing"),
    (ModelSettings, {"name": "a", "targets": [3]}, "x.targets[0]: 3 is not a table"),
]


@pytest.mark.parametrize(("cls", "table", "problem"), WRONG)
def test_a_wrong_value_is_named_by_its_path(cls: type[msgspec.Struct], table: dict[str, Any], problem: str) -> None:
    """One line tells the key's full path, the value, and what would be right."""
    assert read(cls, table, "x") == (None, [problem])


@pytest.mark.parametrize("price", [30, 30.5, "-1", "1e3", "", "1.1234567", ".5", "1,5", "\u0661"])
def test_a_price_is_a_decimal_string(price: object) -> None:
    """A float would lose digits, and more than six decimals are no whole picodollars per token."""
    table = {"provider": "p", "model": "m", "effective_from": "2024-01-01", "input": price}
    _, problems = read(PriceSettings, table, "prices[0]")
    assert [problem.partition(":")[0] for problem in problems] == ["prices[0].input"]


def test_every_problem_is_told_at_once() -> None:
    """Nobody runs the check five times for five mistakes."""
    _, problems = read(Settings, {"sever": 1, "timeouts": {"connect_ms": 0, "idel_ms": 1}, "ops": 3}, "")
    assert [problem.partition(":")[0] for problem in problems] == [
        "sever",
        "timeouts.idel_ms",
        "timeouts.connect_ms",
        "ops",
    ]


def test_a_secret_comes_from_the_environment() -> None:
    """``env:NAME`` is followed."""
    provider, _ = read(ProviderSettings, {"dialect": "openai", "api_key": "env:KEY"}, "p", KEY=CANARY)
    assert isinstance(provider, ProviderSettings)
    assert provider.api_key is not None
    assert provider.api_key.reveal() == CANARY


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    """``file:PATH`` starts at the configuration's folder, and the newline at the end is none of the key."""
    (tmp_path / "key").write_text(f"{CANARY}\n")
    source = Source(environ={}, folder=tmp_path)
    provider = read_struct(ProviderSettings, {"dialect": "openai", "api_key": "file:key"}, "p", source)
    assert provider is not None
    assert provider.api_key is not None
    assert provider.api_key.reveal() == CANARY


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("env:KEY", "the environment variable 'KEY' is not set"),
        ("file:nothing", "the file '/nonexistent/nothing' cannot be read: No such file or directory"),
        (f"{CANARY}\r\nx: y", "holds characters other than printable ASCII"),
        (5, "is not a string (env:NAME, file:PATH or a literal)"),
    ],
)
def test_a_secret_that_cannot_be_had_says_why(value: object, why: str) -> None:
    """The reason is told, the secret never."""
    _, problems = read(ProviderSettings, {"dialect": "openai", "api_key": value}, "p")
    assert problems == [f"p.api_key: {why}"]


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "is empty"), (b"\xff\xfe", "is not text"), (b"a" * 70_000, "is larger than 65536 bytes")]
)
def test_a_secret_file_that_holds_no_secret_says_why(tmp_path: Path, content: bytes, why: str) -> None:
    """An empty file is no key, and a large one is the wrong file."""
    (tmp_path / "key").write_bytes(content)
    source = Source(environ={}, folder=tmp_path)
    read_struct(ProviderSettings, {"dialect": "openai", "api_key": "file:key"}, "p", source)
    assert source.problems == [f"p.api_key: the file {str(tmp_path / 'key')!r} {why}"]


def test_headers_hold_secrets() -> None:
    """A header may carry a credential, so all of them are kept as secrets."""
    provider, problems = read(
        ProviderSettings, {"dialect": "openai", "headers": {"x-team": "env:T", "y": 3}}, "p", T="t"
    )
    assert provider is None
    assert problems == ["p.headers.y: is not a string (env:NAME, file:PATH or a literal)"]


def test_a_list_of_secrets_follows_each(tmp_path: Path) -> None:
    """Each entry is a secret of its own, with its own place to come from."""
    (tmp_path / "key").write_text("b\n")
    source = Source(environ={"KEY": "a"}, folder=tmp_path)
    read_settings = read_struct(Settings, {"previous_master_keys": ["env:KEY", "file:key", "c"]}, "", source)
    assert read_settings is not None
    assert [secret.reveal() for secret in read_settings.previous_master_keys] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (CANARY, "is not a list of strings"),
        ([CANARY, 5], "is not a string (env:NAME, file:PATH or a literal)"),
        ([CANARY, "env:KEY"], "the environment variable 'KEY' is not set"),
    ],
    ids=["text", "number", "unset"],
)
def test_a_list_of_secrets_that_is_none_says_why(value: object, why: str) -> None:
    """Without the secrets that are in it."""
    assert read(Settings, {"previous_master_keys": value}, "") == (None, [f"previous_master_keys: {why}"])


def test_nothing_is_suggested_for_a_strange_word() -> None:
    """A guess that is far off helps nobody."""
    assert suggest("zzzz", ["host", "port"]) == ""


def test_a_type_is_described_for_a_table() -> None:
    """README's table names types in words."""
    assert describe(int) == "an integer"


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=30)
@given(
    st.dictionaries(
        st.sampled_from(["timeouts", "ops", "cache", "server", "models", "prices", "redis_url", "data_dir"]), JSON_LIKE
    )
)
def test_no_value_raises(tree: dict[str, Any]) -> None:
    """Whatever a file holds is accepted or becomes a problem."""
    whole, problems = read(Settings, tree, "")
    assert (whole is None) == bool(problems)
