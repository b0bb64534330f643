"""Streams pass through; the end is held, faults are told, and no cut changes anything."""

import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest
import recordings
from hypothesis import given
from hypothesis import strategies as st

from providers.chat import Usage
from providers.errors import InvalidAnswer, Refused, Truncated
from providers.openai.stream import OpenAiStream


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> bytes:
    body = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(body | more).encode() + b"\n\n"


HEL, LO, STOP = chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk(finish="stop")
COUNTS = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
USAGE = chunk(choices=[], usage=COUNTS)
DONE = b"data: [DONE]\n\n"
GOOD = HEL + LO + STOP + USAGE + DONE
COUNTED = Usage(input_tokens=5, output_tokens=2)


def read(*pieces: bytes) -> tuple[bytes, OpenAiStream]:
    stream = OpenAiStream()
    out = b"".join(stream.feed(piece) for piece in pieces) + stream.end()
    return out, stream


def contents(out: bytes) -> str:
    events = [json.loads(line[6:]) for line in out.decode().split("\n") if line.startswith("data: ")]
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events)


def test_ordinary_chunks_leave_as_they_came() -> None:
    """Not a byte differs, whether one chunk comes at a time or many at once."""
    many = HEL * 50
    assert read(HEL, LO, STOP, DONE)[0] == HEL + LO
    assert read(many + GOOD)[0] == many + HEL + LO


def test_the_finish_and_the_usage_are_held() -> None:
    """The finish chunk waits for the figures; the usage chunk has no choices, which breaks clients."""
    _, stream = read(GOOD)
    assert stream.held == STOP[6:-2]
    assert stream.usage_chunk == USAGE[6:-2]
    assert (stream.usage, stream.finished, stream.failure) == (COUNTED, True, None)


