"""A target's breaker: closed, open, half-open, and what moves it."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.breaker import MAX_FAILED_PROJECTS, Breaker, LastFailure

COOLDOWN_NS = 10_000_000


def opened() -> Breaker:
    """A breaker that opened at 0."""
    breaker = Breaker(failures=3, cooldown_ms=10)
    for _ in range(3):
        breaker.failed(0)
    return breaker


def test_a_new_breaker_admits() -> None:
    """A target is well until it fails."""
    assert Breaker(failures=3, cooldown_ms=10).admits(0)


def test_failures_below_the_limit_change_nothing() -> None:
    """Two of three."""
    breaker = Breaker(failures=3, cooldown_ms=10)
    breaker.failed(0)
    breaker.failed(0)
    assert (breaker.state(0), breaker.admits(0)) == ("closed", True)


def test_the_last_failure_opens_it() -> None:
    """Nothing passes then."""
    assert (opened().state(0), opened().admits(0)) == ("open", False)


def test_only_failures_in_a_row_count() -> None:
    """A success in between begins anew."""
    breaker = Breaker(failures=2, cooldown_ms=10)
    breaker.failed(0)
    breaker.succeeded()
    breaker.failed(0)
    assert breaker.state(0) == "closed"


def test_it_stays_open_for_the_cooldown() -> None:
    """To the nanosecond."""
    assert not opened().admits(COOLDOWN_NS - 1)


def test_after_the_cooldown_it_is_half_open() -> None:
    """One call may find out."""
    breaker = opened()
    assert (breaker.state(COOLDOWN_NS), breaker.admits(COOLDOWN_NS)) == ("half-open", True)


def test_half_open_admits_one_probe_at_a_time() -> None:
    """A crowd would be the end of a provider that recovers."""
    breaker = opened()
    breaker.admits(COOLDOWN_NS)
    assert not breaker.admits(COOLDOWN_NS + 1)


def test_asking_for_the_state_is_no_probe() -> None:
    """A dashboard may look as often as it likes."""
    breaker = opened()
    breaker.state(COOLDOWN_NS)
    assert breaker.admits(COOLDOWN_NS)


def test_a_probe_that_succeeds_closes_it() -> None:
    """And the failures are forgotten."""
    breaker = opened()
    breaker.admits(COOLDOWN_NS)
    breaker.succeeded()
    breaker.failed(COOLDOWN_NS)
    assert breaker.state(COOLDOWN_NS) == "closed"


def test_a_probe_that_fails_opens_it_for_another_cooldown() -> None:
    """One failure is enough now."""
    breaker = opened()
    breaker.admits(COOLDOWN_NS)
    breaker.failed(COOLDOWN_NS)
    assert (breaker.admits(2 * COOLDOWN_NS - 1), breaker.admits(2 * COOLDOWN_NS)) == (False, True)


def test_a_probe_that_was_dropped_makes_room_for_the_next() -> None:
    """Its client left, so it told nothing."""
    breaker = opened()
    breaker.admits(COOLDOWN_NS)
    breaker.gave_up()
    assert breaker.admits(COOLDOWN_NS + 1)


def test_a_lost_probe_is_forgotten_after_a_cooldown() -> None:
    """A call that never told its end does not spare the target for ever."""
    breaker = opened()
    breaker.admits(COOLDOWN_NS)
    assert (breaker.admits(2 * COOLDOWN_NS - 1), breaker.admits(2 * COOLDOWN_NS)) == (False, True)


@given(
    st.lists(st.tuples(st.sampled_from(["admits", "succeeded", "failed"]), st.integers(0, 15_000_000))),
    st.integers(1, 4),
)
def test_whatever_happens_a_success_admits_and_time_brings_a_probe(moves: list[tuple[str, int]], limit: int) -> None:
    """No sequence of events locks a target out for ever."""
    breaker, now_ns = Breaker(failures=limit, cooldown_ms=10), 0
    for move, passed_ns in moves:
        now_ns += passed_ns
        if move == "admits":
            breaker.admits(now_ns)
        elif move == "failed":
            breaker.failed(now_ns)
        else:
            breaker.succeeded()
            assert breaker.admits(now_ns)
    assert breaker.admits(now_ns + 2 * COOLDOWN_NS)


def test_the_last_failure_is_the_projects_own() -> None:
    """Of several projects the latest; who failed longest ago is forgotten first."""
    breaker = Breaker(failures=3, cooldown_ms=10)
    failures = [LastFailure(at_ns=at_ns, code="x", message="") for at_ns in range(MAX_FAILED_PROJECTS + 1)]
    for failure in failures:
        breaker.note_failure(f"proj_{failure.at_ns}", failure)
    assert breaker.last_failure(["proj_other"]) is None
    assert breaker.last_failure(["proj_0"]) is None
    assert breaker.last_failure(["proj_2", "proj_5", "proj_3"]) == failures[5]


def test_who_was_refused_is_told_so_unless_there_was_a_failure_of_their_own() -> None:
    """Theirs says more than that it is spared."""
    breaker = opened()
    own = LastFailure(at_ns=1, code="x", message="")
    breaker.note_failure("proj_1", own)
    for project_id in ("proj_1", "proj_2"):
        breaker.note_spared(project_id, 7)
    spared = breaker.last_failure(["proj_2"])
    assert (breaker.last_failure(["proj_1"]), spared and spared.code) == (own, "provider_unavailable")
