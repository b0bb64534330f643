"""The request's path: README's table and gateway/pipeline/run.py tell the same order."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN = ROOT / "gateway" / "pipeline" / "run.py"
# The face that decodes the request calls run.py, so it stands in the table only.
OUTSIDE = ["surface"]


def read_path_table(markdown: str) -> list[str]:
    """Read the second column of the first table below the heading "## The path"."""
    section = re.split(r"^## The path\s*$", markdown, flags=re.MULTILINE)[1].split("\n## ", 1)[0]
    rows = [line.strip().strip("|").split("|") for line in section.splitlines() if line.strip().startswith("|")]
    return [cells[1].strip().strip("`") for cells in rows[2:]]


def read_rooms(source: str) -> list[str]:
    """Read the modules of the pipeline that a file calls, ``auth.…(…)``, in the order in which the calls happen.

    Starts at each public function in turn and follows the file's own functions where they are called.
    """
    tree = ast.parse(source)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    rooms = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "gateway.pipeline"
        for alias in node.names
    }

    def follow(function: ast.AST, seen: frozenset[str]) -> Iterator[str]:
        for call in list_calls(function):
            if isinstance(call.func, ast.Name) and call.func.id in functions.keys() - seen:
                yield from follow(functions[call.func.id], seen | {call.func.id})
            elif isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
                # A capital letter makes a value, ``send.Journey(…)``: nothing of the room happens yet.
                if not call.func.attr[0].isupper():
                    yield call.func.value.id

    public = [functions[name] for name in functions if not name.startswith("_")]
    called = [name for function in public for name in follow(function, frozenset())]
    return list(dict.fromkeys(name for name in called if name in rooms))


def list_calls(function: ast.AST) -> list[ast.Call]:
    """List a function's calls by where they end: an argument is evaluated, and ends, before the call that takes it."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    return sorted(calls, key=lambda call: (call.end_lineno or 0, call.end_col_offset or 0))


def test_readme_tells_the_path_as_it_runs() -> None:
    """The order is law: who reads README knows what happens to a request, and in which order."""
    documented = read_path_table((ROOT / "README.md").read_text("utf-8"))
    assert documented == OUTSIDE + read_rooms(RUN.read_text("utf-8"))


def test_rooms_are_read_in_the_order_of_their_calls() -> None:
    """Values and other modules are no rooms; helpers are followed; a room called twice stands where it came first."""
    source = (
        "from gateway.pipeline import auth, flow, limits, meter, record, reply, send\n"
        "from gateway import db\n"
        "def admit(): return auth.check()\n"
        "async def run(call: flow.Inbound):\n"
        "    db.open()\n"
        "    journey = send.Journey(call)\n"
        "    with limits.hold(call, auth.name(call)):\n"
        "        outcome = _measure(reply.flow(send.open(call)))\n"
        "        record.write(outcome)\n"
        "def _measure(answer): return meter.count(answer)\n"
    )
    assert read_rooms(source) == ["auth", "limits", "send", "reply", "meter", "record"]


def test_the_table_is_read_from_its_second_column() -> None:
    """Only the table below its heading counts."""
    table = "| # | room |\n|--:|---|\n| 0 | `surface` |\n| 1 | auth |\n"
    text = f"# X\n| a | b |\n## The path\nWords.\n\n{table}\n## Next\n| 9 | no |\n"
    assert read_path_table(text) == ["surface", "auth"]
