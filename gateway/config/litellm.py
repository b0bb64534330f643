"""Turns a LiteLLM proxy's config.yaml into this project's TOML, and says in comments what could not be carried over.

Failure behavior: what is not YAML, or not LiteLLM's shape, raises LiteLLMError; an entry that cannot be carried over
becomes a comment and never a guess.
LiteLLM's keys as of https://docs.litellm.ai/docs/proxy/config_settings, read 2026-11-21.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

import msgspec
import yaml

from gateway.config.checks import is_model_name
from gateway.config.reading import is_list, is_table
from providers.registry import PROVIDERS

# LiteLLM's prefixes for servers that speak OpenAI's protocol at an address that the operator gives.
_COMPATIBLE = frozenset({"openai", "hosted_vllm", "vllm", "openai_like", "custom_openai", "text-completion-openai"})
# Azure's v1 API is OpenAI's protocol below this path and needs no api-version.
# Source: https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle, read 2026-11-21.
_AZURE_PATH = "/openai/v1"
# Ollama speaks OpenAI's protocol below this path; LiteLLM's addresses of it are without, since it speaks Ollama's own.
# Source: https://docs.ollama.com/api/openai-compatibility (2026-11-28).
_OLLAMA = frozenset({"ollama", "ollama_chat"})
_OLLAMA_PATH = "/v1"
# Where LiteLLM looks for it.
_OLLAMA_ADDRESS = "http://localhost:11434"
_PRICES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
}
_READ_PARAMS = frozenset({"model", "api_key", "api_base", "base_url", "custom_llm_provider", "api_version", *_PRICES})
_TOKENS_PER_PRICE = 1_000_000
_MAX_DECIMALS = 6
_MAX_PRICE_USD = 10**9
_MAX_TRIES = 20
# Before any call: LiteLLM's prices have no date.
_EFFECTIVE_FROM = "2020-01-01"
_PLAIN_NAME = re.compile(r"[^A-Za-z0-9._-]+")


class LiteLLMError(Exception):
    """The file is not a LiteLLM configuration."""


class _Target(msgspec.Struct, frozen=True):
    provider: str
    model: str


class _Import(msgspec.Struct):
    """What was understood so far, and notes about the rest."""

    # Name -> (base_url, api_key), either None where the built-in row's own holds.
    providers: dict[str, tuple[str | None, str | None]] = msgspec.field(
        default_factory=dict[str, tuple[str | None, str | None]]
    )
    dialects: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    routes: dict[str, list[_Target]] = msgspec.field(default_factory=dict[str, list[_Target]])
    prices: dict[_Target, dict[str, str]] = msgspec.field(default_factory=dict[_Target, dict[str, str]])
    settings: dict[str, dict[str, str]] = msgspec.field(default_factory=dict[str, dict[str, str]])
    notes: list[str] = msgspec.field(default_factory=list[str])


def convert_litellm(text: str) -> str:
    """Write the TOML that does what a LiteLLM configuration asks for, as far as possible. Raises LiteLLMError."""
    try:
        tree: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LiteLLMError(f"is not YAML: {' '.join(str(error).split())}") from None
    if not is_table(tree) or not is_list(models := tree.get("model_list") or []):
        raise LiteLLMError("is not a LiteLLM configuration: there is no model_list")
    found = _Import()
    for n, entry in enumerate(models):
        _read_model(f"model_list[{n}]", entry, found)
    for section in ("router_settings", "litellm_settings", "general_settings"):
        table = tree.get(section)
        if is_table(table):
            _read_settings(section, table, found)
    found.notes += [f"{name}: not carried over" for name in tree if name not in _SECTIONS]
    return "\n".join(_render(found))


def _read_model(path: str, entry: object, found: _Import) -> None:
    params = entry.get("litellm_params") if is_table(entry) else None
    if not is_table(entry) or not is_table(params) or not isinstance(model := params.get("model"), str):
        found.notes.append(f"{path}: has no litellm_params.model, not carried over")
        return
    name = str(entry.get("model_name") or model)
    if not is_model_name(name):
        found.notes.append(f"{path}: {name!r} is not a model name here (printable ASCII, no spaces), not carried over")
        return
    prefix, upstream = _split(model, params)
    provider = _find_provider(path, prefix, params, found)
    if provider is None:
        return
    if "*" in name or "*" in upstream:
        found.notes.append(f"{path}: {name!r} is a wildcard; call {provider}/MODEL, or list names in its models")
        return
    target = _Target(provider, upstream)
    route = found.routes.setdefault(name, [])
    if route:
        found.notes.append(f"{path}: LiteLLM balances {name!r} over its entries; here they are tried in order")
    if target not in route:
        route.append(target)
    info = entry.get("model_info")
    _read_prices(path, target, {**(info if is_table(info) else {}), **params}, found)
    if unread := sorted(set(params) - _READ_PARAMS):
        found.notes.append(f"{path}.litellm_params: not carried over: {', '.join(unread)}")


def _split(model: str, params: dict[str, object]) -> tuple[str, str]:
    """Tell LiteLLM's provider and the model's name there, as LiteLLM does for the names that it knows itself."""
    prefix, slash, rest = model.partition("/")
    if named := params.get("custom_llm_provider"):
        return str(named), rest if prefix == named else model
    if slash:
        return prefix, rest
    return ("anthropic" if model.startswith("claude") else "openai"), model


def _find_provider(path: str, prefix: str, params: dict[str, object], found: _Import) -> str | None:
    """Name the provider of an entry, made where address or key differ from one that is there already."""
    address = _find_address(path, prefix, params, found)
    if prefix not in PROVIDERS and address is None:
        found.notes.append(f"{path}: provider {prefix!r} is not known here; add [providers.{_plain(prefix)}] yourself")
        return None
    if prefix not in PROVIDERS and prefix not in _COMPATIBLE and prefix != "azure":
        found.notes.append(f"{path}: {prefix!r} is taken to speak OpenAI's protocol at {address}")
    if address is not None and address.startswith("env:"):
        found.notes.append(f"{path}: an address cannot come from the environment; replace the base_url {address!r}")
        address = f"http://replace-{_plain(address.removeprefix('env:')).lower().replace('_', '-')}.invalid"
    identity = (address, _reference(params.get("api_key")))
    row = PROVIDERS.get(prefix)
    if row is not None and identity[1] == f"env:{row.env_key}":
        identity = (address, None)
    names = (_plain(prefix) if n == 1 else f"{_plain(prefix)}-{n}" for n in range(1, len(found.providers) + 3))
    name = next(name for name in names if found.providers.get(name, identity) == identity)
    found.providers[name] = identity
    found.dialects[name] = row.dialect if row is not None else "openai"
    return name


def _find_address(path: str, prefix: str, params: dict[str, object], found: _Import) -> str | None:
    """Where an entry's provider speaks OpenAI's protocol; None: at its own address."""
    address = _reference(params.get("api_base") or params.get("base_url"))
    if prefix in _OLLAMA:
        address = address or _OLLAMA_ADDRESS
        if not address.startswith("env:"):
            address = address.rstrip("/").removesuffix(_OLLAMA_PATH) + _OLLAMA_PATH
    elif prefix == "azure" and address is not None:
        address = address.split("/openai")[0].rstrip("/") + _AZURE_PATH
        found.notes.append(f"{path}: uses Azure's v1 API at {address}; api_version is not needed there")
    return address


def _reference(value: object) -> str | None:
    """Turn ``os.environ/NAME`` into ``env:NAME``."""
    if not isinstance(value, str) or not value:
        return None
    return f"env:{value.removeprefix('os.environ/')}" if value.startswith("os.environ/") else value


def _plain(name: str) -> str:
    return _PLAIN_NAME.sub("-", name).strip("-._")[:60] or "provider"


def _read_prices(path: str, target: _Target, params: dict[str, object], found: _Import) -> None:
    prices: dict[str, str] = {}
    for theirs, ours in _PRICES.items():
        if (value := params.get(theirs)) is not None:
            price = _per_mtok(value)
            if price is None:
                found.notes.append(
                    f"{path}: {theirs} {value!r} is not a price of up to {_MAX_DECIMALS} decimals per million"
                )
                return
            prices[ours] = price
    if prices and "input" not in prices:
        found.notes.append(f"{path}: has prices but no input_cost_per_token, not carried over")
    elif prices and found.prices.setdefault(target, prices) != prices:
        found.notes.append(f"{path}: another entry has other prices for {target.provider} {target.model!r}")


def _per_mtok(value: object) -> str | None:
    """Turn USD per token into USD per million, exactly; None where that is no price this project takes."""
    try:
        price = Decimal(str(value)) * _TOKENS_PER_PRICE
    except InvalidOperation:
        return None
    if not price.is_finite() or not 0 <= price < _MAX_PRICE_USD or price != round(price, _MAX_DECIMALS):
        return None
    return f"{price.normalize():f}"


def _read_settings(section: str, table: dict[str, object], found: _Import) -> None:
    for key, value in table.items():
        if key in _FALLBACKS and is_list(value):
            _read_fallbacks(f"{section}.{key}", value, found)
        elif key in _NUMBERS and isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            target, name, scale, offset = _NUMBERS[key]
            number = int(value * scale) + offset
            found.settings.setdefault(target, {})[name] = str(
                min(number, _MAX_TRIES) if name == "max_tries" else number
            )
        elif key == "cache" and isinstance(value, bool):
            found.settings.setdefault("cache", {})["mode"] = '"exact"' if value else '"off"'
        else:
            found.notes.append(f"{section}.{key}: {_ADVICE.get(key, 'not carried over')}")


def _read_fallbacks(path: str, entries: list[object], found: _Import) -> None:
    """Append the fallbacks' targets to a route; ``default_fallbacks`` is a plain list for all routes."""
    own = {name: list(targets) for name, targets in found.routes.items()}
    for entry in entries:
        wanted = entry if is_table(entry) else {name: [entry] for name in own}
        for name, others in wanted.items():
            for other in others if is_list(others) else [others]:
                if name not in own or str(other) not in own:
                    found.notes.append(f"{path}: {name!r} -> {str(other)!r} names a model that is not in the list")
                    continue
                route = found.routes[name]
                route.extend(target for target in own[str(other)] if target not in route)


