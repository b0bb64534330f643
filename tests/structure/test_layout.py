"""The house: every module has its test, nothing grows too large, imports stay cheap to follow."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("providers", "cache", "gateway")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_FILES = 12
MAX_DEPTH = 2
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "base", "misc"}

# Modules without a test file of their own, and why.
UNMIRRORED = {
    "gateway/__main__.py": "one call of gateway.cli, run by the tests that start processes",
}


def list_modules(*folders: str) -> list[Path]:
    """List the Python files below the folders, relative to the root."""
    return sorted(
        path.relative_to(ROOT)
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
    )


class Module(msgspec.Struct, frozen=True):
    """What the rules ask of a file."""

    has_docstring: bool
    statements: int
    # Each function's name and its lines.
    functions: list[tuple[str, int]]


@cache
def read_module(path: Path) -> Module:
    """Parse a file, once for all rules."""
    tree = ast.parse((ROOT / path).read_bytes())
    return Module(bool(ast.get_docstring(tree)), len(tree.body), list(list_functions(tree.body)))


def list_functions(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    """Yield every function's name and its lines: of the nodes, and of what stands in their blocks."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1
        for block in ("body", "handlers", "orelse", "finalbody", "cases"):
            yield from list_functions(getattr(node, block, ()))


def has_behaviour(path: Path) -> bool:
    """Tell whether a package's __init__ holds more than its docstring."""
    return read_module(path).statements > 1


def mirror_of(path: Path) -> Path:
    """Name the test file of a module: a package with code in its __init__ is tested under its own name."""
    if path.name == "__init__.py":
        return Path("tests", *path.parts[:-2], f"test_{path.parts[-2]}.py")
    return Path("tests", *path.parts[:-1], f"test_{path.stem}.py")


def is_mirrored(path: Path) -> bool:
    """Tell whether a module's test is there; one that grew too long may be a folder of that name."""
    mirror = ROOT / mirror_of(path)
    return mirror.is_file() or any(mirror.parent.glob(f"{mirror.stem}_*.py"))


def test_every_module_has_its_test() -> None:
    """gateway/ledger/store.py is tested in tests/gateway/ledger/test_store.py (or test_store_*.py beside it)."""
    modules = [path for path in list_modules(*PACKAGES) if path.name != "__init__.py" or has_behaviour(path)]
    assert [str(path) for path in modules if str(path) not in UNMIRRORED and not is_mirrored(path)] == []


@pytest.mark.parametrize("name", sorted(UNMIRRORED))
def test_an_exception_from_the_mirror_is_still_one(name: str) -> None:
    """The list of exceptions shrinks when a module goes or gets its test."""
    assert (ROOT / name).is_file()
    assert not is_mirrored(Path(name))


def test_files_are_short() -> None:
    """A file is read in one sitting."""
    lengths = {
        str(path): len((ROOT / path).read_bytes().splitlines()) for path in list_modules(*PACKAGES, "tests", "bench")
    }
    assert {path: lines for path, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    """A function fits on a screen."""
    long = {
        f"{path}::{name}": lines
        for path in list_modules(*PACKAGES, "tests", "bench")
        for name, lines in read_module(path).functions
        if lines > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_folders_are_small() -> None:
    """A folder is a feature: at most twelve files, besides __init__ and the project's entry points."""
    files = [path for path in list_modules(*PACKAGES) if path.name not in ("__init__.py", "__main__.py")]
    folders = {path.parent for path in files}
    sizes = {str(folder): sum(path.parent == folder for path in files) for folder in folders}
    assert {folder: size for folder, size in sizes.items() if size > MAX_FILES} == {}


def test_folders_are_shallow() -> None:
    """At most two folders below a top package."""
    assert [str(path) for path in list_modules(*PACKAGES) if len(path.parts) - 2 > MAX_DEPTH] == []


def test_names_say_what_a_file_holds() -> None:
    """No drawer for odds and ends, and no module and package of one name."""
    modules = list_modules(*PACKAGES)
    assert [str(path) for path in modules if {path.stem, path.parent.name} & FORBIDDEN_NAMES] == []
    assert [str(path) for path in modules if (ROOT / path.with_suffix("")).is_dir()] == []


def test_tests_are_no_packages() -> None:
    """With importmode=importlib an __init__ in tests would only shadow the code."""
    assert [str(path) for path in list_modules("tests") if path.name == "__init__.py"] == []


def test_every_module_says_what_it_holds() -> None:
    """A module opens with one sentence."""
    modules = list_modules(*PACKAGES, "tests", "bench")
    assert [str(path) for path in modules if not read_module(path).has_docstring] == []
