"""Streams of several choices, and choices that say more than text: when one is whole, and what of it goes on."""

import json
from typing import Any

import pytest

from providers.errors import Truncated
from providers.openai.stream import OpenAiStream

DONE = b"data: [DONE]\n\n"


def chunk(index: int | None = 0, text: str = "", finish: str | None = None, **more: Any) -> bytes:
    """A chunk of one choice."""
    place = {} if index is None else {"index": index}
    choice = place | {"delta": {"content": text} if text else {}, "finish_reason": finish} | more
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def read(answers: int, *pieces: bytes) -> tuple[bytes, OpenAiStream]:
    """What goes out of a stream that ends without [DONE] where none is given, and its reader."""
    stream = OpenAiStream(answers)
    return b"".join(stream.feed(piece) for piece in pieces) + stream.end(), stream


FIRST_ENDS = (chunk(0, "A"), chunk(1, "B"), chunk(0, finish="stop"), chunk(1, "B2"))


def test_a_stream_of_two_choices_is_cut_until_both_have_finished() -> None:
    """The first finish_reason says nothing of the other choice."""
    stream = read(2, *FIRST_ENDS)[1]
    assert isinstance(stream.failure, Truncated)
    assert not (stream.finished or stream.has_ended)


@pytest.mark.parametrize("rest", [chunk(1, finish="length"), DONE, chunk(1, finish="stop") + DONE])
def test_it_is_whole_with_both_or_where_the_provider_says_so(rest: bytes) -> None:
    """[DONE] is the provider's own word: one that made a single choice of two has ended all the same."""
    stream = read(2, *FIRST_ENDS, rest)[1]
    assert (stream.finished, stream.failure) == (True, None)


@pytest.mark.parametrize("index", [0, 1, None])
def test_one_choice_is_whole_with_its_finish_whatever_its_number(index: int | None) -> None:
    """Some count from one, some leave the number out."""
    assert read(1, chunk(index, "A"), chunk(index, finish="stop"))[1].finished


def test_a_choice_that_finishes_twice_is_one() -> None:
    """OpenRouter says the finish_reason again with its usage."""
    stream = read(2, chunk(0, "A"), chunk(0, finish="stop"), chunk(0, finish="stop"))[1]
    assert not stream.has_ended


@pytest.mark.parametrize("odd", [{}, {"delta": [1]}], ids=["usual", "odd"])
def test_an_empty_finish_reason_ends_nothing(odd: dict[str, Any]) -> None:
    """Servers that fill it in so in every chunk have not ended: https://github.com/sgl-project/sglang/issues/3912."""
    going = chunk(0, "A", finish="", **odd)
    out, stream = read(1, going, going)
    assert (out, stream.held) == (going * 2, None)
    assert isinstance(stream.failure, Truncated)
    assert read(1, going, chunk(0, finish="stop"))[1].finished


def test_what_a_filter_found_goes_on_with_what_clients_read() -> None:
    """Azure's asynchronous filter tells of a choice without a delta."""
    found = {"content_filter_results": {"hate": {"filtered": False}}, "content_filter_offsets": {"check_offset": 5}}
    choice = {"index": 0, "finish_reason": None} | found
    filtered = b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
    out, stream = read(1, chunk(0, "A"), filtered, chunk(0, finish="stop"), filtered, DONE)
    events = [json.loads(event[6:])["choices"][0] for event in out.split(b"\n\n") if event]
    assert events[1:] == [choice | {"delta": {}}] * 2
    assert (stream.held, stream.finished) == (chunk(0, finish="stop")[6:-2], True)


def test_what_a_filter_found_in_the_prompt_goes_on_in_the_next_chunk() -> None:
    """Azure sends it in a chunk without choices, which breaks clients."""
    results = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}]
    first = b"data: " + json.dumps({"choices": [], "prompt_filter_results": results}).encode() + b"\n\n"
    out, _ = read(1, first, chunk(0, "A"), chunk(0, "B"), chunk(0, finish="stop"), DONE)
    events = [json.loads(event[6:]) for event in out.split(b"\n\n") if event]
    assert [event.get("prompt_filter_results") for event in events] == [results, None]
