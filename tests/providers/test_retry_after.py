"""When a refusing provider wants to be asked again."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.retry_after import parse_retry_after

NOW_S = 1_700_000_000


def wait(**headers: str) -> int | None:
    """Read the wait of headers, written with underscores."""
    return parse_retry_after([(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()], NOW_S)[0]


@pytest.mark.parametrize(
    ("value", "wait_ms"),
    [("0", 0), ("7", 7_000), (" 12 ", 12_000), ("0.5", 500), ("0.0001", 1)],
)
def test_seconds_are_read(value: str, wait_ms: int) -> None:
    """Whole and broken seconds become milliseconds, rounded up: never asked again too early."""
    assert wait(retry_after=value) == wait_ms


def test_milliseconds_are_read() -> None:
    """retry-after-ms is in milliseconds."""
    assert wait(retry_after_ms="1500") == 1_500


def test_the_smaller_of_two_headers_wins() -> None:
    """Both may be sent, and both may be repeated."""
    assert wait(retry_after="2", retry_after_ms="1500") == 1_500
    assert parse_retry_after([(b"retry-after", b"9"), (b"retry-after", b"3")], NOW_S)[0] == 3_000


@pytest.mark.parametrize(("offset_s", "wait_ms"), [(30, 30_000), (0, 0), (-3_600, 0)])
def test_an_http_date_is_read_by_the_clock(offset_s: int, wait_ms: int) -> None:
    """A date is a moment; one that has passed is a wait of nothing."""
    assert wait(retry_after=formatdate(NOW_S + offset_s, usegmt=True)) == wait_ms


@pytest.mark.parametrize("value", ["", "soon", "-5", "nan", "inf", "1e3", "5s", "0x10", "Mon, 99 Foo 2025"])
def test_garbage_is_ignored(value: str) -> None:
    """What cannot be read was not sent; a negative wait neither."""
    assert wait(retry_after=value, retry_after_ms=value) is None


@pytest.mark.parametrize("value", ["9999999", "9" * 30, "9" * 30 + ".5", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wait_without_end_is_a_month(value: str) -> None:
    """Taken for none, the call would be repeated at once."""
    assert wait(retry_after=value) == 31 * 86_400_000


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("FALSE", False), ("maybe", None)])
def test_should_retry_is_read(value: str, expected: bool | None) -> None:
    """x-should-retry says true or false."""
    assert parse_retry_after([(b"x-should-retry", value.encode())], NOW_S) == (None, expected)


def test_silence_is_none() -> None:
    """Other headers say nothing."""
    assert parse_retry_after([(b"content-type", b"text/html")], NOW_S) == (None, None)


@given(st.binary(max_size=60))
def test_no_bytes_raise(value: bytes) -> None:
    """A header is the provider's: whatever it holds, the answer is a wait or none."""
    wait_ms, _ = parse_retry_after([(b"retry-after", value), (b"x-should-retry", value)], NOW_S)
    assert wait_ms is None or wait_ms >= 0


@pytest.mark.parametrize(
    ("remaining", "reset", "wait_ms"),
    [
        (b"0", b"6m0s", 360_000),
        (b"0", b"20ms", 20),
        (b"0", b"1h2m3.5s", 3_723_500),
        (b"5", b"6m0s", None),
        (b"0", b"soon", None),
        (b"0", b"", None),
    ],
)
def test_a_used_up_limit_tells_when_it_resets(remaining: bytes, reset: bytes, wait_ms: int | None) -> None:
    """OpenAI's own headers are the word where Retry-After is not sent."""
    headers = [(b"x-ratelimit-remaining-requests", remaining), (b"x-ratelimit-reset-requests", reset)]
    assert parse_retry_after(headers, 0)[0] == wait_ms
