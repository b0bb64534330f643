"""Attempts to sign in: limited by address and e-mail, everywhere."""

import pytest
from limiting import make_limiting

from gateway.limits.attempts import Attempts

NOW_NS = 1_790_000_000_000_000_000


def make_attempts(*, enforce: bool) -> Attempts:
    """Three a minute."""
    attempts = make_limiting(enforce=enforce, per_minute=3).attempts
    assert attempts is not None
    return attempts


async def try_(attempts: Attempts, *, succeeds: bool, email: str = "a@x.org", address: str = "192.0.2.1") -> bool:
    """Make an attempt; tell whether it was let in."""
    attempt = await attempts.begin(address, email, NOW_NS)
    if attempt.refusal is None and succeeds:
        await attempts.succeeded(attempt)
    return attempt.refusal is None


@pytest.mark.parametrize(
    ("enforce", "succeeds", "admitted"), [(True, True, 3), (True, False, 3), (False, False, 3), (False, True, 8)]
)
async def test_only_what_counts_is_limited(enforce: bool, succeeds: bool, admitted: int) -> None:
    """With plans every attempt, without them the failed ones."""
    attempts = make_attempts(enforce=enforce)
    assert sum([await try_(attempts, succeeds=succeeds) for _ in range(8)]) == admitted


async def test_a_person_is_not_locked_out_from_elsewhere() -> None:
    """The address counts as much as the e-mail."""
    attempts = make_attempts(enforce=False)
    for _ in range(5):
        await try_(attempts, succeeds=False)
    others = [
        await try_(attempts, succeeds=True, address="192.0.2.2"),
        await try_(attempts, succeeds=True, email="b@x.org"),
        await try_(attempts, succeeds=True),
    ]
    assert others == [True, True, False]


@pytest.mark.parametrize("enforce", [True, False])
async def test_the_limit_is_shown_where_it_is_kept(enforce: bool) -> None:
    """Without plans only with the refusal."""
    attempts = make_attempts(enforce=enforce)
    begun = [await attempts.begin("192.0.2.1", "a@x.org", NOW_NS) for _ in range(4)]
    assert [attempt.shown is not None for attempt in begun] == [enforce, enforce, enforce, True]
