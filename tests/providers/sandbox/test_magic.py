"""The sandbox's magic prompts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.sandbox.magic import ERRORS, MAGIC_PROMPTS, MagicPrompt, UnknownPrompt, read_behaviour


@pytest.mark.parametrize("prompt", MAGIC_PROMPTS, ids=lambda prompt: prompt.name)
def test_every_documented_example_is_understood(prompt: MagicPrompt) -> None:
    """The table is the documentation: each example is read whole and asks for something."""
    behaviour = read_behaviour(prompt.example)
    assert behaviour.text == ""
    assert behaviour != read_behaviour("")


@pytest.mark.parametrize("status", ERRORS)
def test_every_error_status_can_be_asked_for(status: int) -> None:
    """sandbox:error:STATUS takes every class of error."""
    assert read_behaviour(f"sandbox:error:{status}").error_status == status


@pytest.mark.parametrize(
    ("prompt", "field", "most"),
    [("delay:99999999", "delay_ms", 60_000), ("gap:60001", "gap_ms", 60_000), ("tokens:99999", "tokens", 10_000)],
)
def test_numbers_are_capped(prompt: str, field: str, most: int) -> None:
    """What is asked for is bounded."""
    assert getattr(read_behaviour("sandbox:" + prompt), field) == most


def test_words_combine_and_leave_the_text() -> None:
    """Several words may begin a text; the rest is the text."""
    behaviour = read_behaviour(" sandbox:delay:50 sandbox:tokens:9\nsandbox:reasoning Hello  there")
    assert (behaviour.delay_ms, behaviour.tokens, behaviour.flags) == (50, 9, {"reasoning"})
    assert behaviour.text == "Hello  there"


@pytest.mark.parametrize("text", ["", "Hello sandbox:error:429", "sandbox: a box of sand", "Sandbox:error:429"])
def test_other_texts_are_only_text(text: str) -> None:
    """Magic words stand at the beginning, in lower case, with a name."""
    assert read_behaviour(text) == read_behaviour("") or read_behaviour(text).text == text


@pytest.mark.parametrize(
    "word",
    ["error:418", "error", "delay:soon", "delay:-1", "delay:²", "tokens:", "tool:", "tool", "x", "usage", "json:1"],
)
def test_an_unknown_word_names_the_known(word: str) -> None:
    """A slip is told, with the list of what exists, rather than echoed."""
    with pytest.raises(UnknownPrompt, match=r"sandbox:tool:NAME.*429"):
        read_behaviour("sandbox:" + word)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text breaks the reader."""
    for start in ("", "sandbox:"):
        try:
            assert len(read_behaviour(start + text).text) <= len(start + text)
        except UnknownPrompt as error:
            assert len(str(error)) < 1_000
