"""A whole answer, and Anthropic's errors."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.anthropic.dialect import AnthropicDialect
from providers.anthropic.reply import ERROR_STATUSES, FINISH_REASONS, decode_reply
from providers.chat import Usage
from providers.errors import InvalidAnswer, Refused
from providers.wire import Call

Golden = Callable[[str], bytes]
MakeCall = Callable[..., Call]
NOW_S = 1_700_000_000
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "model": "claude-test",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


def choice(dialect: AnthropicDialect, call: Call, **members: Any) -> dict[str, Any]:
    """Decode a message and return its choice."""
    body = json.dumps(MESSAGE | members).encode()
    found: dict[str, Any] = json.loads(dialect.decode(call, 200, [], body).body)["choices"][0]
    return found


def test_text_becomes_a_completion(dialect: AnthropicDialect, call: MakeCall, golden: Golden) -> None:
    """Every member that OpenAI documents is there."""
    answer = dialect.decode(call(), 200, [], golden("text.json"))
    completion = json.loads(answer.body)
    assert completion.pop("usage")["total_tokens"] == 15
    assert completion == {
        "id": "msg_golden",
        "object": "chat.completion",
        "created": NOW_S,
        "model": "claude-sonnet-4-5-20250929",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Grüß dich.", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
                "native_finish_reason": "end_turn",
            }
        ],
    }
    assert answer.usage == Usage(input_tokens=10, output_tokens=5)
    assert answer.text == ""


def test_everything_else_has_its_member(dialect: AnthropicDialect, call: MakeCall, golden: Golden) -> None:
    """Thinking, calls, citations and summaries; server tools and unknown blocks are left out."""
    answer = dialect.decode(call(), 200, [], golden("everything.json"))
    content = json.loads(golden("everything.json"))["content"]
    message = json.loads(answer.body)["choices"][0]["message"]
    cited = {"url": "https://news.test/", "title": "", "start_index": 5, "end_index": 10}
    assert message == {
        "role": "assistant",
        "content": "See: rain.",
        "refusal": None,
        "tool_calls": [
            {
                "id": "toolu_1",
                "type": "function",
                "function": {"name": "f", "arguments": message["tool_calls"][0]["function"]["arguments"]},
            },
            {"id": "toolu_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
        "reasoning_content": "Hm.",
        "thinking_blocks": content[:2],
        "compaction_blocks": content[2:3],
        "annotations": [{"type": "url_citation", "url_citation": cited}],
        "citations": content[6]["citations"],
    }
    assert answer.usage is not None
    assert answer.usage.total_tokens == 324


def test_arguments_and_thinking_keep_their_bytes(dialect: AnthropicDialect, call: MakeCall) -> None:
    """Signatures and prompt caches hold only for what did not change."""
    body = (
        b'{"type":"message","content":[{"type":"thinking","signature" : "s","thinking":"t"},'
        b'{"type":"tool_use","id":"a","name":"f","input":{"b" : 1.50, "a":1e2}}]}'
    )
    answer = dialect.decode(call(), 200, [], body)
    assert b'"thinking_blocks":[{"type":"thinking","signature" : "s","thinking":"t"}]' in answer.body
    found = json.loads(answer.body)["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert found == '{"b" : 1.50, "a":1e2}'


@pytest.mark.parametrize(("reason", "finish"), [*FINISH_REASONS.items(), ("brand_new", "stop"), (None, "stop")])
def test_every_stop_reason_has_its_finish_reason(
    dialect: AnthropicDialect, call: MakeCall, reason: str | None, finish: str
) -> None:
    """The provider's own word stands beside it."""
    found = choice(dialect, call(), stop_reason=reason)
    assert (found["finish_reason"], found["native_finish_reason"]) == (finish, reason)


