"""What is done to a project's cache is written with who did it, and followed at once."""

import asyncio

import pytest
from caches import gather_caching, make_answer
from households import AT, NOW_NS
from sqlalchemy import text

from gateway.accounts.audit import read_entries
from gateway.accounts.keyring import projects_store
from gateway.accounts.store import find_or_create_project
from gateway.caching import administration
from gateway.caching.answers import Answers, Purge, entry_id_of
from gateway.caching.caching import Caching
from gateway.caching.semantic import store as questions
from gateway.caching.semantic.store import NewEntry
from gateway.config.settings import Cache
from gateway.db import Database
from gateway.ids import new_id
from gateway.ledger import store as ledger
from tests.gateway.caching.semantic.test_shelf import make
from tests.gateway.usage_rows import make_row

KEY = b"k" * 16


async def opened(database: Database) -> tuple[Caching, str]:
    """A cache on a database, and a project."""
    answers = Answers(max_bytes=1 << 20, max_project_bytes=1 << 20, max_answer_bytes=1 << 16)
    caching = gather_caching(database, answers, Cache())
    await caching.directory.refresh()
    return caching, (await find_or_create_project(database, "p", 1)).project_id


async def deeds(database: Database) -> list[tuple[str, str, str]]:
    """Action, object and detail of the audit log, in their order."""
    async with database.read() as connection:
        entries = await read_entries(connection, None, 100)
    found = [(entry.action, entry.object_id, entry.detail) for entry in entries if entry.action.startswith("cache.")]
    return sorted(found)


async def test_a_change_is_in_force_when_it_is_answered(database: Database) -> None:
    """And only what it names is changed."""
    caching, project_id = await opened(database)
    await administration.change(database, caching, project_id, {"mode": "off"}, AT)
    policy = await administration.change(database, caching, project_id, {"ttl_s": 5}, AT)
    assert (policy.mode, policy.ttl_s) == ("off", 5)
    assert policy == caching.policy_of(project_id)
    assert await deeds(database) == [
        ("cache.change", project_id, '{"mode":"off"}'),
        ("cache.change", project_id, '{"ttl_s":5}'),
    ]


async def test_a_purge_is_done_here_and_written_for_the_others(database: Database) -> None:
    """Another process that follows purges as well."""
    caching, project_id = await opened(database)
    other, _ = await opened(database)
    for each in (caching, other):
        each.answers.keep(KEY, make_answer(project_id=project_id, created_ns=NOW_NS - 1), ttl_s=10**6, saved_pusd=1)
    assert await administration.purge(database, caching, Purge(project_id=project_id), AT) == 1
    assert (len(caching.answers), len(other.answers)) == (0, 1)
    await other.directory.refresh()
    assert len(other.answers) == 0
    assert [deed[0] for deed in await deeds(database)] == ["cache.purge"]


async def test_a_project_that_is_deleted_takes_its_answers_along(database: Database) -> None:
    """Every process forgets them as it follows, with what the project had set, and keeps none that comes late."""
    caching, project_id = await opened(database)
    await administration.change(database, caching, project_id, {"mode": "off"}, AT)
    late = make_answer(project_id=project_id, created_ns=NOW_NS - 1)
    caching.answers.keep(KEY, late, ttl_s=10**6, saved_pusd=1)
    async with database.write() as connection:
        assert await projects_store.delete_project(connection, project_id, NOW_NS)
        await administration.forget_project(connection, project_id, NOW_NS)
    forgotten: list[str] = []
    caching.semantics.forget_project = forgotten.append  # type: ignore[method-assign]
    await caching.directory.refresh()
    assert len(caching.answers) == 0
    assert forgotten == [project_id]
    assert caching.is_purged(late)
    assert caching.policy_of(project_id).mode == "exact"


async def test_a_recall_names_every_call_that_got_the_answer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of this project, whoever kept the answer; a call of somebody else is not known."""
    monkeypatch.setattr(administration, "FOUND_S", 0.0)
    caching, project_id = await opened(database)
    made, given = make_row(NOW_NS, project_id=project_id), make_row(NOW_NS + 1, project_id=project_id)
    entry_id = entry_id_of(made.request_id)
    given = make_row(NOW_NS + 1, project_id=project_id, is_cached=True, cache_entry=entry_id)
    async with database.write() as connection:
        await ledger.insert_rows(connection, [made, given])
    recalled = await administration.recall(database, caching, project_id, made.request_id, AT)
    assert recalled == administration.Recalled(entries=[entry_id], requests=[given.request_id])
    again = await administration.recall(database, caching, project_id, given.request_id, AT)
    assert again == recalled
    assert await administration.recall(database, caching, "proj_other", made.request_id, AT) is None
    async with database.read() as connection:
        events = (await connection.execute(text("SELECT name FROM events"))).scalars().all()
    assert events == ["cache.recalled", "cache.recalled"]


async def test_a_purge_counts_what_the_database_kept(database: Database) -> None:
    """This process may not have loaded it yet, or it is another's: what is in both counts once."""
    caching, project_id = await opened(database)
    kept = [make(number, project_id=project_id, entry_id=f"ce_{number}", created_ns=1) for number in (1, 2)]
    async with database.write() as connection:
        entries = [NewEntry(kept=each, partition=b"p", packed=b"x", group=1, answer=b"a") for each in kept]
        await questions.write_entries(connection, entries, 1)
    here = make_answer(project_id=project_id, entry_id="ce_1", created_ns=1)
    caching.answers.keep(KEY, here, ttl_s=10**6, saved_pusd=1)
    for entry_id, count in (("ce_3", 0), ("ce_1", 1), ("ce_1", 0)):
        wanted = Purge(project_id=project_id, entry_ids=frozenset([entry_id]))
        assert await administration.purge(database, caching, wanted, AT) == count
    assert await administration.purge(database, caching, Purge(project_id=project_id), AT) == 1


