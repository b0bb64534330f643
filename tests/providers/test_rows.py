"""Proves how the bundled tables' lines are read."""

import pytest

from providers.rows import read_rows


def test_a_line_is_a_name_and_its_words() -> None:
    """Words keep their order, may repeat, and may stand without a value."""
    assert list(read_rows("a/b:free x=1 x=2=3 free")) == [("a/b:free", [("x", "1"), ("x", "2=3"), ("free", "")])]


def test_blank_lines_and_comments_are_skipped() -> None:
    """Only rows count."""
    assert list(read_rows("\n  \n# a comment\n  b  \n")) == [("b", [])]


def test_a_line_without_a_name_is_refused() -> None:
    """The message has the line's number and text."""
    with pytest.raises(ValueError, match=r"row 2 .*'in=3 out=4'"):
        list(read_rows("a\nin=3 out=4"))
