"""What metering and the ledger cost a call: a gateway with and one without them, in alternated rounds."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.contenders import BENCH, Contender
from bench.load import Result
from bench.pairs import tell_shares
from bench.processes import Running, start, stop

UNMETERED, METERED = "without", "with"
MODULES = {UNMETERED: ("bench.unmetered", 9107), METERED: ("gateway", 9108)}
# Above it the promise is broken: a share of the throughput, by processor time.
MOST = 0.25


def measure_metering(core: int, folder: Path, stack: ExitStack, run: Callable[[list[Running]], list[Result]]) -> int:
    """Start both, have them measured, and print what metering and the ledger cost; 1 where that is too much."""
    runnings = [_start(name, core, folder, stack) for name in MODULES]
    return tell_shares(run(runnings), UNMETERED, METERED, "metering and the ledger", MOST)


def _start(name: str, core: int, folder: Path, stack: ExitStack) -> Running:
    module, port = MODULES[name]
    arguments = (
        "serve",
        "--config",
        str(BENCH / "gateway.toml"),
        "--port",
        str(port),
        "--data-dir",
        str(folder / name),
    )
    contender = Contender(
        name=name,
        port=port,
        command=(sys.executable, "-m", module, *arguments),
        headers=("Authorization: Bearer {key}", "x-watchllm-cache: {cache}"),
    )
    running = start(contender, core, folder / f"{name}.log")
    stack.callback(stop, running.process)
    return running
