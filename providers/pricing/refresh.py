"""Rewrites the bundled price table from public price lists: ``python -m providers.pricing.refresh [--litellm FILE]``.

Sources: the genai-prices package (a development extra, MIT), and, for names that it does not price, LiteLLM's price
JSON. The table depends on the inputs alone, so a second run changes nothing; what a run changed is printed.

Rules: only models of text endpoints; a 0 is never taken for free (price lists write 0 for what they do not know), only
OpenRouter's ids that end in ``:free`` are; rates finer than twelve decimals are rounded up; a name that a list has only
as a pattern is priced where the catalogue or LiteLLM names it in full, so every row names whole models.

Failure behavior: a missing package or an unreadable file ends the run with its error; the table is left as it was.
"""

import argparse
import importlib
import importlib.metadata
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any, cast

import msgspec

from providers.catalogue import load_catalogue
from providers.pricing.price_rows import SINCE_EVER, PriceRow, TierRow, read_bundle
from providers.pricing.prices import PriceTable

TABLE = Path(__file__).with_name("prices.toml")
SOURCES = {
    "anthropic": "https://www.anthropic.com/pricing#api",
    "groq": "https://console.groq.com/docs/models",
    "openai": "https://developers.openai.com/api/docs/pricing",
    "openrouter": "https://openrouter.ai/models",
}
_OTHER_ENDPOINTS = re.compile(
    r"image|realtime|tts|transcribe|transcription|whisper|moderation|gpt-live|dall-e|sora|translate|orpheus"
)
_FIELDS = (
    "input output cached_input cache_write cache_write_1h audio_input audio_output image_input image_output"
).split()

# A model's rates by field, with its long-context rates by threshold.
Rates = dict[str, Decimal]
Tiers = dict[int, Rates]

# genai-prices calls a rate so.
_GENAI = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "input_image_mtok": "image_input",
    "output_image_mtok": "image_output",
}
# LiteLLM calls a rate so, in USD per token.
_LITELLM = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
    "input_cost_per_image_token": "image_input",
    "output_cost_per_image_token": "image_output",
}
_LITELLM_TIER = re.compile(r"(.+)_above_([0-9]+)k_tokens")
_LITELLM_PROVIDERS = {**{name: name for name in SOURCES}, "text-completion-openai": "openai"}
_LITELLM_MODES = frozenset({"chat", "completion", "embedding", "responses"})

# What genai-prices has wrong. It prices these models' audio as text.
# Source: https://developers.openai.com/api/docs/pricing, as kept by LiteLLM 1.109.1 (2026-11-21).
_CORRECTIONS: dict[tuple[str, str], Rates] = {
    ("openai", "gpt-4o-audio-preview"): {"audio_input": Decimal(40), "audio_output": Decimal(80)},
    ("openai", "gpt-4o-mini-audio-preview"): {"audio_input": Decimal(10), "audio_output": Decimal(20)},
}
_TABLE = """\
[{provider}]
source = "{source}"
as_of = "{as_of}"
rows = '''
{block}
'''
"""
_LEGEND = """# One line a price in USD per 1,000,000 tokens; read by providers/pricing/price_rows.py:
#   model  service= (its service tier)  from= (the first day, UTC; none: since ever)  input= output= ... or free
#         tier=N,input=,... (what a call with more than N input tokens costs)  names= (further names of the model)
"""
# What runs inside the gateway.
_OWN = """\
[local]
source = "runs inside the gateway"
as_of = "2026-11-21"
rows = '''
* free
'''

[sandbox]
source = "runs inside the gateway"
as_of = "2026-11-21"
rows = '''
* free
'''
"""


def read_genai(providers: Iterable[Any], known_names: Mapping[str, Iterable[str]]) -> list[PriceRow]:
    """Read genai-prices' providers, whose classes are its own: a row a model, start date and service tier.

    ``known_names`` are further whole names by provider; each goes to the first model that matches it, as in
    genai-prices itself.
    """
    rows: list[PriceRow] = []
    for provider in providers:
        if provider.id not in SOURCES:
            continue
        names: dict[str, None] = {}
        for model in provider.models:
            names.update(dict.fromkeys((model.id, *_whole_names(model.match))))
        names.update(dict.fromkeys(known_names.get(provider.id, ())))
        owned: dict[str, list[str]] = {}
        for name in sorted(names):
            owner = next((model.id for model in provider.models if model.is_match(name)), None)
            if owner is not None and _is_ours(provider.id, name):
                owned.setdefault(owner, []).append(name)
        for model in provider.models:
            rows.extend(_read_model(provider.id, model, owned.get(model.id, [])))
    return rows


