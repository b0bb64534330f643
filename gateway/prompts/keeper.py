"""Keeps what was asked and answered for projects that want it, beside the calls and never in their way.

A call leaves references to what it has in a bounded queue, after its row is durable. A task reads, cuts and seals them
in a thread and stores them in batches; another one deletes what is over. A content is sealed for its call and project
(see gateway.accounts.vault), since prompts say more than any other row: a stolen database alone tells nothing of them.
They are not sealed anew when keys are rotated: what a key that was taken away sealed cannot be shown any more.

Failure behavior: what finds the queue full, or cannot be stored, is dropped, counted and logged; no call waits for it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import msgspec

from gateway.accounts import credentials_store
from gateway.accounts.vault import Place, Vault, VaultError
from gateway.db import Database, DatabaseUnavailable
from gateway.ledger.row import UsageRow
from gateway.prompts import store
from gateway.prompts.content import MAX_TEXT_BYTES, Content, Streamed, pack, read_content, unpack
from gateway.prompts.directory import PromptDirectory
from gateway.prompts.store import Sealed, Setting
from providers.delivered import Delivered

# What waits at most: calls, and the bytes that they hold.
MAX_WAITING, MAX_WAITING_BYTES = 1_000, 64 << 20
BATCH = 50
DRAIN_S = 5.0
SWEEP_INTERVAL_S = 3_600.0
# Rows in one transaction, and transactions in one round for each project, so that no round keeps others from writing.
SWEEP_ROWS, SWEEP_BATCHES = 500, 200
PAUSE_S = 0.02
_log = logging.getLogger(__name__)


class Speaker(Protocol):
    """What read a stream and knows what it said."""

    def delivered(self) -> Delivered:
        """What was said."""
        ...


Answer = bytes | Streamed | Speaker | None


class _Kept(msgspec.Struct, frozen=True):
    row: UsageRow
    body: bytes
    answer: Answer
    size: int


class PromptKeeper:
    """One a process, built and closed by the application; ``projects`` are those that want it."""

    def __init__(
        self, database: Database, vault: Vault, now_ns: Callable[[], int], sweep_interval_s: float = SWEEP_INTERVAL_S
    ) -> None:
        self._database = database
        self._vault = vault
        self._now_ns = now_ns
        self._sweep_interval_s = sweep_interval_s
        self._waiting: deque[_Kept] = deque()
        self._waiting_bytes = 0
        self._wake, self._sweep_wanted, self._stored_all = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_dropping = False
        self.dropped = 0
        self.directory = PromptDirectory(database, self._sweep_wanted.set)
        self.projects: dict[str, Setting] = self.directory.projects

    async def start(self) -> None:
        """Follow what projects want, store and sweep until ``close``. Raises DatabaseUnavailable."""
        await self.directory.start()
        for work in (self._store_forever(), self._sweep_forever()):
            self._tasks.append(asyncio.create_task(work))  # noqa: TID251 - kept, and awaited on close

    async def close(self) -> None:
        """Store what waits, as far as that is quickly done, and stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self.flush()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._waiting:
            self._drop(len(self._waiting), "the gateway ends")
        await self.directory.close()

    def take(self, row: UsageRow, body: bytes, answer: Answer) -> None:
        """Keep what was asked and answered, where the call's project wants that."""
        setting = self.projects.get(row.project_id)
        if setting is None or row.created_ns < setting.since_ns:
            return
        size = len(body) + _size_of(answer)
        if len(self._waiting) >= MAX_WAITING or self._waiting_bytes + size > MAX_WAITING_BYTES:
            self._drop(1, "too many wait")
            return
        self._waiting.append(_Kept(row, body, answer, size))
        self._waiting_bytes += size
        self._wake.set()

    async def find(self, project_id: str, request_id: str) -> Content | None:
        """What was asked and answered; None: it is not kept, or no key here opens it. Raises DatabaseUnavailable."""
        async with self._database.read() as connection:
            sealed = await store.find(connection, project_id, request_id, self._now_ns())
        if sealed is None:
            return None
        try:
            return unpack(self._vault.open(sealed, _place(project_id, request_id)))
        except VaultError as error:
            _log.warning("a kept prompt cannot be shown: %s", error)
            return None

    async def flush(self) -> None:
        """Wait until all that was taken is stored or dropped; the caller sets the time limit."""
        while self._waiting and self._tasks:
            self._stored_all.clear()
            await self._stored_all.wait()

    async def sweep(self) -> int:
        """Delete what is over, in batches, and tell how much it was. Raises DatabaseUnavailable."""
        async with self._database.read() as connection:
            settings = await store.read_settings(connection)
        return sum([await self.sweep_project(setting) for setting in settings])

    async def sweep_project(self, setting: Setting) -> int:
        """Delete what is over of one project. Raises DatabaseUnavailable."""
        deleted = 0
        for _ in range(SWEEP_BATCHES):
            async with self._database.write() as connection:
                batch = await store.delete_old(connection, setting, self._now_ns(), SWEEP_ROWS)
            deleted += batch
            if batch < SWEEP_ROWS:
                return deleted
            await asyncio.sleep(PAUSE_S)
        # There is more, and others want to write as well.
        self._sweep_wanted.set()
        return deleted

    async def _sweep_forever(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._sweep_interval_s):
                    await self._sweep_wanted.wait()
            self._sweep_wanted.clear()
            try:
                deleted = await self.sweep()
            except DatabaseUnavailable as error:
                _log.warning("kept prompts whose time is over could not be deleted: %s", error)
            else:
                _log.info("deleted %d kept prompts whose time is over", deleted)

    async def _store_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                count = min(len(self._waiting), BATCH)
                try:
                    await self._store([self._waiting[number] for number in range(count)])
                    self._is_dropping = False
                except DatabaseUnavailable as error:
                    self._drop(count, str(error))
                except Exception:
                    # One that nobody foresaw must not end the keeping of all others.
                    _log.exception("kept prompts could not be stored")
                    self._drop(count, "see above")
                for _ in range(count):
                    self._waiting_bytes -= self._waiting.popleft().size
            self._stored_all.set()

    async def _store(self, batch: list[_Kept]) -> None:
        answers = [_read(kept.answer) for kept in batch]
        async with self._database.read() as connection:
            version = await credentials_store.read_version(connection)

        def seal() -> list[Sealed]:
            return [self._seal(kept, answer, version) for kept, answer in zip(batch, answers, strict=True)]

        contents = await asyncio.to_thread(seal)
        async with self._database.write() as connection:
            await store.insert(connection, contents)

    def _seal(self, kept: _Kept, answer: bytes | Streamed | str | None, version: int) -> Sealed:
        row = kept.row
        packed = pack(read_content(row.endpoint, kept.body, answer))
        return Sealed(
            request_id=row.request_id,
            project_id=row.project_id,
            content=self._vault.seal(packed, _place(row.project_id, row.request_id), version),
            created_ns=row.created_ns,
        )

    def _drop(self, count: int, why: str) -> None:
        self.dropped += count
        if not self._is_dropping:
            # Once, until one is stored again: a full queue would fill the log too.
            self._is_dropping = True
            _log.warning("prompts that projects want kept are dropped: %s", why)


def _place(project_id: str, request_id: str) -> Place:
    return Place(table="prompts", row_id=request_id, column="content", bound=(project_id,))


def _size_of(answer: Answer) -> int:
    if answer is None:
        return 0
    if isinstance(answer, bytes):
        return len(answer)
    if isinstance(answer, Streamed):
        return len(answer.events) + len(answer.held)
    return answer.delivered().chars


def _read(answer: Answer) -> bytes | Streamed | str | None:
    """What a thread may read; a stream's reader is the loop's."""
    if answer is None or isinstance(answer, bytes | Streamed):
        return answer
    # A character more than is kept tells that there was more.
    return answer.delivered().text()[: MAX_TEXT_BYTES + 1]