@given(st.lists(st.integers(0, len(GOOD)), max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_no_cut_changes_what_the_client_gets(cuts: list[int], line_end: bytes) -> None:
    """Bytes, text, usage and end are a function of the stream alone."""
    body = GOOD.replace(b"\n", line_end)
    at = sorted({0, len(body), *cuts})
    out, stream = read(*(body[a:b] for a, b in itertools.pairwise(at)))
    assert out == HEL + LO
    assert (stream.usage, stream.finished, stream.delivered().text()) == (COUNTED, True, "Hello")


def test_comments_ids_and_retry_hints_end_here() -> None:
    """The client gets data events only."""
    out, stream = read(
        b": OPENROUTER PROCESSING\n\nretry: 1\nid: 7\nevent: message\n" + HEL + b"\n\n" + LO + STOP + DONE
    )
    assert out == HEL + LO
    assert stream.finished


@pytest.mark.parametrize("end", [b"data: [done] \n\n", b"data:[DONE]\n\n", b"", b"data: [DONE]"])
def test_a_finish_reason_makes_an_end_of_any_form(end: bytes) -> None:
    """Providers that leave [DONE] out or misspell it have still answered."""
    _, stream = read(HEL + STOP + end)
    assert (stream.finished, stream.failure) == (True, None)


@pytest.mark.parametrize(
    ("rest", "kind"),
    [
        (b"", Truncated),
        (b'data: {"id":"c1","object":"chat.completi', Truncated),
        (b"data: <html>oops</html>\n\n" + STOP + DONE, InvalidAnswer),
        (b'data: {"error":{"message":"boom","code":"x"}}\n\n', Refused),
        (b'event: error\ndata: {"error":{"message":"Tool call validation failed"}}\n\n', Refused),
        (chunk({"content": ""}, finish="error") + DONE, Refused),
        (b"data: " + b"y" * 4_300_000, InvalidAnswer),
    ],
)
def test_a_broken_stream_fails_after_what_was_good(rest: bytes, kind: type[Exception]) -> None:
    """The client keeps what came before; the reader says what went wrong, so that the gateway can tell."""
    out, stream = read(HEL, rest)
    assert out == HEL
    assert isinstance(stream.failure, kind)
    assert not stream.finished


@pytest.mark.parametrize(
    "body",
    [b"", DONE, b"<html>login</html>", b": comment\n\n", b'{"id":1}\n\n', b'data: {"error":{"message":"no"}}\n\n'],
)
def test_an_answer_without_an_event_is_a_failure(body: bytes) -> None:
    """Nothing was said, so the call may be tried elsewhere."""
    _, stream = read(body)
    assert stream.failure is not None
    assert stream.events == 0


def test_an_error_with_usage_keeps_the_usage() -> None:
    """OpenRouter sends both in one chunk, with more reasoning than completion: clamped, never negative."""
    counts = {"prompt_tokens": 43, "completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 11}}
    _, stream = read(HEL, chunk({"content": ""}, error={"code": 400, "message": "Token limit reached"}, usage=counts))
    assert stream.usage == Usage(input_tokens=43, output_tokens=10, reasoning_tokens=10, anomalous=True)
    assert isinstance(stream.failure, Refused)


@pytest.mark.parametrize(
    "noise", [b"data: null\n\ndata: []\n\ndata: 5\n\n", b"data:\n\n", b'data: {"choices":null}\n\n']
)
def test_events_that_say_nothing_are_dropped(noise: bytes) -> None:
    """They would break ``chunk.choices[0].delta``."""
    assert read(HEL + noise + LO + STOP + DONE)[0] == HEL + LO


def test_a_null_delta_never_reaches_a_client() -> None:
    """Clients read delta.content of every chunk."""
    null = HEL.replace(b'{"content": "Hel"}', b"null")
    out, _ = read(null + HEL + STOP + DONE)
    assert out == HEL


@pytest.mark.parametrize("where", ["finish", "x_groq", "every"])
def test_usage_is_found_wherever_providers_put_it(where: str) -> None:
    """In the finish chunk, in Groq's own member, or null in every chunk until the last."""
    bodies = {
        "finish": HEL + LO + chunk(finish="stop", usage=COUNTS) + DONE,
        "x_groq": HEL + LO + chunk(finish="stop", x_groq={"id": "r", "usage": COUNTS}) + DONE,
        "every": chunk({"content": "Hel"}, usage=None) + LO + STOP + USAGE + DONE,
    }
    assert read(bodies[where])[1].usage == COUNTED


@pytest.mark.parametrize("odd", [{"cost": {"total_cost": 1}}, {"prompt_tokens_details": []}, {"prompt_tokens": 5.0}])
def test_an_odd_usage_leaves_the_chunk_around_it_as_it_is(odd: dict[str, Any]) -> None:
    """The counts are read, and the chunk with the finish_reason is the one that is held."""
    late = chunk({"role": "assistant", "content": ""}, usage=COUNTS | odd)
    out, stream = read(HEL + LO + STOP + late + DONE)
    assert (out, stream.held, stream.usage_chunk) == (HEL + LO, STOP[6:-2], late[6:-2])
    assert (stream.usage, stream.finished, stream.failure) == (COUNTED, True, None)
    assert read(HEL + LO + chunk(finish="stop", x_groq={"usage": COUNTS | odd}) + DONE)[1].usage == COUNTED


def test_a_later_report_replaces_an_earlier_one() -> None:
    """Cumulative figures are not added up."""
    early = chunk({"content": "x"}, usage={"prompt_tokens": 5, "completion_tokens": 1})
    assert read(early + GOOD)[1].usage == COUNTED


def test_a_data_field_of_two_lines_becomes_one() -> None:
    """A client that reads line by line would see half an object."""
    body = b'data: {"id":"c1",\ndata: "choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}\n\n'
    out, _ = read(body + STOP + DONE)
    assert contents(out) == "Hello"


def test_content_in_parts_passes() -> None:
    """Some providers answer with lists; they are not ours to judge."""
    odd = chunk({"content": [{"type": "text", "text": "Hi"}]})
    out, stream = read(odd + STOP + DONE)
    assert out == odd
    assert stream.delivered().text() == "textHi"


def test_tool_calls_and_reasoning_count_as_said() -> None:
    """An estimate must cover everything that costs output tokens."""
    call = chunk({"tool_calls": [{"index": 0, "function": {"name": "pay", "arguments": '{"a":1}'}}]})
    thought = chunk({"reasoning": "hm"})
    assert read(thought + call + STOP + DONE)[1].delivered().text() == 'hmpay{"a":1}'


def test_of_several_choices_the_last_finish_is_held() -> None:
    """Chunks of another choice may follow the finish of the first."""
    other = chunk({"content": "b"}).replace(b'"index": 0', b'"index": 1')
    out, stream = read(HEL + STOP + other + STOP.replace(b'"index": 0', b'"index": 1') + DONE)
    assert out == HEL + STOP + other
    assert stream.held is not None
    assert b'"index": 1' in stream.held


def test_what_says_nothing_after_a_finish_goes_before_it() -> None:
    """The role of a second choice, or sealed reasoning: nothing of an answer is lost, and the finish is still held."""
    role = chunk({"role": "assistant", "content": ""}).replace(b'"index": 0', b'"index": 1')
    sealed = chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]})
    out, stream = read(HEL + STOP + role + sealed + USAGE + DONE)
    assert out == HEL + role + sealed
    assert (stream.held, stream.usage_chunk) == (STOP[6:-2], USAGE[6:-2])


def streams() -> Iterable[Any]:
    folders = ("openai/chat", "groq/chat", "openrouter/chat", "openai/completions")
    return [path for path in recordings.recordings(*folders) if recordings.is_stream(recordings.load(path))]


def first_choice_text(out: bytes, held: bytes | None) -> str:
    events = [json.loads(line[6:]) for line in out.decode().split("\n") if line.startswith("data: ")]
    events += [json.loads(held)] if held is not None else []
    said = ""
    for event in events:
        choice = event["choices"][0]
        if choice.get("index", 0) == 0:
            said += (choice.get("delta") or {}).get("content") or choice.get("text") or ""
    return said


@pytest.mark.parametrize("how", recordings.CUTS)
def test_recorded_streams_pass_whole(how: str) -> None:
    """Text and usage of every recorded stream are those of the golden record, however the network cuts it."""
    wrong: list[str] = []
    for path in streams():
        item = recordings.load(path)
        golden, want = item["golden"], item["golden"]["usage_norm"]
        out, stream = read(*recordings.cut(recordings.body_of(item), how, item["id"]))
        usage = stream.usage
        got = None if usage is None else (usage.total_input_tokens, usage.cache_read_tokens, usage.total_output_tokens)
        expected = None if want is None else (want["input_total"], want["cache_read"], want["output_total"])
        is_whole = stream.finished or "error" in item["features"]
        if (
            recordings.digest(first_choice_text(out, stream.held)) != golden["text_sha256"]
            or got != expected
            or not is_whole
        ):
            wrong.append(item["id"])
    assert wrong == []