def _whole_names(match: Any) -> list[str]:
    """Return the names that a match lists in full."""
    equals: str | None = getattr(match, "equals", None)
    parts: Sequence[Any] = getattr(match, "or_", ())
    return [equals] if equals is not None else [name for part in parts for name in _whole_names(part)]


def _is_ours(provider: str, name: str) -> bool:
    """Tell whether a name can be called on the gateway's endpoints (OpenRouter's ids have a vendor)."""
    return not _OTHER_ENDPOINTS.search(name) and (provider != "openrouter" or "/" in name) and not name.endswith("-")


def _read_model(provider: str, model: Any, names: list[str]) -> list[PriceRow]:
    """Read one model's prices through time, and those of its service tiers."""
    free = [name for name in names if provider == "openrouter" and name.endswith(":free")]
    paid = [name for name in names if name not in free]
    rows = [_row(provider, free, SINCE_EVER, {"free": True})] if free else []
    if not paid:
        return rows
    paid.sort(key=lambda name: (name != model.id, name))
    correction = _CORRECTIONS.get((provider, model.id), {})
    standard: dict[str, tuple[Rates, Tiers]] = {}
    # A model without conditions has its prices in the place where a condition has them.
    conditions: Sequence[Any] = model.prices if isinstance(cast(object, model.prices), list) else [model]
    for condition in conditions:
        rates, tiers = _read_rates(condition.prices)
        standard[_start(getattr(condition, "constraint", None))] = (rates | correction, tiers)
    rows.extend(
        _row(provider, paid, start, _as_fields(rates, tiers))
        for start, (rates, tiers) in standard.items()
        if "input" in rates
    )
    for variant in model.price_variants or ():
        service = variant.when.get("service_tier", "default")
        rates, tiers = _read_rates(variant.prices)
        if service == "default" or len(variant.when) > 1 or not rates:
            continue
        start = _start(variant.constraint)
        base, _ = standard[max((day for day in standard if day <= start), default=min(standard))]
        rows.append(_row(provider, paid, start, _as_fields(base | rates, tiers) | {"service_tier": service}))
    return rows


def _start(constraint: Any) -> str:
    """Return the day on which a price starts (a price by the time of day has none and ends the run)."""
    return SINCE_EVER if constraint is None else constraint.start_date.isoformat()


def _read_rates(prices: Any) -> tuple[Rates, Tiers]:
    """Read one set of genai-prices' rates without what is 0."""
    rates: Rates = {}
    tiers: Tiers = {}
    written = vars(cast(object, prices))
    for key, value in written.items():
        field = _GENAI.get(key)
        if field is None or value is None:
            continue
        rates[field] = getattr(value, "base", value)
        for tier in getattr(value, "tiers", ()):
            tiers.setdefault(tier.start, {})[field] = tier.price
    return {field: rate for field, rate in rates.items() if rate}, tiers


def _as_fields(rates: Rates, tiers: Tiers) -> dict[str, object]:
    """Write rates as the fields of a row."""
    written: list[dict[str, object]] = [
        {"above_input_tokens": above, **{field: _write(rate) for field, rate in more.items() if rate}}
        for above, more in sorted(tiers.items())
    ]
    return {**{field: _write(rate) for field, rate in rates.items()}, "tiers": written}


def _row(provider: str, names: list[str], start: str, fields: dict[str, object]) -> PriceRow:
    """Write a price as a row under the first of its names."""
    shared = {"provider": provider, "model": names[0], "names": names[1:], "effective_from": start}
    return msgspec.convert(shared | fields, PriceRow)


def _write(rate: Decimal) -> str:
    """Write a rate as a plain decimal of at most twelve decimals, rounded up."""
    text = f"{rate.quantize(Decimal(1).scaleb(-12), rounding=ROUND_CEILING):f}"
    return text.rstrip("0").rstrip(".")


def read_litellm(data: bytes) -> list[PriceRow]:
    """Read LiteLLM's price JSON (``model_prices_and_context_window.json``), whose rates are in USD per token."""
    rows: list[PriceRow] = []
    for key, entry in json.loads(data, parse_float=Decimal, parse_int=Decimal).items():
        provider = _LITELLM_PROVIDERS.get(entry.get("litellm_provider", ""))
        name = key.removeprefix(f"{provider}/")
        if provider is None or entry.get("mode") not in _LITELLM_MODES or not _is_ours(provider, name):
            continue
        rates: Rates = {}
        tiers: Tiers = {}
        for word, value in entry.items():
            tiered = _LITELLM_TIER.fullmatch(word)
            field = _LITELLM.get(tiered[1] if tiered else word)
            if field is not None and value:
                target = tiers.setdefault(int(tiered[2]) * 1_000, {}) if tiered else rates
                target[field] = value * 1_000_000
        if "input" in rates:
            rows.append(_row(provider, [name], SINCE_EVER, _as_fields(rates, tiers)))
    return rows


