"""The semantic layer's tables: what is written is found by revision, by name and by age, and a purge is exact."""

import msgspec
import pytest
from caches import AT_NS
from sqlalchemy import text

from gateway.accounts.keyring import projects_store
from gateway.accounts.store import find_or_create_project
from gateway.caching.answers import Purge
from gateway.caching.semantic import store
from gateway.caching.semantic.interface import Kept
from gateway.caching.semantic.shelf import Shelf
from gateway.caching.semantic.store import Label, NewEntry
from gateway.db import Database
from gateway.ledger import store as ledger
from tests.gateway.caching.semantic.test_pending import DECISION
from tests.gateway.caching.semantic.test_shelf import make
from tests.gateway.usage_rows import make_row

START = (-1, -1)
TABLES = ("cache_entries", "cache_answers", "cache_decisions", "cache_scopes", "cache_observations")
COUNTS = [text(f"SELECT COUNT(*) FROM {table}") for table in TABLES]  # noqa: S608 - constants


def entry(number: int, **fields: object) -> NewEntry:
    """A question with its answer."""
    kept: Kept = make(number, **{"expires_ns": AT_NS + 10, **fields})
    return NewEntry(kept=kept, partition=b"p", packed=b"x", group=number, answer=b"answer %d" % number)


async def write(database: Database, *entries: NewEntry) -> int:
    """Store questions; returns their revision."""
    async with database.write() as connection:
        revision = await store.take_revision(connection)
        await store.write_entries(connection, entries, revision)
    return revision


async def numbers(database: Database, since: int = 0, now_ns: int = AT_NS) -> list[int]:
    """The questions after a revision."""
    async with database.read() as connection:
        until = await store.read_revision(connection)
        return [row.number for row in await store.read_entries(connection, since, until, START, now_ns)]


async def test_questions_are_followed_by_revision(database: Database) -> None:
    """What is too old is not read."""
    first = await write(database, entry(1), entry(2, expires_ns=AT_NS))
    await write(database, entry(3))
    assert await numbers(database) == [1, 3]
    assert await numbers(database, first) == [3]


