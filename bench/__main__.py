"""Measures the gateway against the bare upstream, nginx and any peers, in alternated rounds; prints one table.

The contender has core 0 for itself; load generator and upstream share core 1. Contenders are started together and
stopped (SIGSTOP) while another one is measured.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

from bench.contenders import BENCH, UPSTREAM_PORT, Contender, list_contenders
from bench.limits import measure_limits
from bench.load import Result, Stand, Step, measure, parse_step
from bench.metering import measure_metering
from bench.processes import Running, StartError, answers, spawn, start, stop
from bench.table import render_table
from bench.views.answers import measure_views

STEPS = "c1,c64,c256,hit1,hit64,burst64,paced64,embed16"
# How quickly a year of usage is looked at; see bench.views.
VIEWS = "views"
# Steps that are programs of their own: the semantic cache, and what leaves a full exact one.
MODULES = ("semantic", "eviction")
# What limits and budgets cost a call, and what metering and the ledger do; see bench.limits and bench.metering.
LIMITS, METERING = "limits", "metering"
PAIRS = {LIMITS: measure_limits, METERING: measure_metering}
ROUNDS, SECONDS = 3, 4.0
# What a pair tells is less than rounds of one gateway differ by on a shared machine: many, each beside the other's.
PAIR_ROUNDS, PAIR_SECONDS = 48, 1.0
BUILD = BENCH / "build"


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--steps",
        default=STEPS,
        help="kinds and connections, as in c64,burst256; or semantic, eviction, views, limits, metering",
    )
    parser.add_argument("--rounds", type=int, help=f"{ROUNDS}, of limits and metering {PAIR_ROUNDS}")
    parser.add_argument("--seconds", type=float, help=f"of one measurement: {SECONDS}, of those {PAIR_SECONDS}")
    parser.add_argument("--warm", type=float, default=1, help="seconds of c64 for everyone before the first round")
    parser.add_argument("--only", default="", help="names of contenders, as in nginx,watchllm; all by default")
    parser.add_argument("--peers", type=Path, help="a JSON file such as bench/peers.example.json")
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the step views, a step by itself")
    parser.add_argument("--keep", type=Path, help="the data directory of the step views, filled once and kept")
    options = parser.parse_args()
    rounds, seconds = (PAIR_ROUNDS, PAIR_SECONDS) if options.steps in PAIRS else (ROUNDS, SECONDS)
    options.rounds, options.seconds = options.rounds or rounds, options.seconds or seconds
    return options


def build_tools() -> None:
    """Compile the upstream and the stream reader where their sources are newer."""
    BUILD.mkdir(exist_ok=True)
    for name in ("upstream", "streams"):
        source, program = BENCH / f"{name}.c", BUILD / name
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(source)], check=True)


def start_upstream(stack: ExitStack, core: int) -> int:
    """Start the stand-in provider; returns its process id."""
    upstream = Contender(name="upstream", port=UPSTREAM_PORT, ready_path="/")
    if answers(upstream):
        raise StartError(f"port {UPSTREAM_PORT} is taken: end what listens there first")
    process = spawn((str(BUILD / "upstream"), str(UPSTREAM_PORT)), core, BUILD / "upstream.log")
    stack.callback(stop, process)
    while not answers(upstream):
        if process.poll() is not None:
            raise StartError(f"the upstream ended with {process.returncode}")
    return process.pid


def run_rounds(runnings: list[Running], steps: list[Step], stand: Stand, *, rounds: int, warm_s: float) -> list[Result]:
    """Measure everyone in every step, round after round, and keep each result as a line of results.jsonl.

    Every other round goes the other way around: who comes later finds a machine that has grown slower, or faster.
    """
    warm = Stand(core=stand.core, seconds=warm_s, upstream_pid=stand.upstream_pid)
    for running in runnings if warm_s else ():
        measure(running, parse_step("c64"), warm, round_number=-1)
    results: list[Result] = []
    with (BUILD / "results.jsonl").open("ab") as record:
        for number in range(rounds):
            for step in steps:
                in_turn = runnings if number % 2 == 0 else runnings[::-1]
                of_step = [measure(running, step, stand, round_number=number) for running in in_turn]
                results += of_step
                record.writelines(msgspec.json.encode(result) + b"\n" for result in of_step)
                print(f"round {number + 1} of {rounds}: {step.name}", file=sys.stderr)
    return results


def pick_cores() -> tuple[int, int]:
    """Choose the core of the contenders and the core of the load; the same one where there is but one."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[min(1, len(cores) - 1)]


def main() -> int:
    """Run the benchmark."""
    options = parse_arguments()
    if options.steps in MODULES:
        return subprocess.run([sys.executable, "-m", f"bench.{options.steps}"], check=False).returncode
    try:
        if options.steps == VIEWS:
            BUILD.mkdir(exist_ok=True)
            return measure_views(options.rows, pick_cores()[0], BUILD, options.keep)
        pair = PAIRS.get(options.steps)
        steps = [parse_step(name) for name in ("c1,c64" if pair else options.steps).split(",")]
        build_tools()
        with ExitStack() as stack:
            data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="watchllm-bench-")))
            if pair is not None:
                upstream_pid = start_upstream(stack, pick_cores()[1])
                stand = Stand(core=pick_cores()[1], seconds=options.seconds, upstream_pid=upstream_pid)
                measured = partial(run_rounds, steps=steps, stand=stand, rounds=options.rounds, warm_s=options.warm)
                return pair(pick_cores()[0], data_dir, stack, measured)
            only: str = options.only
            everyone = list_contenders(data_dir, options.peers)
            contenders = [each for each in everyone if not only or each.name in only.split(",")]
            upstream_pid = start_upstream(stack, pick_cores()[1])
            runnings: list[Running] = []
            for contender in contenders:
                runnings.append(running := start(contender, pick_cores()[0], BUILD / f"{contender.name}.log"))
                if running.process is not None:
                    stack.callback(stop, running.process)
            stand = Stand(core=pick_cores()[1], seconds=options.seconds, upstream_pid=upstream_pid)
            results = run_rounds(runnings, steps, stand, rounds=options.rounds, warm_s=options.warm)
    except (StartError, ValueError) as error:
        print(f"make bench: {error}", file=sys.stderr)
        return 1
    print(render_table(results, steps, runnings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
