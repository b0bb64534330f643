"""Tags: which words a call carries."""

import pytest

from gateway.ledger.figures.tags import join_tags, split_tags


@pytest.mark.parametrize(
    ("text", "tags"), [("", []), (" a , b,a,,", ["a", "b"]), ("one word", ["one word"]), (",", [])]
)
def test_tags_are_the_words_between_commas(text: str, tags: list[str]) -> None:
    """Each once, in their order, none empty."""
    assert split_tags(text) == tags


def test_a_keys_tags_come_first_and_once() -> None:
    """Without any of the key's own the text stays as it was sent."""
    assert join_tags((), " a , b") == " a , b"
    assert join_tags(("k", "a"), "a,b") == "k,a,b"
