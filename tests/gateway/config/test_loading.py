"""Proves the order file, environment, command line, and which providers there are."""

from datetime import date
from pathlib import Path

import pytest

from gateway.config.loading import load_settings
from gateway.config.settings import ConfigError, Settings

MORE = ["DATABASE_URL", "WATCHLLM_MASTER_KEY", "WATCHLLM_PREVIOUS_MASTER_KEYS", "WATCHLLM_CONFIG"]
KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "groq": "GROQ_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
}


def load(folder: Path, text: str, **environ: str) -> Settings:
    path = folder / "config.toml"
    path.write_text(text)
    return load_settings(path, environ)


def problems_of(folder: Path, text: str, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **environ)
    return caught.value.problems


def test_no_file_and_no_environment_is_a_whole_configuration() -> None:
    """A fresh clone starts: the sandbox and the bundled model are there."""
    settings = load_settings(None, {})
    assert list(settings.providers) == ["local", "sandbox"]
    assert settings.data_dir == Path("data")


@pytest.mark.parametrize("name", KEYS)
def test_a_key_in_the_environment_makes_its_provider(name: str) -> None:
    """No file is needed for the four providers."""
    provider = load_settings(None, {KEYS[name]: "sk-x"}).providers[name]
    assert provider.api_key is not None
    assert provider.api_key.reveal() == "sk-x"
    assert provider.base_url.startswith("https://")


@pytest.mark.parametrize("name", [*KEYS.values(), "PORT", *MORE])
def test_an_empty_variable_counts_as_unset(name: str) -> None:
    """``OPENAI_API_KEY= make serve`` starts as if it were not there."""
    assert load_settings(None, {name: ""}) == load_settings(None, {})


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """One image runs in several places."""
    assert load(tmp_path, "[server]\nport = 1\n", PORT="2").server.port == 2


def test_the_command_line_wins_over_the_environment() -> None:
    """What is typed holds."""
    assert load_settings(None, {"PORT": "2"}, {"server.port": 3}).server.port == 3


def test_the_file_is_named_by_the_environment(tmp_path: Path) -> None:
    """WATCHLLM_CONFIG stands for --config."""
    path = tmp_path / "c.toml"
    path.write_text('log_level = "debug"\n')
    assert load_settings(None, {"WATCHLLM_CONFIG": str(path)}).log_level == "debug"


def test_every_documented_variable_is_read() -> None:
    """interface.md's list, all at once."""
    settings = load_settings(
        None,
        {
            "WATCHLLM_DATA_DIR": "/srv/w",
            "WATCHLLM_MASTER_KEY": "A" * 43 + "=",
            "WATCHLLM_PREVIOUS_MASTER_KEYS": f"{'B' * 42}A=, {'C' * 42}A=,",
            "DATABASE_URL": "postgresql://u:p@h/d",
            "REDIS_URL": "redis://h",
            "PORT": "9000",
            "LOG_LEVEL": "WARNING",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        },
    )
    assert (settings.data_dir, settings.server.port, settings.log_level) == (Path("/srv/w"), 9_000, "warning")
    assert settings.database_url is not None
    assert settings.database_url.reveal() == "postgresql://u:p@h/d"
    assert settings.redis_url is not None
    assert settings.master_key is not None
    assert [key.reveal()[0] for key in settings.previous_master_keys] == ["B", "C"]
    assert settings.otel_endpoint == "http://collector:4318"


def test_a_wrong_variable_is_named_by_its_own_name() -> None:
    """The operator looks for PORT, not for server.port."""
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {"PORT": "http"})
    assert caught.value.problems == ("PORT: 'http' is not an integer",)
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {"PORT": "99999"})
    assert caught.value.problems == ("PORT: '99999' is not an integer from 0 to 65535",)


def test_a_wrong_option_is_named_by_its_own_name() -> None:
    """The operator looks for --port, not for server.port."""
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {}, {"server.port": 70_000})
    assert caught.value.problems == ("--port: 70000 is not an integer from 0 to 65535",)


def test_a_level_has_no_case(tmp_path: Path) -> None:
    """In the file as in the environment."""
    assert load(tmp_path, 'log_level = "WARNING"').log_level == "warning"
    assert load(tmp_path, "", LOG_LEVEL="Error").log_level == "error"


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    """Editors of Windows begin a file with it."""
    assert load(tmp_path, "\ufeff[server]\nport = 9\n").server.port == 9


def test_a_built_in_name_inherits_its_row(tmp_path: Path) -> None:
    """A table that only changes one thing says only that."""
    provider = load(tmp_path, "[providers.openai]\nmax_connections = 7\n", OPENAI_API_KEY="k").providers["openai"]
    assert (provider.dialect, provider.base_url, provider.max_connections) == ("openai", "https://api.openai.com/v1", 7)


