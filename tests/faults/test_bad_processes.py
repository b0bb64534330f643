"""The hostile inputs that concern the process: a locked or broken database, and signals while streams run."""

import asyncio
from pathlib import Path

import pytest
from faults.cases import load_cases
from faults.judging import judge
from faults.processes import HERE, PROCESSES
from faults.sentences import check


@pytest.mark.long
@pytest.mark.timeout(90)
@pytest.mark.parametrize("name", HERE)
def test_the_process_meets_what_its_case_expects(name: str, tmp_path: Path) -> None:
    """Each sentence of the case."""
    seen = asyncio.run(PROCESSES[name](load_cases()[name], tmp_path))
    assert judge(seen, check) == [], seen.facts