def test_a_refusal_says_so(dialect: AnthropicDialect, call: MakeCall, golden: Golden) -> None:
    """The content is empty, not missing, and refusal is never null."""
    found = json.loads(dialect.decode(call(), 200, [], golden("refusal.json")).body)["choices"][0]
    assert found["finish_reason"] == "content_filter"
    assert found["message"]["content"] == ""
    assert found["message"]["refusal"] == "The model declined to respond (bio)."


def test_calls_alone_have_null_content(dialect: AnthropicDialect, call: MakeCall) -> None:
    """As OpenAI answers."""
    found = choice(dialect, call(), content=[{"type": "tool_use", "id": "a", "name": "f", "input": {}}])
    assert found["message"]["content"] is None


def test_a_caller_of_functions_gets_a_function_call(dialect: AnthropicDialect, call: MakeCall) -> None:
    """Who speaks the older words is answered in them."""
    content = [{"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}]
    found = choice(dialect, call({"functions": [{"name": "f"}]}), content=content, stop_reason="tool_use")
    assert found["finish_reason"] == "function_call"
    assert found["message"]["function_call"] == {"name": "f", "arguments": '{"x": 1}'}
    assert "tool_calls" not in found["message"]


@pytest.mark.parametrize(("reported", "is_told"), [(None, False), ({"input_tokens": 3}, True)])
def test_without_output_figures_the_text_is_given(
    dialect: AnthropicDialect, call: MakeCall, reported: Any, is_told: bool
) -> None:
    """The gateway counts what the provider did not."""
    content = [{"type": "text", "text": "hi"}, {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}]
    body = json.dumps(MESSAGE | {"usage": reported, "content": content}).encode()
    answer = dialect.decode(call(), 200, [], body)
    assert answer.text == 'hi\nf\n{"x": 1}'
    assert (answer.usage is not None and answer.usage.estimated) is is_told


@pytest.mark.parametrize("status", [400, 401, 404, 413, 429, 500, 529])
def test_an_error_is_a_refusal_in_the_providers_words(
    dialect: AnthropicDialect, call: MakeCall, golden: Golden, status: int
) -> None:
    """Type, code and message are Anthropic's."""
    with pytest.raises(Refused, match="max_tokens: Field required") as caught:
        dialect.decode(call(), status, [], golden("error.json"))
    error = caught.value
    assert (error.upstream_status, error.type, error.upstream_code) == (
        status,
        "invalid_request_error",
        "missing_field",
    )
    assert error.retryable is (status in (429, 500, 529))


def test_an_errors_headers_are_read(dialect: AnthropicDialect, call: MakeCall, golden: Golden) -> None:
    """When to come back, and whether at all."""
    headers = [(b"retry-after", b"3"), (b"x-should-retry", b"false")]
    with pytest.raises(Refused) as caught:
        dialect.decode(call(), 529, headers, golden("error.json"))
    assert (caught.value.retry_after_ms, caught.value.should_retry, caught.value.retryable) == (3_000, False, False)


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[]", b"\xff", b'{"type":"error"}'])
def test_an_unreadable_error_is_still_a_refusal(dialect: AnthropicDialect, call: MakeCall, body: bytes) -> None:
    """The status says enough; HTML is not handed on."""
    with pytest.raises(Refused, match="502 without a readable error") as caught:
        dialect.decode(call(), 502, [], body)
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error":"too many"}', "too many", ""),
        (b'{"message":"Too many tokens"}', "Too many tokens", ""),
        (b'{"type":"error","error":{"type":"x","message":"no","details":"long"}}', "no", "x"),
        (b'{"type":"error","error":{"type":"x","message":"no","details":{"error_code":"y"}}}', "no", "y"),
    ],
)
def test_an_error_of_a_server_that_only_speaks_like_it_is_read(
    dialect: AnthropicDialect, call: MakeCall, body: bytes, message: str, code: str
) -> None:
    """Its words are the caller's."""
    with pytest.raises(Refused, match=message) as caught:
        dialect.decode(call(), 429, [], body)
    assert caught.value.upstream_code == code


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "x", "signature": None},
        {"type": "text", "text": None},
        {"type": "fancy", "text": ["a"]},
    ],
)
def test_null_is_absent_and_an_unknown_block_is_passed_over(
    dialect: AnthropicDialect, call: MakeCall, block: dict[str, Any]
) -> None:
    """Whatever its members are."""
    found = choice(dialect, call(), content=[block, {"type": "text", "text": "hi"}])
    assert found["message"]["content"] == "hi"


