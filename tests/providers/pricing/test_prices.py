"""Proves the arithmetic of prices and their time line."""

import math
from datetime import UTC, datetime
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.chat import NO_USAGE, Usage
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import (
    Price,
    PriceTable,
    cost_pusd,
    format_usd,
    parse_decimal_usd,
    parse_usd,
    read_price,
)

BUCKETS = {
    "input_tokens": "input",
    "cache_read_tokens": "cached_input",
    "cache_write_tokens": "cache_write",
    "cache_write_1h_tokens": "cache_write_1h",
    "audio_input_tokens": "audio_input",
    "image_input_tokens": "image_input",
    "output_tokens": "output",
    "audio_output_tokens": "audio_output",
    "image_output_tokens": "image_output",
}
tokens = st.integers(0, 10_000_000)
usages = st.builds(Usage, **dict.fromkeys(BUCKETS, tokens))
fine_rates = st.integers(1, 10**15).map(format_usd)
coarse_rates = st.integers(1, 10**9).map(lambda n: format_usd(n * 10**6))


def prices(rates: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    """Draw a row's rates by field, all of them told."""
    return st.fixed_dictionaries(dict.fromkeys(BUCKETS.values(), rates))


def ns(day: str) -> int:
    """Return midnight UTC of a day."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 10**9


def price(**fields: object) -> Price:
    """Read an operator's row of one model."""
    row = msgspec.convert({"provider": "acme", "model": "m", **fields}, PriceRow)
    return read_price(row, "prices[0]", is_operator=True)


def row(model: str = "m", **fields: object) -> PriceRow:
    """Write a row at 1 USD per million tokens."""
    return msgspec.convert({"provider": "acme", "model": model, "input": "1", **fields}, PriceRow)


# --- decimals


@given(st.integers(0, 10**21 - 1))
def test_money_survives_the_trip_to_text_and_back(pusd: int) -> None:
    """parse_usd undoes format_usd exactly."""
    assert parse_usd(format_usd(pusd)) == pusd


@pytest.mark.parametrize(
    ("pusd", "text"),
    [
        (0, "0"),
        (625_000_000, "0.000625"),
        (1, "0.000000000001"),
        (10**12, "1"),
        (1_500_000_000_000, "1.5"),
        (-2_500_000_000, "-0.0025"),
    ],
)
def test_money_is_written_plainly(pusd: int, text: str) -> None:
    """No exponent, no needless zeros."""
    assert format_usd(pusd) == text


@given(st.integers(0, 10**9 - 1), st.integers(0, 10**12 - 1))
def test_a_decimal_is_read_exactly(whole: int, fraction: int) -> None:
    """Twelve decimals at scale twelve lose nothing."""
    assert parse_decimal_usd(f"{whole}.{fraction:012d}", 12) == whole * 10**12 + fraction


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "-1",
        "+1",
        "1e3",
        "NaN",
        "inf",
        ".5",
        "5.",
        "1,5",
        "1_000",
        "٣",
        "0x1",
        "1" * 10,
        "0." + "1" * 13,
    ],
)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    """The error shows the text as it was given."""
    with pytest.raises(ValueError, match="is not a decimal string") as error:
        parse_decimal_usd(text, 12)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("value", [0.1, 30, None, b"1", True])
def test_what_is_no_text_is_refused(value: object) -> None:
    """A float has lost its digits before it comes here."""
    with pytest.raises(ValueError, match="is not a decimal string"):
        parse_decimal_usd(value, 12)  # type: ignore[arg-type]  # a value from a file


def test_a_decimal_finer_than_the_scale_is_refused() -> None:
    """Nothing is rounded in silence; zeros at the end are no digits."""
    assert parse_decimal_usd("0.120", 2) == 12
    with pytest.raises(ValueError, match="more than 2 decimals"):
        parse_decimal_usd("0.125", 2)


# --- costs


