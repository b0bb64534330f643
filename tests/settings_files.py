"""Settings from the text of a configuration, for tests of what is built from them."""

from pathlib import Path

from gateway.config.loading import load_settings
from gateway.config.settings import Settings

AT_NS = 1_790_000_000_000_000_000
KEYS = {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2", "GROQ_API_KEY": "sk-3", "OPENROUTER_API_KEY": "sk-4"}


def settings_of(folder: Path, config: str = "", environ: dict[str, str] | None = None) -> Settings:
    """The settings of a configuration's text."""
    path = folder / "watchllm.toml"
    path.write_text(config, encoding="utf-8")
    return load_settings(path, environ or {}, {"data_dir": str(folder / "data")})
