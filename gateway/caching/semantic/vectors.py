"""How a stored question is written down with its vector and what is kept of its answer.

Failure behavior: as in packing.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from cache.semantic.equivalence import Digest
from cache.semantic.index import DIMENSIONS, Vector
from gateway.caching.semantic.packing import Damaged, seal, unseal


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    text: str
    # (384,) float16.
    vector: bytes
    answer: Digest | None


_encode = msgspec.msgpack.Encoder().encode
_PACKED = msgspec.msgpack.Decoder(_Packed)


class Unpacked(msgspec.Struct, frozen=True):
    """A stored question: its text, its vector (384,) float16 and what is kept of its answer."""

    text: str
    vector: NDArray[np.float16]
    answer: Digest | None


def pack(text: str, vector: Vector, answer: Digest | None) -> bytes:
    """Write a question down: about 1.3 kB."""
    return seal(_encode(_Packed(text, vector.astype(np.float16).tobytes(), answer)))


def unpack(data: bytes) -> Unpacked:
    """Read a question; raises Damaged."""
    try:
        packed = _PACKED.decode(unseal(data))
    except msgspec.DecodeError as error:
        raise Damaged(f"a stored question cannot be read: {error}") from error
    if len(packed.vector) != 2 * DIMENSIONS:
        raise Damaged(f"a stored vector has {len(packed.vector)} bytes, not {2 * DIMENSIONS}")
    return Unpacked(packed.text, np.frombuffer(packed.vector, np.float16), packed.answer)
