"""What each generation of Claude accepts."""

import pytest

from providers.anthropic.models import MODELS, Sampling, Thinking, find_model


@pytest.mark.parametrize(
    ("name", "most", "thinking", "sampling", "is_structured"),
    [
        ("claude-3-haiku-20240307", 4_096, Thinking.NONE, Sampling.FREE, False),
        ("claude-3-5-sonnet-20241022", 8_192, Thinking.NONE, Sampling.FREE, False),
        ("claude-3-7-sonnet-20250219", 64_000, Thinking.BUDGET, Sampling.FREE, False),
        ("claude-sonnet-4-20250514", 64_000, Thinking.BUDGET, Sampling.FREE, False),
        ("claude-opus-4-0", 32_000, Thinking.BUDGET, Sampling.FREE, False),
        ("claude-opus-4-1-20250805", 32_000, Thinking.BUDGET, Sampling.ONE, False),
        ("claude-sonnet-4-5", 64_000, Thinking.BUDGET, Sampling.ONE, True),
        ("claude-haiku-4-5-20251001", 64_000, Thinking.BUDGET, Sampling.ONE, True),
        ("claude-opus-4-6", 128_000, Thinking.ASKED, Sampling.ONE, True),
        ("claude-opus-4-8", 128_000, Thinking.ASKED, Sampling.FIXED, True),
        ("claude-sonnet-5", 128_000, Thinking.DEFAULT, Sampling.FIXED, True),
        ("claude-opus-5", 128_000, Thinking.DEFAULT, Sampling.FIXED, True),
        ("claude-opus-5-5", 128_000, Thinking.ALWAYS, Sampling.FIXED, True),
        ("claude-fable-5-1", 128_000, Thinking.ALWAYS, Sampling.FIXED, True),
    ],
)
def test_a_known_model_has_its_row(
    name: str, most: int, thinking: Thinking, sampling: Sampling, is_structured: bool
) -> None:
    """The rows say what Anthropic's documents say."""
    model = find_model(name)
    assert (model.max_output_tokens, model.thinking, model.sampling) == (most, thinking, sampling)
    assert model.structured is is_structured


def test_a_vendors_prefix_is_skipped() -> None:
    """Other platforms put their own words before the name."""
    assert find_model("us.anthropic.claude-opus-4-6") is find_model("claude-opus-4-6")


@pytest.mark.parametrize("name", ["claude-opus-9", "this-model-does-not-exist", ""])
def test_an_unknown_model_gets_4096_tokens(name: str) -> None:
    """Every model accepts that many."""
    assert find_model(name).max_output_tokens == 4_096


def test_no_row_hides_another() -> None:
    """The first prefix that fits wins, so a longer one must stand before its beginning."""
    prefixes = [prefix for prefix, _ in MODELS]
    hidden = [(a, b) for at, a in enumerate(prefixes) for b in prefixes[at + 1 :] if b.startswith(a)]
    assert hidden == []
