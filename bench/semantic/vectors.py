"""Vectors of the benchmark's texts, kept under bench/build so that each text is embedded once.

By the embedder that the gateway has on this machine: the bundled one, or the ``gpu`` extra's where there is a device.
"""

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from providers.local.choice import choose_weights, name_embedder
from providers.local.minilm import MODEL_SHA256, Embedder, Vectors
from providers.local.transformer import open_embedder

BUILD = Path(__file__).parents[1] / "build"
_PORTION = 512


def open_model() -> Embedder:
    """Return the embedder that the gateway would take here."""
    return open_embedder(folder=choose_weights())


class VectorStore:
    """A text's vector, from disk or from the model."""

    def __init__(self, folder: Path = BUILD) -> None:
        self._file = folder / f"vectors-{_hash(name_embedder() + MODEL_SHA256).hex()[:8]}.npz"
        self._places: dict[bytes, int] = {}
        self._vectors: Vectors = np.empty((0, 384), np.float32)
        if self._file.exists():
            with np.load(self._file) as stored:
                self._vectors = stored["vectors"]
                self._places = {key.tobytes(): place for place, key in enumerate(stored["keys"])}

    def embed(self, texts: Iterable[str]) -> None:
        """Make sure that the texts have vectors, and keep them on disk."""
        missing = [text for text in dict.fromkeys(texts) if _hash(text) not in self._places]
        if not missing:
            return
        model = open_model()
        parts = [self._vectors]
        for start in range(0, len(missing), _PORTION):
            parts.append(model.embed(missing[start : start + _PORTION]))
            print(f"embedded {start + len(parts[-1])} of {len(missing)} texts", file=sys.stderr)
        self._vectors = np.concatenate(parts)
        for text in missing:
            self._places[_hash(text)] = len(self._places)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        keys = np.frombuffer(b"".join(self._places), np.uint8).reshape(-1, 16)
        np.savez(self._file, vectors=self._vectors, keys=keys)

    def __getitem__(self, text: str) -> Vectors:
        """Return the vector (384,) of a text that was embedded."""
        vector: Vectors = self._vectors[self._places[_hash(text)]]
        return vector


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
