"""Where the tests' folders are: in memory, but for what is measured and where there is no room."""

import os
from pathlib import Path
from typing import Any, cast

import pytest

from tests import folders_plugin

ROOT_OF_FOLDERS = "PYTEST_DEBUG_TEMPROOT"


class Config:
    """The one setting that is looked at."""

    def __init__(self, expression: str) -> None:
        self.expression = expression

    def getoption(self, name: str) -> str:
        """What a run selects by its marks."""
        assert name == "markexpr"
        return self.expression


@pytest.fixture
def patched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing was chosen yet, and a folder is the memory; what a test sets is set back."""
    monkeypatch.setattr(folders_plugin, "MEMORY", tmp_path)
    monkeypatch.setenv(ROOT_OF_FOLDERS, "")
    monkeypatch.delenv(ROOT_OF_FOLDERS)
    return monkeypatch


@pytest.mark.parametrize(
    ("expression", "room_bytes", "chosen", "is_in_memory"),
    [
        ("not long and not e2e and not gpu", 0, None, True),
        ("", 0, None, True),
        ("long and alone", 0, None, False),
        ("not long and not e2e and not gpu", 1 << 62, None, False),
        ("not long and not e2e and not gpu", 0, "/elsewhere", False),
    ],
)
def test_folders_are_in_memory_where_nothing_speaks_against_it(
    expression: str, room_bytes: int, chosen: str | None, is_in_memory: bool, patched: pytest.MonkeyPatch
) -> None:
    """A target that measures keeps them on the disk, as does a full memory; who has said where is heeded."""
    patched.setattr(folders_plugin, "MEMORY_BYTES", room_bytes)
    if chosen is not None:
        patched.setenv(ROOT_OF_FOLDERS, chosen)
    folders_plugin.pytest_configure(cast("Any", Config(expression)))
    assert os.environ.get(ROOT_OF_FOLDERS) == (str(folders_plugin.MEMORY) if is_in_memory else chosen)
