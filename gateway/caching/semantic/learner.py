"""What is done with fresh answers, away from the calls: compared, stored, and now and then the score is trained.

Where vectors leave it open whether two say the same and the project has a judge, the answer waits for what that says
while others are learnt from.

Failure behavior: what waits is bounded, and what comes beyond it is not learnt from (``dropped`` counts). An answer
that cannot be embedded or read is passed over; the log tells of the first in a row. Without a word of the judge what
the vectors say holds.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

import msgspec

from cache.semantic.equivalence import Digest, digest
from cache.semantic.index import Vector
from cache.semantic.score import train
from cache.semantic.values import Question
from gateway.caching.answers import Purge
from gateway.caching.semantic.interface import Case, Check, Fresh, Judge, Kept, Look
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
# Below this likelihood that it is right an entry is hardly ever served, so it is worth no judge's time.
WORTH_JUDGING = 0.5
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


class ReadSaid(Protocol):
    """Finds what a stored answer says; '' where it is gone, or cannot be asked for."""

    def __call__(self, kept: Kept) -> Awaitable[str]: ...


class Lesson(msgspec.Struct, frozen=True):
    """A fresh answer, ready to be learnt from, and what its judge says; None: nothing."""

    fresh: Fresh
    look: Look
    question: Question
    answer: Digest
    ruling: bool | None = None


class Learner:
    """One task, which ``close`` ends. ``judge`` None: nobody is asked."""

    def __init__(
        self, memory: Memory, submit: Submit, judge: Judge | None = None, read_said: ReadSaid | None = None
    ) -> None:
        self._memory = memory
        self._submit = submit
        self._judge = judge
        self._read_said = read_said
        # By number, those that a judge has been asked about, and those that have come back.
        self._asked: dict[int, Lesson] = {}
        self._judged: deque[Lesson] = deque()
        self._cases = 0
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
        """How many answers wait, for a judge too, those that are just being learnt from among them."""
        return len(self._waiting) + self._learning + len(self._asked) + len(self._judged)

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
        judged = [lesson.fresh for lesson in (*self._asked.values(), *self._judged)]
        waiting = [fresh for _, fresh in self._waiting]
        gone = {fresh.answer.entry_id for fresh in (*waiting, *judged) if _takes(purge, fresh)}
        self._asked = {at: each for at, each in self._asked.items() if each.fresh.answer.entry_id not in gone}
        self._judged = deque(each for each in self._judged if each.fresh.answer.entry_id not in gone)
        # It may be idle now.
        self._filled.set()
        self._purged += 1
        self._purges.append((self._purged, purge))
        return gone

    async def _work(self) -> None:
        while True:
            if not self._waiting and not self._judged:
                if not self._asked:
                    self._idle.set()
                self._filled.clear()
                await self._filled.wait()
            judged, self._judged = self._judged, deque()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_ANSWERS))]
            self._learning = len(batch) + len(judged)
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    for lesson in judged:
                        await self._take(lesson)
                    await self._learn(batch)
            except (ProviderError, TimeoutError) as error:
                if not self._is_failing:
                    _log.warning("fresh answers cannot be learnt from: %s", error)
                self._is_failing = True
            except Exception:
                # Whatever is wrong with these answers, the next are others.
                _log.exception("%d answers could not be learnt from", self._learning)
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
        if any(number > purged and _takes(purge, fresh) for number, purge in self._purges):
            return
        question = ask(fresh.asked, vector)
        look = fresh.look
        if look is None and not fresh.takes_stored:
            memory.store(fresh, question, digest(said, answer))
            return
        if look is None:
            look = memory.look(question, fresh.allowed, "shadow", is_owners=False)
        lesson = Lesson(fresh, look, question, digest(said, answer))
        if not await self._ask_judge(lesson, said):
            await self._take(lesson)

    async def _take(self, lesson: Lesson) -> None:
        self._memory.learn(lesson.fresh, lesson.look, lesson.question, lesson.answer, lesson.ruling)
        await self._teach(lesson.fresh.asked.scope)

    async def _ask_judge(self, lesson: Lesson, said: str) -> bool:
        """Have a judge tell whether the stored answer says what the fresh one says; False: none is asked."""
        fresh, look, judge, asker = lesson.fresh, lesson.look, self._judge, lesson.fresh.asker
        if judge is None or self._read_said is None or asker is None or look.entry is None:
            return False
        if not (fresh.checks or look.score >= WORTH_JUDGING) or not self._memory.is_doubtful(look, lesson.answer):
            return False
        number = self._cases = self._cases + 1
        self._asked[number] = lesson
        try:
            other = await self._read_said(look.entry)
            if not other or number not in self._asked:
                # Where it was purged meanwhile nothing is to be done any more.
                return self._asked.pop(number, None) is None
            request_id = fresh.checks or fresh.answer.entry_id.removeprefix("ce_")
            check = Check(request_id=request_id, asked=fresh.asked, look=look)
            case = Case(asker=asker, check=check, reference=said, other=other, is_spare=not fresh.checks)
            judge.ask(case, partial(self._hear, number))
        except BaseException:
            self._asked.pop(number, None)
            raise
        return True

    def _hear(self, number: int, ruling: bool | None) -> None:
        """A judge has spoken, or will not; what was purged meanwhile is not learnt."""
        lesson = self._asked.pop(number, None)
        if lesson is not None:
            self._judged.append(msgspec.structs.replace(lesson, ruling=ruling))
        self._filled.set()

    async def _teach(self, scope: str) -> None:
        lesson = self._memory.engine.next_lesson(scope)
        if lesson is not None:
            network = await asyncio.get_running_loop().run_in_executor(self._trainer, train, lesson)
            self._memory.engine.adopt(scope, network)


def _takes(purge: Purge, fresh: Fresh) -> bool:
    """Whether an answer goes with a purge, which is one project's."""
    return fresh.answer.project_id == purge.project_id and purge.covers(fresh.answer)
