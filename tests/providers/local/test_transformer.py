"""The embedder on a CUDA device, and the choice of one."""

import importlib.util
import sys
import types
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cache.semantic.bound import Bounds
from cache.semantic.engine import Engine
from cache.semantic.values import Question
from providers.errors import Unreachable
from providers.local import transformer
from providers.local.choice import find_weights
from providers.local.minilm import Embedder, MiniLm, Vectors
from providers.local.transformer import SentenceTransformerEmbedder, open_embedder

FOX = "The quick brown fox jumps over the lazy dog"


def test_without_a_gpu_the_bundled_model_is_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """auto falls back where there is no folder, no sentence-transformers or no CUDA device."""
    monkeypatch.setattr(transformer, "_has_cuda", lambda: False)
    assert isinstance(open_embedder(folder=tmp_path), MiniLm)


def test_a_gpu_is_chosen_where_there_are_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """auto takes sentence-transformers on CUDA when all of it is there."""
    monkeypatch.setattr(transformer, "_has_cuda", lambda: True)
    assert isinstance(open_embedder(folder=tmp_path), SentenceTransformerEmbedder)
    assert isinstance(open_embedder(), MiniLm)


def test_a_device_without_weights_is_refused() -> None:
    """A device that was asked for is not silently replaced."""
    with pytest.raises(ValueError, match="folder"):
        open_embedder("cuda")


@pytest.mark.parametrize("has_library", [True, False])
def test_cuda_is_looked_for_in_torch(monkeypatch: pytest.MonkeyPatch, has_library: bool) -> None:
    """Without sentence-transformers torch is not even imported."""
    cuda = types.SimpleNamespace(is_available=lambda: True)
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))  # type: ignore[arg-type]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if has_library else None)
    assert transformer._has_cuda() is has_library


def test_missing_weights_fail_the_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder that is not there is an error of the provider, not a download."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", types.ModuleType("sentence_transformers"))
    with pytest.raises(Unreachable, match="no weights"):
        SentenceTransformerEmbedder(tmp_path / "none", device="cpu").embed(["a"])


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    """The model of the extra, on whatever device there is."""
    folder = find_weights()
    assert folder is not None, "make test-gpu installs the extra"
    return SentenceTransformerEmbedder(folder, device="cuda" if transformer._has_cuda() else "cpu")


@pytest.mark.gpu
def test_it_agrees_with_the_bundled_model(embedder: Embedder) -> None:
    """Both count alike and point the same way."""
    texts = [FOX, "How do I reset my password?", "word " * 1_000]
    assert embedder.count(texts) == MiniLm().count(texts)
    assert (embedder.embed(texts) * MiniLm().embed(texts)).sum(axis=1).min() > 0.99


@pytest.mark.gpu
def test_its_vectors_are_as_those_of_the_bundled_one(embedder: Embedder) -> None:
    """Of length 1, in the order of the texts, whatever stands beside them."""
    texts = ["a much longer text than the other two of them", "short", "of middle length"]
    vectors = embedder.embed(texts)
    assert (vectors.shape, vectors.dtype) == ((3, 384), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-3)
    assert vectors == pytest.approx(np.vstack([embedder.embed([text]) for text in texts]), abs=1e-2)


@pytest.mark.gpu
async def test_like_questions_are_found_with_it(embedder: Embedder) -> None:
    """The engine takes its vectors, and FAISS of the extra finds the nearest."""

    async def embed(texts: Sequence[str]) -> Vectors:
        return embedder.embed(texts)

    engine = Engine(embed)
    for number, text in enumerate(("How do I reset my password?", "Where is my parcel?", FOX)):
        question = Question(scope="s", partition=b"p", text=text, vector=await engine.embed(text))
        assert engine.add(question, number, None)
    asked = "How can I reset my password?"
    verdict = engine.look(
        Question(scope="s", partition=b"p", text=asked, vector=await engine.embed(asked)), Bounds(), "shadow"
    )
    assert verdict.entry_id == 0
    assert verdict.similarity > 0.9
