"""A stream, event by event."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.anthropic.reply import FINISH_REASONS
from providers.anthropic.stream import AnthropicStream
from providers.chat import Usage
from providers.errors import InvalidAnswer, Refused, Truncated
from providers.wire import Call

Golden = Callable[[str], bytes]
Say = Callable[..., bytes]
Stream = Callable[..., Any]
CALL = Call(endpoint="chat/completions", body=b"{}", model="claude", stream=True)
NAMES = ["compaction.sse", "pause.sse", "refusal.sse", "search.sse", "text.sse", "thinking.sse", "tools.sse"]
START: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "id": "m",
        "type": "message",
        "content": [],
        "model": "c",
        "usage": {"input_tokens": 25, "output_tokens": 1},
    },
}
HELLO = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}}
STOP = {"type": "message_stop"}


def test_text_becomes_chunks(golden: Golden, stream: Stream) -> None:
    """The first chunk has the role, the last is held back with its reason, the usage beside it."""
    outcome = stream(golden("text.sse"))
    assert outcome.text == 'Grüß dich, "Welt" 🌍\n\u2028ok'
    assert (outcome.id, outcome.model) == ("msg_golden", "claude-sonnet-4-5-20250929")
    assert (outcome.roles, outcome.finish, outcome.finished) == (1, "stop", True)
    assert outcome.usage == Usage(input_tokens=25, output_tokens=12, service_tier="standard")
    assert outcome.shown_usage["total_tokens"] == 37


def test_chunks_are_openais(golden: Golden, stream: Stream) -> None:
    """The exact bytes of a chunk: what a client parses."""
    sent = stream(golden("pause.sse")).sent.split(b"\n\n")
    head = b'data: {"id":"msg_golden","object":"chat.completion.chunk","created":1700000000,'
    head += b'"model":"claude-sonnet-4-5-20250929"'
    assert sent == [
        head + b',"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}',
        head + b',"choices":[{"index":0,"delta":{"content":"Searching"},"finish_reason":null}]}',
        b"",
    ]


def test_tools_are_called(golden: Golden, stream: Stream) -> None:
    """Three calls: one in pieces, one without input, one whose input came at its start."""
    outcome = stream(golden("tools.sse"))
    arguments = [(call["name"], call["arguments"]) for call in outcome.calls]
    assert arguments == [("weather", '{"city": "Paris", "days": 1.50}'), ("now", "{}"), ("roll", '{"player": 1}')]
    assert outcome.finish == "tool_calls"


def test_thinking_is_shown_and_counted(golden: Golden, stream: Stream) -> None:
    """Blocks in their order, as they must go back; the cache's figures in their buckets."""
    outcome = stream(golden("thinking.sse"))
    assert (outcome.reasoning, outcome.text) == ("Two and two.", "Four.")
    assert [block["type"] for block in outcome.thinking_blocks] == ["thinking", "redacted_thinking"]
    assert outcome.usage == Usage(
        input_tokens=25,
        cache_read_tokens=100,
        cache_write_tokens=20,
        cache_write_1h_tokens=40,
        output_tokens=31,
        reasoning_tokens=24,
        service_tier="standard",
    )


def test_a_search_is_text_with_its_sources(golden: Golden, stream: Stream) -> None:
    """The provider's own tool is not the caller's to run."""
    outcome = stream(golden("search.sse"))
    assert (outcome.text, outcome.calls) == ("I found: it rains.", [])
    assert outcome.annotations[0]["url_citation"]["start_index"] == 9
    assert outcome.shown_usage["server_tool_use"] == {"web_search_requests": 1}


def test_a_refusal_is_said_in_the_last_chunk(golden: Golden, stream: Stream) -> None:
    """With the provider's explanation."""
    outcome = stream(golden("refusal.sse"))
    assert (outcome.finish, outcome.refusal) == ("content_filter", "Not this.")


@pytest.mark.parametrize(("reason", "finish"), [*FINISH_REASONS.items(), ("brand_new", "stop")])
def test_every_stop_reason_has_its_finish_reason(say: Say, stream: Stream, reason: str, finish: str) -> None:
    """The provider's own word stands beside it."""
    outcome = stream(say(stop_reason=reason))
    assert (outcome.finish, outcome.native_finish) == (finish, reason)


@pytest.mark.parametrize("name", NAMES)
def test_byte_by_byte_is_the_same(golden: Golden, stream: Stream, name: str) -> None:
    """Every byte its own piece."""
    body = golden(name)
    assert stream(*(body[at : at + 1] for at in range(len(body)))) == stream(body)


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
@pytest.mark.parametrize("name", NAMES)
def test_every_line_end_is_the_same(golden: Golden, stream: Stream, name: str, end: bytes) -> None:
    """SSE takes LF, CR and CRLF."""
    body = golden(name)
    assert stream(body.replace(b"\n", end)) == stream(body)


