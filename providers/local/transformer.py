"""The embedder on a CUDA device, by sentence-transformers, and the choice between it and the bundled one.

Failure behavior: missing weights fail each call with Unreachable; nothing is ever downloaded.
"""

import importlib
import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from providers.errors import Unreachable
from providers.local.minilm import DIMENSIONS, MAX_PIECES, Embedder, MiniLm, Vectors


class SentenceTransformerEmbedder:
    """The same model, or one of its kind with 384 dimensions, in sentence-transformers; for a CUDA device."""

    # Of 8,000 questions on an H100, 3,800 a second in batches of 64 and 5,800 in batches of 256 (2026-11-28).
    batch_texts = 256

    def __init__(self, folder: Path, *, device: str) -> None:
        self._folder = folder
        self._device = device
        self._loading = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector for each text: (n, 384) float32; raises Unreachable when the weights are missing.

        Not by the model's own ``encode``, which sets the device and the mode of every layer anew for each text: that
        takes as long as the embedding.
        """
        torch, model = self._load()
        # Texts of like length share a batch, so that little of it is padding.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), self.batch_texts):
                batch = order[start : start + self.batch_texts]
                pieces = model.tokenizer(
                    [texts[i] for i in batch],
                    padding=True,
                    truncation=True,
                    max_length=MAX_PIECES,
                    return_tensors="pt",
                ).to(self._device)
                found = model(dict(pieces))["sentence_embedding"]
                vectors[batch] = torch.nn.functional.normalize(found, dim=1).cpu().numpy()
        return vectors

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return how many word pieces of each text are embedded, [CLS] and [SEP] included, at most 256."""
        _, model = self._load()
        encoded = model.tokenizer(list(texts), truncation=True, max_length=MAX_PIECES)
        return [len(ids) for ids in encoded["input_ids"]]

    def _load(self) -> tuple[Any, Any]:
        """Return torch and the model."""
        with self._loading:
            if self._loaded is None:
                if not self._folder.is_dir():
                    message = f"no weights of the embedding model in {str(self._folder)!r}: set the folder"
                    raise Unreachable(message, sent=False)
                # Loaded here because sentence-transformers and torch cost 6 s, and belong to an extra.
                module: Any = importlib.import_module("sentence_transformers")
                model = module.SentenceTransformer(str(self._folder), device=self._device, local_files_only=True)
                self._loaded = importlib.import_module("torch"), model.eval()
            return self._loaded


def open_embedder(device: str = "auto", *, folder: Path | None = None, threads: int | None = None) -> Embedder:
    """Choose the embedder: ``cpu`` is the bundled MiniLM, any other device of torch sentence-transformers.

    ``auto`` takes ``cuda`` where there are weights in ``folder``, sentence-transformers and a CUDA device, else
    ``cpu``. It imports torch to find out (seconds), but only where a folder is given. Raises ValueError when a device
    is asked for without a folder.
    """
    if device == "auto":
        device = "cuda" if folder is not None and _has_cuda() else "cpu"
    if device == "cpu":
        return MiniLm(threads=threads)
    if folder is None:
        raise ValueError(f"embedding on {device!r} needs the folder of the model's weights")
    return SentenceTransformerEmbedder(folder, device=device)


def _has_cuda() -> bool:
    if importlib.util.find_spec("sentence_transformers") is None:
        return False
    torch: Any = importlib.import_module("torch")
    return bool(torch.cuda.is_available())
