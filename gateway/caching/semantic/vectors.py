"""How a stored question is written down with its vector and what is kept of its answer.

Failure behavior: as in packing.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from cache.semantic.equivalence import Digest, pack_digest
from cache.semantic.index import DIMENSIONS, Rounded, Vector
from gateway.caching.semantic.packing import Damaged, seal, unseal

_NOTHING = b"\xc0"


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    text: str
    # (384,) float16.
    vector: bytes
    # A digest, or nil.
    answer: msgspec.Raw


_encode = msgspec.msgpack.Encoder().encode
_PACKED = msgspec.msgpack.Decoder(_Packed)


class Unpacked(msgspec.Struct, frozen=True):
    """A stored question: its text, its vector as bytes of float16, and what is kept of its answer, still packed."""

    text: str
    vector: bytes
    answer: bytes | None


def pack(text: str, vector: Vector, answer: Digest | None) -> bytes:
    """Write a question down: about 1.3 kB."""
    kept = _NOTHING if answer is None else pack_digest(answer)
    return seal(_encode(_Packed(text, vector.astype(np.float16).tobytes(), msgspec.Raw(kept))))


def unpack(data: bytes) -> Unpacked:
    """Read a question; raises Damaged."""
    try:
        packed = _PACKED.decode(unseal(data))
    except msgspec.DecodeError as error:
        raise Damaged(f"a stored question cannot be read: {error}") from error
    if len(packed.vector) != 2 * DIMENSIONS:
        raise Damaged(f"a stored vector has {len(packed.vector)} bytes, not {2 * DIMENSIONS}")
    answer = bytes(packed.answer)
    return Unpacked(packed.text, packed.vector, None if answer == _NOTHING else answer)


def stack(vectors: Sequence[bytes]) -> Rounded:
    """Vectors that were unpacked, (n, 384)."""
    return np.frombuffer(b"".join(vectors), np.float16).reshape(-1, DIMENSIONS)
