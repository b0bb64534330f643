"""Proves how the bundled price table is read, and what is in it."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest

from providers.chat import Usage
from providers.pricing.price_rows import PriceRow, TierRow, read_bundle
from providers.pricing.prices import Price, cost_pusd, format_usd, load_prices

TABLE = load_prices()
HEAD = '[acme]\nsource = "https://acme.example/prices"\nas_of = "2026-11-21"\n'


def ns(day: str) -> int:
    """Return midnight UTC of a day."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 10**9


NOW_NS = ns("2026-11-21")


def bundle(*lines: str) -> list[PriceRow]:
    """Read a table of one provider."""
    return read_bundle(HEAD + "rows = '''\n" + "\n".join(lines) + "\n'''\n")


def test_a_line_is_a_row_with_its_source_and_date() -> None:
    """Short keys stand for the long names, and every row knows where it comes from."""
    assert bundle("m service=flex from=2026-01-31 input=1.5 output=2 names=m-1,m-2") == [
        PriceRow(
            provider="acme",
            model="m",
            service_tier="flex",
            effective_from="2026-01-31",
            input="1.5",
            output="2",
            names=("m-1", "m-2"),
            source="https://acme.example/prices",
            as_of="2026-11-21",
        )
    ]


def test_long_context_tiers_are_read_in_the_line() -> None:
    """A tier word holds the bound and its rates; there may be several."""
    (row,) = bundle("m input=1 tier=1000,input=2 tier=2000,input=3,output=4")
    assert row.tiers == (
        TierRow(above_input_tokens=1000, input="2"),
        TierRow(above_input_tokens=2000, input="3", output="4"),
    )


def test_a_free_row_says_so() -> None:
    """A bare word marks it."""
    assert bundle("m free")[0].free


@pytest.mark.parametrize("line", ["m inputs=1", "m input=1 tier=lots,input=2", "m input=1 tier=5,entry=2"])
def test_a_malformed_line_is_named(line: str) -> None:
    """An unknown key or a bound that is no number ends in an error with provider and model."""
    with pytest.raises(ValueError, match="acme/m of the bundled table"):
        bundle(line)


def bundled(provider: str, model: str, at_ns: int = NOW_NS, service_tier: str = "") -> Price:
    """Look up a price that must be there."""
    found = TABLE.lookup(provider, model, at_ns, service_tier)
    assert found is not None, (provider, model)
    return found


def test_every_bundled_row_is_sound() -> None:
    """The whole table reads without an error."""
    TABLE.check()


@pytest.mark.parametrize(
    ("provider", "model", "input_usd", "output_usd"),
    [
        ("openai", "gpt-4", "30", "60"),
        ("openai", "gpt-4-turbo", "10", "30"),
        ("openai", "gpt-3.5-turbo", "0.5", "1.5"),
        ("openai", "gpt-3.5-turbo-instruct", "1.5", "2"),
        ("openai", "gpt-4o-2024-08-06", "2.5", "10"),
        ("openai", "gpt-4o-2024-05-13", "5", "15"),
        ("openai", "gpt-4o-mini-2024-07-18", "0.15", "0.6"),
        ("anthropic", "claude-3-haiku-20240307", "0.25", "1.25"),
        ("anthropic", "claude-3-5-sonnet-20241022", "3", "15"),
        ("anthropic", "claude-3-opus-20240229", "15", "75"),
        ("anthropic", "claude-sonnet-4-20250514", "3", "15"),
        ("groq", "openai/gpt-oss-120b", "0.15", "0.6"),
        ("groq", "llama-3.3-70b-versatile", "0.59", "0.79"),
        ("openrouter", "anthropic/claude-sonnet-4.5", "3", "15"),
        ("openrouter", "openai/gpt-4o", "2.5", "10"),
    ],
)
def test_known_models_have_the_published_price(provider: str, model: str, input_usd: str, output_usd: str) -> None:
    """Spot checks against the providers' own pages."""
    rates = bundled(provider, model).rates
    assert (rates.input_atto, rates.output_atto) == (
        int(Fraction(input_usd) * 10**12),
        int(Fraction(output_usd) * 10**12),
    )


def test_embeddings_are_priced_by_input() -> None:
    """text-embedding-ada-002 costs 0.10 USD per million tokens."""
    assert format_usd(cost_pusd(bundled("openai", "text-embedding-ada-002"), Usage(input_tokens=8))) == "0.0000008"


def test_a_dated_price_change_is_kept() -> None:
    """o3 became cheaper on 2025-06-10."""
    before, after = (bundled("openai", "o3", ns(day)) for day in ("2025-06-09", "2025-06-10"))
    assert (before.rates.input_atto, after.rates.input_atto) == (10 * 10**12, 2 * 10**12)


def test_service_tiers_are_priced() -> None:
    """OpenAI's flex costs half."""
    standard, flex = (bundled("openai", "gpt-5", NOW_NS, tier).rates.input_atto for tier in ("default", "flex"))
    assert flex * 2 == standard


@pytest.mark.parametrize(
    "model",
    [name for name in TABLE.models("anthropic") if not name.startswith(("claude-2", "claude-v1", "claude-3-haiku"))],
)
def test_anthropics_writes_have_the_documented_multiples(model: str) -> None:
    """Five minutes cost 1.25 times input, an hour twice (Claude 3 Haiku alone was listed at 0.30 for 0.25)."""
    rates = bundled("anthropic", model).rates
    assert rates.cache_write_atto * 4 == rates.input_atto * 5
    assert rates.cache_write_1h_atto == rates.input_atto * 2


@pytest.mark.parametrize("model", ["gpt-4o-audio-preview", "gpt-audio", "gpt-4o-mini-audio-preview"])
def test_audio_is_not_priced_as_text(model: str) -> None:
    """A model that hears has a rate for what it hears."""
    rates = bundled("openai", model).rates
    assert rates.audio_input_atto > rates.input_atto
    assert rates.audio_output_atto > rates.output_atto


def test_only_what_is_marked_free_is_free() -> None:
    """OpenRouter's :free ids, the bundled model and the sandbox cost nothing, and nothing else."""
    free = {
        (provider, model)
        for provider in ("openai", "anthropic", "groq", "openrouter")
        for model in TABLE.models(provider)
        if (found := TABLE.lookup(provider, model, NOW_NS)) is not None and found.is_free
    }
    assert free
    assert all(provider == "openrouter" and model.endswith(":free") for provider, model in free)
    assert bundled("local", "all-MiniLM-L6-v2").is_free
    assert bundled("sandbox", "gpt-4").is_free
