"""SSE framing: any cut, any line end, bounded."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import InvalidAnswer
from providers.sse import SseEvent, SseParser


def parsed(*pieces: bytes) -> list[SseEvent]:
    parser = SseParser()
    return [event for piece in pieces for event in parser.feed(piece)] + parser.end()


STREAM = b'data: {"a":1}\n\nevent: error\ndata: x\n\n: comment\n\nid: 7\nretry: 1\ndata:y\ndata: z\n\ndata: [DONE]\n\n'
EVENTS = [
    SseEvent("", b'{"a":1}'),
    SseEvent("error", b"x"),
    SseEvent("", b"y\nz"),
    SseEvent("", b"[DONE]"),
]


def test_a_stream_becomes_its_events() -> None:
    """Comments, ids and retry hints are not events; several data lines are one event."""
    assert parsed(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=8), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_no_cut_and_no_line_end_changes_the_events(cuts: list[int], line_end: bytes) -> None:
    """The events are a function of the bytes, not of how the network cut them or how lines end."""
    stream = STREAM.replace(b"\n", line_end)
    at = sorted({0, len(stream), *(cut * len(stream) // len(STREAM) for cut in cuts)})
    assert parsed(*(stream[a:b] for a, b in itertools.pairwise(at))) == EVENTS


def test_mixed_line_ends_are_understood() -> None:
    """One stream may mix the three line ends."""
    assert parsed(b"data: a\r\n\r\ndata: b\n\ndata: c\r\r") == [
        SseEvent("", b"a"),
        SseEvent("", b"b"),
        SseEvent("", b"c"),
    ]


def test_a_cut_between_cr_and_lf_is_one_line_end() -> None:
    """CR at the end of a piece and LF at the start of the next are one line end, not a blank line."""
    assert parsed(b"data: a\r", b"\ndata: b\r\n\r", b"\n") == [SseEvent("", b"a\nb")]


def test_a_byte_order_mark_is_skipped() -> None:
    """One BOM may open the stream, also when it is cut."""
    assert parsed(b"\xef\xbb", b"\xbfdata: a\n\n") == [SseEvent("", b"a")]


def test_unicode_line_separators_are_text() -> None:
    """U+2028, U+2029 and U+0085 do not end a line."""
    text = "a\u2028b\u2029c\u0085d".encode()
    assert parsed(b"data: " + text + b"\n\n") == [SseEvent("", text)]


def test_the_last_event_needs_no_blank_line() -> None:
    """An event that the end of the stream closes is an event."""
    assert parsed(b"data: a\n") == [SseEvent("", b"a")]


def test_only_one_space_after_the_colon_is_framing() -> None:
    """A second space belongs to the data."""
    assert parsed(b"data:  a\n\n") == [SseEvent("", b" a")]


@pytest.mark.parametrize("end", [b"", b"\n\n"])
def test_an_event_over_the_bound_is_refused(end: bytes) -> None:
    """Memory is bounded: one endless line is an error, finished or not."""
    parser = SseParser(max_event_bytes=100)
    with pytest.raises(InvalidAnswer):
        parser.feed(b"data: " + b"x" * 200 + end)


def test_many_small_pieces_cost_linear_time() -> None:
    """A drip of single bytes is scanned once, not once a byte."""
    parser = SseParser()
    for _ in range(20_000):
        assert parser.feed(b"x") == []
    assert parser.pending
