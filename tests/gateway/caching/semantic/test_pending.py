"""What waits for the store is written in one transaction, and waits on within bounds where that fails."""

import msgspec
import pytest
from questions import SCOPE
from sqlalchemy import text

from gateway.accounts.keyring import projects_store
from gateway.accounts.store import find_or_create_project
from gateway.caching.semantic import pending as module
from gateway.caching.semantic import store
from gateway.caching.semantic.pending import Noted, Pending, Turn
from gateway.caching.semantic.store import Decision, Label, NewEntry
from gateway.db import Database
from tests.gateway.caching.semantic.test_shelf import AT_NS, make

DECISION = Decision(
    request_id="r1", project_id="p", decision="serve", entry_id="ce_1", similarity=0.9, score=0.8, threshold=0.5,
    guards="", neighbours="ce_1", question="", is_right=None, created_ns=AT_NS,
)  # fmt: skip


def entry(number: int) -> NewEntry:
    """A question with its answer."""
    return NewEntry(kept=make(number, expires_ns=AT_NS + 10), partition=b"p", packed=b"x", group=number, answer=b"a")


async def test_everything_is_written_at_once(database: Database) -> None:
    """Under one revision, and nothing waits any more."""
    pending = Pending("me")
    assert not pending
    pending.entries[1] = entry(1)
    pending.observe(SCOPE, Noted(score=0.5))
    pending.unmatched[SCOPE] = 3
    pending.decisions["r1"] = DECISION
    pending.label("r1", Label(is_right=True))
    pending.label("r0", Label(is_right=False))
    taken = pending.take()
    assert taken and not pending
    async with database.write() as connection:
        await taken.write(connection, AT_NS)
    async with database.read() as connection:
        (row,) = await store.read_entries(connection, 0, 1, (-1, -1), AT_NS)
        assert (row.kept, row.revision, row.partition_key) == (entry(1).kept, 1, b"p")
        assert await store.read_answer(connection, 1) == b"a"
        (seen,) = await store.read_seen(connection, 0)
        assert (seen.process_id, seen.scope, seen.revision) == ("me", SCOPE, 1)
        (decision,) = await store.read_decisions(connection, "p")
        assert decision.is_right is True


async def test_of_a_deleted_project_nothing_is_written(database: Database) -> None:
    """Neither what waits as it is deleted nor what is decided by who does not know yet."""
    project_id = (await find_or_create_project(database, "shop", 1)).project_id
    scopes = (project_id, f"{project_id}/test")
    decision = msgspec.structs.replace(DECISION, project_id=project_id, question="Who?")
    pending = Pending("me")
    for scope in scopes:
        pending.observe(scope, Noted(score=0.5))
        pending.unmatched[scope] = 1
        pending.turns.append(Turn(scope=scope, is_serving=True, threshold=0.5))
    pending.decisions["r1"] = decision
    pending.forget_project(project_id, scopes)
    assert not pending
    async with database.write() as connection:
        assert await projects_store.delete_project(connection, project_id, 2)
    pending.decisions["r1"] = decision
    for scope in scopes:
        pending.observe(scope, Noted(score=0.5))
    async with database.write() as connection:
        await pending.take().write(connection, AT_NS)
        assert await store.read_decisions(connection, project_id) == []
        assert await store.read_seen(connection, 0) == []


async def test_a_turn_is_an_event_of_the_projects_account(database: Database) -> None:
    """So that somebody hears that the bound is not proven any more."""
    project_id = (await find_or_create_project(database, "shop", 1)).project_id
    pending = Pending("me")
    for is_serving in (True, False):
        pending.turns.append(Turn(scope=project_id, is_serving=is_serving, threshold=0.5))
    async with database.write() as connection:
        await pending.take().write(connection, AT_NS)
        found = await connection.execute(text("SELECT name FROM events WHERE name LIKE 'cache.%' ORDER BY name"))
        assert list(found.scalars()) == ["cache.fallback", "cache.serving"]


def test_what_could_not_be_written_waits_on() -> None:
    """Before what came since, but for what was dropped meanwhile."""
    pending = Pending("me")
    for number in (1, 2):
        pending.entries[number] = entry(number)
    pending.observe(SCOPE, Noted(score=0.1))
    pending.unmatched[SCOPE] = 1
    taken = pending.take()
    pending.drop([1])
    pending.entries[3] = entry(3)
    pending.observe(SCOPE, Noted(score=0.2))
    pending.unmatched[SCOPE] = 1
    pending.put_back(taken)
    assert list(pending.entries) == [2, 3]
    assert [each.score for each in pending.seen[SCOPE]] == [0.1, 0.2]
    assert (pending.gone, pending.unmatched) == ({1}, {SCOPE: 2})


def test_a_label_keeps_that_it_came_of_a_check() -> None:
    """Whether or not the decision is written already; a recall that says otherwise later is no check of its own."""
    pending = Pending("me")
    for request_id in ("r1", "r2"):
        pending.decisions[request_id] = DECISION
    pending.label("r1", Label(is_right=True, is_checked=True))
    pending.label("r1", Label(is_right=False))
    pending.label("r2", Label(is_right=False))
    assert [(each.decision, each.is_right) for each in pending.decisions.values()] == [
        ("audit", False), ("serve", False),
    ]  # fmt: skip
    pending.take()
    pending.label("r1", Label(is_right=True, is_checked=True))
    pending.label("r1", Label(is_right=False))
    pending.label("r2", Label(is_right=False))
    assert pending.labels == {"r1": Label(is_right=False, is_checked=True), "r2": Label(is_right=False)}


def test_what_is_dropped_unwritten_need_not_be_deleted() -> None:
    """And is not written."""
    pending = Pending("me")
    pending.entries[1] = entry(1)
    pending.drop([1, 2])
    assert (pending.entries, pending.gone) == ({}, {2})


def test_too_much_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest questions, whose numbers are told."""
    monkeypatch.setattr(module, "MAX_ENTRIES", 1)
    monkeypatch.setattr(module, "MAX_OTHERS", 1)
    pending = Pending("me")
    for number in (1, 2, 3):
        pending.entries[number] = entry(number)
        pending.decisions[f"r{number}"] = DECISION
        pending.counts[number] = (1, 0)
        pending.observe(SCOPE, Noted())
        pending.label(f"x{number}", Label(is_right=True))
    assert pending.overflow() == [1, 2]
    assert (list(pending.entries), list(pending.decisions), list(pending.counts)) == ([3], ["r3"], [3])
    assert (len(pending.seen[SCOPE]), len(pending.labels)) == (1, 1)
