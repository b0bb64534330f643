"""Calls under way whose answers others wait for: the same request is sent to the provider once.

The first to ask leads: its call is made, metered and charged. Those who ask the same meanwhile follow: they get its
stream as it comes, or its answer when it is whole. A leader that leaves does not end a call that others wait for; a
stream that nobody waits for any more is not joined again, since what is left of it may go nowhere. Nor is one that
began before a purge of its answer, or before a refresh: who asks afterwards asks anew, or follows the refresh. The
answer is kept as long as any of them wants it, and under the tags of all who want it kept.

Failure behavior: what ends the leader's call ends the others with the same fault; where a stream breaks off, who has
nothing of it yet asks alone. Of an answer too long to be kept
nobody can join the rest, who waits for it whole asks alone, and a follower that reads too slowly is given up.
"""

import asyncio
from collections.abc import Callable

import msgspec

from gateway.backends.interface import Client
from gateway.caching.answers import Owned, StoredAnswer
from gateway.errors import Fault
from gateway.ledger.figures.tags import split_tags
from providers.handoff import Handoff

# More is shared with nobody who comes later, and a follower this far behind is given up.
MAX_SHARED_BYTES = 1_048_576
# So many tags of those who follow are kept with the answer, beside the first caller's.
MAX_TAGS = 64
_NOBODY: frozenset[int] = frozenset()


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A call that its answer will be named by: what tells whether a purge covers it."""

    entry_id: str
    project_id: str
    model: str
    # As its row has them.
    tag_text: str
    created_ns: int

    @property
    def tags(self) -> tuple[str, ...]:
        """One by one: of few calls they are ever asked."""
        return tuple(split_tags(self.tag_text))


class Follower:
    """One who waits for another's call; ``begin`` sends the head of its stream, None: it wants the answer whole."""

    __slots__ = ("_begin", "_flight", "_position", "client", "ended", "fault", "has_begun", "is_gone", "is_slow")

    def __init__(
        self, client: Client, begin: Callable[[], None] | None, flight: "Flight", loop: asyncio.AbstractEventLoop
    ) -> None:
        self.client = client
        # Done when the call has ended, or this client has left.
        self.ended: Handoff[None] = Handoff(loop=loop)
        self.has_begun = False
        self.is_gone = False
        self.is_slow = False
        # Why it ends before the call does.
        self.fault: Fault | None = None
        self._begin = begin
        self._flight = flight
        # How many pieces it has.
        self._position = 0
        client.watch(self._leave, self._press)
        self.catch_up()

    def catch_up(self) -> None:
        """Send what has come and is not sent yet, while the client takes it."""
        pieces = self._flight.pieces
        while self._begin is not None and self._position < len(pieces) and not (self.is_slow or self.is_gone):
            if not self.has_begun:
                self.has_begun = True
                self._begin()
            piece = pieces[self._position]
            self._position += 1
            self.client.write(piece)

    @property
    def rest(self) -> bytes:
        """What is not sent yet, at the end of the call."""
        return b"".join(self._flight.pieces[self._position :])

    @property
    def is_streaming(self) -> bool:
        """Whether it takes the answer as it comes."""
        return self._begin is not None

    def keep_up(self, piece: bytes | None) -> None:
        """Nothing is kept for it any more: it must take each piece as it comes, or end."""
        if self.is_slow or self._position < len(self._flight.pieces):
            self.fault = Fault("service_unavailable", "The answer came faster than this connection took it.")
            self._flight.leave(self)
            self.end()
        elif piece is not None and not self.is_gone:
            self.client.write(piece)

    def rewind(self) -> None:
        """It has everything that came."""
        self._position = 0

    def end(self) -> None:
        """The call has ended."""
        if not self.ended.done():
            self.ended.hand(None)

    def leave(self) -> None:
        """Wait no longer."""
        self._flight.leave(self)

    def _leave(self) -> None:
        self.is_gone = True
        self._flight.leave(self)
        self.end()

    def _press(self, is_slow: bool) -> None:
        self.is_slow = is_slow
        if not is_slow:
            self.catch_up()


