"""The recordings as a provider: one replaying upstream for the whole session."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from recordings import CASSETTES

TOOL = CASSETTES.parents[1] / "tools" / "replay_upstream.py"


@pytest.fixture(scope="session")
def replay_url() -> Iterator[str]:
    """Address of a process that answers a model's name with the recording of that id."""
    command = [sys.executable, str(TOOL), "--cassettes", str(CASSETTES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as upstream:
        assert upstream.stdout is not None
        word, port = upstream.stdout.readline().split()
        assert word == "ready"
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            upstream.terminate()
