"""Speech in OpenAI's wire format."""

import json

import pytest

from providers.sandbox.frames import (
    DONE,
    Head,
    add_usage,
    render_chat,
    render_completion,
    render_error,
    stream_chat,
    stream_completion,
)
from providers.sandbox.speech import Speech, ToolCall

HEAD = Head(id="chatcmpl-1", created=7, model="gpt-4")
SAID = Speech(content=("Hello", " there"))
CALLED = Speech(calls=(ToolCall(id="call_1", name="look", arguments=('{"a":', "1}")),), finish_reason="tool_calls")
USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 2,
    "total_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}


def parse(events: tuple[bytes, ...]) -> list[dict]:
    """The chunks of a stream that ends with [DONE]."""
    assert events[-1] == DONE
    return [json.loads(event.removeprefix(b"data: ").removesuffix(b"\n\n")) for event in events[:-1]]


def test_a_chat_reply_is_openais() -> None:
    """Every documented field, null where there is nothing."""
    assert json.loads(render_chat(HEAD, [SAID], add_usage(3, [SAID]))) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "gpt-4",
        "system_fingerprint": "fp_sandbox",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello there", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }


def test_a_tool_call_is_openais() -> None:
    """A message with calls has no content."""
    message = json.loads(render_chat(HEAD, [CALLED], None))["choices"][0]["message"]
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}
    assert message == {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}


def test_a_stream_begins_with_the_role_and_ends_with_usage() -> None:
    """Role, tokens, finish, usage without choices, [DONE]."""
    chunks = parse(stream_chat(HEAD, [SAID], add_usage(3, [SAID])))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert deltas == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Hello"},
        {"content": " there"},
        {},
    ]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], USAGE)


def test_a_streamed_tool_call_names_itself_once() -> None:
    """Id, type and name come first, then only arguments, all with their index."""
    chunks = parse(stream_chat(HEAD, [CALLED], None))
    pieces = [piece for chunk in chunks for piece in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert pieces == [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a":'}},
        {"index": 0, "function": {"arguments": "1}"}},
    ]


@pytest.mark.parametrize("wants_usage", [True, False])
def test_usage_is_null_before_the_end_where_it_was_asked_for(wants_usage: bool) -> None:
    """OpenAI's documented shape of include_usage."""
    head = Head(id="1", created=7, model="m", wants_usage=wants_usage)
    first = parse(stream_chat(head, [SAID], add_usage(3, [SAID])))[0]
    assert ("usage" in first) == wants_usage


def test_a_stream_without_usage_has_no_usage_chunk() -> None:
    """usage:none leaves it out altogether."""
    assert all(chunk["choices"] for chunk in parse(stream_chat(HEAD, [SAID], None)))


def test_a_completion_is_openais() -> None:
    """Text instead of a message."""
    reply = json.loads(render_completion(HEAD, [SAID], add_usage(3, [SAID])))
    assert reply["object"] == "text_completion"
    assert reply["choices"] == [{"index": 0, "text": "Hello there", "logprobs": None, "finish_reason": "stop"}]


def test_a_streamed_completion_is_openais() -> None:
    """Text by text, then the reason."""
    chunks = parse(stream_completion(HEAD, [SAID], None))
    assert [chunk["choices"][0]["text"] for chunk in chunks] == ["Hello", " there", ""]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, "stop"]


def test_logprobs_of_a_chat_have_their_alternatives() -> None:
    """Token, its bytes, its log probability, and as many alternatives as asked for, the token first."""
    head = Head(id="1", created=7, model="m", logprobs=2)
    entry = json.loads(render_chat(head, [SAID], None))["choices"][0]["logprobs"]["content"][0]
    assert (entry["token"], bytes(entry["bytes"])) == ("Hello", b"Hello")
    assert [one["token"] for one in entry["top_logprobs"]] == ["Hello", "Hello~1"]
    assert 0 > entry["logprob"] == entry["top_logprobs"][0]["logprob"] > entry["top_logprobs"][1]["logprob"]


def test_logprobs_of_a_completion_are_alike_streamed() -> None:
    """The legacy shape: parallel lists, offsets into the text, the same in a stream."""
    head = Head(id="1", created=7, model="m", logprobs=1)
    whole = json.loads(render_completion(head, [SAID], None))["choices"][0]["logprobs"]
    parts = [chunk["choices"][0]["logprobs"] for chunk in parse(stream_completion(head, [SAID], None))[:-1]]
    assert whole["text_offset"] == [0, 5]
    assert whole == {name: [part[name][0] for part in parts] for name in whole}


def test_an_error_is_openais() -> None:
    """The envelope has all four fields."""
    error = json.loads(render_error("No.", type="t", code=None))["error"]
    assert error == {"message": "No.", "type": "t", "param": None, "code": None}
