"""The counters of one process answer as their naive model does, whatever is asked in whatever order."""

from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.counters.interface import Counters, RateWindow, Slot
from gateway.counters.memory import MemoryCounters
from tests.gateway.counters import programs
from tests.gateway.counters.naive import NaiveCounters
from tests.gateway.counters.programs import LIMITS_PUSD, MAX_BACK_NS, START_NS, S, Step, perform


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waited")


class MemoryMachine(RuleBasedStateMachine):
    """Performs every step on both and compares the answers."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = MemoryCounters()
        self.model = NaiveCounters()
        self.now_ns = self.latest_ns = START_NS

    def perform(self, step: Step) -> None:
        """Compare one step."""
        expected = finish(perform(self.model, step, self.now_ns))
        assert finish(perform(self.memory, step, self.now_ns)) == expected

    @rule(step=programs.TAKES | programs.GIVINGS_BACK)
    def count(self, step: Step) -> None:
        """Rate windows."""
        self.perform(step)

    @rule(step=programs.ENTRIES | programs.LEAVINGS)
    def pass_slots(self, step: Step) -> None:
        """Concurrency."""
        self.perform(step)

    @rule(step=programs.RESERVES)
    def reserve(self, step: Step) -> None:
        """Money, before a call."""
        self.perform(step)

    @rule(step=programs.SETTLES | programs.RELEASES | programs.RENEWALS)
    def settle(self, step: Step) -> None:
        """Money, after a call."""
        self.perform(step)

    @rule(step=programs.SWEEPS | programs.LOOKS)
    def keep_house(self, step: Step) -> None:
        """What nobody waits for."""
        self.perform(step)

    @rule(step=programs.PAUSES)
    def pause(self, step: Step) -> None:
        """Let the clock go on, or step back a little."""
        self.now_ns = max(self.now_ns + step.arguments[0], self.latest_ns - MAX_BACK_NS)
        self.latest_ns = max(self.latest_ns, self.now_ns)

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        """Spent + held <= limit on every line, but for what settlings overshot and seeds had too much."""
        for (budget, window), seed in self.model.seeds.items():
            count = self.model.count((budget, window))
            assert count is not None
            over = max(0, seed - LIMITS_PUSD[budget])
            over += sum(
                max(0, (hold.charged_pusd or 0) - hold.amount_pusd) for hold in self.model.on_line((budget, window))
            )
            assert count.spent_pusd + count.held_pusd <= LIMITS_PUSD[budget] + over


MemoryMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class TestMemoryMachine(MemoryMachine.TestCase):  # type: ignore[misc,valid-type]
    """Runs the machine."""


async def test_sweep_drops_what_is_old_of_everything() -> None:
    """Memory is bounded by what is in use."""
    counters = MemoryCounters()
    protocol: Counters = counters
    for n in range(50):
        await protocol.take([RateWindow(policy_key=f"p{n}", period="minute", limit=1)], [1], START_NS)
        await protocol.enter([Slot(slot_key=f"s{n}", limit=1)], "lease", START_NS, S)
    assert (len(counters.rates), len(counters.slots)) == (50, 50)
    await protocol.sweep(START_NS + 200 * S, S)
    assert (len(counters.rates), len(counters.slots)) == (0, 0)
