"""What was said is kept up to a bound, and counted beyond it."""

from hypothesis import given
from hypothesis import strategies as st

from providers.delivered import MAX_KEPT_CHARS, Delivered


@given(st.lists(st.lists(st.text(max_size=5), max_size=5), max_size=20))
def test_what_was_said_is_the_text(said: list[list[str]]) -> None:
    """Under the bound nothing is lost."""
    delivered = Delivered()
    for pieces in said:
        delivered.add(pieces)
    assert delivered.text() == "".join(piece for pieces in said for piece in pieces)
    assert delivered.unkept_chars == 0


@given(st.lists(st.text(max_size=40)))
def test_one_text_is_noted_as_a_list_of_one_is(said: list[str]) -> None:
    """Also where texts and pieces are many, and beyond the bound."""
    alone, listed = Delivered(), Delivered()
    for text in said:
        for _ in range(400):
            alone.say(text * 50)
            listed.add([text * 50])
            assert (alone.chars, alone.unkept_chars, alone.has_any) == (listed.chars, listed.unkept_chars, True)
    assert alone.text() == listed.text()


def test_many_small_pieces_are_joined() -> None:
    """Their text stays whole."""
    delivered = Delivered()
    for _ in range(5_000):
        delivered.add(["ab"])
    assert delivered.text() == "ab" * 5_000


def test_beyond_the_bound_only_the_length_grows() -> None:
    """No character is forgotten in the count."""
    delivered = Delivered()
    for _ in range(20):
        delivered.add(["x" * 100_000])
    assert len(delivered.text()) == MAX_KEPT_CHARS
    assert len(delivered.text()) + delivered.unkept_chars == 2_000_000


def test_nothing_is_nothing() -> None:
    """A chunk that says nothing is not said; an empty text is."""
    delivered = Delivered()
    delivered.add([])
    assert (delivered.has_any, delivered.chars) == (False, 0)
    delivered.add([""])
    assert (delivered.has_any, delivered.chars) == (True, 0)
