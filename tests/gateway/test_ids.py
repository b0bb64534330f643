"""Identifiers: they sort by time, are unique, and are read back in every spelling."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ids import ALPHABET, IdSource, new_id, parse_id, to_uuid

TIMES_NS = st.integers(min_value=0, max_value=2**63 - 1)
SPELLINGS = ("{}", "dep_{}", "dep-{}", "proj_{}", "log_{}")


@given(TIMES_NS)
def test_an_id_is_a_uuid_of_version_7(now_ns: int) -> None:
    """RFC 9562: version 7, variant 10, and the first 48 bits are the millisecond."""
    made = uuid.UUID(to_uuid(new_id(now_ns)))
    assert (made.version, made.variant, made.int >> 80) == (7, uuid.RFC_4122, now_ns // 1_000_000)


@given(TIMES_NS, TIMES_NS)
def test_ids_sort_as_their_milliseconds_do(first_ns: int, second_ns: int) -> None:
    """The text's order is the time's order, for all that is a millisecond apart."""
    early, late = sorted((first_ns, second_ns))
    if late // 1_000_000 > early // 1_000_000:
        assert new_id(early) < new_id(late)


def test_an_id_has_26_characters_of_the_alphabet() -> None:
    """Ids are of one width, without letters that are misread."""
    made = new_id(1_790_000_000_000_000_000)
    assert len(made) == 26
    assert set(made) <= set(ALPHABET)


def test_ids_of_one_moment_differ() -> None:
    """74 random bits part what begins in the same millisecond."""
    assert len({new_id(0) for _ in range(10_000)}) == 10_000


def test_a_source_of_ids_gives_each_once() -> None:
    """What was drawn for one id is never used for another, also where the pool is filled again."""
    source = IdSource()
    made = [source.new(0) for _ in range(1_000)]
    assert len(set(made)) == 1_000
    assert {uuid.UUID(to_uuid(one)).version for one in made} == {7}


def test_every_random_bit_is_used() -> None:
    """All 74 bits that the version and the variant leave are drawn."""
    values = [int(to_uuid(new_id(0)).replace("-", ""), 16) for _ in range(200)]
    union, common = 0, (1 << 128) - 1
    for value in values:
        union |= value
        common &= value
    assert (union & ~common).bit_count() == 74


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(now_ns=TIMES_NS)
def test_every_spelling_names_the_same_object(spelling: str, now_ns: int) -> None:
    """dep_X, dep-X and X are one id (row C4), whatever the case."""
    made = new_id(now_ns)
    assert parse_id(spelling.format(made)) == parse_id(spelling.format(made).upper()) == made


@given(st.uuids())
def test_a_bare_uuid_is_read_and_written_back(given_id: uuid.UUID) -> None:
    """The surface that writes UUIDs names the same objects."""
    assert to_uuid(parse_id(str(given_id))) == str(given_id)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "proj_",
        "proj_default",
        "8" + "0" * 25,
        "0" * 25,
        "0" * 27,
        "proj__" + "0" * 26,
        "0" * 25 + "u",
        "0" * 26 + "\n",
        "é" * 26,
    ],
)
def test_what_is_no_id_is_refused_by_its_text(text: str) -> None:
    """The message shows what was given."""
    with pytest.raises(ValueError, match="is not an id") as caught:
        parse_id(text)
    assert repr(text[:64]) in str(caught.value)
