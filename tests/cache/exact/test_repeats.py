"""Requests that come again byte for byte: remembered for their owner, within bounds."""

from hypothesis import given
from hypothesis import strategies as st

from cache.exact.repeats import Repeats


def test_what_was_read_is_found_again_by_the_same_bytes() -> None:
    """By its owner alone: others are told nothing by the clock."""
    repeats: Repeats[str] = Repeats()
    repeats.keep("ann", b"{}", "read")
    found = repeats.find(("ann", b"{}"))
    assert found is not None and found.call == "read"
    assert repeats.find(("bob", b"{}")) is repeats.find(("ann", b"{ }")) is None


def test_a_request_is_remembered_once() -> None:
    """With the keys that were noted since."""
    repeats: Repeats[str] = Repeats()
    repeats.keep("ann", b"{}", "read")
    found = repeats.find(("ann", b"{}"))
    assert found is not None
    found.note(b"place", b"key")
    repeats.keep("ann", b"{}", "again")
    assert repeats.find(("ann", b"{}")) is found
    assert (found.call, found.keys, repeats.size, len(repeats)) == ("read", {b"place": b"key"}, 2, 1)


def test_a_long_one_is_not_remembered() -> None:
    """To look for it would cost more than it saves."""
    repeats: Repeats[str] = Repeats(max_body_bytes=4)
    repeats.keep("ann", b"12345", "read")
    assert (len(repeats), repeats.size) == (0, 0)


def test_places_are_bounded() -> None:
    """However often a route changes."""
    repeats: Repeats[str] = Repeats()
    repeats.keep("ann", b"{}", "read")
    found = repeats.find(("ann", b"{}"))
    assert found is not None
    for number in range(100):
        found.note(b"%d" % number, b"key")
    assert len(found.keys) == 8


@given(st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=12)), max_size=40))
def test_it_takes_no_more_than_its_bytes_and_keeps_the_latest(requests: list[tuple[str, bytes]]) -> None:
    """What was remembered first goes first, and the sum is that of what is there."""
    repeats: Repeats[int] = Repeats(max_bytes=30, max_body_bytes=10)
    expected: dict[tuple[str, bytes], int] = {}
    for number, (owner, body) in enumerate(requests):
        repeats.keep(owner, body, number)
        if len(body) <= 10:
            expected.setdefault((owner, body), number)
        while sum(len(known) for _, known in expected) > 30:
            del expected[next(iter(expected))]
    assert repeats.size == sum(len(body) for _, body in expected) <= 30
    assert {key: found.call for key in expected if (found := repeats.find(key))} == expected
    assert len(repeats) == len(expected)
    repeats.clear()
    assert (len(repeats), repeats.size, any(map(repeats.find, expected))) == (0, 0, False)