@given(usages, prices(fine_rates))
def test_a_cost_is_the_exact_sum_rounded_up_once(usage: Usage, rates: dict[str, str]) -> None:
    """Against fractions: no picodollar is lost, and none is added but the started one."""
    exact = sum(Fraction(rates[field]) * getattr(usage, bucket) * 10**6 for bucket, field in BUCKETS.items())
    assert cost_pusd(price(**rates), usage) == math.ceil(exact)


@given(usages, prices(coarse_rates))
def test_a_price_of_six_decimals_is_never_rounded(usage: Usage, rates: dict[str, str]) -> None:
    """Up to six decimals per million tokens every cost is a whole number of picodollars."""
    exact = sum(Fraction(rates[field]) * getattr(usage, bucket) * 10**6 for bucket, field in BUCKETS.items())
    assert cost_pusd(price(**rates), usage) == exact


@given(usages, usages, prices(coarse_rates))
def test_costs_add_up(one: Usage, other: Usage, rates: dict[str, str]) -> None:
    """Two calls cost what one call with all their tokens costs."""
    both = msgspec.convert({bucket: getattr(one, bucket) + getattr(other, bucket) for bucket in BUCKETS}, Usage)
    paid = price(**rates)
    assert cost_pusd(paid, one) + cost_pusd(paid, other) == cost_pusd(paid, both)


@given(usages, st.sampled_from(sorted(BUCKETS)), st.integers(1, 10_000), prices(fine_rates))
def test_more_tokens_never_cost_less(usage: Usage, bucket: str, more: int, rates: dict[str, str]) -> None:
    """The cost is monotone in every bucket."""
    paid = price(**rates)
    larger = msgspec.structs.replace(usage, **{bucket: getattr(usage, bucket) + more})
    assert cost_pusd(paid, larger) >= cost_pusd(paid, usage)


def test_the_documents_example_prices() -> None:
    """gpt-4 at 30 and 60 USD: 15 and 10 tokens are 0.00105 USD."""
    assert format_usd(cost_pusd(price(input="30", output="60"), Usage(input_tokens=15, output_tokens=10))) == "0.00105"


def test_nothing_used_costs_the_request_alone() -> None:
    """per_request is in USD a request."""
    assert cost_pusd(price(input="30", per_request="0.01"), NO_USAGE) == 10**10


def test_reasoning_is_not_paid_twice() -> None:
    """Reasoning is a share of the output."""
    paid = price(input="1", output="2")
    assert cost_pusd(paid, Usage(output_tokens=10, reasoning_tokens=8)) == cost_pusd(paid, Usage(output_tokens=10))


@pytest.mark.parametrize(
    ("bucket", "told", "pusd"),
    [
        ("cache_read_tokens", {}, 3),
        ("cache_write_tokens", {}, 3),
        ("cache_write_1h_tokens", {}, 3),
        ("cache_write_1h_tokens", {"cache_write": "4"}, 4),
        ("audio_input_tokens", {}, 3),
        ("image_input_tokens", {}, 3),
        ("output_tokens", {}, 3),
        ("audio_output_tokens", {"output": "7"}, 7),
        ("image_output_tokens", {"output": "7"}, 7),
    ],
)
def test_a_bucket_without_a_rate_takes_its_neighbours(bucket: str, told: dict[str, str], pusd: int) -> None:
    """Never 0."""
    usage = msgspec.convert({bucket: 1}, Usage)
    assert cost_pusd(price(input="3", **told), usage) == pusd * 10**6


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(input_tokens=100, output_tokens=1), "0.000102"),
        (Usage(input_tokens=101, output_tokens=1), "0.000205"),
        (Usage(input_tokens=1, cache_read_tokens=100), "0.000022"),
        (Usage(input_tokens=1_001, output_tokens=1), "0.003006"),
    ],
)
def test_long_context_is_dearer_from_the_first_token(usage: Usage, usd: str) -> None:
    """A tier holds for the whole call, counts cached input, and the highest one that is passed wins."""
    paid = price(
        input="1",
        output="2",
        cached_input="0.1",
        tiers=[
            {"above_input_tokens": 1_000, "input": "3", "output": "3"},
            {"above_input_tokens": 100, "input": "2", "output": "3", "cached_input": "0.2"},
        ],
    )
    assert format_usd(cost_pusd(paid, usage)) == usd


