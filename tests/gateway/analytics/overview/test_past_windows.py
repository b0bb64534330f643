"""What a budget would have seen: its windows' sums are the ledger's, and the pace of now leads to its limit."""

import itertools
from pathlib import Path

from budget_world import ACCOUNT, ANN, KEY, PROJECT, make_budget, row_of, treasure

from gateway.analytics.overview.past_windows import LOOKS_BACK, list_windows, read_past
from gateway.budgets import administration, store
from gateway.budgets.budget import Scope, Span, tag_scope_id
from gateway.budgets.windows import window_of
from gateway.db import Database
from gateway.ledger.row import UsageRow
from tests.gateway.usage_rows import NOW_NS

HOUR_NS = 3_600 * 10**9
SPANS: tuple[Span, ...] = ("hour", "day", "week", "month")
SCOPES: tuple[tuple[Scope, str], ...] = (
    ("account", ACCOUNT),
    ("project", PROJECT),
    ("key", KEY),
    ("tag", tag_scope_id(ACCOUNT, "red")),
)
# Over two years, at moments of every kind of window, some of them beyond what one looks back.
ROWS = [
    row_of(
        created_ns=NOW_NS - number**2 * 7 * HOUR_NS - number * 13 * 60 * 10**9,
        cost_pusd=10**15 + number,
        tags=("red", "", "red,blue")[number % 3],
        key_id=(KEY, "key_9")[number % 2],
    )
    for number in range(50)
]


def is_of(row: UsageRow, scope: Scope) -> bool:
    """Whether a budget on one of SCOPES counts a row."""
    return {"account": True, "project": True, "key": row.key_id == KEY, "tag": "red" in row.tags}[scope]


async def test_sums_are_the_ledgers(database: Database, tmp_path: Path) -> None:
    """To the picodollar, of every scope and window, as the budget itself would have counted them."""
    async with treasure(database, tmp_path) as house:
        for row in ROWS:
            house.recorder.record(row)
        await house.recorder.flush()
        await administration.record_spending(house.treasury, ACCOUNT, 7, ANN)
        for span, zone, (scope, scope_id) in itertools.product(SPANS, ("UTC", "Asia/Kathmandu"), SCOPES):
            case = (span, zone, scope)
            windows = list_windows(span, zone, NOW_NS)
            assert (case, len(windows)) == (case, LOOKS_BACK[span])
            assert [later.start_ns for later in windows[1:]] == [earlier.end_ns for earlier in windows[:-1]], case
            budget = make_budget(scope=scope, scope_id=scope_id, span=span, zone=zone)
            past = await read_past(database, house.treasury, budget, NOW_NS)
            by_rows = [
                sum(row.cost_pusd for row in ROWS if is_of(row, scope) and window.holds(row.created_ns))
                for window in windows
            ]
            while by_rows and not by_rows[0]:
                del by_rows[0]
            assert (case, [spent for _, spent in past.windows]) == (case, by_rows)
            assert by_rows, case
            async with database.read() as connection:
                counted = [await store.sum_window(connection, budget, window) for window, _ in past.windows]
            assert (case, counted) == (case, by_rows)


async def test_what_was_spent_elsewhere_counts_for_an_account(database: Database, tmp_path: Path) -> None:
    """In the window in which it was told; what no call cost is no tag's."""
    async with treasure(database, tmp_path) as house:
        await administration.record_spending(house.treasury, ACCOUNT, 7, ANN)
        tomorrow_ns = NOW_NS + 24 * HOUR_NS
        account = await read_past(database, house.treasury, make_budget(scope="account", scope_id=ACCOUNT), tomorrow_ns)
        assert [spent for _, spent in account.windows] == [7]
        assert (await read_past(database, house.treasury, make_budget(), tomorrow_ns)).windows == []


async def test_a_limit_is_held_against_them(database: Database, tmp_path: Path) -> None:
    """How often it was reached, the dearest, the median, and nothing of a scope that never spent."""
    async with treasure(database, tmp_path) as house:
        for day, cost in enumerate((50, 30, 0, 20, 100), 1):
            house.recorder.record(row_of(created_ns=NOW_NS - day * 24 * HOUR_NS, cost_pusd=cost))
        await house.recorder.flush()
        past = await read_past(database, house.treasury, make_budget(limit_pusd=50), NOW_NS)
        assert (len(past.windows), past.reached, past.typical_pusd, past.is_reached) == (5, 2, 30, False)
        window, spent = past.highest or (None, 0)
        assert (window, spent) == (window_of("day", "UTC", NOW_NS - 5 * 24 * HOUR_NS), 100)
        nobody = make_budget(scope="key", scope_id="key_2")
        empty = await read_past(database, house.treasury, nobody, NOW_NS)
        assert (empty.windows, empty.highest, empty.typical_pusd, empty.reached) == ([], None, None, 0)


async def test_the_pace_of_now_leads_to_the_limit(database: Database, tmp_path: Path) -> None:
    """A day by its own hours, a month by its days; nothing where it is reached, or is not going to be."""
    today = window_of("day", "UTC", NOW_NS)
    async with treasure(database, tmp_path) as house:
        for day in range(40):
            house.recorder.record(row_of(created_ns=NOW_NS - day * 24 * HOUR_NS, cost_pusd=1_000))
        await house.recorder.flush()

        async def reach(span: Span, limit_pusd: int) -> int | None:
            budget = make_budget(span=span, limit_pusd=limit_pusd)
            return (await read_past(database, house.treasury, budget, NOW_NS)).reaches_ns

        elapsed_ns = NOW_NS - today.start_ns
        assert await reach("day", 1_100) == today.start_ns + elapsed_ns * 1_100 // 1_000
        assert [await reach("day", limit) for limit in (1_000, 100_000)] == [None, None]
        assert [await reach("month", limit) for limit in (5_000, 90_000)] == [None, None]
        assert await reach("month", 25_000) == window_of("day", "UTC", NOW_NS + 4 * 24 * HOUR_NS).start_ns
        assert await reach("total", 90_000) is None
