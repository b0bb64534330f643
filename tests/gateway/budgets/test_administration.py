"""What people do with budgets: how they stand, what is booked, and the credit of a new account."""

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch

import msgspec
import pytest
from budget_world import ACCOUNT, ANN, PROJECT, give_credit, row_of, treasure
from budgeting import home
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import always, chat_reply, json_reply, upstream
from sqlalchemy import bindparam, text

from gateway.accounts.audit import read_entries
from gateway.accounts.keys import KeyDigester
from gateway.accounts.store import NewKey, insert_key
from gateway.budgets import administration, store
from gateway.budgets.administration import MAX_BUDGETS, TooManyBudgets, Wanted
from gateway.budgets.budget import Span
from gateway.budgets.directory import BudgetDirectory
from gateway.budgets.keeping.books import Books
from gateway.budgets.keeping.peers import Peers
from gateway.budgets.windows import SLOT_NS
from gateway.counters.interface import MAX_PUSD, CountersUnavailable
from gateway.counters.shared import SharedCounters
from gateway.db import Database, DatabaseUnavailable
from tests.gateway.usage_rows import NOW_NS

_INSERT_PROJECT = text(
    "INSERT INTO projects (project_id, account_id, name, created_ns, deleted_ns) "
    "VALUES (:project_id, :account_id, :project_id, 0, :deleted_ns)"
)
_REVOKE = text("UPDATE keys SET revoked_ns = 1 WHERE key_id IN :key_ids").bindparams(
    bindparam("key_ids", expanding=True)
)
WANTED = Wanted(
    account_id=ACCOUNT,
    scope="account",
    scope_id=ACCOUNT,
    span="month",
    limit_pusd=100,
    action="block",
    thresholds=(1.0,),
    actor=ANN,
)


async def test_a_budget_stands_as_the_ledger_says(database: Database, tmp_path: Path) -> None:
    """From the moment it is made, stored rows and waiting ones; entries move it."""
    async with treasure(database, tmp_path, folds=False) as house:
        house.recorder.record(row_of(cost_pusd=30))
        state = await administration.create(house.treasury, WANTED)
        assert (state.spent_pusd, state.held_pusd) == (30, 0)
        # It may be beyond its thresholds as it is made.
        assert list(house.books.unsure) == [state.budget.budget_id]
        await administration.record_spending(house.treasury, ACCOUNT, 12, ANN)
        (state,) = await administration.look_at_account(house.treasury, ACCOUNT)
        assert state.spent_pusd == 42
        assert await administration.sum_month(house.treasury, ACCOUNT, "UTC") == 42
        await administration.reset(house.treasury, ACCOUNT, "month", ANN)
        (state,) = await administration.list_own(house.treasury, ACCOUNT, with_operators=False)
        assert state.spent_pusd == 0
        await administration.delete(house.treasury, state.budget, ANN)
        assert await administration.list_own(house.treasury, ACCOUNT, with_operators=False) == []
        assert house.books.directory.is_empty


async def test_every_deed_is_in_the_audit_log(database: Database, tmp_path: Path) -> None:
    """Who set the spending back and who took the budget away is seen by others; what cannot be stored is not told."""
    async with treasure(database, tmp_path) as house:
        state = await administration.create(house.treasury, WANTED)
        await administration.record_spending(house.treasury, ACCOUNT, 12 * 10**12, ANN)
        await administration.reset(house.treasury, ACCOUNT, "month", ANN)
        for _ in range(2):
            await administration.delete(house.treasury, state.budget, ANN)
        with patch.object(store, "insert", side_effect=RuntimeError), pytest.raises(RuntimeError):
            await administration.create(house.treasury, WANTED)
        async with database.read() as connection:
            entries = await read_entries(connection, ACCOUNT, 100)
    told = f"account {ACCOUNT}, month, 0.0000000001 USD, block"
    assert sorted((entry.action, entry.detail) for entry in entries) == [
        ("budget.create", told),
        ("budget.delete", told),
        ("spending.record", "12 USD"),
        ("spending.reset", "month: -12 USD"),
    ]
    assert {(entry.actor_kind, entry.actor_id) for entry in entries} == {("user", "usr_1")}