BLOCKS = st.one_of(
    st.tuples(
        st.just({"type": "text", "text": ""}),
        st.lists(st.text(max_size=9).map(lambda text: {"type": "text_delta", "text": text}), max_size=4),
    ),
    st.tuples(
        st.just({"type": "thinking", "thinking": ""}),
        st.lists(st.text(max_size=9).map(lambda text: {"type": "thinking_delta", "thinking": text}), max_size=4),
    ),
    st.tuples(
        st.just({"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        st.lists(st.text(max_size=9).map(lambda text: {"type": "input_json_delta", "partial_json": text}), max_size=4),
    ),
)


def run(pieces: list[bytes]) -> tuple[bytes, bytes | None, bytes | None, str]:
    """Everything that a reader gives."""
    reader = AnthropicStream(CALL, 1)
    sent = b"".join([*(reader.feed(piece) for piece in pieces), reader.end()])
    return sent, reader.held, reader.usage_chunk, reader.delivered().text()


@settings(max_examples=60)
@given(st.lists(BLOCKS, max_size=4), st.lists(st.integers(0, 3_000), max_size=12))
def test_any_cut_is_the_same(blocks: list[Any], cuts: list[int]) -> None:
    """Where the network cuts the bytes changes nothing that the client gets."""
    body = write_blocks(blocks)
    marks = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    pieces = [body[start:end] for start, end in pairwise(marks)]
    assert run(pieces) == run([body])


@settings(max_examples=60)
@given(st.lists(BLOCKS, max_size=4))
def test_all_text_arrives(blocks: list[Any]) -> None:
    """What the deltas say is what the chunks say."""
    sent = run([write_blocks(blocks)])[0]
    chunks = [json.loads(event[6:])["choices"][0]["delta"] for event in sent.decode().split("\n\n")[:-1]]
    said = "".join(delta.get("text", "") for _, deltas in blocks for delta in deltas)
    assert "".join(chunk.get("content", "") for chunk in chunks) == said


@settings(max_examples=60)
@given(st.integers(0, 3_000), st.binary(max_size=4))
def test_damage_never_raises(at: int, noise: bytes) -> None:
    """It ends in ``failure``, or in an answer, and what was sent is well-formed."""
    body = write_blocks([({"type": "text", "text": ""}, [{"type": "text_delta", "text": "hi"}])])
    reader = AnthropicStream(CALL, 1)
    sent = reader.feed(body[:at] + noise + body[at + len(noise) :]) + reader.end()
    assert reader.finished or reader.failure is not None
    for event in sent.decode().split("\n\n")[:-1]:
        json.loads(event.removeprefix("data: "))


def write_blocks(blocks: list[Any]) -> bytes:
    """Write a whole stream."""
    events: list[dict[str, Any]] = [START]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    events += [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}, STOP]
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


@pytest.mark.parametrize("body", [b"", b"<html></html>", b'{"type":"error","error":{"type":"api_error"}}', b": hi\n\n"])
def test_what_holds_no_event_is_no_answer(body: bytes, stream: Stream) -> None:
    """Nothing was begun, so nothing is charged as cut off."""
    outcome = stream(body)
    assert isinstance(outcome.failure, InvalidAnswer)
    assert outcome.usage is None


def test_a_missing_end_is_a_truncation(write: Say, stream: Stream) -> None:
    """A client takes a cut stream for a whole one; only the gateway can tell."""
    outcome = stream(write(START, HELLO))
    assert isinstance(outcome.failure, Truncated)
    assert (outcome.text, outcome.finish, outcome.finished) == ("Hel", None, False)


def test_a_message_that_has_its_reason_is_whole(write: Say, stream: Stream) -> None:
    """Nothing that the client needs is missing but the word that nothing follows, as at OpenAI."""
    reason = {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 4}}
    outcome = stream(write(START, HELLO, reason))
    assert (outcome.failure, outcome.finish, outcome.finished) == (None, "length", True)
    assert outcome.usage == Usage(input_tokens=25, output_tokens=4)


def test_the_placeholder_of_output_is_never_counted(write: Say, stream: Stream) -> None:
    """The input is the provider's, the output is still to be counted from what was delivered."""
    outcome = stream(write(START, HELLO))
    assert outcome.usage == Usage(input_tokens=25, estimated=True)
    assert outcome.delivered == "Hel"
    assert outcome.shown_usage is None


