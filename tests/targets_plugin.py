"""A pytest plugin: which test runs in which make target, and that a target imports no test file it runs nothing of.

A test's marks say where it runs. To import all of the suite takes half a minute where the machine is slow; a target of
a few files leaves the others alone, told by the text of a file: it spells each mark that its tests carry. Whether that
holds is looked at in every run that imports all, as `make test` does.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

# The mark of each target but `make test`, whose tests have none.
TARGETS = ("long", "e2e", "gpu")
# Of a target that runs several tests at once, as its second part: nothing may run beside such a test.
ALONE = "alone"


def spells(source: str, mark: str) -> bool:
    """Whether a test file's text has a mark."""
    return f"mark.{mark}" in source


def wanted_mark(expression: str) -> str | None:
    """The mark without which ``-m`` selects nothing; None where it may select tests of any file."""
    first, *others = expression.split() or [""]
    return first if first in TARGETS and "or" not in others else None


def is_left_out(path: Path, expression: str) -> bool:
    """Whether ``-m`` selects nothing in this test file, so that it is not imported."""
    mark = wanted_mark(expression)
    is_test_file = mark is not None and path.name.startswith("test_") and path.is_file()
    return is_test_file and not spells(path.read_text("utf-8"), str(mark))


def find_misplaced(node_id: str, marks: set[str], source: str) -> str | None:
    """Say what about a test's marks would make it run in no target or in two."""
    own = sorted(marks.intersection(TARGETS))
    if len(own) > 1 or (ALONE in marks and not own):
        return f"{node_id} is marked {sorted(marks)}: a test has one of {TARGETS} or none, and {ALONE!r} beside one."
    unspelt = [mark for mark in own if not spells(source, mark)]
    return f"{node_id} is marked {unspelt[0]!r}, and its file does not say so." if unspelt else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files of other targets."""
    return True if is_left_out(collection_path, config.getoption("markexpr")) else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Refuse to run a suite of which a test has no place, or more than one, and begin with what may take longest.

    Else a worker may begin the longest as the other one comes to its end. Among equals the order stays random.
    """
    for complaint in find_all_misplaced(items):
        raise pytest.UsageError(complaint)
    yield
    if wanted_mark(config.getoption("markexpr")) == "long":
        items.sort(key=allowed_s, reverse=True)
    else:
        # A file's tests stay together: they share what is made for them.
        longest_s: dict[Path, float] = {}
        for item in items:
            longest_s[item.path] = max(allowed_s(item), longest_s.get(item.path, 0.0))
        items.sort(key=lambda item: longest_s[item.path], reverse=True)


def allowed_s(item: pytest.Item) -> float:
    """How long a test may take by its own mark; 0 where it has none."""
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark else 0.0


def find_all_misplaced(items: list[pytest.Item]) -> Iterator[str]:
    """Say what is wrong with the places of these."""
    sources: dict[Path, str] = {}
    for item in items:
        marks = {mark.name for mark in item.iter_markers()} & {*TARGETS, ALONE}
        if not marks:
            continue
        if item.path not in sources:
            sources[item.path] = item.path.read_text("utf-8")
        if (complaint := find_misplaced(item.nodeid, marks, sources[item.path])) is not None:
            yield complaint
