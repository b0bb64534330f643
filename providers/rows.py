"""Reads the bundled tables' row blocks: one line a row, a name and then ``key=value`` words.

Twelve hundred prices as TOML tables take tomllib 70 ms at every start, as lines of one string 10; and a changed price
is one changed line in a diff.

Failure behavior: a line that is not a row raises ValueError with its number and text.
"""

from collections.abc import Iterator

Words = list[tuple[str, str]]


def read_rows(block: str) -> Iterator[tuple[str, Words]]:
    """Yield each row's name and its words in order, a word without ``=`` as a key with an empty value.

    Blank lines and lines that begin with ``#`` are skipped; a key may come more than once.
    """
    for number, line in enumerate(block.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if "=" in words[0]:
            raise ValueError(f"row {number} must begin with a name: {line!r}")
        pairs: Words = []
        for word in words[1:]:
            key, _, value = word.partition("=")
            pairs.append((key, value))
        yield words[0], pairs
