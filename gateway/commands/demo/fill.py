"""Fills an installation with the demo: a person, projects, keys, budgets, and a year of calls by the ledger's own way.

Failure behavior: raises DemoRefused where it would stand beside real traffic or twice, Refusal for an e-mail address or
password that nobody may have, and DatabaseUnavailable as gateway.db does; what is there then stays and is whole.
"""

import itertools
from collections.abc import Iterable

import msgspec
from sqlalchemy import text

from gateway.accounts import store as accounts_store
from gateway.accounts.keys import KeyDigester
from gateway.accounts.store import NewKey
from gateway.accounts.tenancy.people import Admission, People, Registration, SignedIn
from gateway.budgets import store as budgets_store
from gateway.budgets.budget import Action, Budget, Scope, Span, tag_scope_id
from gateway.budgets.spending import Spending
from gateway.commands.demo.year import APPS, DAYS, Ids, make_year
from gateway.config.secret import Secret
from gateway.db import Database
from gateway.ids import new_id
from gateway.ledger import store as ledger_store
from gateway.ledger.row import UsageRow
from providers.pricing.prices import PriceTable

BATCH_ROWS = 5_000
MONTH_NS = 30 * 86_400 * 1_000_000_000
_YEAR_NS = DAYS * 86_400 * 1_000_000_000
_HAS_CALLS = text("SELECT EXISTS (SELECT 1 FROM usage)")
_FIND_ACCOUNT = text("SELECT 1 FROM users WHERE email = :email")
# Nobody spends less than a dollar's worth of attention on a budget.
_LEAST_LIMIT_PUSD = 10**12


class DemoRefused(Exception):
    """The demo is not for this installation; the message says what to do."""


class DemoParts(msgspec.Struct, frozen=True, kw_only=True):
    """What of an installation is filled."""

    database: Database
    digester: KeyDigester
    people: People
    prices: PriceTable


class DemoWish(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo is to be like."""

    email: str
    password: Secret
    calls: int
    seed: int
    # When the year ends.
    now_ns: int
    # Beside traffic that is there already.
    is_sure: bool = False


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """What was made."""

    email: str
    account_id: str
    # By their names.
    projects: dict[str, str]
    # A key of the first project that can be called with.
    key: str
    calls: int
    cost_pusd: int
    saved_pusd: int


async def fill(parts: DemoParts, wish: DemoWish) -> Demo:
    """Make everything; the person becomes the operator where there is none yet. Raises DemoRefused, Refusal."""
    async with parts.database.read() as connection:
        if (await connection.execute(_HAS_CALLS)).scalar_one() and not wish.is_sure:
            raise DemoRefused("there are calls already, which the demo would stand beside: --yes fills it all the same")
        if (await connection.execute(_FIND_ACCOUNT, {"email": wish.email.strip().lower()})).first() is not None:
            raise DemoRefused(f"{wish.email!r} is somebody already: give another address with --email")
    signed_in = await _register(parts, wish)
    account_id = signed_in.person.account_id
    ids, first_key = await _make_projects(parts, wish, signed_in)
    spending = Spending(parts.database)
    rows = make_year(ids, parts.prices, wish.calls, wish.seed, wish.now_ns)
    tally = _Tally()
    while batch := list(itertools.islice(rows, BATCH_ROWS)):
        async with parts.database.write() as connection:
            stored = await ledger_store.insert_rows(connection, batch)
            await spending.take_stored(connection, stored)
            await accounts_store.note_used(connection, {row.key_id: row.created_ns for row in batch})
        tally.add(batch, wish.now_ns - MONTH_NS)
    await _make_budgets(parts.database, account_id, ids, tally, wish.now_ns)
    return Demo(
        email=wish.email,
        account_id=account_id,
        projects=ids.projects,
        key=first_key,
        calls=tally.calls,
        cost_pusd=tally.cost_pusd,
        saved_pusd=tally.saved_pusd,
    )


class _Tally:
    """What was spent, in all and of late, by project and tag."""

    def __init__(self) -> None:
        self.calls = self.cost_pusd = self.saved_pusd = 0
        self.of_late: dict[str, int] = {}

    def add(self, rows: Iterable[UsageRow], since_ns: int) -> None:
        """Count rows; those from ``since_ns`` on are of late."""
        for row in rows:
            self.calls += 1
            self.cost_pusd += row.cost_pusd
            self.saved_pusd += row.saved_pusd
            if row.created_ns >= since_ns:
                for name in ("", row.project_id, row.key_id, row.tags.partition(",")[0]):
                    self.of_late[name] = self.of_late.get(name, 0) + row.cost_pusd


async def _register(parts: DemoParts, wish: DemoWish) -> SignedIn:
    claim = await parts.people.find_open_claim()
    wanted = Registration(email=wish.email, password=wish.password, full_name="Demo")
    admission = Admission(is_open=True, claim=claim)
    return await parts.people.register(wanted, admission, "", wish.now_ns)


async def _make_projects(parts: DemoParts, wish: DemoWish, signed_in: SignedIn) -> tuple[Ids, str]:
    ids, first_key, began_ns = Ids(projects={}, keys={}), "", wish.now_ns - _YEAR_NS
    async with parts.database.write() as connection:
        for app in APPS:
            project = await accounts_store.insert_project(
                connection, signed_in.person.account_id, app.project, None, began_ns
            )
            assert project is not None, "a new account has no project of that name"  # noqa: S101 - for the type checkers
            ids.projects[app.project] = project.project_id
            for name in app.keys:
                wanted = NewKey(project_id=project.project_id, name=name, made_by=signed_in.person.user_id)
                made = await accounts_store.insert_key(connection, parts.digester, wanted, began_ns)
                ids.keys[app.project, name] = made.key_id
                first_key = first_key or made.key
    return ids, first_key


async def _make_budgets(database: Database, account_id: str, ids: Ids, tally: _Tally, now_ns: int) -> None:
    """One that holds, one that is near its end, one that only alerts, and a day's of the dearest key."""
    first, *_, last = APPS
    dearest = max(ids.keys.values(), key=lambda key_id: tally.of_late.get(key_id, 0))
    tag = last.tags[0].partition(",")[0]
    late = tally.of_late
    wanted: tuple[tuple[Scope, str, Span, float, Action], ...] = (
        ("account", account_id, "month", 1.35 * late.get("", 0), "block"),
        ("project", ids.projects[first.project], "month", 1.02 * late.get(ids.projects[first.project], 0), "block"),
        ("tag", tag_scope_id(account_id, tag), "month", 0.9 * late.get(tag, 0), "alert"),
        ("key", dearest, "day", 2.5 / 30 * late.get(dearest, 0), "block"),
    )
    async with database.write() as connection:
        for scope, scope_id, span, limit, action in wanted:
            budget = Budget(
                budget_id=f"bud_{new_id(now_ns)}",
                account_id=account_id,
                scope=scope,
                scope_id=scope_id,
                span=span,
                # To whole cents, as people write them.
                limit_pusd=max(round(limit / 10**10) * 10**10, _LEAST_LIMIT_PUSD),
                action=action,
                created_ns=now_ns,
            )
            await budgets_store.insert(connection, budget)
