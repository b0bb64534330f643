"""Room 7: what the provider reports wins; what it does not report is counted, and marked."""

from typing import cast

import msgspec
import pytest
from fakes import FakeBackend, FakeTokenizers, make_call, make_services, make_target
from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline.meter import Produced, believe_whole, estimate_pusd, guess, measure
from providers.chat import Answer, Usage

REPORTED = Usage(input_tokens=15, output_tokens=10)


async def test_a_reported_usage_is_the_usage() -> None:
    """Nothing is counted where the provider counted."""
    services = make_services()
    cast("FakeTokenizers", services.tokenizers).failure = AssertionError("counted all the same")
    assert await measure(make_call(), "m", Produced(reported=REPORTED, text="Hello"), services) == REPORTED


async def test_without_a_report_prompt_and_text_are_counted() -> None:
    """The figures are an estimate, and say so."""
    usage = await measure(make_call(), "m", Produced(reported=None, text="Hello"), make_services())
    assert usage == Usage(input_tokens=1_000, output_tokens=5, estimated=True)


async def test_a_report_that_contradicts_itself_but_counts_is_kept() -> None:
    """A dialect has clamped it; it is marked as anomalous already."""
    odd = Usage(input_tokens=15, output_tokens=2, anomalous=True)
    assert await measure(make_call(), "m", Produced(reported=odd, text="Hello"), make_services()) == odd


async def test_an_anomalous_report_of_nothing_is_replaced() -> None:
    """No call uses no tokens; the estimate keeps the mark."""
    usage = await measure(make_call(), "m", Produced(reported=Usage(anomalous=True), text="Hello"), make_services())
    assert usage == Usage(input_tokens=1_000, output_tokens=5, estimated=True, anomalous=True)


async def test_a_report_of_nothing_without_contradiction_is_believed() -> None:
    """A provider may charge nothing."""
    assert await measure(make_call(), "m", Produced(reported=Usage()), make_services()) == Usage()


async def test_what_is_reported_without_its_output_keeps_the_input() -> None:
    """Anthropic reports the input at the beginning, some servers never more; only the output is counted."""
    begun = Usage(input_tokens=15, cache_read_tokens=7)
    usage = await measure(make_call(), "m", Produced(reported=begun, text="Hello"), make_services())
    assert usage == Usage(input_tokens=15, cache_read_tokens=7, output_tokens=5, estimated=True)


async def test_a_partial_answer_that_said_nothing_is_as_reported() -> None:
    """There is no output to count."""
    begun = Usage(input_tokens=15)
    assert await measure(make_call(), "m", Produced(reported=begun), make_services()) == begun


async def test_a_partial_answer_with_reported_output_is_as_reported() -> None:
    """The provider counted to where it broke."""
    produced = Produced(reported=REPORTED, text="Hello")
    assert await measure(make_call(), "m", produced, make_services()) == REPORTED


def test_a_whole_answer_is_believed_where_nothing_is_left_to_be_counted() -> None:
    """A dialect gives the text of what has to be."""
    assert believe_whole(Answer(body=b"{}", usage=REPORTED)) == REPORTED
    assert believe_whole(Answer(body=b"{}", usage=REPORTED, text="Hello")) is None
    assert believe_whole(Answer(body=b"{}", usage=Usage(anomalous=True))) is None


async def test_embeddings_have_no_output() -> None:
    """Whatever text there is, it is not generated."""
    call = make_call(endpoint="embeddings")
    usage = await measure(call, "m", Produced(reported=None, text="Hello"), make_services())
    assert (usage.output_tokens, usage.input_tokens) == (0, 1_000)


@pytest.mark.parametrize("reported", [None, Usage(input_tokens=3)])
async def test_the_echo_of_a_prompt_is_no_output(reported: Usage | None) -> None:
    """A completion that may write nothing says what it was sent."""
    call = msgspec.structs.replace(make_call(endpoint="completions"), max_tokens=0)
    usage = await measure(call, "m", Produced(reported=reported, text="Hello"), make_services())
    assert (usage.output_tokens, usage.input_tokens) == (0, 1_000 if reported is None else 3)


@given(st.text(max_size=200), st.integers(1, 500))
def test_a_guess_is_flagged_and_never_nothing_for_something(text: str, size: int) -> None:
    """Four bytes a token, rounded up."""
    usage = guess(make_call(body=b"x" * size), text)
    assert usage.estimated
    assert 4 * usage.input_tokens >= size > 4 * (usage.input_tokens - 1)
    assert (usage.output_tokens > 0) == bool(text)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 100}, 10 * 1_000_000 + 100 * 2_000_000),
        ({"max_tokens": 100, "n": 3}, 10 * 1_000_000 + 300 * 2_000_000),
        ({}, 10 * 1_000_000 + 10 * 2_000_000),
    ],
)
async def test_an_estimate_is_the_bodys_length_and_the_longest_reply(fields: dict[str, int], expected: int) -> None:
    """Forty bytes at 1 USD a million and the reply at 2; without a limit it is as long as the input."""
    call = make_call(body=b"x" * 40, **fields)
    assert estimate_pusd(call, make_target(FakeBackend()), make_services()) == expected


async def test_a_model_without_a_price_has_no_estimate() -> None:
    """Unknown is None, never 0."""
    assert estimate_pusd(make_call(), make_target(FakeBackend(), model="unknown"), make_services()) is None


async def test_what_is_free_is_estimated_at_nothing() -> None:
    """The sandbox and the local model cost nothing, and that is known."""
    assert estimate_pusd(make_call(), make_target(FakeBackend(is_free=True), model="unknown"), make_services()) == 0