class Flight:
    """A call under way, and who follows it."""

    __slots__ = (
        "_flights", "_followers", "_key", "_leader_left", "answer", "begun", "broken", "ends", "fault", "is_shared",
        "lines", "pieces", "size", "tags", "ttls_s",
    )  # fmt: skip

    def __init__(self, flights: "Flights", key: bytes, begun: Begun) -> None:
        self._flights = flights
        self._key = key
        self.begun = begun
        self._followers: list[Follower] = []
        # What a stream has brought so far; dropped once it is too much to keep.
        self.pieces: list[bytes] = []
        self.size = 0
        self.is_shared = True
        # Header lines that name who answers; there before the first piece.
        self.lines = b""
        # What was held back of a stream, and its usage's chunk: as they came, under the name that its pieces have.
        self.ends: tuple[bytes, bytes | None] | None = None
        # How it ended: with an answer, which is set before it lands, or with a fault.
        self.answer: StoredAnswer | None = None
        self.fault: Fault | None = None
        # Why its stream broke off.
        self.broken: Fault | None = None
        self._leader_left: Callable[[], None] | None = None
        # What those who follow want of the cache: how long the answer is kept (0: as long as the project wants; none:
        # nobody wants it kept), and under which tags it is found again.
        self.ttls_s: frozenset[int] = _NOBODY
        self.tags: tuple[str, ...] = ()

    @property
    def has_followers(self) -> bool:
        """Whether anybody else waits for it."""
        return bool(self._followers)

    @property
    def told(self) -> bytes:
        """The header lines of its answer for those who follow; what it saves them once that is known."""
        saved = b"" if self.answer is None else b"x-watchllm-tokens-saved: %d\r\n" % self.answer.usage.total_tokens
        head = b"x-watchllm-cached: true\r\nx-watchllm-cache: hit-exact\r\nx-watchllm-cache-entry: %s\r\n%b"
        return head % (self.begun.entry_id.encode(), saved)

    def follow(self, client: Client, begin: Callable[[], None] | None, loop: asyncio.AbstractEventLoop) -> Follower:
        """Wait for this call."""
        follower = Follower(client, begin, self, loop)
        self._followers.append(follower)
        return follower

    def want(self, ttl_s: int, tag_text: str) -> None:
        """Somebody who follows wants the answer kept, be the first caller of another mind."""
        self.ttls_s |= {ttl_s}
        if tag_text:
            self.tags = tuple(dict.fromkeys((*self.tags, *split_tags(tag_text))))[:MAX_TAGS]

    def share(self, answer: StoredAnswer, ttl_s: int, *, is_kept: bool) -> StoredAnswer:
        """The answer as all want it kept: the longest, under everybody's tags.

        ``ttl_s``: as its project wants; ``is_kept``: the first caller is among those who want it.
        """
        wanted_s = (answer.ttl_s, *self.ttls_s) if is_kept else self.ttls_s
        life_s = max(wanted_s, key=lambda each_s: each_s or ttl_s)
        return msgspec.structs.replace(answer, ttl_s=life_s, tags=tuple(dict.fromkeys((*answer.tags, *self.tags))))

    def leave(self, follower: Follower) -> None:
        """Somebody waits no longer; with the last of all the call is nobody's any more."""
        if follower in self._followers:
            self._followers.remove(follower)
            if self._leader_left is not None:
                self.leader_left(self._leader_left)

    def leader_left(self, on_gone: Callable[[], None]) -> None:
        """The leader's client left: the call ends with it, or with the last of those who follow."""
        self._leader_left = on_gone
        if not self._followers:
            # Also where the provider is read to its end: nobody is given what comes.
            self._flights.remove(self._key, self)
            on_gone()

    def show(self, lines: bytes, events: bytes | None = None) -> None:
        """It is known who answers; and, of a stream that is here to its end, all but that end."""
        # Before the first piece: those who follow begin with them.
        self.lines = lines
        if events is not None:
            self.take(events)

    def take(self, piece: bytes) -> None:
        """The next piece of a stream."""
        if not self.is_shared:
            for follower in self._streaming():
                follower.keep_up(piece)
            return
        self.pieces.append(piece)
        self.size += len(piece)
        if self._followers:
            for follower in tuple(self._followers):
                follower.catch_up()
        if self.size > MAX_SHARED_BYTES:
            self._keep_no_more()

    def land(self, fault: Fault | None) -> None:
        """The call has ended, with ``answer`` or with a fault; whoever asks the same now asks anew."""
        self._flights.remove(self._key, self)
        self.fault = fault
        followers, self._followers = self._followers, []
        for follower in followers:
            follower.end()

    def _streaming(self) -> list[Follower]:
        return [follower for follower in self._followers if follower.is_streaming]

    def _keep_no_more(self) -> None:
        for follower in self._streaming():
            follower.keep_up(None)
        self.is_shared = False
        self._flights.remove(self._key, self)
        self.pieces = []
        for follower in self._streaming():
            follower.rewind()


class SharedClient:
    """The leader's client: what it gets is taken for the others and for the cache as well."""

    __slots__ = ("_client", "_flight")

    def __init__(self, client: Client, flight: Flight) -> None:
        self._client = client
        self._flight = flight

    @property
    def takes_late(self) -> bool:
        """Whether its answer may come after the call's path is over."""
        return self._client.takes_late

    @property
    def is_gone(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self._client.is_gone and not self._flight.has_followers

    def send(self, status: int, head: bytes, *body: bytes | memoryview) -> None:
        """Answer at once."""
        self._client.send(status, head, *body)

    def start(self, head: bytes) -> None:
        """Begin a stream."""
        self._client.start(head)

    def write(self, data: bytes) -> None:
        """Send the next part."""
        self._client.write(data)
        self._flight.take(data)

    def end(self, *data: bytes) -> None:
        """Send the last part, which each follower has of its own."""
        self._client.end(*data)

    def watch(self, on_gone: Callable[[], None], on_pressure: Callable[[bool], None]) -> None:
        """Tell when nobody waits any more, and of slow reading by the leader."""
        flight = self._flight
        self._client.watch(lambda: flight.leader_left(on_gone), on_pressure)


class Flights:
    """The calls under way, by their requests' keys."""

    def __init__(self, is_purged: Callable[[Owned], bool]) -> None:
        self._flights: dict[bytes, Flight] = {}
        self._is_purged = is_purged

    def __len__(self) -> int:
        """How many calls could be followed."""
        return len(self._flights)

    def find(self, key: bytes, since_ns: int = 0) -> Flight | None:
        """The call under way that asks the same, began since a time, and that no purge covers."""
        flight = self._flights.get(key)
        return None if flight is None or flight.begun.created_ns < since_ns or self._is_purged(flight.begun) else flight

    def open(self, key: bytes, begun: Begun) -> Flight:
        """Lead: who asks the same from now on follows."""
        flight = self._flights[key] = Flight(self, key, begun)
        return flight

    def forget(self, key: bytes) -> None:
        """Nobody can follow any more what asks this: somebody asks anew."""
        self._flights.pop(key, None)

    def remove(self, key: bytes, flight: Flight) -> None:
        """Nobody can follow any more."""
        if self._flights.get(key) is flight:
            del self._flights[key]
