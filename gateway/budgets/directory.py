"""Every budget of the installation in memory: which of them govern a call is told without asking the database.

Failure behavior: while the database is away the budgets known so far are kept; see gateway.accounts.follower.
"""

from collections.abc import Sequence

from gateway.accounts.directory import KeyRecord
from gateway.accounts.follower import Follower
from gateway.budgets import store
from gateway.budgets.budget import Budget, tag_scope_id
from gateway.budgets.windows import Window, window_of
from gateway.counters.interface import BudgetLine
from gateway.counters.local_limits import Epoch
from gateway.db import Database
from gateway.ledger.figures.tags import split_tags

# What governs a key without tags is remembered for this many keys.
MAX_REMEMBERED = 50_000


class Standing:
    """A budget that is in force, with its counter's line of the window that was asked for last."""

    __slots__ = ("_line", "_window", "budget", "notified")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._window = Window(0, 0)
        self._line: BudgetLine | None = None
        # The thresholds' events that this process has asked for: the window's key, and how many.
        self.notified: tuple[str, int] = ("", 0)

    def window_at(self, moment_ns: int) -> Window:
        """The window that a moment lies in."""
        window = self._window
        if not window.start_ns <= moment_ns < window.end_ns:
            window = self._window = window_of(self.budget.span, self.budget.zone, moment_ns)
            self._line = None
        return window

    def line_at(self, moment_ns: int) -> BudgetLine:
        """The counter's line of the window that a moment lies in."""
        window, line = self._window, self._line
        if line is None or not window.start_ns <= moment_ns < window.end_ns:
            window = self.window_at(moment_ns)
            line = self._line = BudgetLine(
                budget_key=self.budget.line_key,
                window_key=window.key,
                limit_pusd=self.budget.enforced_pusd,
                resets_ns=window.resets_ns,
            )
        return line


class BudgetDirectory(Follower):
    """Finds the budgets of a call, and follows what every process changes."""

    things = "budgets"
    revision_name = "budgets"

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._revision = 0
        self._standings: dict[str, Standing] = {}
        self._by_scope: dict[tuple[str, str], list[Standing]] = {}
        # Some budget is on a tag, so that calls of one key may differ in who governs them.
        self.has_tags = False
        self._remembered: dict[str, tuple[Standing, ...]] = {}
        # Without any, nothing else need be asked.
        self.is_empty = True
        # Grows with every change; so does the epoch, which is the counters' where they are this process's own.
        self.revision = 0
        self.epoch = Epoch()

    def __len__(self) -> int:
        """Count the budgets in force."""
        return len(self._standings)

    def get(self, budget_id: str) -> Standing | None:
        """Find a budget that is in force."""
        return self._standings.get(budget_id)

    def all(self) -> list[Standing]:
        """List the budgets in force."""
        return list(self._standings.values())

    def of_account(self, account_id: str, *, with_credit: bool = False) -> list[Standing]:
        """List those on an account as a whole, and where that is asked its credit."""
        governing = self._by_scope.get(("account", account_id), ())
        return [found for found in governing if with_credit or found.budget.kind == "limit"]

    def find(self, caller: KeyRecord, tags: str) -> tuple[Standing, ...]:
        """List what governs a call: budgets on the key and its makers, on the project, the account, and on the tags."""
        if self.is_empty:
            return ()
        governing = self._remembered.get(caller.key_id)
        if governing is None:
            governing = self._find_plain(caller)
            if len(self._remembered) < MAX_REMEMBERED:
                self._remembered[caller.key_id] = governing
        if tags and self.has_tags:
            for tag in split_tags(tags):
                governing += tuple(self._by_scope.get(("tag", tag_scope_id(caller.account_id, tag)), ()))
        return governing

    def renew(self, standings: Sequence[Standing]) -> tuple[Standing, ...]:
        """List the same budgets as they stand now, each once; deleted ones as they stood."""
        known = {standing.budget.budget_id: standing for standing in standings}
        return tuple(self._standings.get(budget_id, standing) for budget_id, standing in known.items())

    def counts_on(self, standings: Sequence[Standing]) -> bool:
        """Whether the counters of budgets are still those that count: no change of the zone that is known ended one."""
        for standing in standings:
            known = self._standings.get(standing.budget.budget_id, standing)
            if known.budget.line_key != standing.budget.line_key:
                return False
        return True

    async def take_changes(self) -> None:
        """Take over what changed since the last time. Raises DatabaseUnavailable."""
        revision, changed = await store.read_changes(self._database, self._revision)
        if revision < self._revision:
            # The database was replaced by an older copy, which was read from its beginning.
            self._standings.clear()
        elif not changed:
            self._revision = revision
            return
        self._revision = revision
        for budget in changed:
            if budget.deleted_ns is None:
                self._standings[budget.budget_id] = Standing(budget)
            else:
                self._standings.pop(budget.budget_id, None)
        self._by_scope = {}
        for standing in self._standings.values():
            place = (standing.budget.scope, standing.budget.counted_id)
            self._by_scope.setdefault(place, []).append(standing)
        self.has_tags = any(scope == "tag" for scope, _ in self._by_scope)
        self._remembered = {}
        self.is_empty = not self._standings
        self.revision += 1
        self.epoch.number += 1

    def _find_plain(self, caller: KeyRecord) -> tuple[Standing, ...]:
        places = [("key", key_id) for key_id in (caller.counted_id, *caller.spends_in)]
        places.append(("project", caller.project_id))
        if caller.account_id is not None:
            places.append(("account", caller.account_id))
        found = [standing for place in places for standing in self._by_scope.get(place, ())]
        # The balance is looked at last (row C9).
        return tuple(sorted(found, key=lambda standing: standing.budget.kind == "credits"))
