"""An answer in the other form than was asked for is counted, and said in the form that was wanted."""

import json
from typing import Any

import pytest

from providers.anthropic.dialect import AnthropicDialect
from providers.chat import Usage
from providers.errors import InvalidAnswer, Refused
from providers.openai import misframed
from providers.openai.dialect import OpenAiDialect
from providers.openai.misframed import WholeReader, fold_stream, is_stream
from providers.openai.stream import OpenAiStream
from providers.wire import Call, Dialect

CALL = Call(endpoint="chat/completions", body=b"{}", model="m", stream=True)
WHOLE: dict[str, Any] = {
    "id": "c1",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 100, "output_tokens": 20},
}
EVENTS = (
    b'data: {"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]}\n\n'
    b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}\n\n'
    b'data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"c1","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20}}\n\n'
    b"data: [DONE]\n\n"
)
USED = Usage(input_tokens=100, output_tokens=20)


def openai() -> Dialect:
    return OpenAiDialect(endpoints=frozenset({"chat/completions"}), quirks=(), asks_stream_usage=True, now_s=lambda: 0)


def anthropic() -> Dialect:
    return AnthropicDialect(now_s=lambda: 0)


def said(events: bytes, held: bytes | None) -> str:
    """What a client reads."""
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events.split(b"\n\n") if event]
    chunks += [json.loads(held)] if held else []
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


@pytest.mark.parametrize(("dialect", "body"), [(openai(), WHOLE), (anthropic(), MESSAGE)])
@pytest.mark.parametrize("cut", [1, 7, 10_000])
def test_a_whole_answer_becomes_a_stream(dialect: Dialect, body: dict[str, Any], cut: int) -> None:
    """Of both dialects, however it is cut; its end waits for the figures."""
    raw, reader = json.dumps(body).encode(), WholeReader(dialect, CALL)
    assert b"".join(reader.feed(raw[start : start + cut]) for start in range(0, len(raw), cut)) == b""
    out = reader.end()
    assert (reader.failure, reader.finished, reader.usage, reader.end()) == (None, True, USED, b"")
    assert said(out, reader.held) == "Hello"
    assert json.loads(reader.held or b"")["choices"][0]["finish_reason"] == "stop"
    assert json.loads(reader.usage_chunk or b"")["usage"]["prompt_tokens"] == 100


def test_a_whole_completion_becomes_a_stream_of_completions() -> None:
    """Though it does not name itself one."""
    dialect = OpenAiDialect(
        endpoints=frozenset({"completions"}), quirks=(), asks_stream_usage=True, now_s=lambda: 0
    )  # fmt: skip
    reader = WholeReader(dialect, Call(endpoint="completions", body=b"{}", model="m", stream=True))
    reader.feed(b'{"id":"c1","choices":[{"index":0,"text":"Hello","finish_reason":"stop"}]}')
    (chunk,) = [json.loads(event.removeprefix(b"data: ")) for event in reader.end().split(b"\n\n") if event]
    assert (chunk["object"], chunk["choices"][0]["text"]) == ("text_completion", "Hello")


def test_what_was_said_can_be_counted_where_nothing_was_reported() -> None:
    """And no chunk tells of usage."""
    reader = WholeReader(openai(), CALL)
    reader.feed(json.dumps({name: value for name, value in WHOLE.items() if name != "usage"}).encode())
    reader.end()
    assert (reader.usage, reader.usage_chunk, reader.delivered().text()) == (None, None, "Hello")


def test_an_error_is_what_it_says() -> None:
    """The caller's own fault is not the gateway's."""
    reader = WholeReader(openai(), CALL)
    reader.feed(b'{"error":{"message":"bad prompt","type":"invalid_request_error","code":400}}')
    assert reader.end() == b""
    assert isinstance(reader.failure, Refused)
    assert (reader.failure.message, reader.failure.upstream_status) == ("bad prompt", 400)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"choices":'])
def test_what_is_no_answer_fails(body: bytes) -> None:
    """As it would have as a stream."""
    reader = WholeReader(openai(), CALL)
    reader.feed(body)
    reader.end()
    assert isinstance(reader.failure, InvalidAnswer)


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is kept then."""
    monkeypatch.setattr(misframed, "MAX_WHOLE_BYTES", 10)
    reader = WholeReader(openai(), CALL)
    assert reader.feed(b"{" * 11) == b""
    assert isinstance(reader.failure, InvalidAnswer)


def test_a_stream_that_calls_itself_json_is_a_stream() -> None:
    """Its events go on as they come."""
    reader, plain = WholeReader(openai(), CALL), OpenAiStream()
    half = len(EVENTS) // 2
    assert [reader.feed(EVENTS[:half]), reader.feed(EVENTS[half:])] == [
        plain.feed(EVENTS[:half]),
        plain.feed(EVENTS[half:]),
    ]
    assert (reader.end(), reader.finished, reader.usage, reader.held) == (b"", True, USED, plain.held)
    assert (reader.events, reader.delivered().text()) == (plain.events, "Hello")


def test_a_stream_becomes_a_whole_answer() -> None:
    """With its usage, and nothing of the stream's own."""
    answer = fold_stream(openai(), CALL, EVENTS)
    body = json.loads(answer.body)
    assert (answer.usage, answer.text) == (USED, "")
    assert (body["object"], body["usage"]["prompt_tokens"]) == ("chat.completion", 100)
    assert body["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    ]


def test_a_stream_that_breaks_is_no_whole_answer_and_was_used() -> None:
    """What it said until then is known."""
    usage = b'data: {"id":"c1","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20}}\n\n'
    with pytest.raises(InvalidAnswer) as caught:
        fold_stream(openai(), CALL, usage + b"data: {broken\n\n")
    assert caught.value.usage == USED


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"data: {}", True), (b"\xef\xbb\xbf\n: hi", True), (b"event: x", True), (b'{"data:": 1}', False), (b"", False)],
)
def test_a_stream_is_known_by_its_beginning(body: bytes, expected: bool) -> None:
    """JSON begins otherwise."""
    assert is_stream(body) is expected