def merge_rows(first: Sequence[PriceRow], second: Iterable[PriceRow]) -> list[PriceRow]:
    """Return the rows of both lists; the second gives only names that the first does not price."""
    priced = {(row.provider, name) for row in first for name in (row.model, *row.names)}
    return [*first, *(row for row in second if (row.provider, row.model) not in priced)]


def write_bundle(rows: Iterable[PriceRow], as_of: str, inputs: str) -> str:
    """Write the table, sorted by provider, model, service tier and day."""
    lines: dict[str, list[str]] = {provider: [] for provider in SOURCES}
    for row in sorted(rows, key=lambda row: (row.provider, row.model, row.service_tier, row.effective_from)):
        lines[row.provider].append(_line(row))
    parts = [f"# Written by python -m providers.pricing.refresh from {inputs}: run it, do not edit.\n{_LEGEND}"]
    for provider, source in SOURCES.items():
        block = "\n".join(lines[provider])
        parts.append(_TABLE.format(provider=provider, source=source, as_of=as_of, block=block))
    return "\n".join([*parts, _OWN])


def _line(row: PriceRow) -> str:
    """Write one row as a line of the table."""
    words = [row.model]
    if row.service_tier:
        words.append(f"service={row.service_tier}")
    if row.effective_from != SINCE_EVER:
        words.append(f"from={row.effective_from}")
    words.extend(["free"] if row.free else _rate_words(row))
    words.extend(f"tier={','.join([str(tier.above_input_tokens), *_rate_words(tier)])}" for tier in row.tiers)
    if row.names:
        words.append(f"names={','.join(row.names)}")
    return " ".join(words)


def _rate_words(row: PriceRow | TierRow) -> list[str]:
    """Write the rates that a row has."""
    return [f"{field}={value}" for field in _FIELDS if (value := getattr(row, field)) is not None]


def compare(old: str, new: str) -> list[str]:
    """Say what changed between two tables, a line a row: ``-`` gone, ``+`` come."""
    before, after = old.splitlines(), new.splitlines()
    gone = [f"- {line}" for line in sorted(set(before) - set(after))]
    come = [f"+ {line}" for line in sorted(set(after) - set(before))]
    return gone + come


def rewrite(table: Path, genai_providers: Iterable[Any], version: str, litellm: bytes | None, as_of: str) -> list[str]:
    """Rewrite the table from genai-prices' providers and LiteLLM's JSON; returns what changed and a summary.

    Raises ValueError, and leaves the table as it was, when the new one would not read back.
    """
    further = [] if litellm is None else read_litellm(litellm)
    catalogue = load_catalogue()
    known = {provider: {*catalogue.provider_models(provider)} for provider in SOURCES}
    for row in further:
        known[row.provider].add(row.model)
    listed = read_genai(genai_providers, {name: sorted(models) for name, models in known.items()})
    inputs = f"genai-prices {version}" + ("" if litellm is None else " and LiteLLM's price list")
    text = write_bundle(merge_rows(listed, further), as_of, inputs)
    prices = PriceTable(read_bundle(text))
    prices.check()
    changes = compare(table.read_text(encoding="utf-8") if table.exists() else "", text)
    table.write_text(text, encoding="utf-8")
    return [*changes, f"{len(prices)} prices, {len(changes)} lines changed, digest {prices.digest}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the table and print what changed; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m providers.pricing.refresh", description="Rewrite the bundled prices."
    )
    parser.add_argument("--litellm", type=Path, help="LiteLLM's model_prices_and_context_window.json")
    parser.add_argument("--as-of", required=True, help="the day on which the lists were fetched, such as 2026-11-21")
    parser.add_argument("--table", type=Path, default=TABLE, help="the table to rewrite")
    options = parser.parse_args(arguments)
    # A development extra: neither the gateway nor its tests need it.
    genai_providers = importlib.import_module("genai_prices.data").providers
    version = importlib.metadata.version("genai-prices")
    litellm = options.litellm.read_bytes() if options.litellm else None
    sys.stdout.write("\n".join(rewrite(options.table, genai_providers, version, litellm, options.as_of)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
