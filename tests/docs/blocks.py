"""The fenced blocks of a Markdown text, and the commands inside those that show a console."""

import re

import msgspec

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(msgspec.Struct, frozen=True):
    """One fenced block; ``line`` is where it begins."""

    language: str
    text: str
    line: int


class Step(msgspec.Struct, frozen=True):
    """A command as it is typed, and what is shown below it."""

    command: str
    shown: str


def read_blocks(markdown: str) -> list[Block]:
    """List the fenced blocks in order."""
    return [
        Block(match[1], match[2], markdown.count("\n", 0, match.start()) + 1) for match in _FENCE.finditer(markdown)
    ]


def read_steps(console: str) -> list[Step]:
    """Split a console block: a line that begins with ``$ `` is a command, which goes on after a backslash."""
    steps: list[list[str]] = []
    is_open = False
    for line in console.splitlines():
        if line.startswith("$ "):
            steps.append([line.removeprefix("$ "), ""])
        elif is_open:
            steps[-1][0] += "\n" + line
        else:
            steps[-1][1] += line + "\n"
        is_open = (line.startswith("$ ") or is_open) and line.endswith("\\")
    return [Step(command, shown) for command, shown in steps]
