"""A semantic layer without a model: texts are near where they share words, and what is asked is at hand."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from caches import AT_NS, make_answer
from running import Running

from cache.semantic.index import DIMENSIONS, Vector
from cache.semantic.score import Network, open_network
from cache.semantic.values import Observed
from gateway.caching.answers import Answers, StoredAnswer
from gateway.caching.semantic.interface import Fresh, Look
from gateway.caching.semantic.layer import SemanticLayer
from gateway.caching.semantic.memory import Memory
from gateway.caching.semantic.question import Asked
from gateway.config.settings import Cache
from gateway.db import Database
from providers.openai.recorded import record_body

SCOPE, PARTITION = "p", b"partition"
CAPITAL, SAME, OTHER = (
    "What is the capital of France?",
    "What is the capital city of France?",
    "How do I bake bread?",
)


class Embedded(msgspec.Struct, frozen=True):
    """What the embedding queue gives."""

    vectors: Vector
    counts: list[int]


def draw(text: str) -> Vector:
    """A unit vector (384,) that shares a direction with every text of a common word."""
    total = np.zeros(DIMENSIONS, np.float32)
    for word in text.lower().strip("?.! ").split():
        seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big")
        total += np.random.default_rng(seed).normal(size=DIMENSIONS).astype(np.float32)
    vector: Vector = (total / np.linalg.norm(total)).astype(np.float32)
    return vector


class FakeEmbedder:
    """Embeds at once; ``error`` or ``held`` keep it from that."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.error: Exception | None = None
        # Cleared: it does not answer until set.
        self.open = asyncio.Event()
        self.open.set()
        self.pieces = 10
        self.replaced: dict[str, Vector] = {}

    async def embed(self, texts: Sequence[str], *, is_patient: bool = False) -> Embedded:
        """As the bundled model's queue."""
        self.texts += texts
        await self.open.wait()
        if self.error is not None:
            raise self.error
        vectors = np.stack([self.replaced.get(text, draw(text)) for text in texts])
        return Embedded(vectors, [self.pieces] * len(texts))

    async def embeddings(self, call: Any) -> Any:
        """It stands for the gateway's own use alone."""
        raise AssertionError(call)

    async def close(self) -> None:
        """There is nothing to end."""


def make_asked(text: str = CAPITAL, *, scope: str = SCOPE, partition: bytes = PARTITION) -> Asked:
    """A question of a project."""
    return Asked(scope=scope, partition=partition, text=text)


def make_said(text: str = "Paris.", number: int = 1, **fields: Any) -> StoredAnswer:
    """A stored answer that says a text, of the call r<number>."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = msgspec.json.encode({"id": "x", "created": 1, "model": "gpt-4", "choices": [choice]})
    return make_answer(entry_id=f"ce_r{number}", recorded=record_body("chat/completions", body), **fields)


def make_fresh(asked: Asked, said: str = "Paris.", number: int = 1, look: Look | None = None, **fields: Any) -> Fresh:
    """A fresh answer to a question, of the call r<number>."""
    return Fresh(
        asked=asked, look=look, answer=make_said(said, number), key=b"key-%012d" % number,
        expires_ns=AT_NS + 3_600 * 10**9, cost_pusd=1_000, **fields,
    )  # fmt: skip


def make_shelf() -> Answers:
    """The answers of a process."""
    return Answers(max_bytes=1 << 20, max_project_bytes=1 << 20, max_answer_bytes=1 << 16)


def make_layer(
    database: Database, embedder: FakeEmbedder, *, answers: Answers | None = None, most: int = 100
) -> SemanticLayer:
    """A layer of one process on a database, not opened."""
    settings = Cache(semantic_max_entries=most)
    return SemanticLayer(
        database, make_shelf() if answers is None else answers, embedder.embed, settings, lambda: AT_NS
    )


def leave_nothing_to_chance(memory: Memory) -> None:
    """Hold nothing back, check nothing, and choose the threshold anew each time."""
    settings = memory.engine.settings
    memory.engine.settings = msgspec.structs.replace(settings, holdout_share=0.0, audit_share=0.0, choice_every=1)


def prove(memory: Memory, scope: str = SCOPE) -> None:
    """Have a scope serve: it saw right answers at high scores and wrong ones at low, and holds nothing back.

    It scores by nearness alone: what the shipped weights think of made-up vectors is no matter of these tests.
    """
    leave_nothing_to_chance(memory)
    memory.engine.adopt(scope, judge_by_cosine())
    for number in range(300):
        memory.engine.absorb(scope, Observed(score=0.2 + number / 400, is_right=True))
        memory.engine.absorb(scope, Observed(score=0.01 + number / 6_000, is_right=False))


def judge_by_cosine() -> Network:
    """A score that is 0.99 for a cosine of 0.93 and next to nothing where few words are shared."""
    network = open_network(0)
    first, second = np.zeros_like(network.first), np.zeros_like(network.second)
    first[0, 0], second[0, 0] = 1, 3
    bias = np.zeros_like(network.first_bias)
    bias[0] = 4
    return Network(first=first, first_bias=bias, second=second, second_bias=np.full_like(network.second_bias, -10))


def set_embedder(patch: pytest.MonkeyPatch) -> FakeEmbedder:
    """Have gateways that start from now on embed with this, without a model."""
    embedder = FakeEmbedder()
    patch.setattr("gateway.upstreams.open_local", lambda: embedder)
    return embedder


async def layer_of(running: Running) -> SemanticLayer:
    """A running gateway's layer, whole."""
    layer = await running.gateway.services.caching.semantics.opened()
    assert isinstance(layer, SemanticLayer)
    return layer


async def settle(running: Running) -> None:
    """Wait until a gateway has learnt and stored what it was asked, its audits too."""
    layer, audits = await layer_of(running), running.gateway.services.caching.audits
    # An audit begins when its call has ended, and is learnt from when it has ended itself.
    await layer.settle()
    await audits.settle()
    await layer.settle()


def audit_always(memory: Memory) -> None:
    """Have every served answer checked."""
    settings = memory.engine.settings
    memory.engine.settings = msgspec.structs.replace(settings, audit_share=1_000.0)
