"""The other processes that spend from the same budgets: what they have recorded must be stored before it is summed up.

Each process beats: it stores every row that it has recorded, takes the budgets' changes over, and then raises its
count in the database, with what it holds, and by name what counters that begin have to know besides: the holds whose
own counters a change of the zone has ended, and those that ended as it stored its rows. Whoever has seen every living
process beat twice knows that all that was recorded before is stored, and that all of them know the budgets that there
were. Who cannot wait that long asks in the database; the others look there often, and beat twice at once.

Failure behavior: raises DatabaseUnavailable as gateway.db does. A process that has not beaten for LIFE_NS is taken as
dead: what it had recorded and not stored is counted once its journal is taken over by the next start there.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import text

from gateway.budgets.keeping.books import Books
from gateway.db import Database
from gateway.ids import new_id
from gateway.ledger.recording.recorder import Recorder

BEAT_S = 0.5
LIFE_NS = 5_000_000_000
_LOOK_S = 0.05
# A call waits for the answer to its question.
_LISTEN_S = 0.1
_BEATS = 2
_FLUSH_S = 4.0

_UPSERT = text(
    "INSERT INTO spenders (process_id, journal, beat, seen_ns, held, moved) VALUES (:process_id, :journal, :beat, "
    ":seen_ns, :held, :moved) ON CONFLICT (process_id) DO UPDATE SET beat = excluded.beat, "
    "seen_ns = excluded.seen_ns, held = excluded.held, moved = excluded.moved"
)
_READ = text("SELECT process_id, beat, seen_ns, held, moved FROM spenders WHERE process_id <> :process_id")
_LEAVE = text("DELETE FROM spenders WHERE process_id = :process_id")
# Those whose journal this process has taken over.
_BURY = text("DELETE FROM spenders WHERE journal = :journal AND process_id <> :process_id AND seen_ns < :dead_ns")

_ASK = text(
    "INSERT INTO revisions (name, value) VALUES ('spending', 1) "
    "ON CONFLICT (name) DO UPDATE SET value = revisions.value + 1"
)
_READ_ASKED = text("SELECT value FROM revisions WHERE name = 'spending'")

# By budget and window, in picodollars.
HeldByLine = dict[str, int]
# The same by holds.
MovedByLine = dict[str, dict[str, int]]


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """Another process as the database knows it."""

    process_id: str
    beat: int
    seen_ns: int
    held: HeldByLine
    moved: MovedByLine


class Peers:
    """This process among the others."""

    def __init__(
        self, database: Database, recorder: Recorder, books: Books, journal: str, now_ns: Callable[[], int]
    ) -> None:
        self.process_id = new_id(now_ns())
        self._journal = journal
        self._database = database
        self._recorder = recorder
        self._books = books
        self._now_ns = now_ns
        self._beat = 0
        # The last question that this process has beaten for.
        self._answered = 0
        self._held: HeldByLine = {}
        self._moved: MovedByLine = {}
        # Whether all that ever beat are alive or have left in order.
        self.are_whole = True

    def held_pusd(self, line_key: str, window_key: str) -> int:
        """What the others held on a line when they were last asked."""
        return self._held.get(f"{line_key} {window_key}", 0)

    def moved(self, line_key: str, window_key: str) -> dict[str, int]:
        """What the others told then that this line has to know if it begins: holds and amounts; see Books."""
        return self._moved.get(f"{line_key} {window_key}", {})

    async def appear(self) -> None:
        """Be known to the others before the budgets are loaded: a change is waited for, or is loaded with them."""
        await self._tell({}, {})

    async def beat(self) -> None:
        """Store what was recorded, take over the budgets, and tell."""
        # Those tell of themselves by their rows, once these are written, at the end of this turn, and stored.
        over = {hold_id for hold_id, hold in self._books.open.items() if hold.has_ended}
        # The rows of others that end before it is told may be stored later.
        with self._books.noting_ended() as ended:
            await asyncio.sleep(0)
            async with asyncio.timeout(_FLUSH_S):
                await self._recorder.flush()
            await self._books.directory.refresh()
        held: HeldByLine = {}
        for hold_id, hold in self._books.open.items():
            hold.is_told = hold_id not in over
            for line in hold.lines if hold.is_told else ():
                name = f"{line.budget_key} {line.window_key}"
                held[name] = held.get(name, 0) + hold.amount_pusd
        joining = self._books.find_joining(ended).items()
        moved = {f"{line.budget_key} {line.window_key}": holds for line, holds in joining}
        self._beat += 1
        await self._tell(held, moved)

    async def pause(self) -> None:
        """Let the time between two beats pass; it ends early, with a beat, where a process asks meanwhile."""
        for _ in range(round(BEAT_S / _LISTEN_S)):
            await asyncio.sleep(_LISTEN_S)
            async with self._database.read() as connection:
                asked: int = (await connection.execute(_READ_ASKED)).scalar_one_or_none() or 0
            if asked != self._answered:
                self._answered = asked
                await self.beat()
                return

    async def bury(self) -> None:
        """Forget dead processes of this journal, after what they left was recorded here and stored."""
        async with asyncio.timeout(_FLUSH_S):
            await self._recorder.flush()
        dead_ns = self._now_ns() - LIFE_NS
        values = {"journal": self._journal, "process_id": self.process_id, "dead_ns": dead_ns}
        async with self._database.write() as connection:
            await connection.execute(_BURY, values)

    async def spread(self) -> None:
        """Have every living process take the budgets' changes over; the caller sets the time limit.

        What the others hold stays as it was told: whoever begins a line has read it together with the ledger.
        """
        await self._ask()
        await self._wait_for_beats()

    async def wait_for_all(self, *, is_urgent: bool = False) -> None:
        """Wait until every living process has stored what it had recorded before; the caller sets the time limit."""
        await self._recorder.flush()
        if is_urgent:
            await self._ask()
        living, dead = await self._wait_for_beats()
        # Whoever uses what they told knows the budgets that they knew.
        await self._books.directory.refresh()
        self.are_whole = not dead
        self._held, self._moved = {}, {}
        for peer in living:
            for name, holds in peer.moved.items():
                self._moved.setdefault(name, {}).update(holds)
            for name, amount_pusd in peer.held.items():
                self._held[name] = self._held.get(name, 0) + amount_pusd

    async def leave(self) -> None:
        """Go in order: everything was stored."""
        async with self._database.write() as connection:
            await connection.execute(_LEAVE, {"process_id": self.process_id})

    async def _tell(self, held: HeldByLine, moved: MovedByLine) -> None:
        values: dict[str, Any] = {
            "process_id": self.process_id,
            "journal": self._journal,
            "beat": self._beat,
            "seen_ns": self._now_ns(),
            "held": msgspec.json.encode(held).decode(),
            "moved": msgspec.json.encode(moved).decode(),
        }
        async with self._database.write() as connection:
            await connection.execute(_UPSERT, values)

    async def _ask(self) -> None:
        """Have every process take the budgets' changes over and store what it has recorded, twice, at once."""
        async with self._database.write() as connection:
            await connection.execute(_ASK)

    async def _wait_for_beats(self) -> tuple[list[Peer], list[Peer]]:
        """Wait until every living process has beaten twice from now on; tell who lives, and who seems dead."""
        before = {peer.process_id: peer.beat for peer in await self._read()}
        while True:
            peers = await self._read()
            living = [peer for peer in peers if peer.seen_ns > self._now_ns() - LIFE_NS]
            if all(peer.beat >= before.get(peer.process_id, 0) + _BEATS for peer in living):
                return living, [peer for peer in peers if peer not in living]
            await asyncio.sleep(_LOOK_S)

    async def _read(self) -> list[Peer]:
        async with self._database.read() as connection:
            found = (await connection.execute(_READ, {"process_id": self.process_id})).mappings().all()
        told = ("held", "moved")
        return [
            msgspec.convert({**row, **{name: msgspec.json.decode(row[name]) for name in told}}, Peer) for row in found
        ]
