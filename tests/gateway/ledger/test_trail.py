"""The tries of a call that failed: read as they were written, bounded."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.trail import MAX_NAME_CHARS, MAX_TRIES, Try, add_try, read_trail

_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_NAME_CHARS)
TRIES = st.lists(st.builds(Try, _NAMES, _NAMES, _NAMES, st.integers(0, 2**40)), max_size=5)


@given(tries=TRIES)
def test_tries_are_read_as_they_were_written(tries: list[Try]) -> None:
    """Whatever a model is named, line ends included."""
    trail = ""
    for tried in tries:
        trail = add_try(trail, tried)
    assert read_trail(trail) == tries


def test_a_trail_has_an_end() -> None:
    """In tries, and in the length of what a caller names."""
    trail = ""
    for _ in range(2 * MAX_TRIES):
        trail = add_try(trail, Try("openai", "m" * 10_000, "upstream_timeout", 1))
    tries = read_trail(trail)
    assert (len(tries), tries[0].model) == (MAX_TRIES, "m" * MAX_NAME_CHARS)
