"""The SQL of the views that the ledger's own does not cover: whose projects there are, and a single call.

Failure behavior: raises DatabaseUnavailable as gateway.db does.
"""

from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.alike import COLUMNS
from gateway.ledger.row import UsageRow

# Deleted ones too: what they used was used.
_LIST_PROJECTS = text("SELECT project_id FROM projects WHERE account_id = :account_id ORDER BY project_id")
_LIST_OPERATORS = text("SELECT project_id FROM projects WHERE account_id IS NULL ORDER BY project_id")
_FIND_CALL = text(f"SELECT {', '.join(COLUMNS)} FROM usage WHERE request_id = :request_id")  # noqa: S608 - constants
_FIND_OWNER = text("SELECT account_id FROM projects WHERE project_id = :project_id")
_LIST_CORRECTIONS = text(
    "SELECT delta_pusd, cost_basis, price_id, created_ns FROM corrections WHERE request_id = :request_id "
    "ORDER BY number"
)


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """What a call was charged too little, or too much where it is negative, by a price."""

    delta_pusd: int
    cost_basis: str
    price_id: str
    created_ns: int


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it was recorded, and what was corrected since."""

    row: UsageRow
    # Of its project; None: the operator's.
    account_id: str | None
    corrections: list[Correction]

    @property
    def cost_pusd(self) -> int:
        """What it costs by all that is known."""
        charged = 0 if self.row.is_cached else self.row.cost_pusd
        return charged + sum(correction.delta_pusd for correction in self.corrections)


async def list_project_ids(connection: AsyncConnection, account_id: str | None) -> tuple[str, ...]:
    """The projects of an account, or with None the operator's."""
    statement = _LIST_OPERATORS if account_id is None else _LIST_PROJECTS
    values: dict[str, Any] = {} if account_id is None else {"account_id": account_id}
    return tuple((await connection.execute(statement, values)).scalars())


async def find_call(connection: AsyncConnection, request_id: str) -> Call | None:
    """The call with this id."""
    found = (await connection.execute(_FIND_CALL, {"request_id": request_id})).mappings().one_or_none()
    if found is None:
        return None
    row = msgspec.convert(list(found.values()), UsageRow, strict=False)
    account_id: str | None = (
        await connection.execute(_FIND_OWNER, {"project_id": row.project_id})
    ).scalar_one_or_none()
    corrections = (await connection.execute(_LIST_CORRECTIONS, {"request_id": request_id})).mappings()
    return Call(
        row=row,
        account_id=account_id,
        corrections=[msgspec.convert(dict(each), Correction, strict=False) for each in corrections],
    )
