"""Many rows into SQLite by few statements; SQLAlchemy would touch each value of a row.

Failure behavior: raises SQLAlchemy's errors, as ``gateway.db.run_sqlite``.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db import count_sqlite_changes, run_sqlite_often

# The most parameters of a statement. Source: https://www.sqlite.org/limits.html (2026-11-27).
_PARAMETERS = 32_766
_ROWS_OF_A_STATEMENT = (500, 100, 20, 4, 1)
NOTHING_FIXED: Mapping[int, str] = MappingProxyType({})
# What rows share, and the rest of each.
Part = tuple[Sequence[Any], Sequence[Sequence[Any]]]


class SqliteInsert:
    """An INSERT of any number of rows: ``into`` up to VALUES, ``tail`` behind them.

    ``fixed``: by position, the SQL of columns that have one value in all rows, which say nothing of them. ``shared``:
    so many columns, the first, have the same values in all rows of a part, which is given them once.

    Many rows a statement: the driver gives up and takes back the interpreter at each, and waits for it.
    """

    def __init__(
        self, into: str, columns: int, tail: str, fixed: Mapping[int, str] = NOTHING_FIXED, *, shared: int = 0
    ) -> None:
        fixed = {**fixed, **{position: f"?{position + 1}" for position in range(shared)}}
        row = f"({', '.join(fixed.get(position, '?') for position in range(columns))})"
        self._statements = tuple(
            (count, f"{into} VALUES {', '.join([row] * count)} {tail}")
            for count in _ROWS_OF_A_STATEMENT
            if shared + count * (columns - len(fixed)) <= _PARAMETERS
        )

    async def run(self, connection: AsyncConnection, rows: Sequence[Sequence[Any]]) -> int:
        """Insert rows inside the caller's transaction; returns how many were inserted or changed."""
        return await self.run_parts(connection, (((), rows),))

    async def run_parts(self, connection: AsyncConnection, parts: Sequence[Part]) -> int:
        """As ``run``, for rows that have something in common: however many parts there are, it is few statements."""
        before = count_sqlite_changes(connection)
        starts = [0] * len(parts)
        for count, statement in self._statements:
            values: list[list[Any]] = []
            for number, (shared, rows) in enumerate(parts):
                start = starts[number]
                end = starts[number] = len(rows) - (len(rows) - start) % count
                values += [[*shared, *chain.from_iterable(rows[at : at + count])] for at in range(start, end, count)]
            if values:
                await run_sqlite_often(connection, statement, values)
        return count_sqlite_changes(connection) - before
