"""The tables of the semantic benchmark."""

from collections.abc import Sequence
from typing import Protocol

from bench.semantic.fixed import Line
from bench.semantic.play import Played, Tally
from bench.semantic.traps import Trapped
from cache.semantic.bound import Bounds


class _Run(Protocol):
    @property
    def bounds(self) -> Bounds: ...
    @property
    def labels(self) -> str: ...
    @property
    def played(self) -> Played: ...


RUN_HEAD = "bound                labels    source      hit %  semantic %  wrong/all %  wrong/hits %  audits %"


def render_runs(runs: Sequence[_Run], *, is_first: bool = True) -> str:
    """Write a line for the whole stream and one for each source, of each run."""
    lines = [RUN_HEAD] if is_first else []
    for run in runs:
        name = name_bounds(run.bounds)
        lines.append(_line(name, run.labels, "all", run.played.total()))
        lines += [_line("", "", source, tally) for source, tally in sorted(run.played.tallies.items())]
        if run.played.judged:
            share = run.played.misjudged / run.played.judged
            lines.append(f"{'':31}answers misjudged {share:.4%}, threshold {run.played.answer_threshold:.3f}")
    return "\n".join(lines)


def render_fixed(lines: Sequence[Line]) -> str:
    """Write the curve of fixed thresholds."""
    head = "cosine   hit %  wrong/all %  wrong/hits %  default of"
    rows = [f"≥ {each.threshold:<5}{each.hit_rate:8.1%}{each.wrong_rate:13.2%}" for each in lines]
    ends = [f"{each.wrong_hit_rate:14.1%}  {each.used_by}" for each in lines]
    return "\n".join([head, *(row + end for row, end in zip(rows, ends, strict=True))])


def render_pairs(results: Sequence[Trapped]) -> str:
    """Write what pairs and attacks were served."""
    lines = list[str]()
    for each in results:
        same = "" if each.same_served is None else f", same pairs served {each.same_served:.1%} of {each.same}"
        lines.append(f"{'':31}{each.name}: traps served {each.traps_served:.1%} of {each.traps}{same}")
    return "\n".join(lines)


def name_bounds(bounds: Bounds) -> str:
    """Return a bound as text."""
    parts = [
        f"{name} ≤ {limit:.0%}"
        for name, limit in (("wrong/all", bounds.max_wrong_rate), ("wrong/hits", bounds.max_wrong_hit_rate))
        if limit is not None
    ]
    return ", ".join(parts)


def _line(name: str, labels: str, source: str, tally: Tally) -> str:
    total, hits = tally.requests, tally.exact + tally.semantic
    return (
        f"{name:21}{labels:10}{source:10}{100 * hits / total:7.2f}{100 * tally.semantic / total:12.2f}"
        f"{100 * tally.wrong / total:13.2f}{100 * tally.wrong / max(1, tally.semantic):14.1f}"
        f"{100 * tally.audits / total:10.2f}"
    )
