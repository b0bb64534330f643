"""Proves how public price lists become the bundled table."""

import json
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from providers.pricing import refresh
from providers.pricing.price_rows import PriceRow, read_bundle
from providers.pricing.prices import PriceTable


@dataclass
class Equals:
    """genai-prices' match of a whole name."""

    equals: str

    def is_match(self, name: str) -> bool:
        """Compare as genai-prices does."""
        return name == self.equals


@dataclass
class Begins:
    """genai-prices' match of a beginning."""

    starts_with: str

    def is_match(self, name: str) -> bool:
        """Compare as genai-prices does."""
        return name.startswith(self.starts_with)


@dataclass
class Either:
    """genai-prices' alternative."""

    or_: list[Equals | Begins]

    def is_match(self, name: str) -> bool:
        """Compare as genai-prices does."""
        return any(part.is_match(name) for part in self.or_)


@dataclass
class Model:
    """genai-prices' model."""

    id: str
    match: Equals | Begins | Either
    prices: SimpleNamespace | list[SimpleNamespace]
    price_variants: list[SimpleNamespace] | None = None

    def is_match(self, name: str) -> bool:
        """Ask the match."""
        return self.match.is_match(name)


@dataclass
class Provider:
    """genai-prices' provider."""

    id: str
    models: list[Model] = field(default_factory=list)


def rates(**per_mtok: object) -> SimpleNamespace:
    """Write genai-prices' rates; text becomes a decimal."""
    return SimpleNamespace(**{key: Decimal(rate) if isinstance(rate, str) else rate for key, rate in per_mtok.items()})


def read(provider: str, *models: Model, known: tuple[str, ...] = ()) -> list[PriceRow]:
    """Read one provider's models."""
    return refresh.read_genai([Provider(provider, list(models))], {provider: known})


def test_every_name_that_is_listed_in_full_is_taken() -> None:
    """A pattern gives no name by itself; the catalogue's names fill it."""
    match = Either([Equals("m"), Equals("m-2026-01-01"), Begins("m-2025")])
    model = Model("m", match, rates(input_mtok="1", output_mtok="2"))
    (row,) = read("openai", model, known=("m-2025-05-05", "other"))
    assert (row.model, row.names, row.input, row.output) == ("m", ("m-2025-05-05", "m-2026-01-01"), "1", "2")


def test_a_name_belongs_to_the_first_model_that_matches() -> None:
    """As genai-prices itself looks it up."""
    rows = read(
        "openai",
        Model("a", Either([Equals("a"), Equals("shared")]), rates(input_mtok="1")),
        Model("b", Either([Equals("b"), Equals("shared")]), rates(input_mtok="2")),
    )
    assert [(row.model, row.names) for row in rows] == [("a", ("shared",)), ("b", ())]


def test_dated_prices_become_dated_rows() -> None:
    """History is kept."""
    conditions = [
        SimpleNamespace(constraint=None, prices=rates(input_mtok="10")),
        SimpleNamespace(constraint=SimpleNamespace(start_date=date(2025, 6, 10)), prices=rates(input_mtok="2")),
    ]
    rows = read("openai", Model("o3", Equals("o3"), conditions))
    assert [(row.effective_from, row.input) for row in rows] == [("1970-01-01", "10"), ("2025-06-10", "2")]


def test_long_context_rates_become_tiers() -> None:
    """Each threshold collects its own rates."""
    tiered = SimpleNamespace(base=Decimal(1), tiers=[SimpleNamespace(start=200_000, price=Decimal(2))])
    (row,) = read("openai", Model("m", Equals("m"), rates(input_mtok=tiered, output_mtok="5")))
    assert [(tier.above_input_tokens, tier.input, tier.output) for tier in row.tiers] == [(200_000, "2", None)]
    assert (row.input, row.output) == ("1", "5")


def test_service_tiers_get_rows_of_their_own() -> None:
    """Other variants (batch) are none of a gateway's prices; what a variant does not tell is the standard rate."""
    variants = [
        SimpleNamespace(when={"service_tier": "default"}, prices=rates(), constraint=None),
        SimpleNamespace(when={"service_tier": "flex"}, prices=rates(input_mtok="0.5"), constraint=None),
        SimpleNamespace(when={"processing": "batch"}, prices=rates(input_mtok="0.5"), constraint=None),
    ]
    rows = read("openai", Model("m", Equals("m"), rates(input_mtok="1", output_mtok="2"), variants))
    assert [(row.service_tier, row.input, row.output) for row in rows] == [("", "1", "2"), ("flex", "0.5", "2")]


@pytest.mark.parametrize("prices", [rates(), rates(input_mtok="0", output_mtok="0"), rates(audio_hours="0.36")])
def test_a_zero_or_nothing_is_not_free(prices: SimpleNamespace) -> None:
    """A model that the list cannot price stays unpriced."""
    assert read("openai", Model("m", Equals("m"), prices)) == []