async def test_a_recall_of_a_batch_takes_every_part(database: Database) -> None:
    """Of one that was all kept, and of one that was kept in part; each call that got any of them is named."""
    caching, project_id = await opened(database)
    before_ns = NOW_NS - 10**12
    whole = make_row(before_ns, project_id=project_id, is_cached=True, cache_entry="ce_1", endpoint="embeddings")
    part = make_row(before_ns + 10**6, project_id=project_id, endpoint="embeddings")
    async with database.write() as connection:
        await ledger.insert_rows(connection, [whole, part])
    caching.directory.parts.note(project_id, whole.request_id, ["ce_2", "ce_3"], whole.created_ns)
    caching.directory.parts.note(project_id, part.request_id, ["ce_2"], part.created_ns)
    for number in (1, 2, 3, 4):
        answer = make_answer(project_id=project_id, entry_id=f"ce_{number}", created_ns=before_ns)
        caching.answers.keep(b"%016d" % number, answer, ttl_s=10**6, saved_pusd=1)
    recalled = await administration.recall(database, caching, project_id, whole.request_id, AT)
    assert recalled == administration.Recalled(
        entries=["ce_1", "ce_2", "ce_3"], requests=[whole.request_id, part.request_id]
    )
    assert [item.value.entry_id for item in caching.answers.of(project_id)] == ["ce_4"]
    recalled = await administration.recall(database, caching, project_id, part.request_id, AT)
    assert recalled is not None
    assert recalled.entries == [entry_id_of(part.request_id), "ce_2"]


@pytest.mark.parametrize("endpoint", ["chat/completions", "embeddings"])
async def test_a_recall_waits_for_the_process_that_answered(
    database: Database, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    """Its row comes a moment later, its parts after that; of a call from long ago nothing more comes."""
    monkeypatch.setattr(administration, "ASKED_AGAIN_S", 0.01)
    monkeypatch.setattr(administration, "WRITTEN_NS", 50_000_000)
    caching, project_id = await opened(database)
    row = make_row(NOW_NS, project_id=project_id, endpoint=endpoint)
    other, _ = await opened(database)

    async def write() -> None:
        await asyncio.sleep(0.03)
        async with database.write() as connection:
            await ledger.insert_rows(connection, [row])
        if endpoint == "embeddings":
            other.directory.parts.note(project_id, row.request_id, ["ce_2"], row.created_ns)
            await other.directory.tend()

    writing = asyncio.ensure_future(write())
    caching.answers.keep(KEY, make_answer(project_id=project_id, entry_id=entry_id_of(row.request_id),
                                          created_ns=NOW_NS - 1), ttl_s=10**6, saved_pusd=1)  # fmt: skip
    recalled = await administration.recall(database, caching, project_id, row.request_id, AT)
    await writing
    assert recalled is not None
    own = [entry_id_of(row.request_id)]
    assert recalled.entries == (own if endpoint == "chat/completions" else [*own, "ce_2"])
    assert len(caching.answers) == 0
    began = asyncio.get_running_loop().time()
    assert await administration.recall(database, caching, project_id, new_id(NOW_NS - 10**12), AT) is None
    assert asyncio.get_running_loop().time() - began < administration.FOUND_S


@pytest.mark.parametrize(
    ("status", "error_code", "may_be_kept"),
    [("complete", "", True), ("cancelled", "", True), ("failed", "provider_error", False), ("refused", "x", False)],
)
async def test_an_answer_that_nobody_keeps_has_nothing_to_recall(
    database: Database, status: str, error_code: str, may_be_kept: bool
) -> None:
    """The call is known; where other processes may keep its answer, its entry is named, and they give it no more."""
    caching, project_id = await opened(database)
    row = make_row(NOW_NS, project_id=project_id, status=status, error_code=error_code)
    async with database.write() as connection:
        await ledger.insert_rows(connection, [row])
    recalled = await administration.recall(database, caching, project_id, row.request_id, AT)
    entry_id = entry_id_of(row.request_id)
    is_named = may_be_kept and database.dialect == "postgresql"
    assert recalled == administration.Recalled(entries=[entry_id] if is_named else [], requests=[])
    other, _ = await opened(database)
    answer = make_answer(project_id=project_id, entry_id=entry_id, created_ns=NOW_NS - 1)
    assert other.is_purged(answer)
