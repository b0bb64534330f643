"""The queue before the embedder."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import PoolExhausted, Unreachable
from providers.local.minilm import Vectors
from providers.local.queue import EmbeddingQueue


class Lengths:
    """An embedder without a model: a text's vector begins with its length; it can be held to let calls gather."""

    batch_texts = 64

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Event()
        self.go.set()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Record the batch, wait for leave."""
        assert self.go.wait(5)
        self.batches.append(list(texts))
        if "bad" in texts:
            raise Unreachable("no model", sent=False)
        vectors = np.zeros((len(texts), 384), np.float32)
        vectors[:, 0] = [len(text) for text in texts]
        return vectors

    def count(self, texts: Sequence[str]) -> list[int]:
        """One token a text."""
        return [1] * len(texts)


@pytest.fixture
def embedder() -> Lengths:
    return Lengths()


@pytest.fixture
async def queue(embedder: Lengths) -> AsyncIterator[EmbeddingQueue]:
    queue = EmbeddingQueue(embedder, max_waiting_texts=400)
    yield queue
    embedder.go.set()
    await queue.close()


async def test_calls_that_wait_share_the_next_batch(queue: EmbeddingQueue, embedder: Lengths) -> None:
    """While one batch runs, calls gather and go together."""
    embedder.go.clear()
    async with asyncio.TaskGroup() as calls:
        tasks = [calls.create_task(queue.embed(["x" * i])) for i in range(1, 21)]
        await asyncio.sleep(0)
        embedder.go.set()
    assert [len(batch) for batch in embedder.batches] == [1, 19]
    assert [task.result()[0, 0] for task in tasks] == list(range(1, 21))


async def test_a_short_call_passes_a_long_one(queue: EmbeddingQueue, embedder: Lengths) -> None:
    """A call of 300 texts does not hold up one that came after it."""
    embedder.go.clear()
    async with asyncio.TaskGroup() as calls:
        long = calls.create_task(queue.embed(["long"] * 300))
        await asyncio.sleep(0)
        calls.create_task(queue.embed(["quick"]))
        await asyncio.sleep(0)
        embedder.go.set()
    assert "quick" in embedder.batches[1]
    assert long.result().shape == (300, 384)


async def test_patient_work_lets_calls_go_first_and_is_never_starved(queue: EmbeddingQueue, embedder: Lengths) -> None:
    """Whoever asks waits for two texts of it at most; in turns with a crowd of calls it goes on."""
    embedder.go.clear()
    async with asyncio.TaskGroup() as calls:
        calls.create_task(queue.submit(["patient"] * 5, is_patient=True))
        await asyncio.sleep(0)
        calls.create_task(queue.submit(["call"] * 40))
        calls.create_task(queue.submit(["call"] * 40))
        await asyncio.sleep(0)
        embedder.go.set()
    made = [(batch[0], len(batch)) for batch in embedder.batches]
    assert made == [("patient", 2), ("call", 64), ("patient", 2), ("call", 16), ("patient", 1)]


async def test_patient_work_that_was_given_up_holds_nobody_up(queue: EmbeddingQueue, embedder: Lengths) -> None:
    """Its turn is the next one's."""
    embedder.go.clear()
    first = asyncio.ensure_future(queue.submit(["call"]))
    patient = asyncio.ensure_future(queue.submit(["patient"], is_patient=True))
    second = asyncio.ensure_future(queue.submit(["call"]))
    await asyncio.sleep(0)
    patient.cancel()
    embedder.go.set()
    assert [(await each).counts for each in (first, second)] == [[1], [1]]
    with pytest.raises(asyncio.CancelledError):
        await patient
    assert embedder.batches == [["call"], ["call"]]


@pytest.mark.parametrize(("most", "batches"), [(64, [64, 64, 64, 8]), (256, [200])])
async def test_batches_are_as_large_as_is_good_for_the_embedder(most: int, batches: list[int]) -> None:
    """A device takes more at once than a processor."""
    embedder = Lengths()
    embedder.batch_texts = most
    queue = EmbeddingQueue(embedder)
    await queue.embed(["x"] * 200)
    await queue.close()
    assert [len(batch) for batch in embedder.batches] == batches


@given(st.lists(st.integers(min_value=1, max_value=90), min_size=1, max_size=12))
def test_every_call_gets_its_own_vectors_in_order(sizes: list[int]) -> None:
    """However calls are cut into batches, each is answered by exactly its texts, in order."""

    async def run() -> None:
        queue = EmbeddingQueue(Lengths())
        wanted = [[100 * call + place for place in range(size)] for call, size in enumerate(sizes)]
        replies = await asyncio.gather(*(queue.embed(["x" * length for length in lengths]) for lengths in wanted))
        await queue.close()
        assert [reply[:, 0].tolist() for reply in replies] == wanted

    asyncio.run(run())


async def test_a_full_queue_refuses_at_once(queue: EmbeddingQueue, embedder: Lengths) -> None:
    """What waits is bounded."""
    embedder.go.clear()
    async with asyncio.TaskGroup() as calls:
        calls.create_task(queue.embed(["x"] * 400))
        await asyncio.sleep(0)
        with pytest.raises(PoolExhausted, match="full"):
            await queue.embed(["x"] * 65)
        embedder.go.set()


async def test_a_cancelled_call_frees_its_place(queue: EmbeddingQueue, embedder: Lengths) -> None:
    """A client that left is not embedded for, and no longer counts as waiting."""
    embedder.go.clear()
    async with asyncio.TaskGroup() as calls:
        calls.create_task(queue.embed(["first"]))
        gone = calls.create_task(queue.embed(["gone"] * 300))
        await asyncio.sleep(0)
        gone.cancel()
        embedder.go.set()
    await queue.embed(["x"] * 400)
    assert not any("gone" in batch for batch in embedder.batches)


async def test_a_failed_batch_fails_its_calls_only(queue: EmbeddingQueue) -> None:
    """An error of the model reaches who asked, and the queue goes on."""
    with pytest.raises(Unreachable):
        await queue.embed(["bad"])
    assert (await queue.embed(["good"]))[0, 0] == 4


async def test_closing_refuses_what_waits_and_what_comes(queue: EmbeddingQueue, embedder: Lengths) -> None:
    """The batch that runs is finished, the rest is told."""
    embedder.go.clear()
    async with asyncio.TaskGroup() as calls:
        running = calls.create_task(queue.embed(["running"]))
        await asyncio.sleep(0)
        waiting = calls.create_task(asyncio.wait_for(_outcome(queue, "waits"), 5))
        await asyncio.sleep(0)
        closing = calls.create_task(queue.close())
        await asyncio.sleep(0)
        embedder.go.set()
    assert (running.result().shape, waiting.result(), closing.result()) == ((1, 384), "closed", None)
    assert await _outcome(queue, "late") == "closed"


async def _outcome(queue: EmbeddingQueue, text: str) -> str:
    try:
        await queue.embed([text])
    except PoolExhausted as error:
        return "closed" if "closed" in error.message else "full"
    return "done"
