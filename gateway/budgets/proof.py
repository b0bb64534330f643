"""Proves that what budgets count is what the rows cost, corrections included: every scope, in every quarter of an hour.

And that the balance of credits is the sum of those that were granted. Each comparison sees one state of the data, so it
may run beside the calls.

Failure behavior: raises DatabaseUnavailable as gateway.db does.
"""

from collections.abc import AsyncGenerator, Iterator
from typing import NamedTuple

import msgspec
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets import store
from gateway.budgets.budget import Budget, Scope
from gateway.budgets.spending import scopes_of
from gateway.budgets.windows import SLOT_NS, Window, window_of
from gateway.db import Database
from gateway.ledger.correcting.store import list_projects
from gateway.ledger.rollups import PART
from gateway.ledger.sums import CORRECTED

# So much of an account is compared at once: a hundredth of a year's rows.
PIECE_SLOTS = 384
# Names in one statement.
_BATCH = 500
_READ_PROJECTS = text("SELECT project_id, account_id FROM projects")
_READ_KEYS = text("SELECT key_id, project_id, root_id, spends_in FROM keys")
_READ_PLACES = text("SELECT DISTINCT scope, scope_id FROM spend")
_FIND_SPEND_PIECES = text(f"SELECT DISTINCT slot / {PIECE_SLOTS} FROM spend")  # noqa: S608 - made of constants
_FIND_ROW_PIECES = text(
    f"SELECT DISTINCT created_ns / {PIECE_SLOTS * SLOT_NS} FROM usage WHERE project_id IN :names"  # noqa: S608
).bindparams(bindparam("names", expanding=True))
_SUM_ROWS = text(
    f"SELECT project_id, key_id, tags, created_ns / {SLOT_NS} AS slot, "  # noqa: S608
    f"SUM({CORRECTED['cost_high']}) AS high, SUM({CORRECTED['cost_low']}) AS low FROM usage "
    f"WHERE project_id IN :names AND created_ns >= :from_ns AND created_ns < :to_ns "
    f"GROUP BY project_id, key_id, tags, created_ns / {SLOT_NS}"
).bindparams(bindparam("names", expanding=True))
_READ_SPEND = text(
    "SELECT scope_id, slot, pusd FROM spend WHERE scope = :scope AND scope_id IN :names AND slot >= :first "
    "AND slot < :after"
).bindparams(bindparam("names", expanding=True))
_SUM_CREDITS = text(
    "SELECT COALESCE(SUM(amount_pusd / 1000000), 0), COALESCE(SUM(amount_pusd % 1000000), 0) FROM entries "
    "WHERE account_id = :account_id AND kind = 'credit'"
)
SCOPES: tuple[Scope, ...] = ("account", "project", "key", "tag")

# Scope, its id, and a quarter of an hour.
_Place = tuple[str, str, int]
_OnScope = dict[tuple[str, str], list[Budget]]


class SpendDifference(msgspec.Struct, frozen=True, kw_only=True):
    """What a budget counts in a window, and what it should."""

    # None: no budget is on this scope; told by days then.
    budget_id: str | None
    scope: Scope
    scope_id: str
    # "hour" to "total", or "credits": the balance itself.
    window: str
    start_ns: int
    rows_pusd: int
    kept_pusd: int


class _Group(NamedTuple):
    """One account, or the operator: its projects, and every place in which its calls count."""

    account_id: str | None
    projects: set[str]
    places: dict[str, set[str]]


class _Groups(dict[str | None, _Group]):
    """By account, made as they are named."""

    def __missing__(self, account_id: str | None) -> _Group:
        """Begin an account."""
        made = self[account_id] = _Group(account_id, set(), {scope: set() for scope in SCOPES})
        return made


class _Whole(NamedTuple):
    """The whole installation."""

    groups: _Groups
    # In which keys' budgets each key counts.
    counting: dict[str, tuple[str, ...]]
    # Keys that count and that nobody knows.
    loose_keys: set[str]


async def find_differences(database: Database) -> AsyncGenerator[SpendDifference, None]:
    """Compare everything."""
    async with database.read() as connection:
        whole = await _read_whole(connection)
        spend_pieces = {int(piece) for piece in (await connection.execute(_FIND_SPEND_PIECES)).scalars()}
    _, budgets = await store.read_changes(database, -1)
    budgets = [budget for budget in budgets if budget.deleted_ns is None]
    on_scope: _OnScope = {}
    for budget in budgets:
        on_scope.setdefault((budget.scope, budget.counted_id), []).append(budget)
    # The operator's last, whether or not it has anything: what is nobody's is looked for among its own.
    operators = whole.groups[None]
    for group in sorted(whole.groups.values(), key=lambda each: (each.account_id is None, each.account_id or "")):
        if group is operators:
            group.places["key"].update(whole.loose_keys)
        wrong: dict[tuple[Budget, Window], int] = {}
        for piece in sorted(spend_pieces | await _find_row_pieces(database, group)):
            async with database.read() as connection:
                lacking = await _compare(connection, group, whole, piece)
            for place, delta_pusd in lacking.items():
                for concerned in _windows_of(place, on_scope):
                    wrong[concerned] = wrong.get(concerned, 0) + delta_pusd
        for difference in await _tell_all(database, wrong):
            yield difference
    for budget in budgets:
        if (granted_pusd := await _sum_credits(database, budget)) != budget.limit_pusd:
            yield _tell(budget, "credits", 0, granted_pusd, budget.limit_pusd)


