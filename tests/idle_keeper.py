"""A keeper that knows no budget, for tests of what is not about money."""

from typing import Any, cast

from gateway.budgets.directory import BudgetDirectory
from gateway.budgets.keeping.books import Books
from gateway.budgets.keeping.keeper import Keeper
from gateway.budgets.keeping.treasury import Treasury
from gateway.budgets.spending import Spending
from gateway.counters.memory import MemoryCounters


def make_keeper(database: Any = None) -> Keeper:
    """Counters in memory, no budget; without a database nobody may ask for one."""
    nothing = cast("Any", None)
    books = Books(MemoryCounters(), BudgetDirectory(nothing), lambda: 0)
    parts = Treasury(books=books, spending=Spending(nothing), recorder=nothing, database=database, lease_ns=1 << 61)
    return Keeper(parts)
