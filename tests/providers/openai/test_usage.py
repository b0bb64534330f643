"""OpenAI's inclusive counts become disjoint buckets."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.chat import UNUSABLE, Usage
from providers.openai.usage import UsageWire, read_any_usage, read_usage

COUNTS = st.integers(0, 10_000)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_buckets_add_up_to_what_was_reported(  # noqa: PLR0917 - one figure of the report each
    prompt: int, done: int, cached: int, written: int, audio: int, thought: int
) -> None:
    """Whatever shares a provider claims, no token is lost, doubled or negative."""
    usage = read_any_usage(
        {
            "prompt_tokens": prompt,
            "completion_tokens": done,
            "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": audio},
            "completion_tokens_details": {"reasoning_tokens": thought},
        }
    )
    assert usage is not None
    assert (usage.total_input_tokens, usage.total_output_tokens) == (prompt, done)
    if not prompt and not done:
        assert usage == UNUSABLE
        return
    assert all(value >= 0 for value in msgspec.structs.asdict(usage).values() if isinstance(value, int))
    assert usage.reasoning_tokens <= usage.output_tokens
    assert usage.anomalous == (cached + written + audio > prompt or thought > done)


def test_cached_tokens_are_taken_out_of_the_prompt() -> None:
    """Counting them twice is the commonest fault of gateways."""
    usage = read_any_usage(
        {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 60}}
    )
    assert usage == Usage(input_tokens=40, cache_read_tokens=60, output_tokens=5)


def test_shares_that_overlap_do_not_go_negative() -> None:
    """Recorded: 2,161 tokens both read and written of a prompt of 2,168."""
    usage = read_any_usage(
        {
            "prompt_tokens": 2168,
            "completion_tokens": 1,
            "prompt_tokens_details": {"cached_tokens": 2161, "cache_write_tokens": 2161},
        }
    )
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.anomalous) == (
        0,
        2161,
        7,
        True,
    )


@pytest.mark.parametrize(
    "value",
    [
        {"prompt_tokens": -5, "completion_tokens": 2},
        {"prompt_tokens": 5.5, "completion_tokens": 2},
        {"prompt_tokens": "5.5", "completion_tokens": 2},
        {"prompt_tokens": "9" * 21, "completion_tokens": 2},
        {"prompt_tokens": 10**12, "completion_tokens": 2},
        {"prompt_tokens": None, "completion_tokens": 2},
        {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": 0, "total_tokens": 0},
        {},
        [],
        "free",
    ],
)
def test_impossible_counts_are_not_believed(value: Any) -> None:
    """They are marked, and the meter counts itself: never a negative charge, never a silent zero."""
    assert read_any_usage(value) == UNUSABLE


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"prompt_tokens": 100.0, "completion_tokens": 50.0, "total_tokens": 150.0}, {}),
        ({"cost": {"total_cost": 0.006}}, {}),
        ({"cost": "free"}, {}),
        ({"prompt_tokens_details": [], "completion_tokens_details": []}, {}),
        ({"prompt_tokens_details": {"cached_tokens": 40.0}}, {"input_tokens": 60, "cache_read_tokens": 40}),
        ({"prompt_tokens_details": {"cached_tokens": "40"}}, {"input_tokens": 60, "cache_read_tokens": 40}),
        ({"prompt_tokens_details": {"cached_tokens": "many"}}, {"anomalous": True}),
        ({"prompt_tokens": "100", "completion_tokens": "50", "total_tokens": "150"}, {}),
        ({"prompt_tokens_details": "none"}, {"anomalous": True}),
        ({"completion_tokens_details": {"reasoning_tokens": 1.5}}, {"anomalous": True}),
        ({"total_tokens": "150"}, {}),
        ({"cache_creation": 7}, {"anomalous": True}),
        ({"prompt_tokens_details": {"cache_creation_token_details": "x"}}, {"anomalous": True}),
    ],
)
def test_one_odd_member_does_not_take_the_counts_along(more: dict[str, Any], expected: dict[str, Any]) -> None:
    """What is told of prompt and completion is charged: an estimate in its place would be a guess."""
    usage = read_any_usage({"prompt_tokens": 100, "completion_tokens": 50} | more)
    assert usage == Usage(**{"input_tokens": 100, "output_tokens": 50} | expected)


def test_what_a_provider_gives_for_nothing_is_believed() -> None:
    """OpenRouter does not charge for an answer that it could not make."""
    assert read_any_usage({"prompt_tokens": 0, "completion_tokens": 0, "cost": 0}) == Usage(reported_cost_pusd=0)


def test_no_report_is_none() -> None:
    """Nothing reported is not zero reported, nor nonsense."""
    assert read_any_usage(None) is None


def test_a_total_that_is_no_sum_is_marked() -> None:
    """What it counts beyond the two is charged as output, which is where thinking is left out of the completion."""
    usage = read_any_usage({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 99})
    assert usage == Usage(input_tokens=5, output_tokens=94, anomalous=True)
    usage = read_any_usage({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 6})
    assert usage == Usage(input_tokens=5, output_tokens=2, anomalous=True)


def test_thinking_that_the_total_alone_counts_is_output() -> None:
    """As xAI says it; nothing is odd where it tells the same figure by its name."""
    told: dict[str, Any] = {
        "prompt_tokens": 32,
        "completion_tokens": 9,
        "total_tokens": 135,
        "prompt_tokens_details": {"cached_tokens": 6},
        "completion_tokens_details": {"reasoning_tokens": 94},
    }
    assert read_any_usage(told) == Usage(input_tokens=26, cache_read_tokens=6, output_tokens=103, reasoning_tokens=94)


@pytest.mark.parametrize(
    "told",
    [
        {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 10**15},
        {
            "prompt_tokens": 5,
            "completion_tokens": 2,
            "total_tokens": 47,
            "prompt_tokens_details": {"cached_tokens": 40},
        },
    ],
)
def test_a_total_of_which_nobody_knows_what_it_counts_is_not_charged(told: dict[str, Any]) -> None:
    """An impossible one, and one with a cached share that the prompt leaves out."""
    usage = read_any_usage(told)
    assert usage is not None
    assert (usage.total_output_tokens, usage.anomalous) == (2, True)


@pytest.mark.parametrize("name", ["prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"])
@pytest.mark.parametrize("total", [120, 120.0, "120"])
def test_the_cached_share_by_other_names_is_no_fresh_input(name: str, total: Any) -> None:
    """DeepSeek's, Moonshot's, and that of gateways before Anthropic; a figure of another type takes none along."""
    told = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": total, name: 90}
    usage = read_any_usage(told)
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (10, 90, 20)
    usage = read_any_usage(told | {"prompt_tokens_details": {"cached_tokens": 0}})
    assert usage is not None
    assert usage.cache_read_tokens == 0


SPLIT = {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30}


@pytest.mark.parametrize(
    ("more", "short", "long", "read"),
    [
        ({"cache_creation_input_tokens": 50, "cache_read_input_tokens": 20}, 50, 0, 20),
        ({"cache_creation_input_tokens": 50, "cache_creation": SPLIT}, 20, 30, 0),
        ({"cache_creation": SPLIT}, 20, 30, 0),
        ({"prompt_tokens_details": {"cache_creation_tokens": 50}}, 50, 0, 0),
        ({"prompt_tokens_details": {"cache_write_tokens": 50}, "cache_creation": SPLIT}, 20, 30, 0),
        ({"prompt_tokens_details": {"cache_creation_tokens": 50, "cache_creation_token_details": SPLIT}}, 20, 30, 0),
        ({"prompt_tokens_details": {"cache_creation_tokens": "50", "cache_creation_token_details": SPLIT}}, 20, 30, 0),
    ],
)
def test_what_the_cache_wrote_is_read_by_other_names(more: dict[str, Any], short: int, long: int, read: int) -> None:
    """LiteLLM's and Anthropic's, which a WatchLLM behind this one says too: a write costs more than fresh input."""
    usage = read_any_usage({"prompt_tokens": 100, "completion_tokens": 5} | more)
    assert usage == Usage(
        input_tokens=100 - short - long - read,
        cache_read_tokens=read,
        cache_write_tokens=short,
        cache_write_1h_tokens=long,
        output_tokens=5,
    )


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"total_tokens": 150}, {}),
        (
            {"input_tokens_details": {"cached_tokens": 40}, "output_tokens_details": {"reasoning_tokens": 9}},
            {"input_tokens": 60, "cache_read_tokens": 40, "reasoning_tokens": 9},
        ),
        (
            {"input_tokens": "100", "input_tokens_details": {"cached_tokens": 40}},
            {"input_tokens": 60, "cache_read_tokens": 40},
        ),
        # Anthropic's leave out of the input what its cache read.
        ({"cache_read_input_tokens": 400}, {"cache_read_tokens": 400}),
    ],
)
def test_the_names_of_other_interfaces_are_read(told: dict[str, Any], expected: dict[str, Any]) -> None:
    """What a provider counted wins over an estimate, whatever it calls it."""
    usage = read_any_usage({"input_tokens": 100, "output_tokens": 50} | told)
    assert usage == Usage(**{"input_tokens": 100, "output_tokens": 50} | expected)


def test_embeddings_report_no_completion() -> None:
    """Prompt and total are equal there."""
    assert read_any_usage({"prompt_tokens": 8, "total_tokens": 8}) == Usage(input_tokens=8)


@given(st.decimals(0, 1_000, allow_nan=False, allow_infinity=False))
def test_a_reported_cost_is_rounded_up_to_the_picodollar(cost: Decimal) -> None:
    """Decimal all the way: the figure that was sent is charged, up by less than a picodollar."""
    wire = msgspec.json.decode(
        b'{"prompt_tokens":1,"completion_tokens":1,"cost":' + str(cost).encode() + b"}", type=UsageWire
    )
    usage = read_usage(wire)
    assert usage is not None
    assert usage.reported_cost_pusd is not None
    assert 0 <= usage.reported_cost_pusd - cost * 10**12 < 1


@pytest.mark.parametrize("cost", [-1, 1e12])
def test_a_cost_that_is_no_money_is_not_reported(cost: float) -> None:
    """A negative or absurd amount falls back to the price table."""
    usage = read_any_usage(json.loads(json.dumps({"prompt_tokens": 1, "completion_tokens": 1, "cost": cost})))
    assert usage is not None
    assert usage.reported_cost_pusd is None
