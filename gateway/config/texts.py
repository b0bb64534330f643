"""The texts made from the settings' rows: config.example.toml and README's table, both proven equal by tests."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

import msgspec

from gateway.config.reading import describe
from gateway.config.secret import Secret
from gateway.config.settings import (
    ENVIRONMENT,
    ModelSettings,
    PriceSettings,
    ProviderSettings,
    Settings,
    TargetSettings,
)

_HEAD = """\
# WatchLLM's settings. Every key is optional and unknown keys are refused; `watchllm check --config FILE` tells.
#
# A line that begins with one '#' directly before its key shows the default: take the '#' away to change it.
# A line that begins with '#>' is an example of something that has no default.
# Secrets are written env:NAME, file:PATH (from this file's folder) or as they are.
"""

_EXAMPLES = """\
# Providers. openai, anthropic, groq and openrouter are there as soon as their key is in the environment
# (OPENAI_API_KEY, ANTHROPIC_API_KEY, GROQ_API_KEY, OPENROUTER_API_KEY) and need no table here. Any name may be added;
# a built-in name inherits what its table leaves out.
{provider_keys}
#>[providers.openai]
#>dialect = "openai"
#>base_url = "https://api.openai.com/v1"
#>api_key = "env:OPENAI_API_KEY"
#>
#>[providers.llama]
#>dialect = "openai"
#>base_url = "http://127.0.0.1:8081/v1"
#>api_key = ""
#>models = ["*"]
#>headers = {{ x-team = "search" }}
#>max_connections = 64
#>cancel_stops_billing = true
#>cancel_stops_whole_calls = true
#>stream_usage = true

# Names that callers use, and who answers them: in order, the next one when one fails before its first byte.
#>[[models]]
#>name = "gpt-4"
#>targets = [
#>  {{ provider = "openai", model = "gpt-4" }},
#>  {{ provider = "llama", model = "smollm2" }},
#>]

# Prices: added to the bundled table, or in place of its rows. Decimal strings, never numbers.
{price_keys}
#>[[prices]]
#>provider = "openai"
#>model = "gpt-4"
#>effective_from = "2024-01-01"
#>input = "30"
#>output = "60"
#>cached_input = "15"
#>cache_write = "37.5"
#>cache_write_1h = "60"
#>audio_input = "40"
#>audio_output = "80"
#>image_input = "10"
#>image_output = "40"
#>per_request = "0.01"
"""


_SAMPLES = {
    "database_url": '"env:DATABASE_URL"',
    "redis_url": '"env:REDIS_URL"',
    "master_key": '"file:master.key"',
    "previous_master_keys": '["file:previous.key"]',
    "otel_endpoint": '"http://127.0.0.1:4318"',
    "server.public_url": '"https://llm.example.org"',
    "cache.max_wrong_rate": "0.02",
    "cache.semantic_judge_model": '"gpt-4.1-mini"',
}
_COLUMN = 40
_WIDTH = 120
_GROUPED_FROM = 10_000


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as the texts show it."""

    # The whole key path: "server.port", "providers.NAME.api_key", "models[].targets[].model".
    path: str
    kind: str
    # A TOML literal; empty when the setting has no default.
    default: str
    help: str
    # The environment variable that stands for it, or empty.
    env: str = ""

    @property
    def key(self) -> str:
        """The path's last part."""
        return self.path.rpartition(".")[2]


def list_settings() -> tuple[Row, ...]:
    """List every setting in the order of the Structs."""
    return (
        *_rows(Settings, ""),
        *_rows(ProviderSettings, "providers.NAME."),
        *_rows(ModelSettings, "models[]."),
        *_rows(TargetSettings, "models[].targets[]."),
        *_rows(PriceSettings, "prices[]."),
    )


