"""Shared calls: who follows gets everything once, in order, whenever they join, and nobody fills the memory."""

import asyncio
from collections.abc import Callable

from caches import make_answer
from fakes import FakeClient
from hypothesis import given
from hypothesis import strategies as st

from gateway.caching.flights import MAX_SHARED_BYTES, MAX_TAGS, Begun, Flight, Flights, Follower, SharedClient

KEY = b"k" * 16


class Listener(FakeClient):
    """A client that can be made to read slowly, and to leave."""

    def __init__(self) -> None:
        super().__init__()
        self.leave: Callable[[], None] = lambda: None
        self.press: Callable[[bool], None] = lambda _: None

    def watch(self, on_gone: Callable[[], None], on_pressure: Callable[[bool], None]) -> None:
        """Remember whom to tell."""
        super().watch(on_gone, on_pressure)
        self.leave, self.press = on_gone, on_pressure


def begun(number: int) -> Begun:
    """A call under way."""
    return Begun(entry_id=f"ce_{number}", project_id="p", model="m", tag_text=" a,b,a", created_ns=number)


def joined(flight: Flight, client: Listener) -> Follower:
    """Follow, with a stream that begins by itself."""
    return flight.follow(client, lambda: client.start(b""), asyncio.get_running_loop())


def test_one_call_is_found_until_it_has_ended() -> None:
    """Whoever asks the same afterwards asks anew."""
    flights = Flights(lambda _: False)
    flight = flights.open(KEY, begun(1))
    assert flights.find(KEY) is flight
    flight.land(None)
    assert flights.find(KEY) is None
    assert len(flights) == 0


def test_a_newer_call_is_not_ended_with_an_older_one() -> None:
    """The older one's end leaves the newer one to be found."""
    flights = Flights(lambda _: False)
    older, newer = flights.open(KEY, begun(1)), flights.open(KEY, begun(2))
    older.land(None)
    assert flights.find(KEY) is newer


def test_what_is_asked_anew_is_joined_by_nobody_from_before() -> None:
    """Those who follow it already get its end."""
    flights = Flights(lambda _: False)
    flight = flights.open(KEY, begun(1))
    flights.forget(KEY)
    flights.forget(KEY)
    assert flights.find(KEY) is None
    flight.land(None)


def test_what_those_who_follow_want_is_remembered_within_bounds() -> None:
    """How long, and under which tags."""
    flight = Flights(lambda _: False).open(KEY, begun(1))
    assert (flight.ttls_s, flight.tags) == (frozenset(), ())
    for ttl_s, tags in ((5, " a,b"), (0, ""), (5, "b,c")):
        flight.want(ttl_s, tags)
    assert (flight.ttls_s, flight.tags) == ({0, 5}, ("a", "b", "c"))
    flight.want(0, ",".join(f"t{number}" for number in range(2 * MAX_TAGS)))
    assert len(flight.tags) == MAX_TAGS


def test_a_shared_answer_is_kept_as_the_one_who_wants_it_longest_does() -> None:
    """0 is as long as the project wants."""
    flight = Flights(lambda _: False).open(KEY, begun(1))
    flight.want(5, "b,a")
    for own_s, is_kept, project_s, life_s in ((9, True, 60, 9), (9, False, 60, 5), (0, True, 60, 0), (0, True, 4, 5)):
        shared = flight.share(make_answer(ttl_s=own_s, tags=("a",)), project_s, is_kept=is_kept)
        assert (shared.ttl_s, shared.tags) == (life_s, ("a", "b"))


def test_a_call_from_too_long_ago_is_not_found() -> None:
    """It may be joined by those whom its answer is young enough for."""
    flights = Flights(lambda _: False)
    flight = flights.open(KEY, begun(5))
    assert [flights.find(KEY, since_ns) for since_ns in (0, 5, 6)] == [flight, flight, None]


def test_a_call_from_before_a_purge_is_not_found() -> None:
    """Whoever asks after it leads a call of their own, and the older one's end leaves that to be found."""
    purged = list[str]()
    flights = Flights(lambda begun: begun.entry_id in purged)
    older = flights.open(KEY, begun(1))
    purged.append("ce_1")
    assert flights.find(KEY) is None
    newer = flights.open(KEY, begun(2))
    older.land(None)
    assert flights.find(KEY) is newer


async def test_a_slow_follower_gets_the_rest_when_it_reads_again() -> None:
    """What came meanwhile is kept for it."""
    flight = Flights(lambda _: False).open(KEY, begun(1))
    client = Listener()
    follower = joined(flight, client)
    flight.take(b"a")
    client.press(True)
    flight.take(b"b")
    flight.take(b"c")
    assert client.data == b"a"
    assert follower.rest == b"bc"
    client.press(False)
    assert client.data == b"abc"
    assert follower.rest == b""


async def test_a_follower_that_left_gets_no_more_and_holds_nothing_up() -> None:
    """The call is told when the last one leaves, but only if its own client has left as well; then nobody joins it."""
    flights = Flights(lambda _: False)
    flight = flights.open(KEY, begun(1))
    leader, client = Listener(), Listener()
    shared = SharedClient(leader, flight)
    stopped: list[str] = []
    shared.watch(lambda: stopped.append("call"), lambda _: None)
    follower = joined(flight, client)
    leader.leave()
    assert stopped == []
    assert flights.find(KEY) is flight
    client.leave()
    assert stopped == ["call"]
    assert follower.ended.done()
    assert flights.find(KEY) is None
    flight.take(b"a")
    assert client.data == b""


async def test_a_call_that_its_client_leaves_alone_is_joined_by_nobody() -> None:
    """Its provider may be read to the end all the same, for nobody; whoever asks the same leads."""
    flights = Flights(lambda _: False)
    leader = Listener()
    SharedClient(leader, flights.open(KEY, begun(1))).watch(lambda: None, lambda _: None)
    leader.leave()
    assert flights.find(KEY) is None


async def test_an_answer_too_long_is_shared_as_it_flows_and_kept_no_more() -> None:
    """Who keeps up has all of it, who does not is given up, and nobody joins any more."""
    flights = Flights(lambda _: False)
    flight = flights.open(KEY, begun(1))
    quick, slow = Listener(), Listener()
    first, second = joined(flight, quick), joined(flight, slow)
    slow.press(True)
    half = b"x" * (MAX_SHARED_BYTES // 2 + 1)
    for _ in range(2):
        flight.take(half)
    assert flights.find(KEY) is None
    assert flight.pieces == []
    assert second.ended.done()
    assert second.fault is not None
    flight.take(b"more")
    assert quick.data == half + half + b"more"
    assert first.rest == b""
    quick.press(True)
    flight.take(b"again")
    assert first.fault is not None


@given(st.lists(st.binary(min_size=1, max_size=8), max_size=12), st.integers(0, 12), st.randoms())
def test_whoever_joins_whenever_has_the_whole_stream(pieces: list[bytes], joins_at: int, chance: object) -> None:
    """Before, in the middle or at the end, reading fast or slowly: the bytes are the same."""

    async def play() -> bytes:
        flight = Flights(lambda _: False).open(KEY, begun(1))
        client = Listener()
        follower = None
        for number, piece in enumerate(pieces):
            if number == joins_at:
                follower = joined(flight, client)
            flight.take(piece)
            if follower is not None:
                client.press(bool(number % 3))
        follower = follower or joined(flight, client)
        flight.land(None)
        assert follower.ended.done()
        return client.data + follower.rest

    assert asyncio.run(play()) == b"".join(pieces)
