"""Addresses as counters: bounded in number, and not to be chosen from outside."""

import pytest

from gateway.limits.buckets import BUCKETS, Buckets

HERE = Buckets(bytes(32))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("192.0.2.1", "a@x.org"), ("192.0.2.1", " A@X.ORG ")),
        (("192.0.2.1", "ada@x.org"), ("192.0.2.1", "\uff21da@x.org")),
        (("192.0.2.1", "strasse@x.org"), ("192.0.2.1", "stra\u00dfe@x.org")),
        (("192.0.2.1", "\u00e4@x.org"), ("192.0.2.1", "A\u0308@x.org")),
        (("192.0.2.1", "k@x.org"), ("192.0.2.1", "\u212a@x.org")),
        (("::ffff:192.0.2.1", ""), ("192.0.2.1", "")),
        (("2001:db8::1", ""), ("2001:db8::ffff", "")),
        (("fe80::1%eth0", ""), ("fe80::1", "")),
    ],
)
def test_the_same_caller_is_the_same_bucket(one: tuple[str, str], other: tuple[str, str]) -> None:
    """However it is spelled, and from whichever address of a site."""
    assert HERE.find(*one) == HERE.find(*other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("192.0.2.1", "a@x.org"), ("192.0.2.1", "b@x.org")),
        (("192.0.2.1", ""), ("192.0.2.2", "")),
        (("2001:db8::1", ""), ("2001:db8:0:1::1", "")),
        (("", "a"), ("a", "")),
    ],
)
def test_others_are_others(one: tuple[str, str], other: tuple[str, str]) -> None:
    """But for chance."""
    assert HERE.find(*one) != HERE.find(*other)


def test_nobody_outside_can_tell_a_bucket() -> None:
    """Another secret, another order."""
    names = [f"a{number}" for number in range(20)]
    there = Buckets(bytes(31) + b"\1")
    assert [HERE.find("192.0.2.1", name) for name in names] != [there.find("192.0.2.1", name) for name in names]


def test_there_are_only_so_many() -> None:
    """However many addresses come, and whatever stands in them."""
    found = {int(HERE.find(f"192.0.2.1-{number}", "\ud800"), 16) for number in range(2_000)}
    assert (max(found) < BUCKETS, len(found) > 1_900) == (True, True)