@pytest.mark.parametrize("reported", [{"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 3, "output_tokens": 0}])
def test_what_was_said_is_given_where_no_output_is_counted(
    dialect: AnthropicDialect, call: MakeCall, reported: dict[str, int]
) -> None:
    """Servers that do not count fill the figures in all the same."""
    body = json.dumps(MESSAGE | {"usage": reported, "content": [{"type": "text", "text": "hi"}]}).encode()
    answer = dialect.decode(call(), 200, [], body)
    assert answer.usage is not None
    assert (answer.text, answer.usage.is_credible) == ("hi", reported["input_tokens"] > 0)


@pytest.mark.parametrize(("kind", "status"), [*ERROR_STATUSES.items(), ("unknown_error", 500)])
def test_an_error_inside_a_success_is_a_refusal(
    dialect: AnthropicDialect, call: MakeCall, kind: str, status: int
) -> None:
    """Its type tells the status that it stands for, and so whether to try again; one that nobody knows tells none."""
    body = json.dumps({"type": "error", "error": {"type": kind, "message": "no"}}).encode()
    with pytest.raises(Refused) as caught:
        dialect.decode(call(), 200, [], body)
    assert caught.value.upstream_status == (200 if kind == "unknown_error" else status)
    assert caught.value.retryable is (status == 429 or status >= 500)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        json.dumps(MESSAGE).encode()[:-9],
        b"{}",
        b"[]",
        b'{"type":"message","content":"hi"}',
        b'{"type":"completion","content":[]}',
        b'{"type":"message","content":[7]}',
        b'{"type":"message","content":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":"message","content":[{"type":"text","text":7}]}',
    ],
)
def test_what_is_no_message_is_an_invalid_answer(dialect: AnthropicDialect, call: MakeCall, body: bytes) -> None:
    """HTML, half a JSON, another shape, nothing: it may have been made."""
    with pytest.raises(InvalidAnswer) as refused:
        dialect.decode(call(), 200, [], body)
    assert refused.value.was_made


def test_bytes_that_are_no_text_spoil_no_message(dialect: AnthropicDialect, call: MakeCall) -> None:
    """It was made and is paid."""
    body = json.dumps(MESSAGE | {"content": [{"type": "text", "text": "hi~"}]}).encode().replace(b"~", b"\xff")
    answer = dialect.decode(call(), 200, [], body)
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "hi\ufffd"
    assert answer.usage == Usage(input_tokens=3, output_tokens=2)


def test_what_is_no_message_tells_what_it_used_where_it_says_so(dialect: AnthropicDialect, call: MakeCall) -> None:
    """It is of no use, and it will be billed."""
    with pytest.raises(InvalidAnswer) as refused:
        dialect.decode(call(), 200, [], json.dumps(MESSAGE | {"content": None}).encode())
    assert refused.value.usage == Usage(input_tokens=3, output_tokens=2)


@given(st.integers(0, 400), st.binary(max_size=3), st.sampled_from([200, 400, 503]))
def test_no_bytes_raise_anything_else(at: int, noise: bytes, status: int) -> None:
    """Damage anywhere ends in an answer or in one of the two errors."""
    body = json.dumps(MESSAGE).encode()
    damaged = body[:at] + noise + body[at + len(noise) :]
    call = Call(endpoint="chat/completions", body=b"{}", model="m")
    try:
        answer = decode_reply(call, status, [], damaged, NOW_S)
    except (Refused, InvalidAnswer):
        return
    json.loads(answer.body)
