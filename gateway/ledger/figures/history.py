"""Brings what was stored before there were figures into them, a little at a time.

Failure behavior: raises DatabaseUnavailable as gateway.db does; stopped at any moment, the next call goes on.
"""

from sqlalchemy import text

from gateway.db import Database
from gateway.ledger.figures.facts import read_history
from gateway.ledger.figures.sums import add_facts

# Rows that are summed up in one transaction.
HISTORY_ROWS = 20_000
_LOCK_ROLLED = text("UPDATE figures_state SET rolled_from = rolled_from RETURNING rolled_from")
_FIND_NEXT = text(
    "SELECT request_id FROM usage WHERE CAST(:until AS TEXT) IS NULL OR request_id < :until "
    "ORDER BY request_id DESC LIMIT 1 OFFSET :skipped"
)
_MOVE_ROLLED = text("UPDATE figures_state SET rolled_from = :rolled_from")


async def fold_figures(database: Database) -> bool:
    """Sum up some of the rows that no figure has yet; tells whether more may be left.

    May be called by several processes at once, and stopped at any moment.
    """
    async with database.write() as connection:
        until: str | None = (await connection.execute(_LOCK_ROLLED)).scalar_one()
        if until == "":
            return False
        wanted = {"until": until, "skipped": HISTORY_ROWS - 1}
        rolled_from: str = (await connection.execute(_FIND_NEXT, wanted)).scalar_one_or_none() or ""
        await add_facts(connection, await read_history(connection, rolled_from, until))
        await connection.execute(_MOVE_ROLLED, {"rolled_from": rolled_from})
    return rolled_from != ""