async def _read_whole(connection: AsyncConnection) -> _Whole:
    accounts: dict[str, str | None] = {}
    for project_id, account_id in await connection.execute(_READ_PROJECTS):
        accounts[project_id] = account_id
    for project_id in await list_projects(connection):
        accounts.setdefault(project_id, None)
    groups = _Groups()
    counting: dict[str, tuple[str, ...]] = {}
    for key_id, project_id, root_id, spends_in in await connection.execute(_READ_KEYS):
        counting[key_id] = store.counting_of(key_id, root_id, spends_in)
        groups[accounts.get(project_id)].places["key"].update(counting[key_id])
    loose: set[str] = set()
    for scope, scope_id in await connection.execute(_READ_PLACES):
        if scope == "project":
            accounts.setdefault(scope_id, None)
        elif scope == "key":
            loose.update({scope_id} - counting.keys())
        else:
            account_id = scope_id if scope == "account" else scope_id.partition("/")[0] or None
            groups[account_id].places[scope].add(scope_id)
    for project_id, account_id in accounts.items():
        groups[account_id].projects.add(project_id)
        groups[account_id].places["project"].add(project_id)
    return _Whole(groups, counting, loose)


async def _find_row_pieces(database: Database, group: _Group) -> set[int]:
    pieces: set[int] = set()
    for names in _batches(group.projects):
        async with database.read() as connection:
            pieces.update(
                int(piece) for piece in (await connection.execute(_FIND_ROW_PIECES, {"names": names})).scalars()
            )
    return pieces


async def _compare(connection: AsyncConnection, group: _Group, whole: _Whole, piece: int) -> dict[_Place, int]:
    """Find every place of a piece of time that is wrong, with what it lacks."""
    first, after = piece * PIECE_SLOTS, (piece + 1) * PIECE_SLOTS
    period = {"from_ns": first * SLOT_NS, "to_ns": after * SLOT_NS}
    lacking: dict[_Place, int] = {}
    for names in _batches(group.projects):
        for project_id, key_id, tags, slot, high, low in await connection.execute(
            _SUM_ROWS, {"names": names, **period}
        ):
            counting = whole.counting.get(key_id) or (str(key_id),)
            whole.loose_keys.difference_update(counting)
            for scope, scope_id in scopes_of(group.account_id, project_id, counting, tags):
                group.places[scope].add(scope_id)
                place = (scope, scope_id, int(slot))
                lacking[place] = lacking.get(place, 0) + int(high) * PART + int(low)
    for scope, ids in group.places.items():
        for names in _batches(ids):
            values = {"scope": scope, "names": names, "first": first, "after": after}
            for scope_id, slot, pusd in await connection.execute(_READ_SPEND, values):
                place = (scope, scope_id, slot)
                lacking[place] = lacking.get(place, 0) - pusd
    return {place: delta_pusd for place, delta_pusd in lacking.items() if delta_pusd}


def _batches(names: set[str]) -> Iterator[list[str]]:
    """Cut names into lists that fit into a statement."""
    ordered = sorted(names)
    for start in range(0, len(ordered), _BATCH):
        yield ordered[start : start + _BATCH]


def _windows_of(place: _Place, on_scope: _OnScope) -> Iterator[tuple[Budget, Window]]:
    """Name the budgets that a place is in, with its window of each; where none is, a day."""
    scope, scope_id, slot = place
    for budget in on_scope.get((scope, scope_id)) or (_nobodys(scope, scope_id),):
        yield budget, window_of(budget.span, budget.zone, slot * SLOT_NS)


def _nobodys(scope: str, scope_id: str) -> Budget:
    """The days in UTC of a scope that has no budget."""
    limits = {"limit_pusd": 0, "created_ns": 0, "account_id": None}
    return msgspec.convert({"budget_id": "", "scope": scope, "scope_id": scope_id, "span": "day", **limits}, Budget)


async def _tell_all(database: Database, wrong: dict[tuple[Budget, Window], int]) -> list[SpendDifference]:
    differences: list[SpendDifference] = []
    for (budget, window), delta_pusd in wrong.items():
        # What one quarter of an hour lacks another may have too much: the window is right then, and the days tell.
        async with database.read() as connection:
            kept_pusd = await store.sum_window(connection, budget, window)
        differences.append(_tell(budget, budget.span, window.start_ns, kept_pusd + delta_pusd, kept_pusd))
    return differences


def _tell(budget: Budget, window: str, start_ns: int, rows_pusd: int, kept_pusd: int) -> SpendDifference:
    return SpendDifference(
        budget_id=budget.budget_id or None,
        scope=budget.scope,
        scope_id=budget.scope_id,
        window=window,
        start_ns=start_ns,
        rows_pusd=rows_pusd,
        kept_pusd=kept_pusd,
    )


async def _sum_credits(database: Database, budget: Budget) -> int:
    """What a budget's limit should be: of a balance what was granted."""
    if budget.kind != "credits":
        return budget.limit_pusd
    async with database.read() as connection:
        high, low = (await connection.execute(_SUM_CREDITS, {"account_id": budget.scope_id})).one()
    return int(high) * PART + int(low)
