"""What the sandbox model says."""

from hypothesis import given
from hypothesis import strategies as st

from providers.sandbox.speech import (
    Speech,
    ToolCall,
    count_speech,
    echo,
    estimate_prompt,
    fill,
    halve,
    limit,
    phrase,
    stop_at,
    tokenize,
)

TOKENS = st.lists(st.text(alphabet="ab ", min_size=1, max_size=4), max_size=8).map(tuple)
CALLS = st.lists(
    st.builds(ToolCall, id=st.just("c"), name=st.sampled_from(["f", "get_weather"]), arguments=TOKENS), max_size=3
).map(tuple)
SPEECHES = st.builds(Speech, reasoning=TOKENS, content=TOKENS, refusal=TOKENS, calls=CALLS)


@given(st.text(max_size=200))
def test_tokens_joined_are_the_text(text: str) -> None:
    """Nothing is lost or added by cutting."""
    tokens = tokenize(text)
    assert "".join(tokens) == text
    assert all(tokens)


@given(SPEECHES, st.integers(min_value=0, max_value=60))
def test_a_limit_is_kept_and_says_so(speech: Speech, most: int) -> None:
    """Never more than the limit, unchanged below it, and the reason only where something was cut."""
    kept = limit(speech, most)
    assert count_speech(kept) <= most
    assert (kept == speech) == (count_speech(speech) <= most)
    assert kept == speech or kept.finish_reason == "length"


@given(st.integers(min_value=0, max_value=500))
def test_a_filling_has_exactly_its_tokens(count: int) -> None:
    """tokens:N is N, also when its text is cut again."""
    assert len(fill(count)) == len(tokenize("".join(fill(count)))) == count


@given(st.text(alphabet="abc ", max_size=40), st.lists(st.text(alphabet="abc", max_size=2), max_size=3))
def test_a_content_ends_before_the_first_stop(text: str, stops: list[str]) -> None:
    """No stop sequence is ever said, and what is said begins the text."""
    said = "".join(stop_at(Speech(content=tokenize(text)), stops).content)
    assert text.startswith(said)
    assert not any(stop in said for stop in stops if stop)


def test_half_a_speech_has_its_reason() -> None:
    """A cut by the filter is told from one by length."""
    half = halve(Speech(content=fill(10)), "content_filter")
    assert (len(half.content), half.finish_reason) == (5, "content_filter")


def test_a_phrase_repeats_the_prompt_and_differs_by_choice() -> None:
    """The caller recognises the prompt; two choices are two texts."""
    assert 'You said: "Hi there".' in phrase("Hi\n there", 0)
    assert len({phrase("Hi", index) for index in range(3)}) == 3


def test_a_long_prompt_is_quoted_in_part() -> None:
    """Ten megabytes are not repeated."""
    assert len(phrase("word " * 2_000_000, 0)) < 400


def test_a_prompt_is_a_token_for_four_characters() -> None:
    """Cheap, and never less than one for a text."""
    assert estimate_prompt(["", "a", "abcd", "abcde"]) == 0 + 1 + 1 + 2


def test_an_echo_stands_before_what_is_said() -> None:
    """Nothing else of it changes."""
    echoed = echo(Speech(content=tokenize("there"), finish_reason="length"), "Hello ")
    assert ("".join(echoed.content), echoed.finish_reason) == ("Hello there", "length")
