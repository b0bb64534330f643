"""What a caller is told of the limits: the three headers of every answer, and the refusal."""

from collections.abc import Sequence

from gateway.analytics.moments import moment_text
from gateway.counters.interface import RateWindow, SlotState, WindowState
from gateway.errors import Fault

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
MS_PER_S = 1_000
# How soon a call may end that stands in another one's way.
SLOT_RETRY_MS = 1_000
Headers = tuple[tuple[bytes, bytes], ...]


def choose_shown(windows: Sequence[RateWindow], states: Sequence[WindowState]) -> WindowState | None:
    """Which window the headers tell of: the one that refuses longest, else the nearest to its limit, quotas aside."""
    shown: WindowState | None = None
    for window, state in zip(windows, states):  # noqa: B905 - one state a window
        if state.is_refusing:
            if shown is None or not shown.is_refusing or state.reset_s > shown.reset_s:
                shown = state
        elif window.period != "month" and (
            shown is None or (not shown.is_refusing and state.remaining < shown.remaining)
        ):
            shown = state
    return shown


def headers_of(shown: WindowState | None) -> Headers:
    """The documents' three headers (rows W56, E25, S34); none where nothing limits."""
    if shown is None:
        return ()
    return (
        (b"x-ratelimit-limit", b"%d" % shown.limit),
        (b"x-ratelimit-remaining", b"%d" % shown.remaining),
        (b"x-ratelimit-reset", b"%d" % shown.reset_s),
    )


def lines_of(shown: WindowState | None) -> bytes:
    """The same as the lines of a head."""
    if shown is None:
        return b""
    before, behind = lines_around(shown.limit, shown.reset_s)
    return b"%b%d%b" % (before, shown.remaining, behind)


def lines_around(limit: int, reset_s: int) -> tuple[bytes, bytes]:
    """What stands in these lines before and behind the number that is left."""
    before = b"x-ratelimit-limit: %d\r\nx-ratelimit-remaining: " % limit
    return before, b"\r\nx-ratelimit-reset: %d\r\n" % reset_s


def refuse_rate(windows: Sequence[RateWindow], states: Sequence[WindowState], plan: str | None, now_ns: int) -> Fault:
    """The refusal by the window that refuses longest; a spent month is a quota, and nobody should ask again soon."""
    window, state = max(
        ((window, state) for window, state in zip(windows, states, strict=True) if state.is_refusing),
        key=lambda pair: pair[1].reset_s,
    )
    reset_at = moment_text(state.reset_s * NS_PER_S)
    wait_ms = max(1, state.reset_s * MS_PER_S - now_ns // NS_PER_MS)
    details: dict[str, str | int | None] = {"plan": plan, "limit": state.limit, "reset_at": reset_at}
    if window.period == "month":
        message = f"You have used your plan's quota of {state.limit} requests a month; it is renewed at {reset_at}."
        return Fault("quota_exceeded", message, details=details, retry_after_ms=wait_ms, should_retry=False)
    whose = "this key's" if window.policy_key.startswith("key-") else "the" if plan is None else "your plan's"
    what = "tokens" if window.policy_key.startswith("key-tokens:") else "requests"
    message = (
        f"You have exceeded {whose} rate limit of {state.limit} {what} per {window.period}; wait until {reset_at}."
    )
    return Fault("rate_limit_exceeded", message, details=details, retry_after_ms=wait_ms)


def refuse_size(tokens: int, limit: int, plan: str | None, *, is_all_input: bool) -> Fault:
    """The refusal of a call that no minute has room for."""
    advice = "shorten it" if is_all_input else "shorten it or lower max_tokens"
    message = f"This call may take {tokens} tokens, and this key's rate limit is {limit} per minute: {advice}."
    details: dict[str, str | int | None] = {"plan": plan, "limit": limit, "reset_at": None}
    return Fault("rate_limit_exceeded", message, details=details, should_retry=False)


def refuse_slot(states: Sequence[SlotState], plan: str | None) -> Fault:
    """The refusal of one call too many at once."""
    limit = next(state.limit for state in states if state.is_refusing)
    message = f"This key may have {limit} calls under way at once, and has them; ask again when one has ended."
    details: dict[str, str | int | None] = {"plan": plan, "limit": limit, "reset_at": None}
    return Fault("rate_limit_exceeded", message, details=details, retry_after_ms=SLOT_RETRY_MS)
