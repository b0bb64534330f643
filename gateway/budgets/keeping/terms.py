"""On what terms money is held for the calls of one key that are alike: found once, since to ask anew for each call who
governs it, what it costs at worst and where that is counted would cost as much as to hold it.
"""

import msgspec

from gateway.accounts.directory import KeyRecord
from gateway.budgets.bound import Tariff
from gateway.budgets.directory import Standing
from gateway.budgets.keeping.books import Books
from gateway.counters.local_holds import LocalHolds, Places

# Kinds of calls that are remembered; beyond it all are looked up anew.
MAX_REMEMBERED = 8_192
# The key, the endpoint, the model's name and the caller's own limit on the reply.
Alike = tuple[str, str, str, int | None]


class Terms(msgspec.Struct, frozen=True, eq=False):
    """What holds from one moment on and before another, as long as neither the budgets nor their counters change."""

    caller: KeyRecord
    # Whatever the calls find their way in.
    table: object
    # Where that leads them first, and the model's name there.
    provider: str
    upstream_model: str
    tariff: Tariff
    standings: tuple[Standing, ...]
    # Where that is counted.
    holds: LocalHolds
    places: Places
    from_ns: int
    until_ns: int
    # Of the budgets and their counters.
    epoch: int


class Remembered:
    """The terms that were made in one process."""

    __slots__ = ("_books", "_epoch", "_known")

    def __init__(self, books: Books) -> None:
        self._books = books
        self._epoch = books.epoch
        self._known: dict[Alike, Terms] = {}

    def find(self, alike: Alike, caller: KeyRecord, table: object, at_ns: int) -> Terms | None:
        """Find what still holds."""
        terms = self._known.get(alike)
        if terms is None or terms.epoch != self._epoch.number or terms.caller is not caller:
            return None
        return terms if terms.table is table and terms.from_ns <= at_ns < terms.until_ns else None

    def make(  # noqa: PLR0913, PLR0917 - so much is agreed on
        self,
        caller: KeyRecord,
        standings: tuple[Standing, ...],
        table: object,
        way: tuple[str, str],
        tariff: Tariff,
        at_ns: int,
    ) -> Terms | None:
        """Find what holds at a moment; None where a budget has no counter in this process, now or ever."""
        holds = self._books.local
        places = None if holds is None else holds.find([standing.line_at(at_ns) for standing in standings])
        if holds is None or places is None:
            return None
        windows = [standing.window_at(at_ns) for standing in standings]
        return Terms(
            caller,
            table,
            *way,
            tariff,
            standings,
            holds,
            places,
            max([tariff.from_ns, *[window.start_ns for window in windows]]),
            min([tariff.until_ns, *[window.end_ns for window in windows]]),
            self._epoch.number,
        )

    def keep(self, alike: Alike, terms: Terms) -> None:
        """Remember what was made."""
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[alike] = terms