def test_a_configured_provider_without_its_key_is_an_error(tmp_path: Path) -> None:
    """What was asked for is not left out in silence."""
    assert problems_of(tmp_path, "[providers.openai]\n") == (
        "providers.openai.api_key: the environment variable 'OPENAI_API_KEY' is not set",
    )


def test_an_empty_key_sends_none(tmp_path: Path) -> None:
    """A server on loopback needs no credential."""
    text = '[providers.openai]\nbase_url = "http://127.0.0.1:9/v1"\napi_key = ""\n'
    assert not load(tmp_path, text).providers["openai"].api_key


def test_a_mistyped_provider_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    """A new name must say its dialect."""
    assert problems_of(tmp_path, '[providers.opnai]\nbase_url = "http://h/v1"\n') == (
        "providers.opnai.dialect: is missing; did you mean 'openai'?",
    )


def test_a_provider_that_is_no_table_is_named(tmp_path: Path) -> None:
    """Even a shape that nobody expects has a path."""
    assert problems_of(tmp_path, "providers = 3\n") == ("providers: is not a table of [providers.NAME] tables",)
    assert problems_of(tmp_path, "[providers]\nx = 3\n") == ("providers.x: 3 is not a table",)


@pytest.mark.parametrize(
    ("lines", "hit_rate", "rate"),
    [
        ("", 0.01, None),
        ("max_wrong_rate = 0.02", None, 0.02),
        ("max_wrong_hit_rate = 0.03", 0.03, None),
        ("max_wrong_rate = 0.02\nmax_wrong_hit_rate = 0.03", 0.03, 0.02),
    ],
)
def test_the_bound_that_is_named_alone_holds(
    tmp_path: Path, lines: str, hit_rate: float | None, rate: float | None
) -> None:
    """One bound named: it alone holds; both named: both hold."""
    cache = load(tmp_path, f"[cache]\n{lines}\n").cache
    assert (cache.max_wrong_hit_rate, cache.max_wrong_rate) == (hit_rate, rate)


def test_prices_and_routes_are_read(tmp_path: Path) -> None:
    """interface.md's own example."""
    settings = load(
        tmp_path,
        """
[[models]]
name = "gpt-4"
targets = [{ provider = "openai", model = "gpt-4" }, { provider = "openrouter", model = "openai/gpt-4" }]
[[prices]]
provider = "openai"
model = "gpt-4"
effective_from = "2024-01-01"
input = "30"
output = "60"
cached_input = "15"
cache_write = "37.5"
""",
        OPENAI_API_KEY="a",
        OPENROUTER_API_KEY="b",
    )
    assert [target.provider for target in settings.models[0].targets] == ["openai", "openrouter"]
    assert (settings.prices[0].effective_from, settings.prices[0].cache_write) == (date(2024, 1, 1), "37.5")


def test_a_toml_date_is_a_date(tmp_path: Path) -> None:
    """TOML's own date needs no quotes."""
    text = '[[prices]]\nprovider = "openai"\nmodel = "m"\neffective_from = 2024-01-01\ninput = "1"\n'
    assert load(tmp_path, text).prices[0].effective_from == date(2024, 1, 1)


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"a = = b", "is not TOML"), (b'a = "\xff"', "is not UTF-8"), (None, "cannot be read: No such file")],
)
def test_a_file_that_cannot_be_used_is_an_error(tmp_path: Path, data: bytes | None, why: str) -> None:
    """A file that is not there is never an empty configuration."""
    path = tmp_path / "c.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigError, match=why):
        load_settings(path, {})


def test_storage_alone_needs_no_provider_key(tmp_path: Path) -> None:
    """``keys create`` works in a shell that does not have the server's keys."""
    path = tmp_path / "c.toml"
    path.write_text('data_dir = "x"\n[providers.openai]\n')
    assert load_settings(path, {}, storage_only=True).data_dir == Path("x")


def test_no_message_shows_a_secret(tmp_path: Path) -> None:
    """Messages end up in logs and tickets."""
    canary = "sk-canary-0123456789"
    text = f"""
database_url = "mysql://u:{canary}@h"
redis_url = "http://{canary}"
master_key = "{canary}"
previous_master_keys = ["{canary}"]
[providers.a]
dialect = "openai"
base_url = "http://u:{canary}@h"
api_key = "{canary}"
headers = {{ "bad header" = "{canary}" }}
"""
    assert canary not in "\n".join(problems_of(tmp_path, text))
