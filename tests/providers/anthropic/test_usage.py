"""What Anthropic says a call used."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.anthropic.usage import Figures, read_figures, replace_figures, to_openai, to_usage
from providers.chat import UNUSABLE, Usage


def figures(**reported: Any) -> Figures:
    """Read figures that were reported."""
    read = read_figures(msgspec.Raw(json.dumps(reported).encode()))
    assert read is not None
    return read


def usage(**reported: Any) -> Usage:
    """Read a usage that was reported."""
    return to_usage(figures(**reported))


FULL = {
    "input_tokens": 4,
    "cache_read_input_tokens": 200,
    "cache_creation_input_tokens": 30,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    "output_tokens": 90,
    "output_tokens_details": {"thinking_tokens": 50},
    "service_tier": "priority",
    "server_tool_use": {"web_search_requests": 2},
}


def test_every_figure_has_its_bucket() -> None:
    """The buckets are disjoint; thinking alone is a share of the output."""
    assert usage(**FULL) == Usage(
        input_tokens=4,
        cache_read_tokens=200,
        cache_write_tokens=10,
        cache_write_1h_tokens=20,
        output_tokens=90,
        reasoning_tokens=50,
        service_tier="priority",
        # The searches, which are billed beside the tokens.
        anomalous=True,
    )


@pytest.mark.parametrize(
    ("served", "is_odd"),
    [
        ({"web_search_requests": 2}, True),
        ({"web_search_requests": 0, "web_fetch_requests": 3}, False),
        ({"web_search_requests": None}, False),
        (5, False),
    ],
)
def test_searches_are_billed_beside_the_tokens(served: Any, is_odd: bool) -> None:
    """No price has them, so the row says that it is not all; fetched pages cost their tokens alone."""
    found = figures(**FULL | {"server_tool_use": served})
    assert to_usage(found).anomalous is is_odd
    later = replace_figures(found, figures(output_tokens=100))
    assert to_usage(later).anomalous is is_odd


def test_openais_words_include_the_cache() -> None:
    """prompt_tokens include what the cache read and wrote, as OpenAI's do."""
    read = figures(**FULL)
    assert json.loads(msgspec.json.encode(to_openai(to_usage(read), read))) == {
        "prompt_tokens": 234,
        "completion_tokens": 90,
        "total_tokens": 324,
        "prompt_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 30, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 50},
        "cache_read_input_tokens": 200,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "server_tool_use": {"web_search_requests": 2},
    }


@pytest.mark.parametrize(
    ("reported", "short", "long", "is_odd"),
    [
        ({"cache_creation_input_tokens": 30}, 30, 0, False),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}}, 10, 20, False),
        # The total of a stream is told again at its end, the split is not.
        (
            {
                "cache_creation_input_tokens": 35,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            },
            15,
            20,
            False,
        ),
        ({"cache_creation_input_tokens": 15, "cache_creation": {"ephemeral_1h_input_tokens": 20}}, 0, 15, True),
        ({"cache_creation_input_tokens": 15, "cache_creation": None}, 15, 0, False),
        ({"cache_creation_input_tokens": 15, "cache_creation": "odd"}, 15, 0, False),
    ],
)
def test_cache_writes_are_split_by_lifetime(reported: Any, short: int, long: int, is_odd: bool) -> None:
    """The hour's writes cost more; what is not told apart counts as five minutes'."""
    read = usage(input_tokens=1, output_tokens=1, **reported)
    assert (read.cache_write_tokens, read.cache_write_1h_tokens, read.anomalous) == (short, long, is_odd)


@pytest.mark.parametrize(
    ("value", "counted"),
    [(-5, 0), (2.0, 2), (2.2, 3), ("7", 7), ("x", 0), (True, 0), ([], 0), (10**9, 10**9)],
)
def test_a_figure_that_is_none_is_clamped_and_marked(value: Any, counted: int) -> None:
    """Never negative, never a float, and the row says that something was odd."""
    read = usage(input_tokens=value, output_tokens=1)
    assert read.input_tokens == counted
    assert read.anomalous or value in (2.0, "7", 10**9)


