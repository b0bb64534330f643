"""A lane lets in exactly those whom the counters themselves would, and tells the same lines."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.counters.interface import WINDOW_KEPT_NS, RateWindow, Slot
from gateway.counters.memory import MemoryCounters
from gateway.limits.lane import Lane
from gateway.limits.refusals import choose_shown, lines_of

START_NS = 1_790_000_000_000_000_000
S = 10**9
# Who is in a lane is in it until they leave.
FOREVER_NS, LEASE_NS = 10**6 * S, 90 * S
MINUTE = RateWindow(policy_key="key-requests:k", period="minute", limit=4)
PLAN = RateWindow(policy_key="proxy_per_minute:a", period="minute", limit=5)
MONTH = RateWindow(policy_key="proxy_per_month:a", period="month", limit=9)
TOKENS = RateWindow(policy_key="key-tokens:k", period="minute", limit=60)
SLOT = Slot(slot_key="key:k", limit=3)
WINDOWS = st.sampled_from([(), (MINUTE,), (PLAN, MONTH), (MINUTE, PLAN, MONTH), (MONTH,)])
# Seconds that pass, back too; how many tokens a call may use; whether the oldest call ends, having used the half; and
# whether one asks for the slot that has a lease.
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 7, 61, 200, -5, -61, -3_000]), st.integers(0, 70), st.booleans(), st.booleans()
    ),
    max_size=30,
)


class Plainly:
    """The same by the counters' own steps, each looked up anew."""

    def __init__(self, windows: tuple[RateWindow, ...], tokens: RateWindow | None, slots: tuple[Slot, ...]) -> None:
        self.counters = MemoryCounters()
        self.windows, self.tokens, self.slots = windows, tokens, slots

    def enter(self, lease_id: str, bound_tokens: int, now_ns: int) -> bytes | None:
        """Take a slot, then the rest; leave the slot where that refuses."""
        windows, amounts = self.windows, (1,) * len(self.windows)
        if not self.counters.slots.enter(self.slots, lease_id, now_ns, FOREVER_NS).is_admitted:
            return None
        if self.tokens is not None:
            windows, amounts = (*windows, self.tokens), (*amounts, bound_tokens)
        taken = self.counters.rates.take(windows, amounts, now_ns)
        if not taken.is_admitted:
            self.counters.slots.leave(self.slots, lease_id)
            return None
        requests = len(self.windows)
        shown = choose_shown(self.windows, taken.windows[:requests])
        # Tokens are told of where no window of requests is.
        return lines_of(shown or choose_shown(windows[requests:], taken.windows[requests:]))

    def leave(self, lease_id: str, unused_tokens: int, taken_ns: int) -> None:
        """Give back."""
        self.counters.slots.leave(self.slots, lease_id)
        if self.tokens is not None:
            self.counters.rates.give_back((self.tokens,), (unused_tokens,), taken_ns)


@given(WINDOWS, st.sampled_from([None, TOKENS]), st.sampled_from([(), (SLOT,)]), STEPS, st.booleans())
def test_a_lane_admits_whom_the_counters_would(
    windows: tuple[RateWindow, ...],
    tokens: RateWindow | None,
    slots: tuple[Slot, ...],
    steps: list[tuple[int, int, bool, bool]],
    cleans: bool,
) -> None:
    """Whatever the clock does, whoever else counts in the same windows, and whatever is dropped meanwhile."""
    plainly = Plainly(windows, tokens, slots)
    counters = MemoryCounters()
    # Two keys of one account, or a key before and after a change: they share their counters.
    lanes = [Lane(counters, windows, tokens, slots[0] if slots else None) for _ in range(2)]
    inside: list[tuple[Lane, str, int, int]] = []
    now_ns = START_NS
    for number, (seconds, bound, ends, leases) in enumerate(steps):
        now_ns += seconds * S
        if cleans:
            for each in (counters, plainly.counters):
                each.rates.drop_old(now_ns)
                each.slots.drop_old(now_ns)
        lane, lease_id = lanes[number % 2], f"lease-{number}"
        lines = lane.enter(bound, now_ns)
        assert lines == plainly.enter(lease_id, bound, now_ns)
        if lines is not None:
            inside.append((lane, lease_id, bound // 2, now_ns))
        if leases:
            asked = slots, f"other-{number}", now_ns, LEASE_NS
            assert counters.slots.enter(*asked) == plainly.counters.slots.enter(*asked)
        if ends and inside:
            left, lease_id, *taken = inside.pop(0)
            left.leave(*taken)
            plainly.leave(lease_id, *taken)


def test_a_lane_counts_where_others_look_after_old_windows_were_dropped() -> None:
    """A clock that steps back behind what was dropped finds a new count, and the lane counts in it too."""
    counters = MemoryCounters()
    lane = Lane(counters, (MINUTE,), None, None)
    assert lane.enter(0, START_NS) is not None
    counters.rates.drop_old(START_NS + 60 * S + WINDOW_KEPT_NS)
    for _ in range(4):
        assert lane.enter(0, START_NS) is not None
    assert lane.enter(0, START_NS) is None
    assert not counters.rates.take((MINUTE,), (1,), START_NS).is_admitted