def render_example() -> str:
    """Write config.example.toml: as it is, and with every default uncommented, it means the same as no file."""
    rows = list_settings()
    plain = [row for row in rows if "NAME" not in row.path and "[]" not in row.path]
    blocks = [_HEAD, "".join(_example_line(row) for row in plain if "." not in row.path)]
    for section in dict.fromkeys(row.path.partition(".")[0] for row in plain if "." in row.path):
        lines = "".join(_example_line(row) for row in plain if row.path.startswith(f"{section}."))
        blocks.append(f"{_section_note(section)}[{section}]\n{lines}")
    providers, prices = (_key_notes(rows, prefix) for prefix in ("providers.NAME.", "prices[]."))
    blocks.append(_EXAMPLES.format(provider_keys=providers, price_keys=prices))
    return "\n".join(blocks)


def render_settings_table() -> str:
    """Write README's table of all settings, in Markdown."""
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for row in list_settings():
        default = f"`{row.default}`" if row.default else ""
        env = f" Environment: `{row.env}`." if row.env else ""
        lines.append(f"| `{row.path}` | {row.kind} | {default} | {row.help}{env} |")
    return "\n".join(lines) + "\n"


def _rows(cls: type[msgspec.Struct], prefix: str) -> Iterator[Row]:
    names = {path: env for env, path in ENVIRONMENT.items()}
    for field in msgspec.structs.fields(cls):
        default = field.default
        if isinstance(default, msgspec.Struct):
            yield from _rows(type(default), f"{field.name}.")
        elif not _holds_structs(field.type):
            path = prefix + field.name
            yield Row(
                path=path,
                kind=_kind(field.type),
                default=_literal(default),
                help=_help(field.type),
                env=names.get(path, ""),
            )


def _kind(kind: Any) -> str:
    """Name a type in a table's cell."""
    special = {
        dict: "table of secrets",
        tuple[Secret, ...]: "list of secrets",
        Secret: "secret",
        Path: "path",
        TargetSettings: "list of tables",
    }
    name = next((name for cls, name in special.items() if _names(kind, cls)), None)
    return name or describe(kind).removeprefix("an ").removeprefix("a ")


def _names(kind: Any, cls: Any) -> bool:
    """Tell whether a type or anything inside it is ``cls``."""
    return kind == cls or getattr(kind, "__origin__", None) is cls or any(_names(arg, cls) for arg in get_args(kind))


def _holds_structs(kind: Any) -> bool:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind is not TargetSettings
    return any(_holds_structs(arg) for arg in get_args(kind))


def _literal(value: object) -> str:
    """Write a default as TOML; empty for none."""
    if value is None or value is msgspec.NODEFAULT or value in ((), ""):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        # 8080 is a name more than a number; 5_000 and 10_485_760 are read as numbers.
        return str(value) if value < _GROUPED_FROM and value % 1_000 else f"{value:_}"
    if isinstance(value, tuple):
        return json.dumps(list(cast("tuple[object, ...]", value)))
    return json.dumps(str(value)) if isinstance(value, str | Path) else str(value)


def _help(kind: Any) -> str:
    """Find the description in a field's annotations: the outermost one wins."""
    metas = [meta for meta in getattr(kind, "__metadata__", ()) if isinstance(meta, msgspec.Meta) and meta.description]
    return str(metas[-1].description) if metas else "USD per 1,000,000 tokens."


def _example_line(row: Row) -> str:
    """Write one key with its default after '#', or with an example after '#>', and what it means behind it."""
    mark, value = ("#", row.default) if row.default else ("#>", _SAMPLES[row.path])
    code = f"{mark}{row.key} = {value}"
    note = row.help + (f" Environment: {row.env}." if row.env else "")
    line = f"{code:<{_COLUMN}} # {note}\n"
    return line if len(line) <= _WIDTH and len(code) <= _COLUMN else f"# {note}\n{code}\n"


def _section_note(name: str) -> str:
    doc = next(type(field.default).__doc__ for field in msgspec.structs.fields(Settings) if field.name == name) or ""
    words = doc.partition(": ")[2]
    return f"# {words[0].upper()}{words[1:]}\n" if words else ""


def _key_notes(rows: tuple[Row, ...], prefix: str) -> str:
    width = max(len(row.key) for row in rows)
    return "\n".join(f"#   {row.key:<{width}}  {row.help}" for row in rows if row.path.startswith(prefix))
