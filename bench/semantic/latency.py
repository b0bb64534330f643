"""How long a question takes with 10,000 stored ones, how fast 100,000 are indexed again, and the memory of them."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.semantic.play import Request
from bench.semantic.vectors import VectorStore, open_model
from cache.semantic.bound import Bounds
from cache.semantic.engine import Engine
from cache.semantic.equivalence import digest
from cache.semantic.index import Vector, VectorIndex
from cache.semantic.values import Question

STORED = 10_000
ASKED = 400
REBUILT = 100_000


def measure_latency(requests: Sequence[Request], vectors: VectorStore) -> dict[str, float]:
    """Return times in ms and memory in MB, each by its name."""
    prompts = list(dict.fromkeys(request.prompt for request in requests))
    model, before = open_model(), _read_memory_mb()
    model.embed(["load the model"])
    loaded = _read_memory_mb()

    async def embed(texts: Sequence[str]) -> Vector:
        return model.embed(texts)

    engine = Engine(embed)
    for entry_id, prompt in enumerate(prompts[:STORED]):
        answer = digest(f"The answer to {prompt}", vectors[prompt])
        engine.add(_ask(prompt, vectors[prompt]), entry_id, answer)
    filled = _read_memory_mb()
    asked = prompts[STORED : STORED + ASKED]
    whole, lookups, again, busy = asyncio.run(_time_questions(engine, asked))
    source = np.random.default_rng(0)
    drawn = source.normal(size=(REBUILT, 384)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    start = time.perf_counter()
    VectorIndex().add(b"p", range(REBUILT), drawn)
    return {
        "a question with its embedding, p50 ms": float(np.median(whole)),
        "a question with its embedding, p99 ms": float(np.quantile(whole, 0.99)),
        "search, guards and score alone, p50 ms": float(np.median(lookups)),
        "search, guards and score alone, p50 ms of the processor": float(np.median(busy)),
        "search, guards and score alone, p99 ms": float(np.quantile(lookups, 0.99)),
        "a question whose vector is remembered, p50 ms": float(np.median(again)),
        "100,000 vectors indexed, ms": (time.perf_counter() - start) * 1e3,
        "memory of 10,000 entries, MB": filled - loaded,
        "memory of the embedder, MB": loaded - before,
    }


async def _time_questions(engine: Engine, prompts: Sequence[str]) -> tuple[list[float], ...]:
    whole, lookups, again, busy = list[float](), list[float](), list[float](), list[float]()
    for prompt in prompts:
        start = time.perf_counter()
        vector = await engine.embed(prompt)
        middle, start_busy = time.perf_counter(), time.thread_time()
        engine.look(_ask(prompt, vector), Bounds(max_wrong_rate=0.02), "semantic")
        end = time.perf_counter()
        busy.append((time.thread_time() - start_busy) * 1e3)
        whole.append((end - start) * 1e3)
        lookups.append((end - middle) * 1e3)
        start = time.perf_counter()
        engine.look(_ask(prompt, await engine.embed(prompt)), Bounds(max_wrong_rate=0.02), "semantic")
        again.append((time.perf_counter() - start) * 1e3)
    return whole, lookups, again, busy


def _ask(text: str, vector: Vector) -> Question:
    return Question(scope="latency", partition=b"p", text=text, vector=vector)


def _read_memory_mb() -> float:
    """Return what the process holds in memory; 0 where /proc is not there."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * 4096 / 1e6