@pytest.mark.parametrize("value", [10**9 + 1, 1e13, 2**53 - 1, 2**63, 1e300, 10**400])
@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", "cache_read_input_tokens"])
def test_beside_a_figure_that_no_call_can_have_nothing_is_believed(name: str, value: Any) -> None:
    """The meter counts instead: clamped, it would be charged as if it had been so."""
    assert usage(**{"input_tokens": 10, "output_tokens": 5, name: value}) == UNUSABLE
    begun = figures(input_tokens=10)
    assert to_usage(replace_figures(begun, figures(**{name: value}))) == UNUSABLE
    assert (
        to_usage(replace_figures(replace_figures(begun, figures(**{name: value})), figures(output_tokens=5)))
        == UNUSABLE
    )


@pytest.mark.parametrize("reported", [{"output_tokens": 3}, {"input_tokens": None, "output_tokens": 3}])
def test_missing_input_is_an_anomaly(reported: Any) -> None:
    """Anthropic always counts the input."""
    assert usage(**reported) == Usage(output_tokens=3, anomalous=True)


@pytest.mark.parametrize("reported", [{"input_tokens": 3}, {"input_tokens": 3, "output_tokens": None}])
def test_missing_output_is_still_to_be_estimated(reported: Any) -> None:
    """The input is the provider's own, the output must not be billed as nothing."""
    assert usage(**reported) == Usage(input_tokens=3, estimated=True)


def test_more_thinking_than_output_is_clamped_and_marked() -> None:
    """Thinking is a share of the output."""
    read = usage(input_tokens=1, output_tokens=5, output_tokens_details={"thinking_tokens": 9})
    assert (read.reasoning_tokens, read.anomalous) == (5, True)


def test_compaction_is_marked() -> None:
    """Its tokens are billed and stand in none of the figures."""
    assert usage(input_tokens=1, output_tokens=1, iterations=[{"type": "compaction", "input_tokens": 9}]).anomalous


def test_fast_mode_is_a_tier() -> None:
    """It has a price of its own."""
    assert usage(input_tokens=1, output_tokens=1, speed="fast", service_tier="standard").service_tier == "fast"


@pytest.mark.parametrize("raw", [b"", b"null", b"7", b"[]", b'"x"', b"{"])
def test_no_object_is_no_usage(raw: bytes) -> None:
    """Then the gateway counts by itself."""
    assert read_figures(msgspec.Raw(raw)) is None


def test_later_figures_replace_earlier_ones() -> None:
    """They are cumulative: adding them would double the bill. What the later one leaves out stays."""
    both = replace_figures(
        figures(input_tokens=25, cache_read_input_tokens=7), figures(input_tokens=30, output_tokens=9)
    )
    assert to_usage(both) == Usage(input_tokens=30, cache_read_tokens=7, output_tokens=9)


def test_a_cumulative_figure_that_shrinks_is_an_anomaly() -> None:
    """The later one holds, and the row is marked."""
    both = replace_figures(figures(input_tokens=25), figures(input_tokens=3, output_tokens=9))
    assert to_usage(both) == Usage(input_tokens=3, output_tokens=9, anomalous=True)


def test_a_later_event_that_counts_no_input_takes_none_away() -> None:
    """It has not counted it, and the row is marked."""
    begun = figures(input_tokens=50, cache_read_input_tokens=20)
    both = replace_figures(begun, figures(input_tokens=0, cache_read_input_tokens=0, output_tokens=9))
    assert to_usage(both) == Usage(input_tokens=50, cache_read_tokens=20, output_tokens=9, anomalous=True)


ODD = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3) | st.booleans()


@given(st.dictionaries(st.sampled_from(sorted(FULL)), ODD | st.dictionaries(st.text(max_size=3), ODD)))
def test_whatever_is_reported_no_bucket_is_negative(reported: dict[str, Any]) -> None:
    """Money is made of these numbers."""
    read = usage(**reported)
    counts = [value for name in Usage.__struct_fields__ if name.endswith("_tokens") and (value := getattr(read, name))]
    assert all(isinstance(count, int) and count > 0 for count in counts)
    assert read.reasoning_tokens <= read.output_tokens