async def test_pages_follow_each_other(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also within a revision."""
    monkeypatch.setattr(store, "PAGE_ROWS", 2)
    await write(database, *[entry(number) for number in (1, 2, 3)])
    async with database.read() as connection:
        page = await store.read_entries(connection, 0, 1, START, AT_NS)
        rest = await store.read_entries(connection, 0, 1, (1, page[-1].number), AT_NS)
    assert [[row.number for row in rows] for rows in (page, rest)] == [[1, 2], [3]]


async def test_an_older_answer_does_not_take_a_newer_ones_place(database: Database) -> None:
    """Whoever wrote it, nor does its answer stay without its question; the others of its batch are stored."""
    await write(database, entry(1, created_ns=AT_NS + 1))
    await write(database, entry(2, key=b"1", created_ns=AT_NS), entry(3))
    assert await numbers(database) == [1, 3]
    async with database.read() as connection:
        assert [await store.read_answer(connection, number) for number in (1, 2)] == [b"answer 1", None]


async def test_a_request_has_one_question(database: Database) -> None:
    """The answer of the one before goes with it."""
    await write(database, entry(1))
    await write(database, entry(2, key=b"1"))
    assert await numbers(database) == [2]
    async with database.read() as connection:
        assert await store.read_answer(connection, 1) is None
        assert await store.read_answer(connection, 2) == b"answer 2"


@pytest.mark.parametrize(
    ("purge", "left"),
    [
        (Purge(project_id="p"), [3]),
        (Purge(project_id="r"), [1, 2, 3]),
        (Purge(project_id="p", entry_ids=frozenset(["ce_1"])), [2, 3]),
        (Purge(project_id="p", tag="blue"), [2, 3]),
        (Purge(project_id="p", tag="lu"), [1, 2, 3]),
        (Purge(project_id="p", tag="%"), [1, 2, 3]),
        (Purge(project_id="p", model="gpt-3"), [1, 3]),
        (Purge(project_id="p", before_ns=AT_NS), [1, 2, 3]),
        (Purge(project_id="p", before_ns=AT_NS + 1), [3]),
        (Purge(project_id="p", entry_ids=frozenset([""])), [1, 2, 3]),
        (Purge(project_id="p", tag=""), [1, 2, 3]),
        (Purge(project_id="p", tag="red,blue"), [1, 2, 3]),
        (Purge(project_id="p", model=""), [1, 2, 3]),
        (Purge(project_id="p", before_ns=0), [1, 2, 3]),
    ],
)
async def test_a_purge_deletes_what_meets_every_term(database: Database, purge: Purge, left: list[int]) -> None:
    """As the one in memory does, and nothing that was stored after it was made."""
    stored = [entry(1, tags=("red", "blue")), entry(2, model="gpt-3"), entry(3, project_id="q")]
    await write(database, *stored, entry(4, created_ns=AT_NS + 9))
    shelf = Shelf(10)
    for each in stored:
        shelf.add(each.kept)
    async with database.write() as connection:
        await store.purge(connection, purge, AT_NS + 5)
    assert await numbers(database) == [*left, 4]
    gone = [kept.number for kept in shelf.find(purge)]
    assert [number for number in (1, 2, 3) if number not in gone] == left


async def test_a_deleted_project_leaves_nothing_that_tells_of_its_questions(database: Database) -> None:
    """Neither questions and answers nor decisions nor the words it used; what comes late goes too, others' stays."""
    project_id = (await find_or_create_project(database, "shop", 1)).project_id
    own = msgspec.structs.replace(DECISION, project_id=project_id)

    async def fill() -> int:
        revision = await write(database, entry(1, project_id=project_id), entry(2))
        async with database.write() as connection:
            await store.write_decisions(connection, [own, msgspec.structs.replace(DECISION, request_id="r2")])
            for scope in (project_id, f"{project_id}/test", "p"):
                await store.save_state(connection, scope, b"words", 1, AT_NS)
                await store.write_seen(connection, revision, "me", {scope: b"features"}, AT_NS)
        return revision

    async def left() -> list[int]:
        async with database.read() as connection:
            return [(await connection.execute(each)).scalar_one() for each in COUNTS]

    revision = await fill()
    async with database.write() as connection:
        await store.forget_deleted(connection, revision)
    assert await left() == [2, 2, 2, 3, 3]
    async with database.write() as connection:
        await store.forget_project(connection, project_id)
    assert await left() == [1, 1, 1, 1, 1]
    async with database.write() as connection:
        await store.forget(connection, [2])
        assert await projects_store.delete_project(connection, project_id, 2)
    revision = await fill()
    async with database.write() as connection:
        await store.forget_deleted(connection, revision + 1)
    assert await left() == [1, 1, 1, 1, 4]
    async with database.write() as connection:
        await store.forget_deleted(connection, revision)
    assert await left() == [1, 1, 1, 1, 2]


async def test_labels_and_deletions_are_written(database: Database) -> None:
    """How often each was right and wrong."""
    await write(database, entry(1), entry(2))
    async with database.write() as connection:
        await store.count_labels(connection, [(1, 3, 1)])
        await store.forget(connection, [2, 9])
    async with database.read() as connection:
        (row,) = await store.read_entries(connection, 0, 9, START, AT_NS)
        found = await store.read_named(connection, "p", ["ce_1", "ce_2"])
    assert (row.right_count, row.wrong_count) == (3, 1)
    assert list(found) == ["ce_1"]


async def test_a_project_reads_its_own(database: Database) -> None:
    """In pages by number."""
    await write(database, entry(1), entry(2), entry(3, project_id="q"))
    async with database.read() as connection:
        assert [row.entry_id for row in await store.read_own(connection, "p", -1, 10)] == ["ce_1", "ce_2"]
        assert [row.answer for row in await store.read_own(connection, "p", 1, 10)] == [b"answer 2"]
        assert await store.read_named(connection, "p", ["ce_3"]) == {}


async def test_states_and_observations_are_kept_by_scope(database: Database) -> None:
    """The last state, and each observation after a revision."""
    async with database.write() as connection:
        await store.save_state(connection, "p", b"old", 1, AT_NS)
        await store.save_state(connection, "p", b"new", 2, AT_NS)
        await store.write_seen(connection, 3, "me", {"p": b"a", "p/test": b"b"}, AT_NS)
        await store.write_seen(connection, 4, "you", {"p": b"c"}, AT_NS)
    async with database.read() as connection:
        assert await store.read_states(connection) == [("p", b"new", 2)]
        assert [row.seen for row in await store.read_seen(connection, 3)] == [b"c"]


async def test_decisions_are_read_newest_first(database: Database) -> None:
    """One call has one; noting it again labels it."""
    async with database.write() as connection:
        for name in ("r1", "r2", "r3"):
            await store.write_decisions(connection, [msgspec.structs.replace(DECISION, request_id=name)])
        await store.write_decisions(connection, [msgspec.structs.replace(DECISION, request_id="r1", is_right=True)])
        await store.write_labels(connection, {"r2": Label(is_right=False), "r9": Label(is_right=True)})
    async with database.read() as connection:
        found = await store.read_decisions(connection, "p", limit=2)
        assert [(each.request_id, each.is_right) for each in found] == [("r3", None), ("r2", False)]
        assert [each.request_id for each in await store.read_decisions(connection, "p", "r2")] == ["r1"]
        assert await store.read_decision(connection, "q", "r1") is None
        first = await store.read_decision(connection, "p", "r1")
    assert first is not None and first.is_right is True


async def test_what_is_too_old_is_deleted(database: Database) -> None:
    """Each kind after its own time."""
    await write(database, entry(1, expires_ns=AT_NS), entry(2))
    async with database.write() as connection:
        await store.write_seen(connection, 3, "me", {"p": b"a"}, AT_NS - 5)
        await store.write_decisions(connection, [DECISION])
        await store.clean(connection, AT_NS, seen_ns=4, decisions_ns=4)
        assert await store.read_seen(connection, 0) == []
        assert len(await store.read_decisions(connection, "p")) == 1
        await store.clean(connection, AT_NS + 5, seen_ns=4, decisions_ns=4)
        assert await store.read_decisions(connection, "p") == []
    assert await numbers(database) == [2]


async def test_the_ledger_tells_what_each_layer_did(database: Database) -> None:
    """Calls, savings and costs of a project since a time."""
    rows = [
        make_row(AT_NS, project_id="p", cache_layer="exact", saved_pusd=5),
        make_row(AT_NS + 1, project_id="p", cache_layer="semantic", saved_pusd=7),
        make_row(AT_NS + 2, project_id="p", cache_layer="audit", cost_pusd=11),
        make_row(AT_NS - 1, project_id="p", cache_layer="audit", cost_pusd=13),
        make_row(AT_NS + 3, project_id="p"),
    ]
    async with database.write() as connection:
        await ledger.insert_rows(connection, rows)
    async with database.read() as connection:
        roles = await store.read_roles(connection, "p", AT_NS)
        assert {name: (calls, saved) for name, (calls, saved, _) in roles.items()} == {
            "exact": (1, 5), "semantic": (1, 7), "audit": (1, roles["audit"][1]),
        }  # fmt: skip
        assert await store.read_spent(connection, "p", AT_NS) == 11
