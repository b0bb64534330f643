"""Room 3: the caller's words about the cache."""

from typing import get_args

import pytest
from fakes import make_inbound
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Fault
from gateway.pipeline.flow import CacheWish
from gateway.pipeline.lookup import WISHES, find, read_wish


@pytest.mark.parametrize("word", ["off", "read", "write", "refresh", "only"])
def test_each_documented_word_is_a_wish(word: str) -> None:
    """As interface.md lists them."""
    assert read_wish(word.encode()) == word


def test_words_are_read_without_case_and_blanks() -> None:
    """Header values are sent as people type them."""
    assert read_wish(b"  OnLy ") == "only"


def test_an_empty_header_is_none() -> None:
    """A client that clears it means the default."""
    assert read_wish(b"") == "default"


def test_every_wish_has_a_word() -> None:
    """The type and the table name the same wishes."""
    assert set(WISHES.values()) == set(get_args(CacheWish))


@given(st.binary(max_size=2_000))
def test_any_other_word_is_refused_with_the_ones_that_exist(value: bytes) -> None:
    """The message is bounded and names what to send."""
    if value.strip().lower() in WISHES:
        return
    with pytest.raises(Fault) as refused:
        read_wish(value)
    fault = refused.value
    assert (fault.status, fault.param) == (400, "x-watchllm-cache")
    assert "off, read, write, refresh, only" in fault.message
    assert len(fault.message) < 350


def test_only_asks_for_a_stored_answer_and_there_is_none() -> None:
    """504 cache_miss, and asking again will not help."""
    with pytest.raises(Fault) as missed:
        find(make_inbound(cache="only"))
    assert (missed.value.status, missed.value.code, missed.value.should_retry) == (504, "cache_miss", False)


@pytest.mark.parametrize("wish", ["default", "off", "read", "write", "refresh"])
def test_every_other_wish_lets_the_call_go_on(wish: str) -> None:
    """Nothing is stored yet, so the provider is asked."""
    find(make_inbound(cache=wish))
