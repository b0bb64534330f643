"""What keeps money, on a real database and counters in memory, for tests without a gateway around it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text

from gateway.accounts.audit import Actor
from gateway.accounts.directory import KeyRecord
from gateway.budgets import store
from gateway.budgets.bound import Bound, Worst
from gateway.budgets.budget import Budget
from gateway.budgets.directory import BudgetDirectory
from gateway.budgets.keeping.books import Books
from gateway.budgets.keeping.funds import Funds
from gateway.budgets.keeping.keeper import Keeper, Wish
from gateway.budgets.keeping.treasury import Treasury
from gateway.budgets.spending import Spending
from gateway.counters.interface import Counters
from gateway.counters.memory import MemoryCounters
from gateway.credits import Credits
from gateway.db import Database
from gateway.ids import new_id
from gateway.ledger.recording.doubt import Doubt
from gateway.ledger.recording.journal import Journal
from gateway.ledger.recording.recorder import Recorder, RecorderSettings
from gateway.ledger.row import UsageRow
from tests.gateway.usage_rows import NOW_NS, make_row

ACCOUNT, PROJECT, KEY = "acct_1", "proj_1", "key_1"
ANN = Actor(kind="user", actor_id="usr_1", origin="192.0.2.7")
CALLER = KeyRecord(key_id=KEY, project_id=PROJECT, kind="live", account_id=ACCOUNT)


class Treasure:
    """A treasury with one account, one project and a recorder that folds."""

    def __init__(self, treasury: Treasury) -> None:
        self.treasury = treasury
        self.books = treasury.books
        self.recorder = treasury.recorder
        self.database = treasury.database
        self.keeper = Keeper(treasury)

    async def add(self, **fields: Any) -> Budget:
        """Store a budget and know it."""
        budget = make_budget(**fields)
        async with self.database.write() as connection:
            await store.insert(connection, budget)
        await self.books.directory.refresh()
        return budget

    async def set_zone(self, zone: str) -> None:
        """Let the account's days begin in another zone, and know it."""
        async with self.database.write() as connection:
            await store.set_zone(connection, ACCOUNT, zone)
        await self.books.directory.refresh()

    def wish(self, amount_pusd: int, tags: str = "", **fields: Any) -> Wish:
        """A call of which this is the most that it may cost: no input, a picodollar a token."""
        worst = Worst(input_atto=0, output_atto=10**6, per_request_pusd=0, output_tokens=amount_pusd)
        return Wish(
            standings=self.books.directory.find(CALLER, tags),
            bound=Bound(targets=(worst,), input_tokens=0, output_tokens=amount_pusd),
            cap_pusd=fields.pop("cap_pusd", None),
            doubt=doubt_of(row_of(tags=tags, cost_pusd=amount_pusd, **fields)),
        )

    def reserve_at_once(self, wish: Wish) -> Funds | None:
        """Ask as most calls do, which make no Wish."""
        return self.keeper.reserve_at_once(wish.standings, wish.bound, wish.cap_pusd, wish.doubt)

    async def hold(self, amount_pusd: int) -> str:
        """Hold, and tell the id."""
        wish = self.wish(amount_pusd)

        async def tighten() -> Bound:
            return wish.bound

        funds = self.reserve_at_once(wish) or await self.keeper.reserve(wish, tighten)
        return funds.doubt.request_id

    def now_of(self, budget: Budget) -> Budget:
        """The same budget as it stands now."""
        standing = self.books.directory.get(budget.budget_id)
        assert standing is not None
        return standing.budget

    async def sum_pusd(self, budget: Budget) -> int:
        """What the ledger says that a budget has spent in its window of now."""
        standing = self.books.directory.get(budget.budget_id)
        assert standing is not None
        async with self.recorder.folding:
            wanted = [(standing.budget, standing.window_at(NOW_NS))]
            (total,) = await self.treasury.spending.read(self.recorder, wanted)
        return total


async def give_credit(treasury: Treasury, account_id: str, amount_pusd: int) -> None:
    """As a new account gets it."""
    credits = Credits(treasury, amount_pusd)
    async with treasury.database.write() as connection:
        await credits.grant(connection, account_id, treasury.books.now_ns())
    await credits.follow()


def doubt_of(row: UsageRow) -> Doubt:
    """What the call of a row is until that comes."""
    return Doubt(**{name: getattr(row, name) for name in Doubt.__struct_fields__})


def row_of(**fields: Any) -> UsageRow:
    """A row of the key."""
    return make_row(**{"project_id": PROJECT, "key_id": KEY, "request_id": new_id(NOW_NS), **fields})


def make_budget(**fields: Any) -> Budget:
    """A budget on the project, of a day; fields given win."""
    usual: dict[str, Any] = {"budget_id": f"bud_{new_id(NOW_NS)}", "account_id": ACCOUNT, "scope": "project"}
    usual |= {"scope_id": PROJECT, "span": "day", "limit_pusd": 100, "created_ns": NOW_NS}
    return Budget(**{**usual, **fields})


@asynccontextmanager
async def treasure(
    database: Database, folder: Path, counters: Counters | None = None, *, folds: bool = True
) -> AsyncIterator[Treasure]:
    """Build everything; with ``folds`` off rows stay in the journal until they are flushed."""
    async with database.write() as connection:
        statement = "INSERT INTO accounts (account_id, name, created_ns) VALUES (:a, 'a', 0) ON CONFLICT DO NOTHING"
        await connection.execute(text(statement), {"a": ACCOUNT})
        statement = "INSERT INTO projects (project_id, account_id, name, created_ns) VALUES (:p, :a, 'p', 0)"
        await connection.execute(text(f"{statement} ON CONFLICT DO NOTHING"), {"p": PROJECT, "a": ACCOUNT})
    spending = Spending(database)
    directory = BudgetDirectory(database)
    await directory.refresh()
    settings = RecorderSettings(fold_interval_ms=1 if folds else 60_000)
    journal = Journal(folder / "journal", NOW_NS)
    recorder = Recorder(database, journal, _note_nothing, lambda: NOW_NS, settings, spending.take_stored)
    recorder.start()
    books = Books(counters or MemoryCounters(), directory, lambda: NOW_NS)
    treasury = Treasury(
        books=books, spending=spending, recorder=recorder, database=database, lease_ns=10**12, peers=None
    )
    try:
        yield Treasure(treasury)
    finally:
        await recorder.close()


async def _note_nothing(*_: object) -> None:
    """Stand in for accounts.store.note_used."""
