"""README's picture of the semantic cache shows README's own figures, and is there."""

import re
from pathlib import Path
from xml.etree import ElementTree

from bench.semantic.figure import Point, draw

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CURVE = ROOT / "docs" / "curve.svg"
# How the benchmark names the bounds of README's rows, in their order.
BOUNDS = ("wrong/all ≤ 1%", "wrong/all ≤ 2%", "wrong/all ≤ 5%", "wrong/hits ≤ 5%", "wrong/hits ≤ 10%")


def rows_of(name: str) -> list[list[str]]:
    """The cells of a table of README."""
    table = README.split(f"<!-- curve: {name} -->", 1)[1].strip().split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def percent(cell: str) -> float:
    """The number that a cell begins with."""
    found = re.match(r"([0-9.]+) %", cell)
    assert found is not None, cell
    return float(found[1])


def point(name: str, row: list[str]) -> Point:
    """A row as it is drawn."""
    return Point(name=name, hits=percent(row[1]), wrong=percent(row[3]))


def test_the_picture_shows_the_tables() -> None:
    """Drawn from README's rows it is what lies in docs, to the byte."""
    ours = [point(name, row) for name, row in zip(BOUNDS, rows_of("bounds"), strict=True)]
    for name, row in zip(BOUNDS, rows_of("bounds"), strict=True):
        assert name.endswith(f" {row[0].rsplit(' ', 2)[-2]}%")
    fixed = [point(f"{row[0]} {row[4]}".strip(), row) for row in rows_of("fixed")]
    assert CURVE.read_text(encoding="utf-8") == draw(ours, fixed)
    assert "(docs/curve.svg)" in README


def test_the_picture_can_be_read_by_everybody() -> None:
    """It has a title and says its figures, each point does so too, and it loads nothing."""
    text = CURVE.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert (root.get("aria-labelledby") or "").split() == ["title", "desc"]
    described = root.findtext(f"{space}desc") or ""
    told = [title.text or "" for title in root.findall(f"{space}g/{space}title")]
    assert len(told) == len(rows_of("bounds")) + len(rows_of("fixed"))
    assert all(each in described for each in told)
    assert "prefers-color-scheme: dark" in text
    assert re.findall(r"(?:href|src|url)\s*[=(]", text) == []
