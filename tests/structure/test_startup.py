"""Importing the gateway is quick, loads no vendor's SDK and touches no network."""

import pytest
from machine_speed import STANDARD, STANDARD_MS, import_modules

MAX_IMPORT_MS = 800
# Comparisons at least and at most.
FEW, MANY = 3, 12
HEAVY = (
    "openai", "anthropic", "groq", "stripe", "torch", "transformers", "sentence_transformers", "onnxruntime",
    "tokenizers", "tiktoken", "faiss",
)  # fmt: skip


@pytest.mark.timeout(180)
def test_the_application_is_imported_quickly_and_alone() -> None:
    """``import gateway.app`` takes less than 0.8 s and brings no vendor SDK, model or connection.

    It is the processor's time, here or, on a slower machine, at the speed at which the standard library was imported
    beside it, each the least of some tries: a neighbour can only add to what an import takes, so it goes on until both
    had a quiet moment.
    """
    own, standard = [], []
    taken_ms = float("inf")
    for count in range(1, MANY + 1):
        own.append(import_modules("gateway.app"))
        standard.append(import_modules(*STANDARD))
        least_ms = min(each.ms for each in own)
        taken_ms = least_ms * min(1, STANDARD_MS / min(each.ms for each in standard))
        if count >= FEW and taken_ms < MAX_IMPORT_MS:
            break
    assert sorted(own[0].modules & set(HEAVY)) == []
    assert own[0].dialled == []
    assert taken_ms < MAX_IMPORT_MS