_SECTIONS = frozenset({"model_list", "router_settings", "litellm_settings", "general_settings"})
_FALLBACKS = frozenset({"fallbacks", "default_fallbacks"})
# LiteLLM's key -> our section and key, what to multiply by, what to add.
_NUMBERS: dict[str, tuple[str, str, int, int]] = {
    "num_retries": ("retries", "max_tries", 1, 1),
    "request_timeout": ("timeouts", "total_ms", 1_000, 0),
    "timeout": ("timeouts", "total_ms", 1_000, 0),
    "stream_timeout": ("timeouts", "first_byte_ms", 1_000, 0),
    "allowed_fails": ("breaker", "failures", 1, 0),
    "cooldown_time": ("breaker", "cooldown_ms", 1_000, 0),
}
_ADVICE = {
    "master_key": "not carried over; make keys with: watchllm keys create --project NAME",
    "database_url": "not carried over; set DATABASE_URL to an empty database, WatchLLM makes its own tables",
    "redis_host": "not carried over; set REDIS_URL",
    "drop_params": "not needed; what a provider refuses is dropped by a table and named in a header",
}


def _render(found: _Import) -> Iterator[str]:
    yield "# Made from a LiteLLM configuration. Check it with: watchllm check --config FILE"
    yield from (f"# {_comment(note)}" for note in found.notes)
    for section, values in found.settings.items():
        yield f"\n[{section}]"
        yield from (f"{key} = {value}" for key, value in values.items())
    for name, (base_url, api_key) in found.providers.items():
        yield f"\n[providers.{_quote(name)}]"
        yield f"dialect = {_quote(found.dialects[name])}"
        if base_url is not None:
            yield f"base_url = {_quote(base_url)}"
        row = PROVIDERS.get(name)
        key = f"env:{row.env_key}" if api_key is None and row is not None else api_key or ""
        yield f"api_key = {_quote(key)}"
    for name, targets in found.routes.items():
        yield f"\n[[models]]\nname = {_quote(name)}\ntargets = ["
        yield from (f"  {{ provider = {_quote(to.provider)}, model = {_quote(to.model)} }}," for to in targets)
        yield "]"
    for target, prices in found.prices.items():
        yield f"\n[[prices]]\nprovider = {_quote(target.provider)}\nmodel = {_quote(target.model)}"
        yield f"effective_from = {_quote(_EFFECTIVE_FROM)}"
        yield from (f"{key} = {_quote(value)}" for key, value in prices.items())
    yield ""


def _quote(text: str) -> str:
    """Write a TOML basic string: JSON's escapes are TOML's, but for the DEL character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
