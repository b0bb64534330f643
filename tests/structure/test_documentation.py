"""README is complete: every public word that the code's tables hold stands in it."""

import argparse
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from gateway.cli import build_parser
from gateway.config.settings import ENVIRONMENT
from gateway.config.texts import render_settings_table
from gateway.errors import KINDS
from gateway.telemetry import METRICS
from providers.registry import PROVIDERS

ROOT = Path(__file__).parents[2]
HEADER = re.compile(r"x-watchllm-[a-z]+(?:-[a-z]+)*")
TARGETS = re.compile(r"^([a-z][a-z0-9-]*):", re.MULTILINE)


@cache
def read_readme() -> str:
    """Read the text that a user gets."""
    return (ROOT / "README.md").read_text("utf-8")


def find_missing(words: Iterable[str]) -> list[str]:
    """Tell which words README does not have, as words of their own."""
    return sorted(word for word in set(words) if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", read_readme()))


def read_headers() -> set[str]:
    """Find the gateway's own headers in its sources."""
    sources = [path for package in ("gateway", "providers") for path in (ROOT / package).rglob("*.py")]
    return {header for path in sources for header in HEADER.findall(path.read_text("utf-8").lower())}


def list_verbs(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """List the parsers that have no commands below them; ``prog`` is what is typed."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        return [parser]
    return [verb for action in below for child in action.choices.values() for verb in list_verbs(child)]


def test_the_settings_table_is_the_code() -> None:
    """README's table of settings is printed from the settings: gateway.config.texts.render_settings_table()."""
    assert render_settings_table().strip() in read_readme()


def test_every_error_code_is_documented() -> None:
    """A client that meets a code can look it up."""
    assert find_missing(f"`{kind.code}`" for kind in KINDS.values()) == []


def test_every_metric_is_documented() -> None:
    """An operator who sees a metric can look it up."""
    assert find_missing(f"`{name}`" for name in METRICS) == []


def test_every_environment_variable_is_documented() -> None:
    """Nothing steers the gateway in secret."""
    keys = [row.env_key for row in PROVIDERS.values() if row.env_key]
    assert find_missing(f"`{name}`" for name in [*ENVIRONMENT, "WATCHLLM_CONFIG", *keys]) == []


def test_every_provider_is_documented() -> None:
    """The built-in providers are named."""
    assert find_missing(f"`{name}`" for name in PROVIDERS) == []


def test_every_header_is_documented() -> None:
    """The headers that the gateway reads and writes are promises."""
    assert find_missing(f"`{header}`" for header in read_headers()) == []


def test_every_verb_of_the_command_line_is_documented() -> None:
    """What can be typed is told."""
    assert find_missing(parser.prog for parser in list_verbs(build_parser())) == []


def test_every_option_of_the_command_line_is_documented() -> None:
    """No flag has to be guessed."""
    actions = [action for parser in list_verbs(build_parser()) for action in parser._actions]
    assert find_missing(option for action in actions for option in action.option_strings if len(option) > 2) == []


def test_every_make_target_is_documented() -> None:
    """Who works on the project finds the targets in README."""
    targets = set(TARGETS.findall((ROOT / "Makefile").read_text("utf-8"))) - {"help", "clean", "chromium"}
    assert find_missing(f"make {target}" for target in targets) == []
