"""Keys: the order of names does not matter, everything else does."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.exact.keys import MAX_FORMS, KeyMaker, make_place

PLACE = make_place("project", "chat/completions", "openai", "gpt-4o")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(st.text(max_size=5), VALUES, max_size=5)


def key_of(body: bytes, *, ignored: frozenset[str] = frozenset()) -> bytes:
    """The key of a body at one place."""
    key = KeyMaker(ignored).make(PLACE, body)
    assert key is not None
    return key


def write(value: dict[str, Any], *, compact: bool = True) -> bytes:
    """Write a body as clients do."""
    return json.dumps(value, separators=(",", ":") if compact else None, ensure_ascii=False).encode()


@given(BODIES, st.booleans(), st.randoms())
def test_the_order_of_names_does_not_matter(body: dict[str, Any], compact: bool, chance: Any) -> None:
    """A body whose members come in another order says the same."""
    names = list(body)
    chance.shuffle(names)
    assert key_of(write(body, compact=compact)) == key_of(write({n: body[n] for n in names}, compact=compact))


@given(BODIES, BODIES)
def test_what_differs_has_another_key(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Bodies have one key only where they say the same."""
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (key_of(write(first)) == key_of(write(second))) == (same and write_sorted(first) == write_sorted(second))


def write_sorted(body: dict[str, Any]) -> bytes:
    """A body with its outer names in order."""
    return write(dict(sorted(body.items())))


@given(st.lists(st.text(max_size=3), max_size=4), st.lists(st.text(max_size=3), max_size=4))
def test_places_are_kept_apart(first: list[str], second: list[str]) -> None:
    """Names of owners and models come from outside: whatever they hold, two places have two keys."""
    assert (make_place(*first) == make_place(*second)) == (first == second)


def test_what_is_ignored_does_not_count() -> None:
    """Whether an answer is streamed changes nothing of it."""
    ignored = frozenset({"stream"})
    assert key_of(b'{"a":1,"stream":true}', ignored=ignored) == key_of(b'{"stream":false,"a":1}', ignored=ignored)
    assert key_of(b'{"a":1,"stream":true}') != key_of(b'{"a":1,"stream":false}')


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a": 1, "a": 2}',
        b'{ "a":1 ,"b":2,"a" :2}',
        b'{"\\u0061":1,"a":2}',
        b'{"a":1,"ab":2,"ab":3}',
    ],
)
def test_a_name_that_stands_twice_has_no_key(body: bytes) -> None:
    """Which of the two counts is the reader's choice, and a provider may choose otherwise."""
    assert KeyMaker().make(PLACE, body) is None


@pytest.mark.parametrize("body", [b'{ "a" : [1, {"x":1,"x":2}] }', b'{"a":1, "b":2}', b"{}", b' {"a":1}\n'])
def test_blanks_are_no_hindrance(body: bytes) -> None:
    """A body may be written with any blanks."""
    assert KeyMaker().make(PLACE, body) is not None


def test_one_place_is_not_another() -> None:
    """The same words to another model, or of another owner, are another request."""
    keys = {KeyMaker().make(make_place("a", "b"), b'{"a":1}'), KeyMaker().make(make_place("ab", ""), b'{"a":1}')}
    assert len(keys) == 2


def test_invented_names_are_not_remembered_for_ever() -> None:
    """A caller that sends other names each time fills no memory, and is served all the same."""
    maker = KeyMaker()
    keys = {maker.make(PLACE, b'{"x%d":1}' % number) for number in range(MAX_FORMS + 50)}
    assert len(keys) == MAX_FORMS + 50
    assert len(maker._forms) == MAX_FORMS
    assert maker.make(PLACE, b'{"x1073":1}') in keys
