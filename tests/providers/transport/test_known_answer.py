"""An answer with the head of the one before is taken exactly as if that had not been known."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.transport.head import ResponseHead, read_whole
from providers.transport.known_answer import KnownAnswer

HEADS = 65_536
HEAD = b"HTTP/1.1 200 OK\r\nX-Request-Id: r1\r\nContent-Length: %d\r\nServer: s\r\n\r\n"


def answer(body: bytes) -> bytes:
    """A whole answer with the usual head."""
    return HEAD % len(body) + body


def known_of(data: bytes) -> KnownAnswer:
    """What is known after this answer."""
    found = read_whole(data, HEADS)
    assert found is not None, "the answer is an ordinary one"
    return KnownAnswer(found[0])


def seen(found: tuple[ResponseHead, int] | None) -> object:
    """What a reading tells."""
    return None if found is None else (found[0].status, found[0].raw, found[0].headers, found[1])


@given(st.binary(max_size=120), st.binary(max_size=120))
@example(b"", b"x")
@example(b"123456789", b"1234567890")
def test_an_answer_of_another_length_is_recognised(first: bytes, second: bytes) -> None:
    """Head, fields and the place of the body are those of a careful reading."""
    data = answer(second)
    assert seen(known_of(answer(first)).read(data, HEADS)) == seen(read_whole(data, HEADS)) != None  # noqa: E711


@given(st.binary(max_size=12), st.integers(0, 90), st.binary(max_size=3), st.integers(0, 3))
def test_whatever_is_recognised_is_read_alike(body: bytes, at: int, new: bytes, gone: int) -> None:
    """A few other bytes anywhere: it is unknown, or taken as a careful reading takes it."""
    data = answer(body)
    data = data[:at] + new + data[at + gone :]
    found = known_of(answer(b"four")).read(data, HEADS)
    assert found is None or seen(found) == seen(read_whole(data, HEADS))


@pytest.mark.parametrize("digits", [b"+4", b"", b"4 ", b"04x", b"00000000004", b"4\r\nContent-Length: 4", b"5", b"3"])
def test_no_other_length_is_recognised(digits: bytes) -> None:
    """One number of up to ten digits, and exactly so much behind the head."""
    assert known_of(answer(b"four")).read(answer(b"body").replace(b"4", digits, 1), HEADS) is None


def test_a_head_over_the_limit_is_unknown() -> None:
    """Even by one byte, as for a careful reading."""
    data = answer(b"body")
    size = data.find(b"body")
    known = known_of(data)
    assert known.read(data, size) is not None
    assert known.read(data, size - 1) is read_whole(data, size - 1) is None


def test_what_was_made_of_a_head_is_made_once() -> None:
    """Also for a head of another length."""
    readings: list[object] = []

    def note(head: ResponseHead) -> bytes | None:
        readings.append(head)
        return head.get(b"x-request-id")

    known = known_of(answer(b"one"))
    for body in (b"one", b"three"):
        found = known.read(answer(body), HEADS)
        assert found is not None
        assert found[0].gist(note) == b"r1"
    assert len(readings) == 1
