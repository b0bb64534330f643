"""OpenAI's embeddings endpoint on a model in this process."""

import base64
import json
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from providers.errors import Unsupported
from providers.local.backend import LocalBackend
from providers.local.minilm import MiniLm, Vectors
from providers.local.queue import EmbeddingQueue
from providers.wire import Call

MINILM = MiniLm()
FOX = "The quick brown fox jumps over the lazy dog"


class Lengths:
    """An embedder without a model: a text's vector begins with its length."""

    batch_texts = 64

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector a text."""
        vectors = np.zeros((len(texts), 384), np.float32)
        vectors[:, 0] = [len(text) for text in texts]
        return vectors

    def count(self, texts: Sequence[str]) -> list[int]:
        """One token a text."""
        return [1] * len(texts)


@pytest.fixture
async def queue() -> AsyncIterator[EmbeddingQueue]:
    queue = EmbeddingQueue(Lengths())
    yield queue
    await queue.close()


def embeddings_call(**body: object) -> Call:
    """A call to the endpoint with this body."""
    return Call(endpoint="embeddings", body=json.dumps({"model": "m", **body}).encode(), model="m")


async def ask(queue: EmbeddingQueue, **body: object) -> dict:
    """The endpoint's reply, parsed."""
    return json.loads((await LocalBackend(queue).embeddings(embeddings_call(**body))).body)


async def test_a_reply_is_openais(queue: EmbeddingQueue) -> None:
    """One text: a list of one embedding, the caller's name of the model, usage."""
    reply = await ask(queue, input="four", user="u")
    vector = [4.0] + [0.0] * 383
    assert reply == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "model": "m",
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }


async def test_usage_is_what_the_model_read() -> None:
    """The meter gets the exact word pieces of all inputs."""
    queue = EmbeddingQueue(MINILM)
    answer = await LocalBackend(queue).embeddings(embeddings_call(input=[FOX, FOX]))
    await queue.close()
    assert answer.usage is not None
    assert answer.usage.total_input_tokens == 22


@pytest.mark.parametrize("encoding_format", [None, "float", "base64"])
async def test_every_encoding_is_the_same_vector(encoding_format: str | None) -> None:
    """Numbers and base64 are the float32 of the model exactly; null is the default."""
    queue = EmbeddingQueue(MINILM)
    reply = await ask(queue, input=FOX, encoding_format=encoding_format)
    await queue.close()
    got = reply["data"][0]["embedding"]
    vector = np.frombuffer(base64.b64decode(got), "<f4") if isinstance(got, str) else np.array(got, np.float32)
    assert isinstance(got, str) == (encoding_format == "base64")
    assert np.array_equal(vector, MINILM.embed([FOX])[0])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": [[1, 2], [3]]}, "input"),
        ({"input": [-1, 5]}, "input"),
        ({"input": None}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({}, "input"),
        ({"input": ["a"] * 2_049}, "input"),
        ({"input": "a" * 100_001}, "input"),
        ({"input": ["a" * 100_000] * 11}, "input"),
        ({"input": "a", "dimensions": 256}, "dimensions"),
        ({"input": "a", "dimensions": "many"}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "encoding_format": 7}, "encoding_format"),
    ],
)
async def test_what_the_model_cannot_do_is_refused(queue: EmbeddingQueue, body: dict, param: str) -> None:
    """A refusal names the parameter and never reaches the model."""
    with pytest.raises(Unsupported) as refusal:
        await ask(queue, **body)
    assert refusal.value.param == param


async def test_its_own_dimensions_are_accepted(queue: EmbeddingQueue) -> None:
    """dimensions: 384 asks for what there is."""
    reply = await ask(queue, input="a", dimensions=384)
    assert len(reply["data"][0]["embedding"]) == 384