def test_an_error_event_is_a_refusal(write: Say, stream: Stream) -> None:
    """What came before it was delivered, what comes after is not read."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    outcome = stream(write(START, HELLO, error, HELLO, STOP))
    assert isinstance(outcome.failure, Refused)
    assert (outcome.failure.type, outcome.failure.retryable) == ("overloaded_error", True)
    assert (outcome.text, outcome.finished) == ("Hel", False)


def test_an_error_after_the_count_keeps_the_count(write: Say, stream: Stream) -> None:
    """message_delta is the truth, whatever follows."""
    counted = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}
    outcome = stream(write(START, counted, {"type": "error", "error": {"type": "api_error", "message": "x"}}))
    assert outcome.usage == Usage(input_tokens=25, output_tokens=9)


def test_a_repeated_start_counts_once(write: Say, stream: Stream) -> None:
    """Neither the role nor the input is doubled."""
    outcome = stream(write(START, START, HELLO, START, STOP))
    assert (outcome.roles, outcome.text, outcome.failure) == (1, "Hel", None)
    assert outcome.usage.input_tokens == 25


def test_another_message_inside_an_open_one_is_an_invalid_answer(write: Say, stream: Stream) -> None:
    """What was said of the first cannot be taken back, so its successor must not be glued to it."""
    other = START | {"message": START["message"] | {"id": "m2"}}
    outcome = stream(write(START, HELLO, other, HELLO, STOP))
    assert isinstance(outcome.failure, InvalidAnswer)
    assert outcome.text == "Hel"


def test_another_message_before_a_word_takes_over(write: Say, stream: Stream) -> None:
    """Nothing was said, so nothing is wrong."""
    other = START | {"message": START["message"] | {"id": "m2"}}
    outcome = stream(write(START, other, HELLO, STOP))
    assert (outcome.id, outcome.text, outcome.roles, outcome.failure) == ("m2", "Hel", 1, None)


def test_counts_replace_each_other(write: Say, stream: Stream) -> None:
    """message_delta is cumulative; the last one holds."""
    counts = [{"type": "message_delta", "delta": {}, "usage": {"output_tokens": n}} for n in (3, 7, 20)]
    assert stream(write(START, *counts, STOP)).usage == Usage(input_tokens=25, output_tokens=20)


def test_a_whole_message_may_come_in_its_start(write: Say, stream: Stream) -> None:
    """A turn that only goes on with a call is sent at once; then its figures are no placeholder."""
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    whole = START["message"] | {"content": [call], "stop_reason": "tool_use"}
    outcome = stream(write(START | {"message": whole}, STOP))
    assert outcome.calls == [{"id": "t", "name": "f", "arguments": '{"a": 1}'}]
    assert (outcome.finish, outcome.usage) == ("tool_calls", Usage(input_tokens=25, output_tokens=1))


def test_an_end_without_a_reason_is_a_stop(write: Say, stream: Stream) -> None:
    """The message is whole: message_stop came."""
    outcome = stream(write(START, HELLO, STOP))
    assert (outcome.finish, outcome.native_finish, outcome.finished) == ("stop", None, True)


def test_pings_and_unknown_events_are_passed_over(write: Say, stream: Stream) -> None:
    """Anthropic adds new events within a version, also ones with members of other types."""
    new = {"type": "brand_new", "index": "one", "delta": "x", "usage": 7}
    outcome = stream(write({"type": "ping"}, START, new, HELLO, {"type": "ping"}, STOP))
    assert (outcome.text, outcome.failure) == ("Hel", None)


def test_every_event_counts_for_the_idle_timeout(golden: Golden) -> None:
    """Pings too: the upstream is alive."""
    reader = AnthropicStream(CALL, 1)
    reader.feed(golden("text.sse"))
    assert reader.events == golden("text.sse").count(b"data: ")


def test_nothing_is_read_after_the_end(write: Say) -> None:
    """A stream holds one message."""
    reader = AnthropicStream(CALL, 1)
    reader.feed(write(START, HELLO, STOP))
    assert reader.feed(write(START, HELLO)) == b""
    assert reader.failure is None


@pytest.mark.parametrize(
    "data",
    [
        b"<html>\n\n",
        b"data: <html>\n\n",
        b'data: {"type":"content_block_delta","index":"x"}\n\n',
        b'data: {"type":"content_block_start","index":0,"content_block":7}\n\n',
        b'data: {"type":"content_block_start","content_block":{"type":"redacted_thinking","data":"\xff"}}\n\n',
        b"data: [1]\n\n",
        b'data: {"type":"ping","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n",
    ],
    ids=["lines", "html", "index", "block", "utf-8", "list", "depth"],
)
def test_what_is_no_event_is_no_answer(stream: Stream, data: bytes) -> None:
    """HTML and other shapes: a line that is no event leaves the stream without its end, data that is none breaks it."""
    assert isinstance(stream(data).failure, InvalidAnswer | Truncated)


def test_an_endless_event_is_an_invalid_answer(stream: Stream) -> None:
    """The parser's bound holds."""
    assert isinstance(stream(b"data: " + b"x" * 4_300_000).failure, InvalidAnswer)


def test_an_event_without_a_type_goes_by_its_name(stream: Stream) -> None:
    """The SSE event's own name says the same."""
    outcome = stream(b'event: error\ndata: {"error":{"type":"api_error","message":"x"}}\n\n')
    assert isinstance(outcome.failure, Refused)


def test_a_last_event_without_its_blank_line_counts(write: Say, stream: Stream) -> None:
    """The connection closed one byte early; the event is whole."""
    outcome = stream(write(START, HELLO, STOP)[:-1])
    assert (outcome.finished, outcome.failure) == (True, None)
