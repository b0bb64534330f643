"""The values between the rooms: what may stand in a header."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline.flow import header_text


@given(st.text())
def test_any_text_is_one_line_of_printable_ascii(text: str) -> None:
    """No value can end its header line and begin another."""
    written = header_text(text)
    assert all(0x20 <= byte < 0x7F for byte in written)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_printable_ascii_stays_as_it_is(text: str) -> None:
    """Ordinary names are not touched."""
    assert header_text(text).decode() == text


def test_what_cannot_stand_there_becomes_a_question_mark() -> None:
    """CR, LF, NUL, DEL and other scripts."""
    assert header_text("a\r\nb\x00\x7fé") == b"a??b???"
