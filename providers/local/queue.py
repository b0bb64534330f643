"""The queue before the embedder: one worker thread, and whatever waits goes into the next batch.

Work that nobody waits for is patient: it goes in small batches of its own, in turns with the rest, so that a call waits
for two texts of it at most and it is never starved.

Failure behavior: refuses with PoolExhausted when too much waits; a failed batch fails only the calls that were in it.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np

from providers.errors import PoolExhausted
from providers.local.minilm import DIMENSIONS, Embedder, Vectors


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """Vectors (n, 384) float32, and the word pieces that each is made of."""

    vectors: Vectors
    counts: list[int]


class _Waiting:
    """One call in the queue: its texts, and what is done of them."""

    def __init__(self, texts: Sequence[str], reply: asyncio.Future[Embedded]) -> None:
        self.texts = texts
        self.reply = reply
        self.taken = 0
        self.vectors: list[Vectors] = []
        self.counts: list[int] = []

    def take(self, most: int) -> Sequence[str]:
        """Give the next texts to embed."""
        share = self.texts[self.taken : self.taken + most]
        self.taken += len(share)
        return share

    def store(self, part: Embedded, start: int, length: int) -> None:
        """Keep what a batch made of a share; the last share answers the call."""
        self.vectors.append(part.vectors[start : start + length])
        self.counts.extend(part.counts[start : start + length])
        if len(self.counts) == len(self.texts) and not self.reply.done():
            self.reply.set_result(Embedded(vectors=np.concatenate(self.vectors), counts=self.counts))


class EmbeddingQueue:
    """Embeds for all calls of an event loop in one worker thread: whatever waits goes into the next batch.

    A long call gives at most a quarter of a batch while others wait, so that a short one passes it.
    """

    PATIENT_TEXTS = 2

    def __init__(self, embedder: Embedder, *, max_waiting_texts: int = 8_192) -> None:
        self._embedder = embedder
        self._batch_texts, self._share_texts = embedder.batch_texts, embedder.batch_texts // 4
        self._max_waiting_texts = max_waiting_texts
        self._waiting: deque[_Waiting] = deque()
        self._patient: deque[_Waiting] = deque()
        self._is_patients_turn = False
        self._waiting_texts = 0
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="embedding")
        self._running: asyncio.Future[Embedded] | None = None
        self._closed = False

    async def submit(self, texts: Sequence[str], *, is_patient: bool = False) -> Embedded:
        """Embed one or more texts; raises PoolExhausted at once when the queue is full or closed.

        A cancelled call leaves the queue at the next batch. ``is_patient``: others go first.
        """
        if self._closed or self._waiting_texts + len(texts) > self._max_waiting_texts:
            state = "is closed" if self._closed else f"is full ({self._waiting_texts} texts wait): try again later"
            raise PoolExhausted(f"the embedding queue {state}")
        if not texts:
            return Embedded(vectors=np.empty((0, DIMENSIONS), np.float32), counts=[])
        reply: asyncio.Future[Embedded] = asyncio.get_running_loop().create_future()
        (self._patient if is_patient else self._waiting).append(_Waiting(texts, reply))
        self._waiting_texts += len(texts)
        self._start_batch()
        return await reply

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed one or more texts: (n, 384) float32, unit length; raises as ``submit`` does."""
        return (await self.submit(texts)).vectors

    async def close(self) -> None:
        """Refuse what waits and what comes, and wait for the batch that runs."""
        self._closed = True
        for waiting in (self._waiting, self._patient):
            for call in waiting:
                _refuse(call, PoolExhausted("the embedding queue is closed"))
            waiting.clear()
        self._waiting_texts = 0
        if self._running is not None:
            await asyncio.wait([self._running])
        self._worker.shutdown(wait=False)

    def _start_batch(self) -> None:
        if self._running is not None:
            return
        shares = self._next_shares()
        if not shares:
            return
        texts = [text for _, share in shares for text in share]
        self._running = asyncio.get_running_loop().run_in_executor(self._worker, self._work, texts)
        self._running.add_done_callback(lambda done: self._finish_batch(done, shares))

    def _next_shares(self) -> list[tuple[_Waiting, Sequence[str]]]:
        """Take the next batch: of those who wait for it, or of the patient ones, in turns where there are both."""
        kinds = [(self._waiting, self._batch_texts), (self._patient, self.PATIENT_TEXTS)]
        for waiting, room in reversed(kinds) if self._is_patients_turn else kinds:
            shares = self._take(waiting, room)
            if shares:
                self._is_patients_turn = waiting is self._waiting
                return shares
        return []

    def _take(self, waiting: deque[_Waiting], room: int) -> list[tuple[_Waiting, Sequence[str]]]:
        """Take up to so many texts, call after call in turns."""
        shares: list[tuple[_Waiting, Sequence[str]]] = []
        while room and waiting:
            call = waiting.popleft()
            if call.reply.done():
                self._waiting_texts -= len(call.texts) - call.taken
                continue
            share = call.take(min(room, self._share_texts))
            shares.append((call, share))
            self._waiting_texts -= len(share)
            room -= len(share)
            if call.taken < len(call.texts):
                waiting.append(call)
        return shares

    def _work(self, texts: list[str]) -> Embedded:
        return Embedded(vectors=self._embedder.embed(texts), counts=self._embedder.count(texts))

    def _finish_batch(self, done: asyncio.Future[Embedded], shares: list[tuple[_Waiting, Sequence[str]]]) -> None:
        self._running = None
        start = 0
        error = done.exception()
        for call, share in shares:
            if error is not None:
                _refuse(call, error)
            else:
                call.store(done.result(), start, len(share))
            start += len(share)
        self._start_batch()


def _refuse(call: _Waiting, error: BaseException) -> None:
    if not call.reply.done():
        call.reply.set_exception(error)
