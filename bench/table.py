"""Medians of the rounds, and the one table that they make."""

from collections.abc import Sequence
from statistics import median

from bench.load import Result, Step
from bench.processes import Running

HEAD = (
    "step",
    "contender",
    "per second",
    "× nginx",
    "× direct",
    "p50 µs",
    "p99 µs",
    "first µs",
    "CPU µs",
    "MB",
    "errors",
    "rounds",
)


def render_table(results: Sequence[Result], steps: Sequence[Step], runnings: Sequence[Running]) -> str:
    """Write the table: a block for each step, one line for each contender, then start-up and memory."""
    blocks: list[list[tuple[str, ...]]] = [[HEAD]]
    for step in steps:
        of_step = {running.contender.name: _of(results, running.contender.name, step.name) for running in runnings}
        blocks.append([_line(step, name, of_step) for name in of_step if of_step[name]])
    notes = [f"{step.name}: {step.kind.title}, {step.connections} connections, {step.kind.unit}" for step in steps]
    return "\n".join(
        [_align(blocks), "", *notes, "", *_starts(results, runnings), *_share(results, steps), _noise(results)]
    )


def _of(results: Sequence[Result], contender: str, step: str) -> list[Result]:
    return [result for result in results if (result.contender, result.step) == (contender, step)]


def _rate(results: Sequence[Result]) -> float:
    return median(result.per_s for result in results) if results else 0.0


def _line(step: Step, name: str, of_step: dict[str, list[Result]]) -> tuple[str, ...]:
    results = of_step[name]
    rate = _rate(results)
    return (
        step.name,
        name,
        f"{rate:,.0f}",
        *(f"{rate / _rate(of_step[other]):.2f}" if of_step.get(other) else "" for other in ("nginx", "direct")),
        f"{median(result.p50_us for result in results):,.0f}",
        f"{median(result.p99_us for result in results):,.0f}",
        f"{median(result.first_p50_us for result in results):,.0f}" if step.kind.unit == "events" else "",
        f"{median(result.cpu_us for result in results):.1f}",
        f"{max(result.memory_mb for result in results):.0f}",
        str(sum(result.errors for result in results)),
        " ".join(f"{result.per_s:.0f}" for result in results),
    )


def _align(blocks: list[list[tuple[str, ...]]]) -> str:
    widths = [max(len(line[column]) for block in blocks for line in block) for column in range(len(HEAD))]
    return "\n\n".join("\n".join(_pad(line, widths) for line in block) for block in blocks if block)


def _pad(line: tuple[str, ...], widths: list[int]) -> str:
    """Set names and rounds to the left, figures to the right."""
    left = {0, 1, len(HEAD) - 1}
    pairs = enumerate(zip(line, widths, strict=True))
    return "  ".join(cell.ljust(width) if n in left else cell.rjust(width) for n, (cell, width) in pairs).rstrip()


def _starts(results: Sequence[Result], runnings: Sequence[Running]) -> list[str]:
    lines: list[str] = []
    for running in runnings:
        name = running.contender.name
        most = max((result.memory_mb for result in results if result.contender == name), default=0)
        if running.process is not None:
            lines.append(
                f"{name}: ready after {running.start_s:.2f} s, {running.idle_mb:.0f} MB idle, {most:.0f} MB under load"
            )
    return lines


def _share(results: Sequence[Result], steps: Sequence[Step]) -> list[str]:
    """Tell what authentication, metering and the ledger cost, where the bare pass-through was measured too."""
    lines: list[str] = []
    for step in steps:
        bare, full = (_rate(_of(results, name, step.name)) for name in ("passthrough", "watchllm"))
        if bare and full:
            lines.append(
                f"{step.name}: metering and ledger take {(1 - full / bare) * 100:.0f} % of the bare pass-through"
            )
    return lines


def _noise(results: Sequence[Result]) -> str:
    most = max((result.foreign_pct for result in results), default=0)
    return f"processor time of other processes: at most {most:.0f} % of a core"