def test_a_tier_keeps_the_rates_that_it_does_not_tell() -> None:
    """What neither the tier nor its own neighbour tells is the base's."""
    paid = price(input="1", cached_input="0.5", output="2", tiers=[{"above_input_tokens": 10, "output": "4"}])
    usage = Usage(input_tokens=10, cache_read_tokens=10, output_tokens=1)
    assert format_usd(cost_pusd(paid, usage)) == "0.000019"


# --- rows


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input": "1e3"}, r"prices\[0\]: input: '1e3'"),
        ({"input": "1", "output": "-2"}, r"prices\[0\]: output: '-2'"),
        ({"input": "1", "per_request": "x"}, r"prices\[0\]: per_request: 'x'"),
        ({"input": "1", "effective_from": "20240101"}, r"prices\[0\]: effective_from: '20240101'"),
        ({"input": "1", "effective_from": "2024-02-30"}, r"prices\[0\]: effective_from: '2024-02-30'"),
        ({"input": "1", "model": ""}, r"prices\[0\]: provider and model must be named, got 'acme' and ''"),
        ({}, r"prices\[0\]: input: a price is needed"),
        ({"output": "1"}, r"prices\[0\]: input: a price is needed"),
        ({"free": True, "input": "1"}, r"prices\[0\]: free: "),
        ({"input": "1", "tiers": [{"above_input_tokens": 0}]}, r"prices\[0\]: tiers: "),
        ({"input": "1", "tiers": [{"above_input_tokens": 9, "output": "?"}]}, r"tiers above 9: output: '\?'"),
    ],
)
def test_a_malformed_row_is_named_with_its_field(fields: dict[str, object], message: str) -> None:
    """The error tells where, which field and what it holds."""
    with pytest.raises(ValueError, match=message):
        price(**fields)


def test_a_bundled_zero_is_not_free() -> None:
    """Price lists write 0 for what they do not know; only a row marked free costs nothing."""
    with pytest.raises(ValueError, match="output: 0 in a row that is not free"):
        read_price(row(output="0"), "here", is_operator=False)


def test_an_operators_zero_is_their_word() -> None:
    """A server of one's own may cost nothing."""
    assert price(input="0").is_free
    assert not price(input="0", output="1").is_free


def test_a_price_id_names_the_content() -> None:
    """The same row has the same id, any other rate another."""
    assert price(input="1").price_id == price(input="1.0").price_id
    assert len({price(input=rate).price_id for rate in ("1", "2", "1.000000000001")}) == 3


# --- the time line