async def test_a_threshold_is_told_of_as_spending_is_recorded(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No call has to come first; while the ledger cannot be read nothing is booked, so that it can be told again."""
    async with treasure(database, tmp_path) as house:
        await administration.create(house.treasury, WANTED)
        await administration.record_spending(house.treasury, ACCOUNT, 99, ANN)
        assert not house.books.crossings
        await administration.record_spending(house.treasury, ACCOUNT, 1, ANN)
        (crossing,) = house.books.crossings
        assert (crossing.threshold, crossing.spent_pusd) == (1.0, 100)
        with monkeypatch.context() as broken:
            broken.setattr(type(house.recorder), "has_rows_on_disk_alone", True)
            broken.setattr(house.recorder, "flush", AsyncMock())
            with pytest.raises(DatabaseUnavailable):
                await administration.record_spending(house.treasury, ACCOUNT, 5, ANN)
            with pytest.raises(DatabaseUnavailable):
                await administration.create(house.treasury, WANTED)
        assert await administration.record_spending(house.treasury, ACCOUNT, 5, ANN) == 105
        (state,) = await administration.look_at_account(house.treasury, ACCOUNT)
        assert state.spent_pusd == 105
        assert len(house.books.crossings) == 1


async def test_a_window_that_is_set_back_at_once_by_many_is_set_back_once(database: Database, tmp_path: Path) -> None:
    """Each takes off what is left; none leaves room that nobody gave."""
    async with treasure(database, tmp_path) as house:
        await administration.record_spending(house.treasury, ACCOUNT, 10, ANN)
        await asyncio.gather(*(administration.reset(house.treasury, ACCOUNT, "month", ANN) for _ in range(8)))
        assert await administration.record_spending(house.treasury, ACCOUNT, 5, ANN) == 5


SLOTS = st.integers(-200, 3)
STEP = st.one_of(
    st.tuples(st.just("call"), SLOTS),
    st.tuples(st.just("record"), st.integers(1, 50)),
    st.tuples(st.just("reset"), st.sampled_from(["hour", "day", "week", "month", "total"])),
    st.tuples(st.just("zone"), st.sampled_from(["UTC", "Asia/Kathmandu", "Asia/Tokyo", "Pacific/Honolulu"])),
)


@settings(max_examples=14, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=25))
async def test_what_is_set_back_stays_so_in_every_zone(
    database: Database, tmp_path_factory: pytest.TempPathFactory, steps: list[Any]
) -> None:
    """A window has what came in it, but for what lay in one of its length that was set back: never less than that."""
    async with database.write() as connection:
        for table in ("budgets", "spend", "usage", "entries"):
            await connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - names above
    spans: tuple[Span, ...] = ("hour", "day", "week", "month", "total")
    async with treasure(database, tmp_path_factory.mktemp("steps")) as house:
        await house.set_zone("UTC")
        budgets = [await house.add(scope="account", scope_id=ACCOUNT, span=span, limit_pusd=10**9) for span in spans]
        model: dict[Span, list[tuple[int, int]]] = {span: [] for span in spans}
        for act, given_ in steps:
            moment_ns = NOW_NS + given_ * SLOT_NS if act == "call" else NOW_NS
            if act == "call":
                house.recorder.record(row_of(cost_pusd=7, created_ns=moment_ns))
            elif act == "record":
                await administration.record_spending(house.treasury, ACCOUNT, given_, ANN)
            elif act == "zone":
                await house.set_zone(given_)
            else:
                await administration.reset(house.treasury, ACCOUNT, given_, ANN)
                (window,) = [
                    standing.window_at(NOW_NS)
                    for standing in house.books.directory.all()
                    if standing.budget.span == given_
                ]
                model[given_] = [part for part in model[given_] if not window.holds(part[0])]
            for parts in model.values() if act in ("call", "record") else ():
                parts.append((moment_ns, 7 if act == "call" else given_))
            for state in await administration.look(house.treasury, [house.now_of(budget) for budget in budgets]):
                counted = [pusd for moment, pusd in model[state.budget.span] if state.window.holds(moment)]
                assert state.spent_pusd == sum(counted)


async def test_a_budget_of_what_is_gone_is_gone(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deleted project's and a revoked key's, which count among the account's no more; not those of a rotated key."""
    monkeypatch.setattr(administration, "MAX_BUDGETS", 4)
    async with treasure(database, tmp_path) as house:
        async with database.write() as connection:
            for project_id, deleted_ns in (("proj_gone", 1), ("proj_kept", None)):
                values = {"project_id": project_id, "account_id": ACCOUNT, "deleted_ns": deleted_ns}
                await connection.execute(_INSERT_PROJECT, values)
            digester = KeyDigester(bytes(32))
            first, revoked = [
                await insert_key(connection, digester, NewKey(project_id="proj_kept"), NOW_NS) for _ in range(2)
            ]
            successor = NewKey(project_id="proj_kept", replaces=first.key_id)
            await insert_key(connection, digester, successor, NOW_NS)
            await connection.execute(_REVOKE, {"key_ids": [first.key_id, revoked.key_id]})
        kept = [
            await house.add(scope="project", scope_id="proj_kept"),
            await house.add(scope="key", scope_id=first.key_id),
        ]
        await house.add(scope="project", scope_id="proj_gone")
        await house.add(scope="key", scope_id=revoked.key_id)
        made = (await administration.create(house.treasury, WANTED)).budget
        listed = await administration.list_own(house.treasury, ACCOUNT, with_operators=False)
        ids = {budget.budget_id for budget in (*kept, made)}
        assert {state.budget.budget_id for state in listed} == ids
        # Neither counts a call nor is it in memory.
        assert {standing.budget.budget_id for standing in house.books.directory.all()} == ids


async def test_what_other_processes_recorded_is_in_the_months_total(database: Database, tmp_path: Path) -> None:
    """They store it first, as for a reset."""
    async with treasure(database, tmp_path) as house:
        recorded: list[int] = []

        class Others:
            async def spread(self) -> None:
                """Another process stores what it had."""
                house.recorder.record(row_of(cost_pusd=30))
                await house.recorder.flush()
                recorded.append(30)

        treasury = msgspec.structs.replace(house.treasury, peers=Others())
        assert await administration.record_spending(treasury, ACCOUNT, 12, ANN) == 42
        await administration.reset(treasury, ACCOUNT, "month", ANN)
        assert await administration.record_spending(house.treasury, ACCOUNT, 1, ANN) == 1
        assert recorded == [30, 30]


async def test_a_sum_beyond_all_integers_is_set_back(database: Database, tmp_path: Path) -> None:
    """By as many entries as it takes; the budget has room again."""
    async with treasure(database, tmp_path) as house:
        await administration.create(house.treasury, WANTED)
        for _ in range(2):
            await administration.record_spending(house.treasury, ACCOUNT, MAX_PUSD - 1, ANN)
        await administration.reset(house.treasury, ACCOUNT, "month", ANN)
        (state,) = await administration.look_at_account(house.treasury, ACCOUNT)
        assert state.spent_pusd == 0


async def test_what_was_booked_is_not_denied_while_redis_is_away(
    database: Database, tmp_path: Path, redis_url: str
) -> None:
    """Who is told to ask again would have it twice: the answer is what the ledger says."""
    counters = SharedCounters.open(redis_url)
    async with treasure(database, tmp_path, counters) as house:
        house.recorder.record(row_of(cost_pusd=30))
        with patch.object(counters, "look", AsyncMock(side_effect=CountersUnavailable)):
            state = await administration.create(house.treasury, WANTED)
            assert (state.spent_pusd, state.held_pusd) == (30, 0)
            assert await administration.record_spending(house.treasury, ACCOUNT, 12, ANN) == 42
            with pytest.raises(CountersUnavailable):
                await administration.look_at_account(house.treasury, ACCOUNT)
    await counters.close()


async def test_a_change_is_answered_when_every_process_has_it(database: Database, tmp_path: Path) -> None:
    """A process that is slow to take it over is waited for, one that never answers not for ever."""
    async with treasure(database, tmp_path) as house:
        other_directory = BudgetDirectory(database)
        books = Books(house.books.counters, other_directory, house.books.now_ns)
        me, other = (Peers(database, house.recorder, kept, "a", house.books.now_ns) for kept in (house.books, books))
        treasury = msgspec.structs.replace(house.treasury, peers=me)
        await other.appear()
        making = asyncio.ensure_future(administration.create(treasury, WANTED))
        # Less than after which nobody is waited for any more.
        async with asyncio.timeout(administration.SPREAD_S / 2):
            await asyncio.wait({making}, timeout=0.05)
            assert not making.done()
            while not making.done():
                await other.beat()
            state = await making
            assert len(other_directory) == 1
            with patch.object(administration, "SPREAD_S", 0.05):
                await administration.delete(treasury, state.budget, ANN)
        assert house.books.directory.is_empty


async def test_the_credit_is_looked_at_where_that_is_asked(database: Database, tmp_path: Path) -> None:
    """It is no budget that anybody made."""
    async with treasure(database, tmp_path) as house:
        await give_credit(house.treasury, ACCOUNT, 70)
        assert await administration.look_at_account(house.treasury, ACCOUNT) == []
        (state,) = await administration.look_at_account(house.treasury, ACCOUNT, with_credit=True)
        assert (state.budget.kind, state.budget.limit_pusd) == ("credits", 70)


async def test_an_account_has_so_many_budgets_at_most(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is looked at for a call."""
    assert MAX_BUDGETS >= 100
    monkeypatch.setattr(administration, "MAX_BUDGETS", 2)
    async with treasure(database, tmp_path) as house:
        await house.add(scope="project", scope_id=PROJECT)
        await administration.create(house.treasury, WANTED)
        with pytest.raises(TooManyBudgets):
            await administration.create(house.treasury, WANTED)


@pytest.mark.row("E39")
async def test_a_new_account_has_its_credit_and_no_more(tmp_path: Path) -> None:
    """Ten dollars at the start where the operator grants them; what is beyond is refused as missing credits."""
    config = '[accounts]\ncredit_grant_usd = "0.0005"\n'
    async with upstream(always(json_reply(chat_reply()))) as provider, home(tmp_path, provider, config) as ann:
        statuses = [(await ann.chat(max_tokens=10)).status_code for _ in range(12)]
        answer = await ann.chat(max_tokens=10)
        assert (statuses[0], answer.status_code) == (200, 402)
        error = answer.json()["error"]
        assert (error["code"], error["type"], error["details"]["limit_usd"]) == (
            "insufficient_credits",
            "insufficient_quota",
            "0.0005",
        )
        assert await ann.sum_ledger_pusd() <= 5 * 10**8
        # A balance is no budget that its owner could delete.
        assert await ann.budgets() == []
