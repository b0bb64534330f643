"""The examples that the tests run are the documents' own."""

from pathlib import Path

import pytest
from clients.examples import read_examples

DOCUMENT = Path(__file__).parents[2] / "../shared/contracts/watchllm.md"


def test_there_are_nine_examples() -> None:
    """Quick start, streaming, JavaScript, Python, two of curl and Next.js."""
    assert len(read_examples()) == 9


if DOCUMENT.exists():

    @pytest.mark.parametrize("title", read_examples())
    def test_an_example_stands_in_the_document_word_for_word(title: str) -> None:
        """Where the API specification lies beside the project, each of its examples is found in it."""
        assert f"\n{read_examples()[title]}```\n" in DOCUMENT.read_text(encoding="utf-8")
