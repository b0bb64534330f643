"""Reads the configuration file and the environment into Settings.

Failure behavior: everything that is wrong is collected and raised as one ConfigError, a line a problem; nothing is
guessed, and a file that cannot be read is an error, never an empty configuration.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gateway.config.checks import check_settings
from gateway.config.reading import Source, is_table, read_struct, suggest
from gateway.config.settings import ENVIRONMENT, ConfigError, ProviderSettings, Settings
from providers.registry import PROVIDERS, ProviderRow

# What only calls need.
_CALLS = frozenset({"providers", "models", "prices"})


def load_settings(
    config_path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object] | None = None,
    *,
    storage_only: bool = False,
) -> Settings:
    """Read the file (``config_path``, else ``WATCHLLM_CONFIG``, else none), then the environment, then ``overrides``.

    ``overrides`` maps key paths ("server.port") to values, as a command line gives them. Relative secret files start
    at the configuration file's folder. ``storage_only`` leaves out providers, models and prices, for commands that
    need none and may run where the providers' keys are not in the environment. Raises ConfigError.
    """
    named = environ.get("WATCHLLM_CONFIG")
    path = config_path or (Path(named) if named else None)
    tree = _read_toml(path) if path else {}
    if storage_only:
        tree = {name: value for name, value in tree.items() if name not in _CALLS}
    source = Source(environ=environ, folder=path.parent if path else Path())
    for name, key in ENVIRONMENT.items():
        if text := environ.get(name):
            _place(tree, key, text, source, shown_as=name)
    for key, value in (overrides or {}).items():
        _place(tree, key, value, source, shown_as="--" + key.rpartition(".")[2].replace("_", "-"))
    if isinstance(level := tree.get("log_level"), str):
        tree["log_level"] = level.lower()
    settings = _read_tree(tree, source)
    if settings is not None and not source.problems:
        check_settings(settings, source)
    if settings is None or source.problems:
        raise ConfigError(tuple(source.problems))
    return settings


def _read_toml(path: Path) -> dict[str, object]:
    try:
        # Editors of Windows begin a file with a byte order mark, which is no TOML.
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError((f"the file {str(path)!r} cannot be read: {error.strerror}",)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError((f"the file {str(path)!r} is not TOML: {error}",)) from None
    except UnicodeDecodeError:
        raise ConfigError((f"the file {str(path)!r} is not UTF-8",)) from None


def _place(tree: dict[str, object], key: str, value: object, source: Source, *, shown_as: str) -> None:
    section, _, name = key.rpartition(".")
    table = tree.setdefault(section, {}) if section else tree
    # A section that is no table is reported when it is read.
    if is_table(table):
        table[name] = value
        source.shown_as[key] = shown_as


def _read_tree(tree: dict[str, object], source: Source) -> Settings | None:
    providers = _read_providers(tree.get("providers", {}), source)
    plain = {name: _with_bounds(name, value) for name, value in tree.items() if name != "providers"}
    settings = read_struct(Settings, plain, "", source)
    return msgspec.structs.replace(settings, providers=providers) if settings is not None else None


def _with_bounds(name: str, table: object) -> object:
    """Take the default bound away where the file names only the other one: it alone holds then."""
    if name == "cache" and is_table(table) and "max_wrong_rate" in table and "max_wrong_hit_rate" not in table:
        return {**table, "max_wrong_hit_rate": None}
    return table


def _read_providers(table: object, source: Source) -> dict[str, ProviderSettings]:
    """Every provider of the file, and every built-in one that needs no key or whose key is in the environment."""
    if not is_table(table):
        source.reject("providers", "is not a table of [providers.NAME] tables")
        return {}
    ready: dict[str, object] = {
        name: {} for name, row in PROVIDERS.items() if not row.env_key or source.environ.get(row.env_key)
    }
    providers: dict[str, ProviderSettings] = {}
    for name, own in {**ready, **table}.items():
        if (read := _read_provider(name, own, source)) is not None:
            providers[name] = read
    return providers


def _read_provider(name: str, own: object, source: Source) -> ProviderSettings | None:
    path = f"providers.{name}"
    if is_table(own) and name not in PROVIDERS and "dialect" not in own:
        source.reject(f"{path}.dialect", f"is missing{suggest(name, PROVIDERS)}")
        return None
    inherited = _inherited(PROVIDERS[name]) if name in PROVIDERS else {}
    return read_struct(ProviderSettings, {**inherited, **own} if is_table(own) else own, path, source)


def _inherited(row: ProviderRow) -> dict[str, object]:
    key = {"api_key": f"env:{row.env_key}"} if row.env_key else {}
    return {"dialect": row.dialect, "base_url": row.base_url, **key}
