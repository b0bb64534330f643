"""When a target is asked again: waits that grow, are spread and have a bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.retries import backoff_ms, find_wait_ms
from gateway.config.settings import Retries
from providers.errors import Unreachable


@given(
    st.integers(1, 20),
    st.integers(1, 10_000),
    st.integers(1, 10_000),
    st.floats(0, 1, exclude_max=True, allow_subnormal=False),
)
def test_a_wait_is_half_to_all_of_its_bound(attempt: int, base_ms: int, most_ms: int, share: float) -> None:
    """Doubling with each attempt, never above the longest, never so short that a crowd comes back together."""
    longest = min(base_ms * 2 ** (attempt - 1), most_ms)
    retries = Retries(base_backoff_ms=base_ms, max_backoff_ms=most_ms)
    assert longest / 2 <= backoff_ms(attempt, retries, lambda: share) <= longest


@pytest.mark.parametrize(
    ("is_likely_unread", "is_charged", "wait_ms"), [(True, False, 0), (True, True, None), (False, False, None)]
)
def test_what_may_have_been_made_is_sent_again_only_where_it_likely_was_not(
    is_likely_unread: bool, is_charged: bool, wait_ms: int | None
) -> None:
    """And then at once; where money governs the call a likelihood is too little."""
    error = Unreachable("reset", sent=True)
    error.is_likely_unread = is_likely_unread
    assert find_wait_ms(error, 1, 0, Retries(), lambda: 0.5, is_charged=is_charged) == wait_ms