def test_a_price_holds_from_its_day_on() -> None:
    """The first nanosecond of the day is the new price's, the one before the old one's."""
    table = PriceTable([row(), row(input="2", effective_from="2026-03-01")])
    starts = ns("2026-03-01")
    found = [table.lookup("acme", "m", at_ns) for at_ns in (0, starts - 1, starts)]
    assert [one and one.rates.input_atto // 10**12 for one in found] == [1, 1, 2]


def test_before_its_first_day_a_model_has_no_price() -> None:
    """Nothing is known of earlier times."""
    table = PriceTable([row(effective_from="2026-03-01")])
    assert table.lookup("acme", "m", ns("2026-02-28")) is None


@pytest.mark.parametrize("model", ["m-2", "M", "m ", "", "m-2026-01-01"])
def test_a_name_is_never_found_by_its_beginning(model: str) -> None:
    """Only whole names have prices."""
    assert PriceTable([row()]).lookup("acme", model, 0) is None


def test_a_listed_name_has_the_models_price() -> None:
    """Snapshots are aliases by list."""
    table = PriceTable([row(names=["m-2026-01-01"])])
    assert table.lookup("acme", "m-2026-01-01", 0) == table.lookup("acme", "m", 0)


def test_a_fine_tuned_model_has_its_bases_price() -> None:
    """OpenAI's ft:base:organisation::id is a structured name."""
    table = PriceTable([row("ft:m")])
    assert table.lookup("acme", "ft:m:org::abc", 0) == table.lookup("acme", "ft:m", 0)


def test_a_star_prices_what_no_row_names() -> None:
    """A named model's own row comes first."""
    table = PriceTable([row("*"), row(input="2")])
    found = [table.lookup("acme", name, 0) for name in ("m", "anything")]
    assert [one and one.rates.input_atto // 10**12 for one in found] == [2, 1]


def test_the_operators_price_wins_from_its_day_on() -> None:
    """Earlier calls keep the bundled price, later bundled prices are hidden."""
    bundled = [row(), row(input="2", effective_from="2026-03-01")]
    table = PriceTable(bundled, [row(input="9", effective_from="2026-02-01")])
    found = [table.lookup("acme", "m", ns(day)) for day in ("2026-01-31", "2026-02-01", "2026-03-02")]
    assert [one and (one.rates.input_atto // 10**12, one.is_operator) for one in found] == [
        (1, False),
        (9, True),
        (9, True),
    ]


def test_the_operators_price_hides_bundled_service_tiers() -> None:
    """Whoever sets a model's price does not want the list's price for flex."""
    table = PriceTable([row(), row(input="0.5", service_tier="flex")], [row(input="9")])
    found = table.lookup("acme", "m", 0, "flex")
    assert found is not None
    assert found.is_operator


@pytest.mark.parametrize(("service_tier", "expected"), [("flex", 2), ("default", 1), ("", 1), ("unheard-of", 1)])
def test_a_service_tier_has_its_own_price_or_the_standard_one(service_tier: str, expected: int) -> None:
    """The tier that the provider reports decides."""
    table = PriceTable([row(), row(input="2", service_tier="flex")])
    found = table.lookup("acme", "m", 0, service_tier)
    assert found is not None
    assert found.rates.input_atto // 10**12 == expected


def test_two_prices_from_one_day_are_refused() -> None:
    """Which one held could not be told."""
    with pytest.raises(ValueError, match="acme/m: two hold from the same day"):
        PriceTable([], [row(), row(input="2")])


def test_an_operators_malformed_row_is_named_by_its_number() -> None:
    """The message counts rows as the configuration does."""
    with pytest.raises(ValueError, match=r"prices\[1\] \(acme/n\): input: 'x'"):
        PriceTable([], [row(), row("n", input="x")])


def test_a_price_is_found_again_by_its_id() -> None:
    """A usage row keeps the id, so the call can be rated again."""
    table = PriceTable([row("a/b@c"), row("a/b@c", service_tier="flex", input="2")])
    for service_tier in ("", "flex"):
        price_found = table.lookup("acme", "a/b@c", 0, service_tier)
        assert price_found is not None
        assert table.find(price_found.price_id) == price_found
    assert table.find("acme/gone@1970-01-01+00000000") is None


def test_the_digest_names_the_content() -> None:
    """Equal tables share it, and an operator's row changes it."""
    assert PriceTable([row()]).digest == PriceTable([row()]).digest
    assert len({PriceTable([row()]).digest, PriceTable([row()], [row()]).digest, PriceTable().digest}) == 3


def test_invented_names_are_not_remembered() -> None:
    """Memory is bounded by the table, not by callers."""
    table = PriceTable([row()])
    for number in range(100):
        table.lookup("acme", f"invented-{number}", 0)
    assert len(table._histories) == 0  # pyright: ignore[reportPrivateUsage]  # the bound itself is the rule
