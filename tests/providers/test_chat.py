"""Usage: disjoint buckets and their sums."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from providers.chat import NO_USAGE, Usage

INPUTS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "audio_input_tokens",
    "image_input_tokens",
)
OUTPUTS = ("output_tokens", "audio_output_tokens", "image_output_tokens")
COUNTS = st.fixed_dictionaries({name: st.integers(0, 10**12) for name in (*INPUTS, *OUTPUTS, "reasoning_tokens")})


@given(COUNTS)
def test_every_bucket_is_counted_once_on_its_side(counts: dict[str, int]) -> None:
    """OpenAI's prompt_tokens and completion_tokens."""
    usage = msgspec.convert(counts, Usage)
    assert usage.total_input_tokens == sum(counts[name] for name in INPUTS)
    assert usage.total_output_tokens == sum(counts[name] for name in OUTPUTS)


@given(COUNTS)
def test_the_total_is_both_sides(counts: dict[str, int]) -> None:
    """Reasoning is a share of the output, no bucket of its own."""
    usage = msgspec.convert(counts, Usage)
    assert usage.total_tokens == sum(counts.values()) - counts["reasoning_tokens"]


def test_every_count_is_a_bucket_or_the_share() -> None:
    """A new kind of token cannot be forgotten in the sums."""
    counts = {name for name in Usage.__struct_fields__ if name.endswith("_tokens")}
    assert counts == {*INPUTS, *OUTPUTS, "reasoning_tokens"}


def test_no_usage_is_nothing_and_claims_nothing() -> None:
    """Neither reported, nor estimated, nor priced."""
    assert (NO_USAGE.total_tokens, NO_USAGE.estimated, NO_USAGE.reported_cost_pusd) == (0, False, None)
