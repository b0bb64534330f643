"""Whether a target is asked again after a failure, and after how long."""

from collections.abc import Callable

from gateway.config.settings import Retries
from providers.errors import ProviderError, Refused, TimedOut, Unreachable

# A Retry-After may be shorter than our own wait, but a crowd that obeys it to the millisecond comes back as a crowd.
RETRY_AFTER_SPREAD = 10


def find_wait_ms(  # noqa: PLR0913 - all of it decides
    error: ProviderError,
    attempts: int,
    elapsed_ms: float,
    retries: Retries,
    uniform: Callable[[], float],
    *,
    is_charged: bool,
) -> float | None:
    """Milliseconds until the next try of the same target, None for no further try.

    ``is_charged``: under a budget or a cap it counts as billed, so it is not sent again for a likelihood.
    """
    if not error.retryable or attempts >= retries.max_tries:
        return None
    if error.was_made:
        # It would be paid twice.
        return None
    if isinstance(error, Unreachable) and error.sent:
        # It may have been made.
        return 0 if error.is_likely_unread and not is_charged else None
    if isinstance(error, TimedOut) and error.phase == "first_byte":
        # It may still be computing.
        return None
    wait_ms = backoff_ms(attempts, retries, uniform)
    if isinstance(error, Refused) and error.retry_after_ms is not None:
        if error.retry_after_ms > retries.max_retry_after_ms:
            return None
        wait_ms = error.retry_after_ms + wait_ms / RETRY_AFTER_SPREAD
    return wait_ms if elapsed_ms + wait_ms <= retries.budget_ms else None


def backoff_ms(attempt: int, retries: Retries, uniform: Callable[[], float]) -> float:
    """Half to all of a wait that doubles with each attempt (the first is 1), up to the configured longest."""
    longest: int = min(retries.base_backoff_ms << (attempt - 1), retries.max_backoff_ms)
    return longest * (0.5 + uniform() / 2)
