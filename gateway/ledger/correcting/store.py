"""The SQL of corrections: the rows that may need one, what was booked for them, and one more.

Failure behavior: raises DatabaseUnavailable as gateway.db does; a booking happens inside the caller's transaction.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db import DatabaseUnavailable
from gateway.ledger import rollups
from gateway.ledger.correcting.rating import RatedRow
from gateway.ledger.figures import sums as figures
from gateway.ledger.settle import Cost

_COLUMNS = ", ".join(field.name for field in msgspec.structs.fields(RatedRow))
_READ_ROWS = text(
    f"SELECT {_COLUMNS} FROM usage WHERE project_id = :project_id AND created_ns < :to_ns "  # noqa: S608 - made of field names
    "AND (created_ns, request_id) > (:after_ns, :after_id) ORDER BY created_ns, request_id LIMIT :limit"
)
# From one project to the next by the index: there are few of them and many rows.
_LIST_PROJECTS = text(
    "WITH RECURSIVE known (project_id) AS (SELECT MIN(project_id) FROM usage UNION ALL "
    "SELECT (SELECT MIN(usage.project_id) FROM usage WHERE usage.project_id > known.project_id) FROM known "
    "WHERE known.project_id IS NOT NULL) SELECT project_id FROM known WHERE project_id IS NOT NULL"
)
_READ_BOOKED = text(
    "SELECT request_id, number, delta_pusd, cost_basis, prompt_saved_delta_pusd FROM corrections "
    "WHERE request_id IN :request_ids ORDER BY request_id, number"
).bindparams(bindparam("request_ids", expanding=True))
# The row stays locked until the commit: of two who correct at once the second sees what the first has booked.
_LOCK = text("UPDATE revisions SET value = value + 1 WHERE name = 'corrections'")
_INSERT = text(
    "INSERT INTO corrections "
    "(request_id, number, delta_pusd, cost_basis, price_id, created_ns, prompt_saved_delta_pusd) "
    "VALUES (:request_id, :number, :delta_pusd, :cost_basis, :price_id, :created_ns, :prompt_saved_delta_pusd)"
)


class Booked(NamedTuple):
    """The corrections of a row: their sums, the number of the next one, and the basis that the last one names."""

    pusd: int = 0
    next_number: int = 0
    basis: str = ""
    prompt_saved_pusd: int = 0


class Correction(NamedTuple):
    """One more for a row: what it was charged too little, or too much where it is negative."""

    row: RatedRow
    cost: Cost
    delta_pusd: int
    # What the provider's own prompt cache saved more than is known, or less where it is negative.
    prompt_saved_delta_pusd: int
    booked: Booked


class Place(NamedTuple):
    """Where the next page of a project's rows begins: behind this one."""

    created_ns: int
    request_id: str


async def list_projects(connection: AsyncConnection) -> list[str]:
    """List every project that has a row."""
    return list((await connection.execute(_LIST_PROJECTS)).scalars())


async def read_rows(
    connection: AsyncConnection, project_id: str, after: Place, to_ns: int, limit: int
) -> list[RatedRow]:
    """Read up to ``limit`` rows of a project, oldest first, behind a place and before a moment."""
    values = {"project_id": project_id, "after_ns": after.created_ns, "after_id": after.request_id}
    found = await connection.execute(_READ_ROWS, {**values, "to_ns": to_ns, "limit": limit})
    return [msgspec.convert(tuple(row), RatedRow, strict=False) for row in found]


async def read_booked(connection: AsyncConnection, request_ids: Sequence[str]) -> dict[str, Booked]:
    """Read what was corrected of rows; those without a correction are not named."""
    booked: dict[str, Booked] = {}
    if request_ids:
        for row in await connection.execute(_READ_BOOKED, {"request_ids": list(request_ids)}):
            known = booked.get(row.request_id, Booked())
            booked[row.request_id] = Booked(
                known.pusd + row.delta_pusd,
                known.next_number + 1,
                row.cost_basis,
                known.prompt_saved_pusd + row.prompt_saved_delta_pusd,
            )
    return booked


def compare(row: RatedRow, cost: Cost, booked: Booked) -> Correction | None:
    """The correction that a row lacks to cost and to have saved this; None: it lacks none.

    A row without a price that gets one is corrected even where it then costs nothing, so that it has a price.
    """
    delta_pusd = cost.pusd - row.rated_pusd - booked.pusd
    saved_delta_pusd = cost.prompt_saved_pusd - row.prompt_saved_pusd - booked.prompt_saved_pusd
    was_unpriced = (booked.basis or row.cost_basis) == "unpriced"
    if not (delta_pusd or saved_delta_pusd or was_unpriced):
        return None
    return Correction(row, cost, delta_pusd, saved_delta_pusd, booked)


async def lock(connection: AsyncConnection) -> None:
    """Let nobody else correct until the commit, and tell every process that something was."""
    await connection.execute(_LOCK)


async def insert(connection: AsyncConnection, corrections: Sequence[Correction], now_ns: int) -> None:
    """Book corrections with the sums that they change; the caller has locked."""
    if await rollups.read_rolled(connection) != "" or await figures.read_rolled(connection) != "":
        raise DatabaseUnavailable("older usage rows are not summed up yet, and only what is can be corrected")
    await connection.execute(
        _INSERT,
        [
            {
                "request_id": each.row.request_id,
                "number": each.booked.next_number,
                "delta_pusd": each.delta_pusd,
                "cost_basis": each.cost.basis,
                "price_id": each.cost.price_id,
                "created_ns": now_ns,
                "prompt_saved_delta_pusd": each.prompt_saved_delta_pusd,
            }
            for each in corrections
        ],
    )
    await rollups.add_costs(connection, [(_group_of(each.row), each.delta_pusd) for each in corrections])
    await figures.add_changes(connection, map(_change_of, corrections))


def _group_of(row: RatedRow) -> rollups.Group:
    return rollups.Group(row.project_id, row.created_ns, row.key_id, row.model, row.provider, row.upstream_model)


def _change_of(correction: Correction) -> figures.Change:
    row = correction.row
    return figures.Change(
        row.project_id, row.created_ns, row.tags, correction.delta_pusd, correction.prompt_saved_delta_pusd
    )
