"""What importing the package does."""

import gc
import subprocess
import sys


def test_the_collector_runs_rarely_from_the_first_import_on() -> None:
    """Importing the gateway makes a hundred thousand objects that stay: they are not looked through meanwhile."""
    command = "import gc, gateway; print(gc.get_threshold()[0], gc.isenabled())"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.split() == ["50000", "True"]
    assert gc.isenabled()
