"""The make targets and the tests' marks: every test runs in exactly one part of one target, and none is left out."""

import ast
import re
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

from tests.rows_plugin import Row, find_missing
from tests.targets_plugin import ALONE, TARGETS, find_misplaced, is_left_out, wanted_mark

ROOT = Path(__file__).parents[2]
# How a recipe of the Makefile begins a part of the suite.
SELECTION = re.compile(r',-m (?:"([^"]+)"|(\w+))')
LEGAL = [set[str](), *({mark, *more} for mark in TARGETS for more in ((), (ALONE,)))]


def name_marks(marks: set[str]) -> str:
    """Name a set of marks alike in every process."""
    return "-".join(sorted(marks)) or "none"


def read_selections() -> list[str]:
    """What each run of pytest in the Makefile that takes tests by their marks takes."""
    return [quoted or word for quoted, word in SELECTION.findall((ROOT / "Makefile").read_text("utf-8"))]


@pytest.mark.parametrize("marks", LEGAL, ids=name_marks)
def test_every_test_runs_once(marks: set[str]) -> None:
    """Whatever marks a test may have, one run of one target takes it."""
    taken = [text for text in read_selections() if Expression.compile(text).evaluate(lambda name, **_: name in marks)]
    assert len(taken) == 1


def test_every_selection_is_read() -> None:
    """Every part that the Makefile runs, and no other."""
    assert len(read_selections()) == (ROOT / "Makefile").read_text("utf-8").count("(call p") - 1 > len(TARGETS)


@pytest.mark.parametrize(
    ("marks", "is_right"),
    [(marks, True) for marks in LEGAL] + [({"long", "e2e"}, False), ({ALONE}, False), (set(TARGETS), False)],
    ids=lambda value: str(value) if isinstance(value, bool) else name_marks(value),
)
def test_marks_that_mean_no_place_or_two_are_refused(marks: set[str], is_right: bool) -> None:
    """A run in which a test has such marks does not begin."""
    source = "".join(f"@pytest.mark.{mark}\n" for mark in marks)
    assert (find_misplaced("t.py::a", marks, source) is None) == is_right


def test_a_mark_that_the_file_does_not_spell_is_refused() -> None:
    """Its target would not import the file."""
    assert find_misplaced("t.py::a", {"long"}, "from elsewhere import takes_long\n") is not None


@pytest.mark.parametrize(
    ("expression", "mark"),
    [("long and not alone", "long"), ("gpu", "gpu"), ("", None), ("long or e2e", None), ("not long", None)],
)
def test_a_target_is_told_by_what_it_selects(expression: str, mark: str | None) -> None:
    """Where tests of any file may be selected, every file is imported."""
    assert wanted_mark(expression) == mark


def test_a_target_imports_the_files_that_have_its_mark(tmp_path: Path) -> None:
    """And what is no test file."""
    marked, other = tmp_path / "test_marked.py", tmp_path / "test_other.py"
    marked.write_text("@pytest.mark.long\ndef test_it(): ...\n", "utf-8")
    other.write_text("def test_it(): ...\n", "utf-8")
    assert [is_left_out(path, "long and alone") for path in (marked, other, tmp_path)] == [False, True, False]
    assert not is_left_out(other, "not long and not e2e")


def test_a_row_is_missed_by_the_targets_that_import_its_tests_file() -> None:
    """A test that is gone from a file is told by make test, and by each target that runs a part of the file."""
    gone = "tests/structure/test_targets.py::test_gone"
    row = Row(id="W1", title="", wave="1", issue="spine", tests=(gone,))
    assert find_missing({"W1": row}, set(), "not long") == [f"W1: {gone} was not collected"]
    assert find_missing({"W1": row}, {gone}, "not long") == []
    # This file's text has the mark of that target, and not of the next one.
    assert find_missing({"W1": row}, set(), "long and alone") != []


def test_no_mark_of_a_target_is_made_elsewhere() -> None:
    """Fixtures and helpers have none to lend."""
    lenders = [
        path
        for path in (ROOT / "tests").rglob("*.py")
        if not path.name.startswith("test_") and "node_modules" not in path.parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in TARGETS and ast.unparse(node.value).endswith("mark")
    ]
    assert lenders == []
