"""OpenAI's embeddings endpoint on a model in this process.

Failure behavior: fails as the queue and the embedder do, and refuses with Unsupported what the model cannot do.
"""

import base64
from collections.abc import Sequence

import msgspec

from providers.chat import Answer, Usage
from providers.errors import Unsupported
from providers.local.minilm import DIMENSIONS, Vectors
from providers.local.queue import Embedded, EmbeddingQueue
from providers.wire import Call

# What one request may bring; OpenAI's own limit is 2,048 inputs.
# https://platform.openai.com/docs/api-reference/embeddings/create (2026-11-21)
MAX_INPUTS = 2_048
MAX_INPUT_CHARS = 100_000
MAX_REQUEST_CHARS = 1_000_000


class LocalBackend:
    """Answers OpenAI's embeddings endpoint from an embedder in this process."""

    def __init__(self, queue: EmbeddingQueue) -> None:
        self._queue = queue

    async def close(self) -> None:
        """Finish what was begun and stop the worker."""
        await self._queue.close()

    async def embed(self, texts: Sequence[str], *, is_patient: bool = False) -> Embedded:
        """Embed texts; raises as the queue does."""
        return await self._queue.submit(texts, is_patient=is_patient)

    async def embeddings(self, call: Call) -> Answer:
        """Embed the call's input; the reply names the model as the caller did and counts the word pieces read.

        Raises Unsupported, naming the parameter, for what the model cannot do; PoolExhausted and Unreachable as the
        queue and the embedder do.
        """
        body = _parse(call.body)
        texts = _texts(body.input)
        _check_options(body)
        embedded = await self._queue.submit(texts)
        tokens = sum(embedded.counts)
        written = _encode(embedded.vectors, body.encoding_format)
        reply = _Reply(
            data=[_Datum(index=index, embedding=embedding) for index, embedding in enumerate(written)],
            model=call.model,
            usage=_ReplyUsage(prompt_tokens=tokens, total_tokens=tokens),
        )
        return Answer(body=msgspec.json.encode(reply), usage=Usage(input_tokens=tokens))


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    input: str | list[str | int | list[int]]
    encoding_format: str | None = None
    dimensions: int | None = None


class _Datum(msgspec.Struct, frozen=True, kw_only=True):
    object: str = "embedding"
    index: int
    embedding: str | list[float]


class _ReplyUsage(msgspec.Struct, frozen=True, kw_only=True):
    prompt_tokens: int
    total_tokens: int


class _Reply(msgspec.Struct, frozen=True, kw_only=True):
    object: str = "list"
    data: list[_Datum]
    model: str
    usage: _ReplyUsage


def _parse(body: bytes) -> _Body:
    try:
        return msgspec.json.decode(body, type=_Body)
    except msgspec.DecodeError as error:
        param = next((name for name in _Body.__struct_fields__ if f"$.{name}" in str(error)), "input")
        raise Unsupported(f"the embeddings request is not valid: {error}", param=param) from error


def _texts(given: str | list[str | int | list[int]]) -> list[str]:
    """Return the texts to embed; raises Unsupported for tokens, for nothing, and for too much."""
    inputs = [given] if isinstance(given, str) else given
    texts = [text for text in inputs if isinstance(text, str)]
    longest = max(map(len, texts), default=0)
    rules = (
        (len(texts) < len(inputs), "must be text: this model has another vocabulary than the token ids given"),
        (not texts, "must have at least one text"),
        (len(texts) > MAX_INPUTS, f"may have at most {MAX_INPUTS} texts, has {len(texts)}"),
        ("" in texts, "may not have an empty text"),
        (longest > MAX_INPUT_CHARS, f"may have texts of at most {MAX_INPUT_CHARS} characters, has one of {longest}"),
        (
            sum(map(len, texts)) > MAX_REQUEST_CHARS,
            f"may have at most {MAX_REQUEST_CHARS} characters in all, has {sum(map(len, texts))}",
        ),
    )
    for broken, rule in rules:
        if broken:
            raise Unsupported(f"'input' {rule}", param="input")
    return texts


def _check_options(body: _Body) -> None:
    if body.encoding_format not in (None, "float", "base64"):
        message = f"'encoding_format' must be 'float' or 'base64', not {body.encoding_format!r}"
        raise Unsupported(message, param="encoding_format")
    # Not a Matryoshka model: the first numbers of its vectors mean nothing without the rest.
    if body.dimensions not in (None, DIMENSIONS):
        message = f"'dimensions' must be {DIMENSIONS} for this model, or left out, not {body.dimensions!r}"
        raise Unsupported(message, param="dimensions")


def _encode(vectors: Vectors, encoding_format: str | None) -> list[str | list[float]]:
    """Write vectors as JSON numbers that are the float32 exactly, or as base64 of little-endian float32."""
    if encoding_format == "base64":
        return [base64.b64encode(row.tobytes()).decode() for row in vectors.astype("<f4")]
    rows: list[str | list[float]] = vectors.tolist()
    return rows
