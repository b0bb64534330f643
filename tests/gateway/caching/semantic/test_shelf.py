"""Stored questions are found three ways, leave in the order that they came, and never more than are allowed."""

from typing import Any

import msgspec
from caches import AT_NS

from gateway.caching.answers import Purge
from gateway.caching.semantic.shelf import Shelf
from tests.gateway.caching.semantic.test_interface import KEPT


def make(number: int, **fields: Any) -> Any:
    """A question of the project p."""
    usual = {"number": number, "entry_id": f"ce_{number}", "key": b"%d" % number}
    return msgspec.structs.replace(KEPT, **{**usual, **fields})


def test_a_question_is_found_by_number_id_and_key() -> None:
    """Until it is removed."""
    shelf = Shelf(10)
    assert shelf.add(make(1)) == []
    assert shelf.get(1) == shelf.of_id("ce_1") == shelf.of_key(b"1") == make(1)
    assert list(shelf) == [make(1)]
    assert shelf.remove([1, 2]) == [make(1)]
    assert (shelf.get(1), shelf.of_id("ce_1"), shelf.of_key(b"1"), len(shelf)) == (None, None, None, 0)


def test_a_request_has_one_question() -> None:
    """A fresh answer to the same request takes the older one's place."""
    shelf = Shelf(10)
    shelf.add(make(1))
    assert shelf.add(make(2, key=b"1")) == [1]
    assert shelf.of_key(b"1") == make(2, key=b"1")
    assert len(shelf) == 1


def test_an_older_answer_does_not_take_a_newer_ones_place() -> None:
    """Its own number is told: it is not there."""
    shelf = Shelf(10)
    newer = make(1, created_ns=AT_NS + 1)
    shelf.add(newer)
    assert shelf.add(make(2, key=b"1", created_ns=AT_NS)) == [2]
    assert (shelf.of_key(b"1"), list(shelf)) == (newer, [newer])


def test_the_project_with_most_makes_room() -> None:
    """A flood pushes out its own oldest, nobody else's."""
    shelf = Shelf(3)
    shelf.add(make(1, project_id="q"))
    shelf.add(make(2))
    shelf.add(make(3))
    assert shelf.add(make(4)) == [2]
    assert [kept.number for kept in shelf] == [1, 3, 4]


def test_what_a_purge_covers_is_found() -> None:
    """Of its project only."""
    shelf = Shelf(10)
    for kept in (make(1), make(2, tags=("a",)), make(3, project_id="q", tags=("a",))):
        shelf.add(kept)
    assert [kept.number for kept in shelf.find(Purge(project_id="p"))] == [1, 2]
    assert [kept.number for kept in shelf.find(Purge(project_id="p", tag="a"))] == [2]
    assert shelf.find(Purge(project_id="r")) == []


def test_what_is_too_old_is_found() -> None:
    """At its very moment."""
    shelf = Shelf(10)
    shelf.add(make(1, expires_ns=AT_NS))
    shelf.add(make(2, expires_ns=AT_NS + 1))
    assert [kept.number for kept in shelf.find_expired(AT_NS)] == [1]
