"""Opens what keeps money: the budgets in memory, the books, the other processes and the work beside the calls."""

import socket
import time
from contextlib import AsyncExitStack

from gateway.budgets.directory import BudgetDirectory
from gateway.budgets.keeping.books import Books
from gateway.budgets.keeping.keeper import Keeper
from gateway.budgets.keeping.peers import Peers
from gateway.budgets.keeping.treasury import Treasury
from gateway.budgets.keeping.watch import Watch
from gateway.budgets.spending import Spending
from gateway.config.settings import Settings
from gateway.counters.interface import Counters
from gateway.db import Database
from gateway.ledger.recording.recorder import Recorder

_NS_PER_MS = 1_000_000
# A hold of the only process ends with its call or with the process, which its journal tells.
LOCAL_LEASE_NS = 1 << 61
# Through Redis a hold is given up when its call must have been over for this long.
LEASE_MARGIN_NS = 20_000 * _NS_PER_MS


async def open_keeper(
    settings: Settings, database: Database, counters: Counters, recorder: Recorder, stack: AsyncExitStack
) -> Keeper:
    """Load the budgets and begin to keep them; the stack closes what is opened. Raises DatabaseUnavailable."""
    directory = BudgetDirectory(database)
    books = Books(counters, directory, time.time_ns)
    peers: Peers | None = None
    lease_ns = LOCAL_LEASE_NS
    if books.local is None:
        recorder.journal.sign()
        journal = f"{socket.gethostname()}:{settings.data_dir.resolve()}"
        peers = Peers(database, recorder, books, journal, time.time_ns)
        lease_ns = settings.timeouts.total_ms * _NS_PER_MS + LEASE_MARGIN_NS
        await peers.appear()
    await directory.start()
    stack.push_async_callback(directory.close)
    treasury = Treasury(
        books=books,
        spending=Spending(database),
        recorder=recorder,
        database=database,
        lease_ns=lease_ns,
        peers=peers,
    )
    watch = Watch(treasury)
    watch.start()
    stack.push_async_callback(watch.close)
    return Keeper(treasury)
