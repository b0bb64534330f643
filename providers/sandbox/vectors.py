"""Embeddings of the sandbox: unit vectors from a hash, near to nothing but themselves."""

import base64
import hashlib
import math
import struct
from array import array

import msgspec

from providers.sandbox.speech import estimate_prompt

DEFAULT_DIMENSIONS = 1_536
# Of the models that have another number (https://platform.openai.com/docs/guides/embeddings, 2026-11-28), the gateway's
# own among them.
DIMENSIONS = {"text-embedding-3-large": 3_072, "all-MiniLM-L6-v2": 384}
MAX_DIMENSIONS = 4_096
MAX_INPUTS = 2_048

Input = str | list[int]


class EmbeddingsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the sandbox reads of a body."""

    input: str | list[str | int | list[int]]
    encoding_format: str | None = None
    dimensions: int | None = None


class InvalidRequest(ValueError):
    """A request that OpenAI would refuse; ``param`` names the field."""

    def __init__(self, message: str, *, param: str) -> None:
        super().__init__(message)
        self.param = param


def read_inputs(request: EmbeddingsRequest) -> list[Input]:
    """Return the inputs, each a text or token ids; raises InvalidRequest for what OpenAI refuses."""
    dimensions = request.dimensions
    if dimensions is not None and not 1 <= dimensions <= MAX_DIMENSIONS:
        message = f"'dimensions' must be from 1 to {MAX_DIMENSIONS}, not {dimensions!r}"
        raise InvalidRequest(message, param="dimensions")
    if request.encoding_format not in (None, "float", "base64"):
        message = f"'encoding_format' must be 'float' or 'base64', not {request.encoding_format!r}"
        raise InvalidRequest(message, param="encoding_format")
    inputs = _split(request.input)
    if not 1 <= len(inputs) <= MAX_INPUTS:
        raise InvalidRequest(f"'input' must have from 1 to {MAX_INPUTS} items, has {len(inputs)}", param="input")
    if not all(inputs):
        raise InvalidRequest("'input' may not have an empty item", param="input")
    if any(isinstance(item, list) and min(item) < 0 for item in inputs):
        raise InvalidRequest("'input' may not have negative token ids", param="input")
    return inputs


def _split(given: str | list[str | int | list[int]]) -> list[Input]:
    if isinstance(given, str):
        return [given]
    ids = [item for item in given if isinstance(item, int)]
    if ids and len(ids) < len(given):
        raise InvalidRequest("'input' may not mix token ids with anything else", param="input")
    return [ids] if ids else [item for item in given if not isinstance(item, int)]


def embed(item: Input, dimensions: int) -> list[float]:
    """Return a vector of length 1 in float32 precision, the same for the same input."""
    text = item if isinstance(item, str) else " ".join(map(str, item))
    digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * dimensions)
    # Odd numbers, so that no component and hence no vector is zero.
    numbers = [number | 1 for number in struct.unpack(f"<{dimensions}h", digest)]
    norm = math.sqrt(sum(number * number for number in numbers))
    return array("f", [number / norm for number in numbers]).tolist()


def render_embeddings(request: EmbeddingsRequest, inputs: list[Input], model: str) -> tuple[bytes, int]:
    """Write the reply; return it and its prompt tokens."""
    tokens = sum(estimate_prompt([item]) if isinstance(item, str) else len(item) for item in inputs)
    dimensions = request.dimensions
    if dimensions is None:
        dimensions = DIMENSIONS.get(model.rpartition("/")[2], DEFAULT_DIMENSIONS)
    data = [
        {"object": "embedding", "index": index, "embedding": _write(embed(item, dimensions), request.encoding_format)}
        for index, item in enumerate(inputs)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage}), tokens


def _write(vector: list[float], encoding_format: str | None) -> str | list[float]:
    if encoding_format == "base64":
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return vector
