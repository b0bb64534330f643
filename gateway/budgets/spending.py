"""What scopes have spent: in the database by slots of a quarter of an hour, and in rows that it does not have yet.

The slots are written in the transaction that stores the rows, or that corrects them, so the two never differ. Whoever
holds the recorder's ``folding`` sees rows either stored or not stored, and their sum is the ledger's to the picodollar.

Failure behavior: raises DatabaseUnavailable as gateway.db does, and while rows are known to the disk alone, since
nobody could tell their sum.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets import store
from gateway.budgets.budget import Budget, tag_scope_id
from gateway.budgets.windows import SLOT_NS, Window
from gateway.db import Database, DatabaseUnavailable
from gateway.ledger.figures.tags import split_tags
from gateway.ledger.recording.recorder import Recorder
from gateway.ledger.row import UsageRow

# Of projects and keys, each.
MAX_KNOWN = 100_000
_MAX_ROUNDS = 8

Wanted = Sequence[tuple[Budget, Window]]
# The rows that calls in flight are going to be.
Coming = Callable[[], Iterable[UsageRow]]
# A project, a key, the tags as text, and the slot.
Group = tuple[str, str, str, int]


class Amount(NamedTuple):
    """Money that a call cost, or by which its cost was corrected."""

    project_id: str
    key_id: str
    tags: str
    created_ns: int
    pusd: int


def cost_of(row: UsageRow) -> int:
    """What a row adds to what was spent."""
    return 0 if row.is_cached else row.cost_pusd


def scopes_of(account_id: str | None, project_id: str, counting: Iterable[str], tags: str) -> list[tuple[str, str]]:
    """List every scope that a call's cost counts in; ``counting``: see store.read_counting."""
    scopes = [("project", project_id), *[("key", key_id) for key_id in counting]]
    if account_id is not None:
        scopes.append(("account", account_id))
    if tags:
        scopes += [("tag", tag_scope_id(account_id, tag)) for tag in split_tags(tags)]
    return scopes


