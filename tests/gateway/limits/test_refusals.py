"""What a caller is told of the limits."""

import pytest

from gateway.counters.interface import Period, RateWindow, SlotState, WindowState
from gateway.limits.refusals import choose_shown, headers_of, lines_of, refuse_rate, refuse_size, refuse_slot

NOW_NS = 1_790_000_000_000_000_000
NOW_S = NOW_NS // 10**9


def window(period: Period = "minute", key: str = "proxy_per_minute:acct") -> RateWindow:
    """A window whose limit the state tells."""
    return RateWindow(policy_key=key, period=period, limit=10)


def state(remaining: int, *, refuses: bool = False, reset_s: int = NOW_S + 40, limit: int = 10) -> WindowState:
    """How it stands."""
    return WindowState(limit=limit, remaining=remaining, reset_s=reset_s, is_refusing=refuses)


def test_the_headers_are_the_documents_three() -> None:
    """Reset is a unix second; both spellings are the same."""
    shown = state(3)
    assert headers_of(shown) == (
        (b"x-ratelimit-limit", b"10"),
        (b"x-ratelimit-remaining", b"3"),
        (b"x-ratelimit-reset", b"%d" % (NOW_S + 40)),
    )
    assert lines_of(shown) == b"".join(b"%s: %s\r\n" % header for header in headers_of(shown))


def test_nothing_limits_and_nothing_is_told() -> None:
    """No header at all."""
    assert (choose_shown((), ()), headers_of(None), lines_of(None)) == (None, (), b"")


@pytest.mark.parametrize(
    ("periods", "states", "at"),
    [
        (("minute", "month"), (state(9), state(2)), 0),
        (("minute", "month"), (state(9), state(0, refuses=True)), 1),
        (("minute", "month"), (state(0, refuses=True), state(0, refuses=True, reset_s=NOW_S + 9_000)), 1),
        (("minute", "minute"), (state(9), state(4, limit=5)), 1),
        (("minute", "minute"), (state(0, refuses=True), state(0)), 0),
        (("minute", "minute"), (state(0), state(4, refuses=True)), 1),
        (("hour", "day"), (state(9), state(20)), 0),
    ],
)
def test_the_window_that_matters_is_shown(
    periods: tuple[Period, ...], states: tuple[WindowState, ...], at: int
) -> None:
    """The one that refuses longest, else the nearest to its limit; a quota only when it refuses."""
    assert choose_shown([window(period) for period in periods], states) is states[at]


def test_only_a_quota_is_never_shown_unless_it_refuses() -> None:
    """Its limit is no requests a minute."""
    assert choose_shown([window("month")], [state(5)]) is None


def test_a_refusal_tells_plan_limit_and_when() -> None:
    """The document's details, and how long to wait."""
    fault = refuse_rate([window(), window("month")], [state(0, refuses=True), state(4)], "starter", NOW_NS)
    assert (fault.code, fault.status, fault.retry_after_ms, fault.should_retry) == (
        "rate_limit_exceeded",
        429,
        40_000,
        None,
    )
    assert fault.details == {"plan": "starter", "limit": 10, "reset_at": "2026-09-21T14:14:00Z"}
    assert fault.message.startswith("You have exceeded your plan's rate limit of 10 requests per minute")


def test_a_spent_month_is_a_quota() -> None:
    """Nobody should ask again before it is over."""
    fault = refuse_rate([window("month")], [state(0, refuses=True)], "free", NOW_NS)
    assert (fault.code, fault.type, fault.should_retry) == ("quota_exceeded", "insufficient_quota", False)


@pytest.mark.parametrize(
    ("key", "words"), [("key-requests:k", "this key's rate limit of 10 requests"), ("key-tokens:k", "10 tokens")]
)
def test_a_keys_own_limit_is_called_so(key: str, words: str) -> None:
    """Another plan would not help."""
    assert words in refuse_rate([window(key=key)], [state(0, refuses=True)], None, NOW_NS).message


def test_who_has_no_plan_is_told_of_none() -> None:
    """Strangers, and whoever signs in."""
    fault = refuse_rate([window()], [state(0, refuses=True)], None, NOW_NS)
    assert fault.message.startswith("You have exceeded the rate limit of 10 requests per minute")


def test_a_call_that_no_minute_has_room_for_is_not_retried() -> None:
    """It would be refused again."""
    fault = refuse_size(50, 20, None, is_all_input=False)
    assert ("50 tokens" in fault.message, fault.details["limit"], fault.should_retry) == (True, 20, False)
    assert fault.message.endswith(": shorten it or lower max_tokens.")
    # Of an embedding there is no reply that could be shorter.
    assert refuse_size(50, 20, None, is_all_input=True).message.endswith(": shorten it.")


def test_one_too_many_at_once_may_come_back_soon() -> None:
    """As soon as another has ended."""
    fault = refuse_slot([SlotState(limit=2, inside=2, is_refusing=True)], None)
    assert (fault.code, fault.details["limit"], fault.retry_after_ms) == ("rate_limit_exceeded", 2, 1_000)
