"""What limits a key's calls: its plan where plans are kept, and its own limits always."""

from typing import Any

import msgspec
import pytest
from limiting import make_gate

from gateway.accounts.directory import KeyRecord
from gateway.counters.interface import CountersUnavailable, RateWindow, Taken
from gateway.counters.memory import MemoryCounters
from gateway.limits.gate import subject_of

NOW_NS = 1_790_000_000_000_000_000
MEMBER = KeyRecord(key_id="key_1", project_id="proj_1", kind="live", account_id="acct_1", plan="starter")
OPERATORS = KeyRecord(key_id="key_2", project_id="proj_2", kind="live")
OWN: dict[str, Any] = {"requests_per_minute": 5, "tokens_per_minute": 100, "max_concurrent": 2}
MONTH = RateWindow(policy_key="x", period="month", limit=1)


class BrokenCounters(MemoryCounters):
    """Redis is away."""

    async def take(self, *_: Any) -> Taken:
        """Nobody answers."""
        raise CountersUnavailable("away")

    async def give_back(self, *_: Any) -> None:
        """Nobody answers."""
        raise CountersUnavailable("away")


@pytest.mark.parametrize(
    ("caller", "enforce"), [(MEMBER, False), (OPERATORS, False), (OPERATORS, True)], ids=["off", "off", "operator's"]
)
def test_nothing_limits_who_has_no_limits(caller: KeyRecord, enforce: bool) -> None:
    """A sidecar's calls are not even looked at."""
    assert make_gate(enforce=enforce).policy_of(caller) is None


def test_a_plan_limits_its_accounts_keys() -> None:
    """By the account, not by the key."""
    policy = make_gate(enforce=True).policy_of(MEMBER)
    assert policy is not None
    assert [(window.policy_key, window.limit) for window in policy.requests] == [
        ("proxy_per_minute:acct_1", 60),
        ("proxy_per_month:acct_1", 100_000),
    ]
    assert (policy.plan, policy.tokens, policy.slots) == ("starter", None, ())


@pytest.mark.parametrize("enforce", [True, False])
@pytest.mark.parametrize("caller", [MEMBER, OPERATORS])
def test_a_keys_own_limits_always_hold(caller: KeyRecord, enforce: bool) -> None:
    """Someone set them for this key."""
    policy = make_gate(enforce=enforce).policy_of(msgspec.structs.replace(caller, **OWN))
    assert policy is not None
    assert policy.tokens is not None
    assert (policy.requests[0].limit, policy.tokens.limit, policy.slots[0].limit) == (5, 100, 2)
    assert len(policy.requests) == (3 if enforce and caller is MEMBER else 1)


def test_a_sandbox_key_is_counted_apart() -> None:
    """With the plan's figures."""
    tester = msgspec.structs.replace(MEMBER, kind="test")
    assert (subject_of(MEMBER), subject_of(tester)) == ("acct_1", "acct_1:test")
    policy = make_gate(enforce=True).policy_of(tester)
    assert policy is not None
    assert [window.limit for window in policy.requests] == [60, 100_000]


def test_a_policy_is_made_once_a_key_and_anew_when_the_key_changes() -> None:
    """Looking it up must cost next to nothing."""
    gate = make_gate(enforce=True)
    changed = msgspec.structs.replace(MEMBER, plan="pro")
    first, second, third = gate.policy_of(MEMBER), gate.policy_of(MEMBER), gate.policy_of(changed)
    assert first is second
    assert third is not None
    assert third.plan == "pro"


async def test_with_redis_away_each_process_counts_by_itself() -> None:
    """From 0 on, and still never more than the limit."""
    gate = make_gate(BrokenCounters())
    taken = [(await gate.take((MONTH,), (1,), NOW_NS)).is_admitted for _ in range(2)]
    await gate.give_back((MONTH,), (1,), NOW_NS)
    assert (taken, (await gate.take((MONTH,), (1,), NOW_NS)).is_admitted) == ([True, False], True)


def test_a_rotated_key_and_its_successor_share_their_limits() -> None:
    """While both work they are one key."""
    gate = make_gate(enforce=False)
    old = msgspec.structs.replace(MEMBER, **OWN)
    both = [gate.policy_of(key) for key in (old, msgspec.structs.replace(old, key_id="key_9", root_id=old.key_id))]
    assert both[0] is not None
    assert both[1] is not None
    assert msgspec.structs.replace(both[0], lane=None) == msgspec.structs.replace(both[1], lane=None)


def test_a_key_counts_in_its_makers_limits_where_it_is_said() -> None:
    """In each of them by itself: the others are its own."""
    limits_in = {"requests_per_minute": "key_1", "max_concurrent": "key_1"}
    caller = KeyRecord(
        key_id="key_2", project_id="p", kind="live", requests_per_minute=1, tokens_per_minute=2, max_concurrent=3,
        limits_in=limits_in,
    )  # fmt: skip
    policy = make_gate().policy_of(caller)
    assert policy is not None
    assert policy.tokens is not None
    assert (policy.requests[0].policy_key, policy.slots[0].slot_key) == ("key-requests:key_1", "key:key_1")
    assert policy.tokens.policy_key == "key-tokens:key_2"