class Spending:
    """Keeps the slots and sums up windows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Whose a project is, and from which keys another came, never changes.
        self._accounts: dict[str, str | None] = {}
        self._counting: dict[str, tuple[str, ...]] = {}

    async def take_stored(self, connection: AsyncConnection, rows: Sequence[UsageRow]) -> None:
        """Add rows that are being stored to their slots, inside the same transaction."""
        grouped: dict[Group, int] = {}
        for row in rows:
            # As ``add``, but that no Amount is made of a row: that would take as long as to add it.
            if pusd := cost_of(row):
                group = (row.project_id, row.key_id, row.tags, row.created_ns // SLOT_NS)
                grouped[group] = grouped.get(group, 0) + pusd
        await self._add(connection, grouped)

    async def add(self, connection: AsyncConnection, amounts: Iterable[Amount]) -> None:
        """Add amounts, which may be negative, to the slots of their calls, inside the caller's transaction."""
        grouped: dict[Group, int] = {}
        for amount in amounts:
            if amount.pusd:
                group = (amount.project_id, amount.key_id, amount.tags, amount.created_ns // SLOT_NS)
                grouped[group] = grouped.get(group, 0) + amount.pusd
        await self._add(connection, grouped)

    async def _add(self, connection: AsyncConnection, grouped: Mapping[Group, int]) -> None:
        if not grouped:
            return
        await self._learn(connection, {group[0] for group in grouped}, {group[1] for group in grouped})
        spent: dict[tuple[str, str, int], int] = {}
        for (project_id, key_id, tags, slot), cost in grouped.items():
            for scope, scope_id in self._scopes(project_id, key_id, tags):
                place = (scope, scope_id, slot)
                spent[place] = spent.get(place, 0) + cost
        await store.add_spend(connection, spent)

    async def read(self, recorder: Recorder, wanted: Wanted, coming: Coming = tuple) -> list[int]:
        """Sum up windows; the caller holds ``recorder.folding``, and the sums hold until it awaits something.

        So does what ``counts`` tells of the rows that are ``coming``.
        """
        _require_named(recorder)
        async with self._database.read() as connection:
            stored = await self.read_stored(connection, wanted)
        return await self.add_waiting(recorder, wanted, stored, coming)

    async def read_stored(self, connection: AsyncConnection, wanted: Wanted) -> list[int]:
        """Sum up what the database has of windows."""
        return [await store.sum_window(connection, budget, window) for budget, window in wanted]

    async def add_waiting(
        self, recorder: Recorder, wanted: Wanted, stored: Sequence[int], coming: Coming = tuple
    ) -> list[int]:
        """Add the rows that are not stored, after the transaction: some may come while its end is awaited."""
        for _ in range(_MAX_ROUNDS):
            unknown = self._find_unknown(recorder, wanted, coming)
            if not any(unknown):
                break
            async with self._database.read() as connection:
                await self._learn(connection, *unknown)
        return self._add_unfolded(recorder, wanted, stored)

    async def read_in(self, connection: AsyncConnection, recorder: Recorder, wanted: Wanted) -> list[int]:
        """Sum up windows inside the caller's transaction, with what that has booked."""
        stored = await self.read_stored(connection, wanted)
        for _ in range(_MAX_ROUNDS):
            unknown = self._find_unknown(recorder, wanted, tuple)
            if not any(unknown):
                break
            await self._learn(connection, *unknown)
        return self._add_unfolded(recorder, wanted, stored)

    async def read_slots(
        self, connection: AsyncConnection, recorder: Recorder, account: Budget, window: Window
    ) -> dict[int, int]:
        """Sum up an account's window by quarters of an hour, as ``read_in`` does as a whole."""
        slots = await store.sum_slots(connection, account.scope_id, account.span, window)
        # Learns whose the waiting rows are, and waits for nothing afterwards.
        await self.read_in(connection, recorder, [(account, window)])
        for row in recorder.unfolded():
            if self.counts(row, account, window):
                slot = row.created_ns // SLOT_NS
                slots[slot] = slots.get(slot, 0) + cost_of(row)
        return slots

    def counts(self, row: UsageRow, budget: Budget, window: Window) -> bool:
        """Whether a call counts in a budget's window."""
        scope = (budget.scope, budget.counted_id)
        return window.holds(row.created_ns) and scope in self._scopes(row.project_id, row.key_id, row.tags)

    def _find_unknown(self, recorder: Recorder, wanted: Wanted, coming: Coming) -> tuple[set[str], set[str]]:
        """Name projects and keys of rows of which nobody knows yet where they count."""
        if all(budget.scope == "project" for budget, _ in wanted):
            return set(), set()
        rows = [*recorder.unfolded(), *coming()]
        projects = {row.project_id for row in rows} - self._accounts.keys()
        return projects, {row.key_id for row in rows} - self._counting.keys()

    def _add_unfolded(self, recorder: Recorder, wanted: Wanted, stored: Sequence[int]) -> list[int]:
        # Now, for rows may have come meanwhile for which memory had no room.
        _require_named(recorder)
        return [
            total + self._sum_unfolded(recorder, budget, window)
            for total, (budget, window) in zip(stored, wanted, strict=True)
        ]

    def _sum_unfolded(self, recorder: Recorder, budget: Budget, window: Window) -> int:
        return sum(cost_of(row) for row in recorder.unfolded() if self.counts(row, budget, window))

    def _scopes(self, project_id: str, key_id: str, tags: str) -> list[tuple[str, str]]:
        return scopes_of(self._accounts.get(project_id), project_id, self._counting.get(key_id, (key_id,)), tags)

    async def _learn(self, connection: AsyncConnection, project_ids: set[str], key_ids: set[str]) -> None:
        if unknown := project_ids - self._accounts.keys():
            if len(self._accounts) > MAX_KNOWN:
                self._accounts.clear()
                unknown = project_ids
            self._accounts.update(await store.read_accounts(connection, sorted(unknown)))
        if unknown := key_ids - self._counting.keys():
            if len(self._counting) > MAX_KNOWN:
                self._counting.clear()
                unknown = key_ids
            self._counting.update(await store.read_counting(connection, sorted(unknown)))


def _require_named(recorder: Recorder) -> None:
    if recorder.has_rows_on_disk_alone:
        raise DatabaseUnavailable("usage rows wait in the journal, so what was spent is not known yet")
