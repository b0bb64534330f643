"""Proves that the written texts and the settings are one."""

import re
import tomllib
from pathlib import Path

import msgspec

from gateway.config.loading import load_settings
from gateway.config.settings import Settings
from gateway.config.texts import list_settings, render_example, render_settings_table

EXAMPLE = Path(__file__).parents[3] / "config.example.toml"


def test_the_example_file_is_the_settings() -> None:
    """config.example.toml is written by render_example(); run it again when this fails."""
    assert EXAMPLE.read_text("utf-8") == render_example()


def test_the_example_as_it_is_changes_nothing() -> None:
    """A copy of the file is a start that works."""
    assert load_settings(EXAMPLE, {}) == load_settings(None, {})


def test_the_example_uncommented_holds_exactly_the_defaults(tmp_path: Path) -> None:
    """Every default that the file shows is the one that holds."""
    path = tmp_path / "c.toml"
    path.write_text(re.sub(r"^#(?=\w)", "", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE))
    assert load_settings(path, {}) == load_settings(None, {})
    shown = {
        f"{section}.{key}"
        for section, table in tomllib.loads(path.read_text()).items()
        if isinstance(table, dict)
        for key in table
    }
    assert {row.path for row in list_settings() if row.default and "." in row.path and "NAME" not in row.path} == shown


def test_the_examples_in_the_file_are_valid(tmp_path: Path) -> None:
    """What is shown can be used: both kinds of comment taken away, with what the examples refer to in place."""
    path = tmp_path / "c.toml"
    path.write_text(re.sub(r"^#>?(?=[\w\[ }\]])(?! )|^#>(?=  )", "", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE))
    for name in ("master.key", "previous.key"):
        (tmp_path / name).write_text("A" * 43 + "=")
    environ = {"OPENAI_API_KEY": "k", "DATABASE_URL": "sqlite:///f", "REDIS_URL": "redis://h"}
    settings = load_settings(path, environ)
    assert [len(settings.models), len(settings.prices), "llama" in settings.providers] == [1, 1, True]


def test_the_example_names_every_setting() -> None:
    """A setting that nobody can find is not there."""
    text = EXAMPLE.read_text("utf-8")
    assert [row.path for row in list_settings() if not re.search(rf"(^|[#> ]){row.key}\b", text, re.MULTILINE)] == []


def test_the_table_names_every_setting() -> None:
    """README's table has one row a setting."""
    lines = render_settings_table().splitlines()[2:]
    assert [line.split("`")[1] for line in lines] == [row.path for row in list_settings()]


def test_every_setting_has_words() -> None:
    """Help is never empty, and a sentence."""
    assert [row.path for row in list_settings() if not row.help.endswith(".")] == []


def test_the_rows_are_the_structs() -> None:
    """No field is left out."""
    top = {field.name for field in msgspec.structs.fields(Settings)}
    assert {re.split(r"[.\[]", row.path)[0] for row in list_settings()} == top
