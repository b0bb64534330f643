"""When a target is asked again: waits that grow, are spread and have a bound."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.retries import backoff_ms
from gateway.config.settings import Retries


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
