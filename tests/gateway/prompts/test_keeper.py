"""Prompts are kept beside the calls: bounded, sealed, dropped rather than waited for, deleted when they are over."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from gateway.accounts.vault import Vault
from gateway.db import Database, DatabaseUnavailable
from gateway.prompts import keeper as module
from gateway.prompts import store
from gateway.prompts.content import Said, Streamed
from gateway.prompts.keeper import Answer, PromptKeeper
from gateway.prompts.store import NS_PER_DAY, Setting
from providers.delivered import Delivered
from tests.gateway.usage_rows import NOW_NS, make_row

VAULT = Vault(bytes(32))
BODY = json.dumps({"messages": [{"role": "user", "content": "a secret question"}]}).encode()
REPLY = json.dumps({"choices": [{"message": {"content": "a secret answer"}}]}).encode()


class Reader:
    """What read a stream."""

    def delivered(self) -> Delivered:
        """What it said."""
        said = Delivered()
        said.add(["half ", "an answer"])
        return said


@asynccontextmanager
async def keeping(
    database: Database, now_ns: int = NOW_NS, vault: Vault = VAULT, **more: Any
) -> AsyncIterator[PromptKeeper]:
    """A keeper of a database whose project p wants its prompts kept for a week."""
    async with database.write() as connection:
        await store.write_setting(connection, Setting(project_id="p", retention_days=7, since_ns=NOW_NS - NS_PER_DAY))
    keeper = PromptKeeper(database, vault, lambda: now_ns, **more)
    await keeper.start()
    try:
        yield keeper
    finally:
        await keeper.close()


def take(keeper: PromptKeeper, answer: Answer = REPLY, **row: Any) -> str:
    """Have a call kept; gives its id."""
    made = make_row(NOW_NS, **{"project_id": "p", **row})
    keeper.take(made, BODY, answer)
    return made.request_id


async def count(database: Database) -> int:
    """Count what is stored."""
    async with database.read() as connection:
        return int((await connection.execute(text("SELECT COUNT(*) FROM prompts"))).scalar_one())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (REPLY, "a secret answer"),
        (Streamed(b"", b'{"choices":[{"delta":{"content":"streamed"}}]}'), "streamed"),
        (Reader(), "half an answer"),
        (None, None),
    ],
)
async def test_what_was_asked_and_answered_is_found_again(database: Database, answer: Answer, said: str | None) -> None:
    """By its project alone."""
    async with keeping(database) as keeper:
        request_id = take(keeper, answer)
        await keeper.flush()
        content = await keeper.find("p", request_id)
        assert content is not None
        assert (content.messages, content.answer) == ([Said("user", "a secret question")], said)
        assert await keeper.find("q", request_id) is None


async def test_the_database_alone_tells_nothing(database: Database) -> None:
    """It is sealed, and opens for no other call."""
    async with keeping(database) as keeper:
        first, second = take(keeper), take(keeper)
        await keeper.flush()
        async with database.write() as connection:
            stored = (await connection.execute(text("SELECT content FROM prompts"))).scalars().all()
            swap = "UPDATE prompts SET content = :content WHERE request_id = :request_id"
            of_first = await store.find(connection, "p", first, NOW_NS)
            await connection.execute(text(swap), {"content": of_first, "request_id": second})
        assert len(stored) == 2
        assert not any(b"secret" in bytes(each) for each in stored)
        assert await keeper.find("p", first) is not None
        assert await keeper.find("p", second) is None


async def test_what_another_master_key_sealed_is_not_shown(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """It is as if it were not kept; the log says why, and nothing of it."""
    async with keeping(database) as keeper:
        request_id = take(keeper)
        await keeper.flush()
    async with keeping(database, vault=Vault(bytes(31) + b"x")) as keeper:
        assert await keeper.find("p", request_id) is None
    assert "another master key" in caplog.text
    assert "a secret" not in caplog.text


async def test_a_project_that_does_not_want_it_is_left_alone(database: Database) -> None:
    """So is what began before it was wanted."""
    async with keeping(database) as keeper:
        take(keeper, project_id="q")
        keeper.take(make_row(NOW_NS - 2 * NS_PER_DAY, project_id="p"), BODY, REPLY)
        await keeper.flush()
        assert (await count(database), keeper.dropped) == (0, 0)


async def test_many_are_stored_in_batches(database: Database) -> None:
    """All of them."""
    async with keeping(database) as keeper:
        for _ in range(2 * module.BATCH + 1):
            take(keeper)
        await keeper.flush()
        assert (await count(database), keeper.dropped, keeper._waiting_bytes) == (2 * module.BATCH + 1, 0, 0)


async def test_what_finds_the_queue_full_is_dropped_and_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By number and by bytes; it is logged once."""
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    async with keeping(database) as keeper:
        for _ in range(5):
            take(keeper)
        assert keeper.dropped == 3
        assert caplog.text.count("are dropped: too many wait") == 1
        await keeper.flush()
        monkeypatch.setattr(module, "MAX_WAITING_BYTES", len(BODY))
        take(keeper)
        assert keeper.dropped == 4
        assert await count(database) == 2


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), RuntimeError("unforeseen")])
async def test_what_cannot_be_stored_is_dropped_and_the_next_is_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Nothing waits for a database that is away."""

    async def fail(*_: object) -> None:
        raise error

    async with keeping(database) as keeper:
        with monkeypatch.context() as patch:
            patch.setattr(store, "insert", fail)
            take(keeper)
            await keeper.flush()
        assert (keeper.dropped, await count(database)) == (1, 0)
        take(keeper)
        await keeper.flush()
        assert (keeper.dropped, await count(database)) == (1, 1)


async def test_closing_stores_what_waits(database: Database) -> None:
    """What was taken at the last moment too."""
    async with keeping(database) as keeper:
        take(keeper)
    assert await count(database) == 1


async def test_closing_gives_up_on_a_database_that_hangs(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is lost is counted."""

    async def hang(*_: object) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(module, "DRAIN_S", 0.01)
    async with keeping(database) as keeper:
        monkeypatch.setattr(store, "insert", hang)
        take(keeper)
    assert keeper.dropped == 1


async def test_what_is_over_is_deleted_again_and_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches, whether or not anybody looks."""
    monkeypatch.setattr(module, "SWEEP_ROWS", 2)
    async with keeping(database) as keeper:
        for _ in range(5):
            take(keeper)
        await keeper.flush()
        assert await keeper.sweep() == 0
    async with keeping(database, NOW_NS + 8 * NS_PER_DAY, sweep_interval_s=0.01):
        async with asyncio.timeout(5):
            while await count(database):
                await asyncio.sleep(0.01)


async def test_what_another_process_ends_is_deleted_here_too(database: Database) -> None:
    """Within a second, by following."""
    async with keeping(database) as keeper:
        take(keeper)
        await keeper.flush()
        async with database.write() as connection:
            await store.forget_project(connection, "p")
        async with asyncio.timeout(5):
            while await count(database):
                await asyncio.sleep(0.01)
        assert keeper.projects == {}


async def test_a_round_that_fails_ends_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The next one is made all the same."""
    rounds: list[None] = []

    async def fail(*_: object) -> None:
        rounds.append(None)
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(store, "read_settings", fail)
    async with keeping(database, sweep_interval_s=0.01):
        async with asyncio.timeout(5):
            while len(rounds) < 2:
                await asyncio.sleep(0.01)
    assert "could not be deleted: away" in caplog.text
