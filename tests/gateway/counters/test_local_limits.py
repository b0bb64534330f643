"""Rate windows and slots of one process keep no more than is in use."""

from gateway.counters.interface import WINDOW_KEPT_NS, RateWindow, Slot
from gateway.counters.local_limits import LocalRates, LocalSlots
from tests.gateway.counters.programs import START_NS, S


def test_a_new_window_drops_those_that_are_long_over() -> None:
    """However many policies were counted in them."""
    rates = LocalRates()
    for minute in range(10):
        for n in range(100):
            rates.take([RateWindow(policy_key=f"p{n}", period="minute", limit=9)], [1], START_NS + minute * 60 * S)
    assert len(rates) == 200


def test_what_is_given_back_to_a_dropped_window_is_lost() -> None:
    """Nobody counts there any more."""
    rates = LocalRates()
    window = RateWindow(policy_key="p", period="minute", limit=1)
    rates.take([window], [1], START_NS)
    rates.give_back([RateWindow(policy_key="other", period="minute", limit=1)], [1], START_NS)
    rates.drop_old(START_NS + 30 * S + WINDOW_KEPT_NS)
    rates.give_back([window], [1], START_NS)
    assert len(rates) == 0
    assert rates.take([window], [1], START_NS + 120 * S).is_admitted


def test_an_empty_slot_is_not_kept() -> None:
    """It goes with the next cleaning, as a lease does that is over."""
    slots = LocalSlots()
    slot = Slot(slot_key="key", limit=2)
    slots.enter([slot], "a", START_NS, 9 * S)
    slots.enter([slot], "b", START_NS, S)
    slots.leave([slot, Slot(slot_key="unknown", limit=1)], "a")
    assert len(slots) == 1
    slots.drop_old(START_NS + S - 1)
    assert len(slots) == 1
    slots.drop_old(START_NS + S)
    assert len(slots) == 0


def test_behind_a_full_slot_nobody_is_counted_whose_lease_is_over() -> None:
    """It is told how each stands."""
    slots = LocalSlots()
    full, other = (Slot(slot_key=name, limit=1) for name in ("full", "other"))
    slots.enter([other], "a", START_NS, S)
    slots.enter([full], "b", START_NS, 9 * S)
    refused = slots.enter([full, other], "c", START_NS + 2 * S, S)
    assert [(state.inside, state.is_refusing) for state in refused.slots] == [(1, True), (0, False)]
    assert not refused.is_admitted
