"""Callers whom nobody knows: counted by address, in bounded memory."""

from limiting import SECRET

from gateway.limits.buckets import Buckets
from gateway.limits.strangers import Strangers

NOW_NS = 1_790_000_000_000_000_000


def test_a_stranger_has_the_least_plan() -> None:
    """And is refused beyond it, with the moment to come back at."""
    strangers = Strangers(Buckets(SECRET))
    counted = [strangers.count("192.0.2.1", "models", NOW_NS) for _ in range(11)]
    assert [fault is None for _, fault in counted] == [True] * 10 + [False]
    shown, fault = counted[-1]
    assert fault is not None
    assert shown is not None
    assert (fault.code, shown.limit, shown.remaining) == ("rate_limit_exceeded", 10, 0)


def test_another_address_is_another_stranger() -> None:
    """And the next minute another count."""
    strangers = Strangers(Buckets(SECRET))
    for _ in range(11):
        strangers.count("192.0.2.1", "models", NOW_NS)
    others = [
        strangers.count("192.0.2.2", "models", NOW_NS),
        strangers.count("192.0.2.1", "models", NOW_NS + 60 * 10**9),
    ]
    assert [fault for _, fault in others] == [None, None]
