"""What is stored is read as it was written, or not at all."""

import msgspec
import pytest
from questions import draw, make_said

from gateway.caching.semantic.packing import (
    MAX_ANSWER_CHARS,
    Damaged,
    pack_answer,
    read_answer,
    read_text,
    seal,
    unpack_answer,
    unseal,
)  # fmt: skip
from gateway.caching.semantic.vectors import pack
from providers.openai.recorded import record_body, record_stream


def test_an_answer_is_read_as_it_was_written() -> None:
    """With its usage and where it came from."""
    answer = make_said("Paris.", tags=("a", "b"))
    again = unpack_answer(pack_answer(answer))
    assert msgspec.structs.asdict(again) == msgspec.structs.asdict(answer)
    assert read_answer(again) == "Paris."


@pytest.mark.parametrize("place", [0, 3, 4, 60, -1])
def test_a_changed_byte_is_noticed(place: int) -> None:
    """Be it of the checksum."""
    data = bytearray(pack_answer(make_said()))
    data[place] ^= 1
    with pytest.raises(Damaged):
        unpack_answer(bytes(data))


@pytest.mark.parametrize("data", [b"", b"abc", seal(b""), seal(b"\x80\x04}\x94."), seal(b'{"bad": "json"}')])
def test_what_is_no_answer_is_damaged(data: bytes) -> None:
    """A pickle, JSON, nothing: with a right checksum too. It is never run."""
    with pytest.raises(Damaged):
        unpack_answer(data)
    with pytest.raises(Damaged):
        read_text(data)


def test_a_questions_text_is_read_without_its_vector() -> None:
    """What people look at needs no numbers."""
    assert read_text(pack("Who?", draw("Who?"), None)) == "Who?"
    assert unseal(seal(b"abc")) == b"abc"


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0", b"\0\0\0\1", seal(b"abc")[:-1]])
def test_what_is_shorter_than_it_was_is_damaged(data: bytes) -> None:
    """A checksum that is itself cut off says nothing."""
    with pytest.raises(Damaged):
        unseal(data)


def test_a_stream_says_what_it_said_whole() -> None:
    """Its pieces are put together."""
    chunk = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'
    held = b'{"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    recorded = record_stream("chat/completions", chunk % b"Pa" + chunk % b"ris.", held, None)
    assert read_answer(msgspec.structs.replace(make_said(), recorded=recorded)) == "Paris."


def test_what_says_nothing_in_words_is_empty() -> None:
    """Or cannot be read, or has no choice; and a long one is cut."""
    for body in (b"[", b'{"choices":[]}', b'{"choices":[{"message":{"content":null}}]}'):
        recorded = record_body("chat/completions", body)
        assert read_answer(msgspec.structs.replace(make_said(), recorded=recorded)) == ""
    assert len(read_answer(make_said("a" * 10_000))) == MAX_ANSWER_CHARS
