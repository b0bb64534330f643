"""Money holds of one process keep no more than is in use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.counters import local_holds
from gateway.counters.interface import (
    LINE_IDLE_NS,
    LINE_KEPT_NS,
    SETTLED_KEPT_NS,
    BudgetLine,
    Held,
    Join,
    LineName,
    NewHold,
    Refused,
    Unseeded,
)
from gateway.counters.local_holds import LocalHolds
from gateway.counters.local_limits import Epoch
from tests.gateway.counters.programs import START_NS, S


def make_hold(hold_id: str, resets_ns: int | None, seed_pusd: int | None = 0, amount_pusd: int = 1) -> NewHold:
    """Make a hold on one line."""
    line = BudgetLine(budget_key="b", window_key="w", limit_pusd=100, resets_ns=resets_ns, seed_pusd=seed_pusd)
    return NewHold(hold_id=hold_id, lines=(line,), amount_pusd=amount_pusd, lease_ns=S)


@pytest.mark.parametrize(
    ("resets_ns", "kept_ns"),
    [
        (START_NS - 9 * S, LINE_KEPT_NS),
        (START_NS + 30 * S, 30 * S + LINE_KEPT_NS),
        (START_NS + 99 * LINE_IDLE_NS, LINE_IDLE_NS),
        (None, LINE_IDLE_NS),
    ],
    ids=["over", "soon over", "long", "never over"],
)
@pytest.mark.parametrize("is_refused", [False, True], ids=["settled", "refused"])
def test_a_line_is_dropped_some_time_after_its_window_or_its_last_use(
    resets_ns: int | None, kept_ns: int, is_refused: bool
) -> None:
    """The next reservation asks for the ledger again."""
    holds = LocalHolds()
    if is_refused:
        assert isinstance(holds.reserve(make_hold("a", resets_ns, amount_pusd=101), START_NS), Refused)
    else:
        holds.reserve(make_hold("a", resets_ns), START_NS)
        holds.settle("a", 1, START_NS)
    holds.sweep(START_NS + kept_ns - 1, S)
    assert holds.count_kept()[0] == 1
    holds.sweep(START_NS + kept_ns, S)
    assert holds.count_kept() == (0, 0)
    assert isinstance(holds.reserve(make_hold("b", resets_ns, None), START_NS), Unseeded)


def test_a_line_with_an_open_hold_stays() -> None:
    """However long its window has been over: the hold settles into it."""
    holds = LocalHolds()
    holds.reserve(make_hold("a", START_NS), START_NS)
    later_ns = START_NS + 99 * LINE_IDLE_NS
    assert len(holds.sweep(later_ns, S)) == 1
    assert (holds.count_kept()[0], len(holds)) == (1, 1)
    assert holds.settle("a", 5, later_ns).spent_pusd == (5,)
    assert len(holds) == 0


def test_a_settled_hold_is_remembered_for_a_time() -> None:
    """Then its id is unknown, and nothing of it is kept."""
    holds = LocalHolds()
    holds.reserve(make_hold("a", None), START_NS)
    holds.release("a", START_NS)
    assert holds.settle("a", 1, START_NS + SETTLED_KEPT_NS - 1).outcome == "repeated"
    assert holds.settle("a", 1, START_NS + SETTLED_KEPT_NS).outcome == "unknown"
    assert isinstance(holds.reserve(make_hold("a", None), START_NS + SETTLED_KEPT_NS), Held)


def test_settled_holds_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest half of it always, the double never."""
    monkeypatch.setattr(local_holds, "MAX_SETTLED_KEPT", 10)
    holds = LocalHolds()
    for n in range(103):
        holds.reserve(make_hold(f"h{n}", None), START_NS)
        holds.settle(f"h{n}", 0, START_NS)
        assert holds.count_kept()[1] <= 10
    assert [holds.settle(f"h{n}", 0, START_NS).outcome for n in range(98, 103)] == ["repeated"] * 5
    assert holds.settle("h80", 0, START_NS).outcome == "unknown"


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 40, 80, 130, -30]), st.booleans()), max_size=30),
    st.integers(2, 12),
)
def test_how_a_hold_ended_is_known_until_its_time_is_over_and_soon_not_kept(
    steps: list[tuple[int, bool]], most: int
) -> None:
    """Whatever the clock does, of the latest ones; sweeping twice after the longest time leaves nothing."""
    holds, ended = LocalHolds(), list[tuple[str, int]]()
    now_ns = latest_ns = START_NS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_holds, "MAX_SETTLED_KEPT", most)
        for number, (seconds, sweeps) in enumerate(steps):
            now_ns += seconds * S
            latest_ns = max(latest_ns, now_ns)
            if sweeps:
                holds.sweep(now_ns, S)
            hold_id = f"h{number}"
            holds.reserve(make_hold(hold_id, None, amount_pusd=0), now_ns)
            assert not holds.hold(hold_id, (), 0, now_ns + S)
            holds.settle(hold_id, 0, now_ns)
            ended.append((hold_id, now_ns))
            assert holds.count_kept()[1] <= most
            for known_id, settled_ns in ended[-(most // 2) :]:
                outcome = holds.settle(known_id, 0, now_ns).outcome
                # Behind a clock that stepped back it may have been forgotten.
                if latest_ns < settled_ns + SETTLED_KEPT_NS:
                    assert outcome == "repeated"
                elif now_ns >= settled_ns + SETTLED_KEPT_NS:
                    assert outcome == "unknown"
    for _ in range(2):
        holds.sweep(latest_ns + SETTLED_KEPT_NS, S)
    assert holds.count_kept()[1] == 0


@given(st.integers(0, 120), st.integers(0, 120), st.integers(0, 120))
def test_holding_at_once_holds_what_reserving_would(first: int, second: int, charged: int) -> None:
    """All of it or nothing, and never more than the limit."""
    line = make_hold("a", None).lines
    answers: list[tuple[bool, bool]] = []
    for at_once in (True, False):
        holds = LocalHolds()
        assert holds.find(line) is None
        holds.reserve(make_hold("seeds", None, amount_pusd=0), START_NS)

        def hold(hold_id: str, amount: int, holds: LocalHolds = holds, at_once: bool = at_once) -> bool:
            if at_once:
                return holds.hold(hold_id, holds.find(line) or (), amount, START_NS + S)
            return isinstance(holds.reserve(make_hold(hold_id, None, amount_pusd=amount), START_NS), Held)

        before = hold("a", first)
        # The id of an open hold is nobody else's.
        assert not (before and holds.hold("a", holds.find(line) or (), 0, START_NS + S))
        holds.settle("a", charged, START_NS)
        answers.append((before, hold("b", second)))
    assert answers[0] == answers[1]
    assert answers[0][0] == (first <= line[0].limit_pusd)


def test_a_hold_joins_a_line_that_is_begun_after_it() -> None:
    """Held there whether or not there is room, and settled there with the others."""
    holds = LocalHolds()
    old, new = (BudgetLine(budget_key=key, window_key="w", limit_pusd=10, seed_pusd=3) for key in "on")
    holds.reserve(NewHold(hold_id="a", lines=(old,), amount_pusd=7, lease_ns=S), START_NS)
    assert holds.owned() == [("a", None)]
    holds.entrust("a", "owner")
    assert holds.owned() == [("a", "owner")]
    assert holds.hold("b", holds.find((old,)) or (), 0, START_NS + S, "other")
    assert holds.owned()[1] == ("b", "other")
    joins = (Join(budget_key="n", hold_id="a", amount_pusd=0), Join(budget_key="n", hold_id="gone", amount_pusd=0))
    for name in ("c", "d"):
        assert holds.reserve(
            NewHold(hold_id=name, lines=(new,), amount_pusd=0, lease_ns=S, joins=joins), START_NS
        ).begun == ((new,) if name == "c" else ())  # type: ignore[union-attr]
    assert [count and (count.spent_pusd, count.held_pusd) for count in holds.look([old, new])] == [(3, 7), (3, 7)]  # type: ignore[list-item]
    assert holds.settle("a", 5, START_NS).spent_pusd == (8, 8)
    assert [count and (count.spent_pusd, count.held_pusd) for count in holds.look([old, new])] == [(8, 0), (8, 0)]  # type: ignore[list-item]


def test_a_hold_that_its_owner_ends_is_not_remembered() -> None:
    """Each line tells what it has spent; there is nothing to end a second time, and nothing that grows."""
    holds, line = LocalHolds(), BudgetLine(budget_key="b", window_key="w", limit_pusd=100, seed_pusd=0)
    assert isinstance(holds.reserve(NewHold(hold_id="full", lines=(line,), amount_pusd=101, lease_ns=1), 0), Refused)
    counted = holds.find((line,))
    assert counted is not None
    assert holds.hold("h1", counted, 60, 1_000)
    assert not holds.hold("h1", counted, 1, 1_000)
    assert not holds.hold("h2", counted, 41, 1_000)
    assert (holds.end("h1", 70, 0), holds.end("h1", 70, 0)) == ((70,), ())
    assert (len(holds), holds.count_kept()) == (0, (1, 0))
    with pytest.raises(ValueError, match="picodollars"):
        holds.end("h1", -1, 0)


def test_what_is_spent_is_told_from_an_amount_on() -> None:
    """Where one of the lines is told of all are; a new epoch tells of everything again."""
    epoch = Epoch()
    holds = LocalHolds(epoch)
    lines = tuple(BudgetLine(budget_key=key, window_key="w", limit_pusd=100, seed_pusd=0) for key in "ab")
    holds.reserve(NewHold(hold_id="0", lines=lines, amount_pusd=0, lease_ns=S), START_NS)
    holds.release("0", START_NS)
    counted = holds.find(lines)
    assert counted is not None

    def spend(amount_pusd: int) -> tuple[int, ...]:
        assert holds.hold("h", counted, amount_pusd, START_NS)
        return holds.end("h", amount_pusd, START_NS)

    assert spend(1) == (1, 1)
    for line, below_pusd in zip(lines, (3, 5), strict=True):
        holds.quieten(LineName(budget_key=line.budget_key, window_key=line.window_key), below_pusd)
    assert [spend(1), spend(1), spend(1), spend(1)] == [(), (3, 3), (4, 4), (5, 5)]
    holds.quieten(LineName(budget_key="unknown", window_key="w"), 9)
    for line in lines:
        holds.quieten(LineName(budget_key=line.budget_key, window_key=line.window_key), 9)
    assert spend(1) == ()
    epoch.number += 1
    assert spend(1) == (7, 7)
    # What was set in the old one is nothing in the new.
    holds.quieten(LineName(budget_key="a", window_key="w"), 20)
    assert spend(1) == (8, 8)


def test_counters_that_were_found_are_good_until_one_is_dropped() -> None:
    """The epoch tells; a sweep that drops none begins no new one."""
    epoch = Epoch()
    holds, line = LocalHolds(epoch), BudgetLine(budget_key="b", window_key="w", limit_pusd=100, seed_pusd=0)
    holds.reserve(NewHold(hold_id="a", lines=(line,), amount_pusd=1, lease_ns=S), START_NS)
    before = holds.find((line,))
    holds.sweep(START_NS, S)
    assert (holds.find((line,)), epoch.number) == (before, 0)
    holds.settle("a", 1, START_NS)
    holds.sweep(START_NS + LINE_IDLE_NS + 1, S)
    assert (holds.find((line,)), epoch.number) == (None, 1)
