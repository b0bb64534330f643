"""tests/rows.toml and the tests agree: what one names, the other carries."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.rows_plugin import Row, find_unproven, read_documents, read_rows

ROOT = Path(__file__).parents[2]


def read_marks(tree: ast.AST) -> set[str]:
    """Find the ids of every ``pytest.mark.row("…")`` below a node; a mark may sit on a parameter."""
    marks: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.row"):
            marks |= {str(argument.value) for argument in node.args if isinstance(argument, ast.Constant)}
    return marks


def walk_tests(body: list[ast.stmt], prefix: str, inherited: set[str]) -> Iterator[tuple[str, set[str]]]:
    """Yield node id and rows of every test of a module or class, with what ``pytestmark`` gives to all of them."""
    for statement in body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "pytestmark":
            inherited = inherited | read_marks(statement.value)
    for statement in body:
        if isinstance(statement, ast.ClassDef) and statement.name.startswith("Test"):
            of_class = inherited | {mark for decorator in statement.decorator_list for mark in read_marks(decorator)}
            yield from walk_tests(statement.body, f"{prefix}::{statement.name}", of_class)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name.startswith("test"):
            own = {mark for decorator in statement.decorator_list for mark in read_marks(decorator)}
            yield f"{prefix}::{statement.name}", inherited | own


@cache
def read_tests() -> dict[str, set[str]]:
    """Read node id -> rows of every test in the tree."""
    return {
        node_id: marks
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node_id, marks in walk_tests(
            ast.parse(path.read_text("utf-8")).body, path.relative_to(ROOT).as_posix(), set()
        )
    }


def test_every_promise_of_every_document_is_listed_once() -> None:
    """The documents were cut into 243 rows, numbered from 1 in each."""
    rows, documents = read_rows(), read_documents()
    assert {letter: document.rows for letter, document in documents.items()} == {
        "E": 42, "S": 47, "D": 23, "A": 57, "W": 64, "U": 10,
    }  # fmt: skip
    assert list(rows) == [f"{letter}{n}" for letter, doc in documents.items() for n in range(1, doc.rows + 1)]
    assert len(rows) == 243


def test_no_row_is_claimed_without_a_test() -> None:
    """A row that belongs to a piece of work that is done names the tests that prove it, and no other row does."""
    assert [row.id for row in read_rows().values() if bool(row.issue) != bool(row.tests)] == []


def test_every_named_test_exists() -> None:
    """A row may not name a test that is not there."""
    named = {test for row in read_rows().values() for test in row.tests}
    assert sorted(named - read_tests().keys()) == []


def test_every_named_test_is_marked_with_its_row() -> None:
    """Who reads the test sees the promise it proves."""
    tests = read_tests()
    named = [(row.id, test) for row in read_rows().values() for test in row.tests if test in tests]
    assert [f"{test} lacks row {row_id}" for row_id, test in named if row_id not in tests[test]] == []


def test_every_marked_test_is_named_by_its_row() -> None:
    """The list is complete: nothing proves a row in secret, and no mark names a row that does not exist."""
    rows = read_rows()
    proofs = {(row_id, test) for test, marks in read_tests().items() for row_id in marks}
    assert sorted(proof for proof in proofs if proof[0] not in rows or proof[1] not in rows[proof[0]].tests) == []


def test_marks_are_read_from_functions_classes_modules_and_parameters() -> None:
    """The four places where pytest takes a mark from."""
    source = (
        "pytestmark = [pytest.mark.row('A1')]\n"
        "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.row('A2', 'A3'))])\n"
        "def test_one(x): ...\n"
        "@pytest.mark.row('A4')\n"
        "class TestAll:\n"
        "    @mark.row('A5')\n"
        "    async def test_two(self): ...\n"
    )
    assert dict(walk_tests(ast.parse(source).body, "f.py", set())) == {
        "f.py::test_one": {"A1", "A2", "A3"},
        "f.py::TestAll::test_two": {"A1", "A4", "A5"},
    }


@pytest.mark.parametrize(
    ("passed", "complaints"),
    [
        ({"t.py::a[1]", "t.py::a[2]"}, []),
        ({"t.py::a[1]"}, ["W1: t.py::a[2] did not pass"]),
        (set[str](), ["W1: t.py::a[1] did not pass", "W1: t.py::a[2] did not pass"]),
    ],
)
def test_a_row_is_proved_only_when_every_case_of_its_test_passed(passed: set[str], complaints: list[str]) -> None:
    """One skipped or failed parameter leaves the row unproven; tests of other targets are not judged."""
    row = Row(id="W1", title="", wave="1", issue="spine", tests=("t.py::a", "t.py::of_another_target"))
    assert find_unproven({"W1": row}, {"t.py::a[1]", "t.py::a[2]", "t.py::b"}, passed) == complaints
