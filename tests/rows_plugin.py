"""A pytest plugin: after a whole target ran, every test that tests/rows.toml names in it must have passed.

The files' own agreement (a named test exists and is marked, a marked test is named) is read from the source by
tests/structure/test_rows.py; what only a run can tell is here. A run that was narrowed (paths, -k, --lf, …) proves
nothing about the whole and is not judged. Under pytest-xdist the workers collect, and the controller, which hears of
every result, judges.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.targets_plugin import is_left_out

ROOT = Path(__file__).parents[1]
ROWS_FILE = Path(__file__).with_name("rows.toml")
# Under which xdist's workers hand in what they collected, and what was left of it.
COLLECTED, SELECTED = "rows_collected", "rows_selected"
# Command line options that leave tests out; -m is absent because the four make targets part the suite by it.
NARROWING = ("keyword", "lf", "deselect", "ignore", "ignore_glob", "stepwise", "collectonly", "maxfail")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One promise: which document makes it, which piece of work owes it, which tests prove it."""

    id: str
    title: str
    wave: str
    issue: str
    tests: tuple[str, ...]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One of the documents and the number of rows it was cut into."""

    name: str
    rows: int


def read_documents(path: Path = ROWS_FILE) -> dict[str, Document]:
    """Read the documents by their letter."""
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8"))["documents"], dict[str, Document])


def read_rows(path: Path = ROWS_FILE) -> dict[str, Row]:
    """Read every row by its id."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    del tables["documents"]
    return {
        row_id: msgspec.convert({**row, "id": row_id}, Row, strict=True)
        for rows in tables.values()
        for row_id, row in rows.items()
    }


def find_missing(rows: dict[str, Row], collected: set[str], expression: str) -> list[str]:
    """Tell which tests that the rows name were not collected, though their file was not another target's alone."""
    return [
        f"{row.id}: {test} was not collected"
        for row in rows.values()
        for test in row.tests
        if test not in collected and not is_left_out(ROOT / test.partition("::")[0], expression)
    ]


def find_unproven(rows: dict[str, Row], selected: set[str], passed: set[str]) -> list[str]:
    """Tell which tests that the rows name were selected in this run, in any of their cases, and did not pass."""
    cases: dict[str, list[str]] = {}
    for node_id in selected:
        cases.setdefault(node_id.split("[", 1)[0], []).append(node_id)
    unproven: list[str] = []
    for row in rows.values():
        for test in row.tests:
            open_cases = sorted(node_id for node_id in cases.get(test, ()) if node_id not in passed)
            unproven += [f"{row.id}: {node_id} did not pass" for node_id in open_cases]
    return unproven


class RowKeeper:
    """Watches one session: what was collected, selected and passed."""

    def __init__(self, rows: dict[str, Row]) -> None:
        self.rows = rows
        self.collected: set[str] = set()
        self.selected: set[str] = set()
        self.passed: set[str] = set()
        self.failed: set[str] = set()
        self.complaints: list[str] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Iterator[None]:
        """Remember every test before -m takes the other targets' tests out, and what is left after."""
        self.collected = {item.nodeid.split("[", 1)[0] for item in items}
        yield
        self.selected = {item.nodeid for item in items}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test as passed when its call passed and neither set-up nor tear-down failed."""
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.when == "call" and report.passed and not hasattr(report, "wasxfail"):
            self.passed.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker has handed in; one that crashed handed in nothing."""
        handed_in: dict[str, Any] = getattr(node, "workeroutput", None) or {}
        self.collected |= set(handed_in.get(COLLECTED, ()))
        self.selected |= set(handed_in.get(SELECTED, ()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail a green and whole run in which a row's test is missing or did not pass."""
        handed_in: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if handed_in is not None:
            handed_in |= {COLLECTED: sorted(self.collected), SELECTED: sorted(self.selected)}
            return
        if exitstatus != pytest.ExitCode.OK or is_narrowed(session.config):
            return
        missing = find_missing(self.rows, self.collected, session.config.getoption("markexpr"))
        self.complaints = [*missing, *find_unproven(self.rows, self.selected, self.passed - self.failed)]
        if self.complaints:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what is unproven."""
        if self.complaints:
            terminalreporter.section("rows of tests/rows.toml that this run did not prove", sep="=", red=True)
            for complaint in self.complaints:
                terminalreporter.write_line(complaint)


def is_narrowed(config: pytest.Config) -> bool:
    """Tell whether the command line asked for less than a whole target."""
    if any(config.getoption(name, None) for name in NARROWING):
        return True
    return config.args_source is not pytest.Config.ArgsSource.TESTPATHS


def pytest_configure(config: pytest.Config) -> None:
    """Start watching."""
    config.pluginmanager.register(RowKeeper(read_rows()), "rows")