def test_openrouters_free_ids_are_free() -> None:
    """The ending says so, whatever else the model costs."""
    rows = read("openrouter", Model("a/m", Either([Equals("a/m"), Equals("a/m:free")]), rates(input_mtok="1")))
    assert [(row.model, row.free) for row in rows] == [("a/m:free", True), ("a/m", False)]


@pytest.mark.parametrize(
    "name", ["gpt-image-1", "gpt-realtime", "gpt-4o-mini-tts", "whisper-1", "omni-moderation-latest"]
)
def test_models_of_other_endpoints_are_left_out(name: str) -> None:
    """They cannot be called here."""
    assert read("openai", Model(name, Equals(name), rates(input_mtok="1"))) == []


def test_a_rate_finer_than_twelve_decimals_is_rounded_up() -> None:
    """Never below what the list says."""
    (row,) = read("openrouter", Model("a/m", Equals("a/m"), rates(input_mtok="0.08333333333333334")))
    assert row.input == "0.083333333334"


def test_audio_that_the_list_prices_as_text_is_corrected() -> None:
    """The documented audio rates are added."""
    name = "gpt-4o-audio-preview"
    (row,) = read("openai", Model(name, Begins(name), rates(input_mtok="2.5", output_mtok="10")))
    assert (row.input, row.audio_input, row.audio_output) == ("2.5", "40", "80")


LITELLM = json.dumps(
    {
        "sample_spec": {"litellm_provider": "one of …", "mode": "chat"},
        "groq/llama": {
            "litellm_provider": "groq",
            "mode": "chat",
            "input_cost_per_token": 5.9e-07,
            "output_cost_per_token": 7.9e-07,
        },
        "embed": {
            "litellm_provider": "openai",
            "mode": "embedding",
            "input_cost_per_token": 2e-08,
            "output_cost_per_token": 0.0,
        },
        "unknown": {
            "litellm_provider": "openai",
            "mode": "chat",
            "input_cost_per_token": 0.0,
            "output_cost_per_token": 0.0,
        },
        "picture": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_token": 1e-06},
        "elsewhere": {"litellm_provider": "bedrock", "mode": "chat", "input_cost_per_token": 1e-06},
        "long": {
            "litellm_provider": "anthropic",
            "mode": "chat",
            "input_cost_per_token": 3e-06,
            "cache_creation_input_token_cost": 3.75e-06,
            "cache_creation_input_token_cost_above_1hr": 6e-06,
            "input_cost_per_token_above_200k_tokens": 6e-06,
        },
    }
).encode()


def test_litellms_list_is_read_exactly() -> None:
    """USD per token become USD per million, with no float between."""
    rows = {row.model: row for row in refresh.read_litellm(LITELLM)}
    assert list(rows) == ["llama", "embed", "long"]
    assert (rows["llama"].provider, rows["llama"].input, rows["llama"].output) == ("groq", "0.59", "0.79")
    assert (rows["embed"].input, rows["embed"].output) == ("0.02", None)
    assert (rows["long"].cache_write, rows["long"].cache_write_1h) == ("3.75", "6")
    assert [(tier.above_input_tokens, tier.input) for tier in rows["long"].tiers] == [(200_000, "6")]


def test_the_first_list_wins() -> None:
    """The second gives only what the first does not price, by any of its names."""
    first = [PriceRow(provider="openai", model="a", names=("b",), input="1")]
    second = [PriceRow(provider="openai", model=name, input="2") for name in ("a", "b", "c")]
    assert [(row.model, row.input) for row in refresh.merge_rows(first, second)] == [("a", "1"), ("c", "2")]


def test_a_written_table_reads_back_the_same() -> None:
    """Nothing is lost between the rows and the file."""
    rows = refresh.read_litellm(LITELLM)
    back = read_bundle(refresh.write_bundle(rows, "2026-11-21", "a test"))
    written = {(row.provider, row.model, row.input, row.output, row.tiers) for row in rows}
    assert written <= {(row.provider, row.model, row.input, row.output, row.tiers) for row in back}
    assert PriceTable(back).lookup("local", "any", 0) is not None


def test_the_order_of_the_input_does_not_matter() -> None:
    """The table is a function of the prices."""
    rows = refresh.read_litellm(LITELLM)
    assert refresh.write_bundle(rows, "2026-11-21", "x") == refresh.write_bundle(rows[::-1], "2026-11-21", "x")


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    """The file is byte for byte the same, and the summary says so."""
    listed = [Provider("openai", [Model("gpt-4", Equals("gpt-4"), rates(input_mtok="30"))])]
    table = tmp_path / "prices.toml"
    first = refresh.rewrite(table, listed, "0", LITELLM, "2026-11-21")
    text = table.read_bytes()
    second = refresh.rewrite(table, listed, "0", LITELLM, "2026-11-21")
    assert "+ gpt-4 input=30" in first
    assert [line.split(", ")[1] for line in second] == ["0 lines changed"]
    assert table.read_bytes() == text


def test_changes_are_told_line_by_line() -> None:
    """What went and what came."""
    assert refresh.compare("a\nb\n", "b\nc\n") == ["- a", "+ c"]
