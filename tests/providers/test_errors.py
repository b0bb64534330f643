"""Failures of providers: may money be owed, may the same target be asked again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.chat import Usage
from providers.errors import (
    InvalidAnswer,
    PoolExhausted,
    ProviderError,
    Refused,
    TimedOut,
    Truncated,
    Unreachable,
    Unsupported,
)


@pytest.mark.parametrize(
    ("error", "code", "sent", "retryable"),
    [
        (Unreachable("x", sent=False), "upstream_unreachable", False, True),
        (Unreachable("x", sent=True), "upstream_unreachable", True, True),
        (TimedOut("x", phase="connect"), "upstream_timeout", False, True),
        (TimedOut("x", phase="first_byte"), "upstream_timeout", True, True),
        (TimedOut("x", phase="idle"), "upstream_timeout", True, True),
        (TimedOut("x", phase="total"), "upstream_timeout", True, False),
        (Truncated("x"), "upstream_truncated", True, True),
        (InvalidAnswer("x"), "upstream_invalid", True, True),
        (PoolExhausted("x"), "upstream_busy", False, False),
        (Unsupported("x", param=None), "unsupported_parameter", False, False),
    ],
)
def test_each_failure_tells_whether_it_was_sent_and_may_be_tried_again(
    error: ProviderError, code: str, sent: bool, retryable: bool
) -> None:
    """The table at the head of the module."""
    assert (error.code, error.sent, error.retryable) == (code, sent, retryable)


@pytest.mark.parametrize(
    ("error", "was_made"),
    [
        (Truncated("x"), True),
        (InvalidAnswer("x"), True),
        (InvalidAnswer("x", usage=Usage(input_tokens=1)), True),
        (TimedOut("x", phase="idle"), False),
    ],
)
def test_what_has_begun_or_says_what_it_used_was_made(error: ProviderError, was_made: bool) -> None:
    """And is billed."""
    assert error.was_made is was_made


@pytest.mark.parametrize("words", [{"type": "insufficient_quota"}, {"upstream_code": "insufficient_quota"}])
@pytest.mark.parametrize("should_retry", [None, True])
def test_an_account_without_credit_is_not_tried_again(words: dict[str, Any], should_retry: bool | None) -> None:
    """OpenAI says it with the status of a rate limit."""
    refused = Refused("x", upstream_status=429, should_retry=should_retry, **words)
    assert (refused.is_out_of_credit, refused.retryable) == (True, False)


@pytest.mark.parametrize("status", [200, 408, 409, 429, 500, 502, 503, 504, 529, 599])
def test_trouble_may_be_over_in_a_moment(status: int) -> None:
    """An error inside a success, a conflict, a limit, and 5xx."""
    assert Refused("x", upstream_status=status).retryable


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 451])
def test_a_mistake_does_not_mend_itself(status: int) -> None:
    """The other 4xx."""
    assert not Refused("x", upstream_status=status).retryable


@given(st.integers(200, 599), st.booleans())
def test_the_providers_own_word_on_retrying_wins(status: int, should_retry: bool) -> None:
    """x-should-retry, whatever the status."""
    assert Refused("x", upstream_status=status, should_retry=should_retry).retryable is should_retry


def test_every_failure_is_caught_as_one() -> None:
    """The gateway catches ProviderError and nothing wider."""
    kinds = (Unreachable, TimedOut, Truncated, InvalidAnswer, PoolExhausted, Unsupported, Refused)
    assert all(issubclass(kind, ProviderError) for kind in kinds)


def test_a_failure_reads_as_its_message() -> None:
    """In logs, too."""
    error = Truncated("the answer stopped")
    assert str(error) == error.message == "the answer stopped"
