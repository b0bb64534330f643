"""What importing the package does."""

import gc
import os
import subprocess
import sys

import pytest


def test_the_collector_runs_rarely_from_the_first_import_on() -> None:
    """Importing the gateway makes a hundred thousand objects that stay: they are not looked through meanwhile."""
    command = "import gc, gateway; print(gc.get_threshold()[0], gc.isenabled())"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.split() == ["50000", "True"]
    assert gc.isenabled()


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("2", "2")])
def test_small_matrices_are_multiplied_by_one_thread(given: str | None, expected: str) -> None:
    """Unless the operator wants it otherwise."""
    environ = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    if given is not None:
        environ["OPENBLAS_NUM_THREADS"] = given
    command = [sys.executable, "-c", "import gateway, os; print(os.environ['OPENBLAS_NUM_THREADS'])"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, env=environ)
    assert done.stdout.strip() == expected
