"""The semantic layer at work: what calls ask of it, its memory, the task that learns and the one that keeps the store.

On a call's way is only ``look``: the question's vector and below a millisecond of searching.

Failure behavior: whatever fails is a miss for its call. An entry whose answer is gone or damaged is forgotten when it
is asked for. While the database is away what is known stays in use and what is new waits.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from cache.semantic.index import Vector
from gateway.caching.answers import NS_PER_S, Answers, Purge, StoredAnswer, is_old
from gateway.caching.policy import Allowed
from gateway.caching.semantic import store
from gateway.caching.semantic.interface import Check, Fresh, Judge, Kept, Look, Mode, Point, Seen
from gateway.caching.semantic.keeper import Keeper
from gateway.caching.semantic.learner import MAX_PIECES, Learner, Submit
from gateway.caching.semantic.memory import Memory, ask
from gateway.caching.semantic.packing import Damaged, read_answer, unpack_answer
from gateway.caching.semantic.question import Asked
from gateway.config.settings import Cache
from gateway.db import Database, DatabaseUnavailable
from providers.errors import ProviderError, Unsupported

_log = logging.getLogger(__name__)


class SemanticLayer:
    """One a process, opened when the first project wants it."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it keeps, and whom it asks
        self,
        database: Database,
        answers: Answers,
        submit: Submit,
        settings: Cache,
        now_ns: Callable[[], int],
        judge: Judge | None = None,
    ) -> None:
        self._database = database
        self._answers = answers
        self._submit = submit
        self._now_ns = now_ns
        self.memory = Memory(self._embed, settings.semantic_max_entries, now_ns)
        self.learner = Learner(self.memory, submit, judge, self._read_said)
        self.keeper = Keeper(database, self.memory, now_ns)

    @property
    def is_whole(self) -> bool:
        """Whether the index has everything that the store had at the start."""
        return self.keeper.is_whole

    @property
    def fallbacks(self) -> int:
        """How often a scope stopped serving because its bound could not be proven any more."""
        return self.memory.fallbacks

    @property
    def waiting(self) -> int:
        """Fresh answers that are still to be learnt from."""
        return len(self.learner)

    @property
    def dropped(self) -> int:
        """Fresh answers that were not learnt from, since too many waited."""
        return self.learner.dropped

    def __len__(self) -> int:
        """How many questions can be found."""
        return len(self.memory.engine)

    def count_beside(self) -> int:
        """How many stored answers are not in this process's memory."""
        return sum(1 for kept in self.memory.shelf if not self._answers.has(kept.key))

    async def open(self) -> None:
        """Load what is stored, and have the embedder ready before it is asked in earnest."""
        self.learner.start()
        await asyncio.gather(self._warm(), self.keeper.open())

    async def close(self) -> None:
        """Write what is not written yet, and stop."""
        await self.learner.close()
        await self.keeper.close()

    async def look(self, asked: Asked, allowed: Allowed, mode: Mode, *, is_owners: bool = True) -> Look:
        """Find the answer to a question. Raises what the embedder raises, Unsupported for one that is too long."""
        vector = await self.memory.engine.embed(asked.text, asked.partition)
        return self.memory.look(ask(asked, vector), allowed, mode, is_owners=is_owners)

    async def find_answer(self, kept: Kept, ttl_s: int) -> StoredAnswer | None:
        """The answer of a stored question of a project that keeps answers so long.

        None, and the question forgotten, where it is gone, replaced, too old or damaged.
        """
        now_ns = self._now_ns()
        answer = self._answers.find(kept.key, now_ns)
        if answer is not None and not is_old(answer, now_ns, ttl_s):
            return answer
        data = await self._read_answer(kept)
        if self.memory.shelf.get(kept.number) is None:
            # It was purged while it was read.
            return None
        try:
            answer = None if data is None else unpack_answer(data)
        except Damaged as damaged:
            _log.warning("the answer %s is damaged and forgotten: %s", kept.entry_id, damaged)
        if (
            answer is None
            or answer.project_id != kept.project_id
            or is_old(answer, now_ns, ttl_s)
            or self._answers.is_refreshed(kept.key, answer.created_ns)
        ):
            self.memory.forget([kept.number])
            return None
        self._answers.keep(kept.key, answer, ttl_s=(kept.expires_ns - kept.created_ns) // NS_PER_S, saved_pusd=0)
        return answer

    def find_exact(self, key: bytes, now_ns: int) -> Kept | None:
        """The stored question whose request has this very key, if it is not too old."""
        kept = self.memory.shelf.of_key(key)
        return kept if kept is not None and kept.expires_ns > now_ns else None

    def count(self, scope: str) -> None:
        """Count a request that another layer answered."""
        self.memory.count(scope)

    def note(self, check: Check, project_id: str, saved_pusd: int, *, prompts: bool) -> None:
        """Remember what was decided for a call that was answered with an entry, and what that saved."""
        self.memory.note(check, project_id, saved_pusd, prompts=prompts)

    def withdraw(self, look: Look) -> Look:
        """An answer could not be given in time; returns the look as the miss that it is."""
        return self.memory.withdraw(look)

    def decline(self, check: Check) -> None:
        """An answer that was given and noted is not checked after all."""
        self.memory.decline(check)

    def learn(self, fresh: Fresh) -> None:
        """Have a fresh answer learnt and stored, some time later."""
        self.learner.put(fresh)

    def purge(self, purge: Purge) -> set[str]:
        """Forget what a purge covers; returns the ids of the entries."""
        return self.memory.purge(purge) | self.learner.purge(purge)

    def forget_project(self, project_id: str) -> None:
        """Forget what a project that was deleted and purged had taught."""
        self.memory.forget_project(project_id)

    def recall(self, entry_id: str, request_id: str) -> list[str]:
        """Forget an entry whose answer was wrong, and its neighbours; returns the ids of all."""
        return self.memory.recall(entry_id, request_id)

    async def report(self, scope: str, bounds: Sequence[Allowed], allowed: Allowed) -> Seen:
        """What each bound would give on the latest requests, and what the one in force gave."""
        points: list[Point] = []
        for each in bounds:
            points.append(self.memory.measure(scope, each))
            # Some milliseconds each: calls go on between them.
            await asyncio.sleep(0)
        return self.memory.sum_up(scope, points, self.memory.measure(scope, allowed, in_force=True))

    async def write(self) -> None:
        """Write what was decided and learnt so far."""
        await self.keeper.flush()

    async def settle(self) -> None:
        """Wait until everything that came is learnt and stored."""
        await self.learner.settle()
        await self.keeper.flush()

    async def _warm(self) -> None:
        # Loading the model takes half a second, in its own thread. Where it fails, so will the first call.
        with suppress(ProviderError):
            await self._submit(["The first question."])

    async def _embed(self, texts: Sequence[str]) -> Vector:
        embedded = await self._submit(texts)
        if max(embedded.counts) >= MAX_PIECES:
            raise Unsupported(f"a question of {MAX_PIECES} word pieces or more is not compared", param="messages")
        return embedded.vectors

    async def _read_said(self, kept: Kept) -> str:
        try:
            data = await self._read_answer(kept)
            return "" if data is None else read_answer(unpack_answer(data))
        except (Damaged, DatabaseUnavailable):
            # Whoever is asked for it next is told.
            return ""

    async def _read_answer(self, kept: Kept) -> bytes | None:
        waiting = self.memory.pending.entries.get(kept.number)
        if waiting is not None:
            return waiting.answer
        async with self._database.read() as connection:
            return await store.read_answer(connection, kept.number)
