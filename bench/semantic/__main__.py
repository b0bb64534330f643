"""Proves the semantic cache: hit rate and error of the same run, for each bound, beside fixed thresholds.

The stream is played in arrival order: exact repeats are the exact layer's, the rest goes through the engine, which
knows only the answers of misses and audits. Run by ``make bench STEPS=semantic`` or ``python -m bench.semantic``.
"""

import argparse
import gc
import sys
from pathlib import Path

import msgspec

from bench.semantic.figure import Point, draw
from bench.semantic.fixed import Line, measure_fixed
from bench.semantic.latency import measure_latency
from bench.semantic.play import Played, Player, Request, embed_answers, read_stream
from bench.semantic.tables import name_bounds, render_fixed, render_pairs, render_runs
from bench.semantic.through import Through, play_through, render_through
from bench.semantic.traps import Trapped, measure_collisions, measure_traps
from bench.semantic.vectors import BUILD, VectorStore
from cache.semantic.bound import Bounds

CURVE = Path(__file__).parents[2] / "docs" / "curve.svg"
DATA = Path(__file__).parents[3] / "shared" / "data" / "semantic"
STREAM, RESULTS = "stream_dev.jsonl", "semantic.json"
BOUNDS = (
    Bounds(max_wrong_rate=0.01),
    Bounds(max_wrong_rate=0.02),
    Bounds(max_wrong_rate=0.05),
    Bounds(max_wrong_hit_rate=0.05),
    Bounds(max_wrong_hit_rate=0.1),
)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One playing of the stream."""

    bounds: Bounds
    # answers: labels by comparing made-up answers. perfect: labels by class, to show what the judge costs.
    labels: str
    played: Played


class Results(msgspec.Struct, kw_only=True):
    """Everything that was measured, ready for figures."""

    # How many requests were played.
    requests: int
    runs: list[Run]
    fixed: list[Line]
    traps: list[Trapped]
    latency: dict[str, float]
    through: list[Through]


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.semantic", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of stream_dev.jsonl and dev.jsonl")
    parser.add_argument("--stream", default=STREAM)
    parser.add_argument("--pairs", default="dev.jsonl")
    parser.add_argument("--labels", default="answers,perfect", help="answers, perfect or both")
    parser.add_argument("--bounds", type=int, default=len(BOUNDS), help="how many of the bounds, from the first")
    parser.add_argument("--only", choices=("runs", "fixed", "traps", "latency", "gateway"), help="one part")
    parser.add_argument("--requests", type=int, default=0, help="of the stream, from its first; 0: all")
    return parser.parse_args()


def main() -> int:
    """Run the benchmark, print its tables, keep the figures in bench/build/semantic.json and draw docs/curve.svg."""
    options = parse_arguments()
    stream: Path = options.data / options.stream
    if not stream.exists():
        print(f"bench semantic: no {stream}: pass --data", file=sys.stderr)
        return 1
    requests, vectors = read_stream(stream), VectorStore()
    requests = requests[: options.requests or None]
    results = read_results(len(requests))
    if options.only in (None, "gateway"):
        measure_through(requests, options.bounds, results)
    if options.only != "gateway":
        vectors.embed(request.prompt for request in requests)
    if options.only in (None, "latency"):
        results.latency = measure_latency(requests, vectors)
        print("\n".join(f"{name}: {value:.2f}" for name, value in results.latency.items()), flush=True)
    if options.only in (None, "fixed"):
        results.fixed = measure_fixed(requests, vectors)
        print(render_fixed(results.fixed), flush=True)
    if options.only in (None, "runs", "traps"):
        measure_runs(options, requests, vectors, results)
    save(results)
    if options.stream == STREAM and not options.requests and results.runs and results.fixed:
        CURVE.write_text(draw(*points_of(results)), encoding="utf-8")
        print(f"{CURVE.relative_to(CURVE.parents[1])} is drawn", flush=True)
    return 0


def measure_runs(options: argparse.Namespace, requests: list[Request], vectors: VectorStore, results: Results) -> None:
    """Play the stream through the engine for each bound, and show it pairs and attacks that are made to deceive."""
    results.runs = results.runs if options.only == "traps" else []
    results.traps = results.traps if options.only == "runs" else []
    answers = embed_answers(requests, vectors)
    is_first = True
    for labels in str(options.labels).split(","):
        for bounds in BOUNDS[: options.bounds]:
            player = Player(requests, vectors, answers if labels == "answers" else None)
            run = Run(bounds=bounds, labels=labels, played=player.run(bounds))
            if options.only != "traps":
                results.runs.append(run)
            print(render_runs([run], is_first=is_first), flush=True)
            is_first = False
            if options.only != "runs" and labels == "answers":
                results.traps.append(measure_traps(player.engine, options.data / options.pairs, vectors, bounds))
                results.traps.append(measure_collisions(player.engine, requests, vectors, bounds))
                print(render_pairs(results.traps[-2:]), flush=True)
            del player
            gc.collect()


def points_of(results: Results) -> tuple[list[Point], list[Point]]:
    """What the picture shows: each bound with answers compared as the gateway does, and each fixed threshold."""
    ours: list[Point] = []
    for run in results.runs:
        if run.labels == "answers":
            tally = run.played.total()
            hits, wrong = tally.exact + tally.semantic, tally.wrong
            ours.append(_point(name_bounds(run.bounds), hits / tally.requests, wrong / tally.requests))
    fixed = [
        _point(f"{line.threshold:g} {line.used_by}".strip(), line.hit_rate, line.wrong_rate) for line in results.fixed
    ]
    return ours, fixed


def _point(name: str, hits: float, wrong: float) -> Point:
    return Point(name=name, hits=round(100 * hits, 2), wrong=round(100 * wrong, 2))


def measure_through(requests: list[Request], bounds: int, results: Results) -> None:
    """Play the stream through a running gateway, once for each bound."""
    results.through = []
    for number, each in enumerate(BOUNDS[:bounds]):
        results.through.append(play_through(requests, each))
        print(render_through(results.through[-1], is_first=number == 0), flush=True)


def read_results(requests: int) -> Results:
    """What was measured before on as many requests: one part may be measured anew and the others stay."""
    empty = Results(requests=requests, runs=[], fixed=[], traps=[], latency={}, through=[])
    try:
        known = msgspec.json.decode((BUILD / RESULTS).read_bytes(), type=Results)
    except (OSError, msgspec.MsgspecError):
        return empty
    return known if known.requests == requests else empty


def save(results: Results) -> None:
    """Keep the figures."""
    BUILD.mkdir(exist_ok=True)
    (BUILD / RESULTS).write_bytes(msgspec.json.format(msgspec.json.encode(results)))


if __name__ == "__main__":
    sys.exit(main())
