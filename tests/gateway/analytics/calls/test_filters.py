"""Terms of the log, as they are asked for."""

import pytest

from gateway.analytics.calls.filters import Filter, read_filter
from gateway.analytics.usage import InvalidUsageQuery
from gateway.ids import new_id

ID = new_id(5)


def test_every_term_is_read() -> None:
    """Empty ones, and what is no term, are passed over."""
    given = {
        "model": "m",
        "provider": "",
        "key_id": "k",
        "tag": " t ",
        "status": "failed,refused,failed",
        "errors": "false",
        "cache": "exact",
        "min_cost_usd": "0.5",
        "max_cost_usd": "2",
        "min_latency_ms": "3",
        "max_latency_ms": "4",
        "request_id": ID.upper(),
        "limit": "x",
    }
    assert read_filter(given) == Filter(
        equal={"model": "m", "key_id": "k"},
        tag="t",
        statuses=("failed", "refused"),
        is_error=False,
        cache="exact",
        min_cost_pusd=5 * 10**11,
        max_cost_pusd=2 * 10**12,
        min_latency_ms=3,
        max_latency_ms=4,
        request_id=ID,
    )
    assert read_filter({}) == Filter()
    assert Filter().write() == ("", {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "good"),
        ("cache", "cold"),
        ("errors", "yes"),
        ("model", "m" * 257),
        ("session", "a\0"),
        ("min_cost_usd", "cheap"),
        ("max_latency_ms", "-1"),
        ("min_latency_ms", "1.5"),
        ("request_id", "nobody"),
    ],
)
def test_what_is_no_term_is_refused(name: str, value: str) -> None:
    """By its name."""
    with pytest.raises(InvalidUsageQuery) as refused:
        read_filter({name: value})
    assert refused.value.param == name


def test_what_only_some_calls_can_be_is_known() -> None:
    """So that hours without any are not read."""
    assert Filter(is_error=True).needs_errors
    assert Filter(equal={"error_code": "x"}).needs_errors
    assert not Filter(is_error=False).needs_errors
    assert Filter(cache="semantic").needs_hits
    assert not Filter(cache="miss").needs_hits
