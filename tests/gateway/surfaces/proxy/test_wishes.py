"""The caller's words about the cache."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.keys import KeyCache
from gateway.caching.policy import Allowed
from gateway.errors import Fault
from gateway.pipeline.flow import CacheWish
from gateway.surfaces.proxy.wishes import WISHES, read_allowed, read_control, read_ttl, read_wish


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


@pytest.mark.parametrize(
    ("value", "wish", "then", "max_age_s"),
    [
        (b"no-store", "default", "off", None),
        (b"No-Store, max-age=0", "only", "off", None),
        (b"no-cache", "default", "refresh", None),
        (b"max-age=0, no-cache", "default", "refresh", None),
        (b"max-age=0", "default", "refresh", None),
        (b"Max-Age=00", "default", "refresh", None),
        (b"max-age=0", "read", "read", 0),
        (b"no-cache", "only", "only", None),
        (b"max-age=60", "default", "default", 60),
        (b'max-age="60", max-age=5', "only", "only", 5),
        (b"max-age=0999999999999, max-stale=5", "default", "default", None),
        (b"max-age=-1", "default", "default", None),
        (b"max-age=soon, max-age", "default", "default", None),
        (b"only-if-cached", "default", "only", None),
        (b"only-if-cached, max-age=0, no-cache", "default", "only", 0),
        (b"only-if-cached", "read", "only", None),
        (b"only-if-cached", "off", "off", None),
        (b"only-if-cached", "refresh", "refresh", None),
        (b"", "read", "read", None),
    ],
)
def test_cache_control_is_honoured(value: bytes, wish: CacheWish, then: CacheWish, max_age_s: int | None) -> None:
    """HTTP's own words, where the caller's own of the same request do not say otherwise."""
    assert read_control(value, wish) == (then, max_age_s)


@given(st.binary(max_size=100))
def test_any_time_to_live_is_seconds_or_refused(value: bytes) -> None:
    """Nothing else gets through, and the refusal names the header."""
    try:
        ttl_s = read_ttl(value)
    except Fault as fault:
        assert (fault.status, fault.param) == (400, "x-watchllm-cache-ttl")
    else:
        assert 1 <= ttl_s <= 31_536_000
        assert str(ttl_s) == value.decode().strip().lstrip("0")


def test_the_strictest_of_call_and_key_holds() -> None:
    """Neither loosens what the other allows."""
    key = KeyCache(max_wrong_rate=0.02)
    assert read_allowed({}, key) == Allowed(max_wrong_rate=0.02)
    for said, then in ((b"0.5", 0.02), (b"0.01", 0.01)):
        assert read_allowed({b"x-watchllm-max-wrong-rate": said}, key) == Allowed(max_wrong_rate=then)
    both = read_allowed({b"x-watchllm-max-wrong-hit-rate": b"0.1"}, key)
    assert both == Allowed(max_wrong_rate=0.02, max_wrong_hit_rate=0.1)
