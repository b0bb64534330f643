"""What is done with fresh answers, away from the calls: compared, stored, and now and then the score is trained.

Failure behavior: what waits is bounded, and what comes beyond it is not learnt from (``dropped`` counts). An answer
that cannot be embedded or read is passed over; the log tells of the first in a row.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from cache.semantic.equivalence import digest
from cache.semantic.index import Vector
from cache.semantic.score import train
from gateway.caching.answers import Purge
from gateway.caching.semantic.interface import Fresh
from gateway.caching.semantic.memory import Memory, ask
from gateway.caching.semantic.packing import read_answer
from providers.errors import ProviderError

MAX_WAITING = 4_096
# Learnt from in one go.
BATCH_ANSWERS = 8
# The embedder reads so many word pieces: of a longer question it would compare the beginning only.
MAX_PIECES = 256
# One answer's embedding, with whatever is before it in the queue.
TIMEOUT_S = 30.0
# So many late purges are remembered for the answers that wait or are being learnt from.
_PURGES = 256
_log = logging.getLogger(__name__)


class Embedded(Protocol):
    """Vectors (n, 384) float32, and the word pieces that each is made of."""

    @property
    def vectors(self) -> Vector: ...
    @property
    def counts(self) -> list[int]: ...


class Submit(Protocol):
    """The embedder's queue; what is patient lets calls go first."""

    def __call__(self, texts: Sequence[str], *, is_patient: bool = False) -> Awaitable[Embedded]: ...


class Learner:
    """One task, which ``close`` ends."""

    def __init__(self, memory: Memory, submit: Submit) -> None:
        self._memory = memory
        self._submit = submit
        self._waiting: deque[tuple[int, Fresh]] = deque()
        self._filled = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._purges: deque[tuple[int, Purge]] = deque(maxlen=_PURGES)
        self._purged = 0
        self._trainer = ThreadPoolExecutor(1, thread_name_prefix="lessons")
        self._task: asyncio.Task[None] | None = None
        self._is_failing = False
        self._learning = 0
        self.dropped = 0

    def __len__(self) -> int:
        """How many answers wait, those that are just being learnt from among them."""
        return len(self._waiting) + self._learning

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._work())  # noqa: TID251 - kept, and awaited on close

    async def close(self) -> None:
        """Stop; what waits is not learnt from."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        self._trainer.shutdown(wait=False, cancel_futures=True)

    async def settle(self) -> None:
        """Wait until nothing waits."""
        await self._idle.wait()

    def put(self, fresh: Fresh) -> None:
        """Have a fresh answer learnt."""
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append((self._purged, fresh))
        self._filled.set()
        self._idle.clear()

    def purge(self, purge: Purge) -> set[str]:
        """Learn nothing of what is purged; returns the ids of what waited."""
        gone = {fresh.answer.entry_id for _, fresh in self._waiting if purge.covers(fresh.answer)}
        self._purged += 1
        self._purges.append((self._purged, purge))
        return gone

    async def _work(self) -> None:
        while True:
            if not self._waiting:
                self._idle.set()
                self._filled.clear()
                await self._filled.wait()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_ANSWERS))]
            self._learning = len(batch)
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    await self._learn(batch)
            except (ProviderError, TimeoutError) as error:
                if not self._is_failing:
                    _log.warning("fresh answers cannot be learnt from: %s", error)
                self._is_failing = True
            except Exception:
                # Whatever is wrong with these answers, the next are others.
                _log.exception("%d answers could not be learnt from", len(batch))
            else:
                self._is_failing = False
            finally:
                self._learning = 0

    async def _learn(self, batch: list[tuple[int, Fresh]]) -> None:
        said = [(purged, fresh, text) for purged, fresh in batch if (text := read_answer(fresh.answer))]
        if not said:
            return
        engine = self._memory.engine
        every = [fresh.asked for _, fresh, _ in said]
        asked = [each for each in every if not engine.knows(each.text, each.partition)]
        embedded = await self._submit([text for *_, text in said] + [each.text for each in asked], is_patient=True)
        known = len(said)
        for each, vector, pieces in zip(asked, embedded.vectors[known:], embedded.counts[known:], strict=True):
            if pieces < MAX_PIECES:
                engine.remember(each.text, each.partition, vector)
        for (purged, fresh, text), vector in zip(said, embedded.vectors, strict=False):
            await self._learn_one(purged, fresh, text, vector)

    async def _learn_one(self, purged: int, fresh: Fresh, said: str, answer: Vector) -> None:
        memory, asked = self._memory, fresh.asked
        if not memory.engine.knows(asked.text, asked.partition):
            # Too long to be compared.
            return
        vector = await memory.engine.embed(asked.text, asked.partition)
        if any(number > purged and purge.covers(fresh.answer) for number, purge in self._purges):
            return
        question = ask(fresh.asked, vector)
        look = fresh.look
        if look is None and not fresh.takes_stored:
            memory.store(fresh, question, digest(said, answer))
            return
        if look is None:
            look = memory.look(question, fresh.allowed, "shadow", is_owners=False)
        memory.learn(fresh, look, question, digest(said, answer))
        await self._teach(fresh.asked.scope)

    async def _teach(self, scope: str) -> None:
        lesson = self._memory.engine.next_lesson(scope)
        if lesson is not None:
            network = await asyncio.get_running_loop().run_in_executor(self._trainer, train, lesson)
            self._memory.engine.adopt(scope, network)
