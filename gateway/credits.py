"""A new account's credit: booked in the transaction that makes the account, so that no account is ever without it.

Failure behavior: ``grant`` raises DatabaseUnavailable as gateway.db does, and the account is then not made. ``follow``
comes after the commit and raises nothing: while the database is away the next poll takes the credit over.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets import administration, store
from gateway.budgets.budget import Budget
from gateway.budgets.keeping.treasury import Treasury
from gateway.budgets.store import Entry
from gateway.ids import new_id


class Credits:
    """Gives each new account the same credit, beyond which it spends nothing."""

    def __init__(self, treasury: Treasury, amount_pusd: int) -> None:
        self._treasury = treasury
        self._amount_pusd = amount_pusd

    async def grant(self, connection: AsyncConnection, account_id: str, now_ns: int) -> None:
        """Book the credit, and the balance that bounds what the account spends, inside the caller's transaction."""
        entry = Entry(
            entry_id=f"ent_{new_id(now_ns)}",
            account_id=account_id,
            kind="credit",
            amount_pusd=self._amount_pusd,
            created_ns=now_ns,
        )
        balance = Budget(
            budget_id=f"bud_{new_id(now_ns)}",
            account_id=account_id,
            kind="credits",
            scope="account",
            scope_id=account_id,
            span="total",
            limit_pusd=self._amount_pusd,
            created_ns=now_ns,
        )
        await store.add_credits(connection, balance, entry)

    async def follow(self) -> None:
        """Have this process keep what was granted at once, before anybody can spend it, and the others with it."""
        await administration.spread(self._treasury)
