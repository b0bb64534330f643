"""Follows the calls as they are stored, by whatever process: nothing waits in memory for who reads slowly.

A cursor names an entry of the feed and how many of its calls were told; whoever was away for longer than the feed
reaches back is told that something is missing.

Failure behavior: raises DatabaseUnavailable as gateway.db does; the follower may be asked again and goes on.
"""

from collections.abc import Callable, Sequence

import msgspec

from gateway.analytics.calls.filters import Filter
from gateway.analytics.calls.log import CallLine, read_lines
from gateway.analytics.usage import InvalidUsageQuery
from gateway.db import Database
from gateway.ledger.feed import GAP_S, Entry, read_ends, read_entries, read_missed

# Entries that are read at once; and calls that are told at once.
MAX_ENTRIES = 20
_NS_PER_S = 1_000_000_000
MAX_GAPS = 1_000


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored since the last time."""

    lines: list[CallLine]
    # Some calls can no longer be told.
    is_torn: bool
    # Where to go on.
    cursor: str
    # More is there already.
    has_more: bool


class Tail:
    """One follower of some projects' calls."""

    def __init__(
        self, database: Database, project_ids: Sequence[str], wanted: Filter, ticks_ns: Callable[[], int]
    ) -> None:
        self._database = database
        self._project_ids = project_ids
        self._wanted = wanted
        self._ticks_ns = ticks_ns
        # None: what comes from now on.
        self._last: int | None = None
        # Numbers that were passed over, and until when they are looked for.
        self._gaps: dict[int, int] = {}

    def resume(self, cursor: str) -> None:
        """Go on behind a cursor; raises InvalidUsageQuery."""
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= len(str(2**63))):
            raise InvalidUsageQuery(f"cursor={cursor[:64]!r} is not one that a stream gave", "after")
        self._last = int(cursor)

    async def read(self) -> News:
        """Read what was stored since the last time; the first time nothing, unless a cursor was given."""
        async with self._database.read() as connection:
            first, newest = await read_ends(connection)
            if self._last is None:
                self._last = newest
            # A cursor of another database, or one that is older than the feed.
            is_torn = self._last > newest or self._last + 1 < first
            if is_torn:
                self._last = newest
                self._gaps.clear()
            entries = await read_entries(connection, self._last, MAX_ENTRIES)
            late = await read_missed(connection, self._gaps)
            self._pass(entries, late)
            ids = [request_id for entry in (*late, *entries) for request_id in entry.request_ids]
            lines = await read_lines(connection, self._project_ids, self._wanted, ids)
        return News(lines=lines, is_torn=is_torn, cursor=str(self._last), has_more=len(entries) >= MAX_ENTRIES)

    def _pass(self, entries: Sequence[Entry], late: Sequence[Entry]) -> None:
        now_ns = self._ticks_ns()
        assert self._last is not None, "set by read"  # noqa: S101 - for the type checkers
        for entry in entries:
            for number in range(self._last + 1, entry.number):
                if len(self._gaps) < MAX_GAPS:
                    self._gaps[number] = now_ns + GAP_S * _NS_PER_S
            self._last = entry.number
        for entry in late:
            del self._gaps[entry.number]
        self._gaps = {number: until_ns for number, until_ns in self._gaps.items() if until_ns > now_ns}
