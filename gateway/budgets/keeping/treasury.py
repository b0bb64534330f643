"""The parts that keep the money of one process, handed to whoever holds, watches or changes it."""

import msgspec

from gateway.budgets.keeping.books import Books
from gateway.budgets.keeping.peers import Peers
from gateway.budgets.spending import Spending
from gateway.db import Database
from gateway.ledger.recording.recorder import Recorder


class Treasury(msgspec.Struct, frozen=True, kw_only=True):
    """Built once by the application."""

    books: Books
    spending: Spending
    recorder: Recorder
    database: Database
    # For how long a hold counts without being renewed.
    lease_ns: int
    # The other processes, where Redis is shared.
    peers: Peers | None = None
