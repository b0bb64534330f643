"""The curve as a picture: what a bound gives beside what fixed thresholds give, hits above wrong answers.

An SVG of its own background, so that it can be read on a light page and on a dark one; each point says its figures.
"""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

import msgspec

WIDTH, HEIGHT = 800, 460
# The room in which the points lie.
LEFT, RIGHT, TOP, BOTTOM = 64, 704, 64, 404
# Percent. What is wrong is drawn by powers of ten: of 0.2 and of 34 both are to be told from their neighbours.
WRONG_TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
HIT_TICKS = (20, 30, 40, 50, 60, 70)

_STYLE = """\
svg { --page: #ffffff; --ink: #1f2328; --faint: #59636e; --rule: #d1d9e0; --ours: #0969da; --fixed: #bc4c00 }
@media (prefers-color-scheme: dark) {
  svg { --page: #0d1117; --ink: #f0f6fc; --faint: #9198a1; --rule: #3d444d; --ours: #4493f8; --fixed: #db6d28 }
}
text { font: 12px system-ui, sans-serif; fill: var(--faint) }
.name { fill: var(--ink) } .head { font-size: 15px; font-weight: 600; fill: var(--ink) }
.rule { stroke: var(--rule); stroke-width: 1 } .page { fill: var(--page) }
.line { fill: none; stroke-width: 2 } .line.ours { stroke: var(--ours) } .line.fixed { stroke: var(--fixed) }
.mark.ours { fill: var(--ours) } .mark.fixed { fill: var(--fixed) }
"""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A way to serve, and what it gave: percent of all requests, rounded to hundredths."""

    name: str
    hits: float
    wrong: float


def draw(ours: Sequence[Point], fixed: Sequence[Point]) -> str:
    """Write the picture of both curves."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-labelledby="title desc">',
        '<title id="title">Hits and wrong answers: bounds beside fixed thresholds</title>',
        f'<desc id="desc">{escape(_describe(ours, fixed))}</desc>',
        f"<style>\n{_STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
        f'<text class="head" x="{LEFT}" y="26">Hits by what they cost in wrong answers</text>',
        f'<text x="{LEFT}" y="46">percent of all requests; higher and further to the left is better</text>',
        *_draw_axes(),
        *_draw_series(fixed, "fixed"),
        *_draw_series(ours, "ours"),
        *_draw_legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _describe(ours: Sequence[Point], fixed: Sequence[Point]) -> str:
    """Say the picture in words."""
    series = (("WatchLLM, by its bound", ours), ("Fixed cosine thresholds", fixed))
    return " ".join(f"{name}: {'; '.join(map(say, points))}." for name, points in series)


def say(point: Point) -> str:
    """A point in words."""
    return f"{point.name}: {point.hits:.2f} % hits, {point.wrong:.2f} % wrong"


def _x(wrong: float) -> float:
    low, high = math.log10(WRONG_TICKS[0]), math.log10(WRONG_TICKS[-1])
    share = (math.log10(max(wrong, WRONG_TICKS[0])) - low) / (high - low)
    return LEFT + (RIGHT - LEFT) * share


def _y(hits: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * (hits - HIT_TICKS[0]) / (HIT_TICKS[-1] - HIT_TICKS[0])


def _draw_axes() -> list[str]:
    parts: list[str] = []
    for tick in HIT_TICKS:
        y = _y(tick)
        parts.append(f'<line class="rule" x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick} %</text>')
    for share in WRONG_TICKS:
        x = _x(share)
        parts.append(f'<line class="rule" x1="{x:.1f}" y1="{BOTTOM}" x2="{x:.1f}" y2="{BOTTOM + 5}"/>')
        parts.append(f'<text x="{x:.1f}" y="{BOTTOM + 20}" text-anchor="middle">{share:g} %</text>')
    middle = (LEFT + RIGHT) / 2
    parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 14}" text-anchor="middle">wrong answers, of all requests</text>')
    return parts


def _draw_series(points: Sequence[Point], kind: str) -> list[str]:
    ordered = sorted(points, key=lambda point: point.wrong)
    line = " ".join(f"{_x(point.wrong):.1f},{_y(point.hits):.1f}" for point in ordered)
    parts = [f'<polyline class="line {kind}" points="{line}"/>']
    # The names stand on either side, so that the two curves' do not meet.
    shift, anchor = (-10, "end") if kind == "ours" else (10, "start")
    for point in ordered:
        x, y = _x(point.wrong), _y(point.hits)
        parts.append(f"<g>\n<title>{escape(say(point))}</title>\n{_draw_mark(x, y, kind)}")
        parts.append(f'<text class="name" x="{x + shift:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}">')
        parts.append(f"{escape(point.name)}</text>\n</g>")
    return parts


def _draw_mark(x: float, y: float, kind: str) -> str:
    """A circle or a square: they differ without their colours too."""
    if kind == "ours":
        return f'<circle class="mark ours" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
    return f'<rect class="mark fixed" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'


def _draw_legend() -> list[str]:
    parts: list[str] = []
    names = (("ours", "WatchLLM, by its bound"), ("fixed", "a fixed cosine, the default of others"))
    for number, (kind, name) in enumerate(names):
        x, y = LEFT + 16, TOP + 16 + 20 * number
        parts.append(_draw_mark(x, y, kind))
        parts.append(f'<text class="name" x="{x + 12}" y="{y + 4}">{escape(name)}</text>')
    return parts
