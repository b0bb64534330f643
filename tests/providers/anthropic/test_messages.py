"""The conversation."""

from collections.abc import Callable
from typing import Any

import pytest

from providers.errors import Unsupported

Encode = Callable[..., Any]
HI = {"role": "user", "content": "hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
USE = {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Paris"}}
SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "sig=="}


def text(content: str, **members: Any) -> dict[str, Any]:
    """A text block."""
    return {"type": "text", "text": content} | members


def result(content: Any, call_id: str = "call_1", **members: Any) -> dict[str, Any]:
    """A tool_result block."""
    return {"type": "tool_result", "tool_use_id": call_id, "content": content} | members


@pytest.mark.parametrize(
    ("messages", "system"),
    [
        ([{"role": "system", "content": "Be brief."}, HI], [text("Be brief.")]),
        ([{"role": "developer", "content": [text("a"), text("b")]}, HI], [text("a"), text("b")]),
        ([{"role": "system", "content": "a"}, HI, {"role": "system", "content": "b"}], [text("a"), text("b")]),
        (
            [{"role": "system", "content": "a", "cache_control": {"type": "ephemeral"}}, HI],
            [text("a", cache_control={"type": "ephemeral"})],
        ),
    ],
)
def test_instructions_become_the_system(encode: Encode, messages: Any, system: Any) -> None:
    """All of them, in their order, each its own block so that its cache_control holds."""
    sent, _ = encode({"messages": messages})
    assert sent["system"] == system
    assert sent["messages"] == [{"role": "user", "content": [text("hi")]}]


def test_no_instructions_are_no_system(encode: Encode) -> None:
    """Nothing is sent that was not said."""
    assert "system" not in encode({"messages": [HI]})[0]


def test_many_turns_alternate(encode: Encode) -> None:
    """Consecutive messages of one side are one turn, as Anthropic itself joins them."""
    sent, _ = encode({"messages": [HI, HI, {"role": "assistant", "content": "yes?"}, HI]})
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["messages"][0]["content"] == [text("hi"), text("hi")]


def test_a_messages_cache_control_marks_its_last_block(encode: Encode) -> None:
    """Some clients mark the message, Anthropic marks blocks."""
    message = {"role": "user", "content": [text("a"), text("b")], "cache_control": {"type": "ephemeral"}}
    sent, _ = encode({"messages": [message]})
    assert sent["messages"][0]["content"] == [text("a"), text("b", cache_control={"type": "ephemeral"})]


def test_calls_and_results_are_said(encode: Encode) -> None:
    """Results of parallel calls are one user turn, and stand before what the user says next."""
    other = {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": ""}}
    messages = [
        HI,
        {"role": "assistant", "content": "Let me see.", "tool_calls": [CALL, other]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        HI,
        {"role": "tool", "tool_call_id": "call_2", "content": [text("noon")], "is_error": True},
    ]
    sent, _ = encode({"messages": messages})
    now = {"type": "tool_use", "id": "call_2", "name": "now", "input": {}}
    assert sent["messages"][1]["content"] == [text("Let me see."), USE, now]
    assert sent["messages"][2]["content"] == [
        result("sunny"),
        result([text("noon")], "call_2", is_error=True),
        text("hi"),
    ]


def test_arguments_are_sent_byte_for_byte(encode: Encode) -> None:
    """A number that changed its form would break the prompt's cache."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"b": 1.50, "a":1e2}'}}
    _, request = encode({"messages": [HI, {"role": "assistant", "content": None, "tool_calls": [call]}]})
    assert b'"input":{"b": 1.50, "a":1e2}' in request.body


def test_an_id_changes_alike_in_call_and_result(encode: Encode) -> None:
    """They must still belong together."""
    call = CALL | {"id": "functions.weather:0"}
    messages = [
        HI,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "functions.weather:0", "content": "sunny"},
    ]
    sent, _ = encode({"messages": messages})
    assert sent["messages"][1]["content"][0]["id"] == sent["messages"][2]["content"][0]["tool_use_id"]


def test_thinking_goes_back_before_its_calls(encode: Encode) -> None:
    """The signature holds only for unchanged blocks, in their order."""
    redacted = {"type": "redacted_thinking", "data": "EmwK"}
    message = {
        "role": "assistant",
        "content": "So:",
        "reasoning_content": "Hm.",
        "thinking_blocks": [SIGNED, redacted],
        "tool_calls": [CALL],
    }
    sent, request = encode({"messages": [HI, message]})
    assert sent["messages"][1]["content"] == [SIGNED, redacted, text("So:"), USE]
    assert b'{"type": "thinking", "thinking": "Hm.", "signature": "sig=="}' in request.body
    assert request.dropped == ()


def test_a_summary_goes_back_first(encode: Encode) -> None:
    """compaction_blocks of a reply are the beginning of its turn."""
    summary = {"type": "compaction", "content": "We spoke.", "encrypted_content": "E"}
    sent, _ = encode({"messages": [HI, {"role": "assistant", "content": "ok", "compaction_blocks": [summary]}]})
    assert sent["messages"][1]["content"] == [summary, text("ok")]


@pytest.mark.parametrize(
    ("members", "dropped"),
    [
        ({"reasoning_content": "Hm."}, ("messages.reasoning_content",)),
        ({"thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]}, ("messages.thinking_blocks",)),
        ({"thinking_blocks": [SIGNED | {"signature": ""}]}, ("messages.thinking_blocks",)),
    ],
)
def test_unsigned_thinking_is_dropped_and_named(encode: Encode, members: Any, dropped: Any) -> None:
    """Another model's thoughts cannot be proved to be Claude's: Anthropic would refuse the request."""
    sent, request = encode({"messages": [HI, {"role": "assistant", "content": "ok"} | members]})
    assert sent["messages"][1]["content"] == [text("ok")]
    assert request.dropped == dropped


def test_a_refusal_is_what_the_assistant_said(encode: Encode) -> None:
    """OpenAI keeps it beside the content."""
    sent, _ = encode({"messages": [HI, {"role": "assistant", "content": None, "refusal": "No."}]})
    assert sent["messages"][1]["content"] == [text("No.")]


def test_an_empty_assistant_message_is_left_out(encode: Encode) -> None:
    """It says nothing, and Anthropic refuses it."""
    assert len(encode({"messages": [HI, {"role": "assistant", "content": ""}]})[0]["messages"]) == 1


def test_legacy_function_calls_get_ids(encode: Encode) -> None:
    """function_call has none, so calls and results are numbered."""
    messages = [
        HI,
        {"role": "assistant", "content": None, "function_call": CALL["function"]},
        {"role": "function", "name": "weather", "content": "sunny"},
    ]
    sent, request = encode({"messages": messages})
    assert sent["messages"][1]["content"] == [USE | {"id": "function_call_1"}]
    assert sent["messages"][2]["content"] == [result("sunny", "function_call_1")]
    assert request.dropped == ()


def test_a_speakers_name_is_dropped_and_named(encode: Encode) -> None:
    """Anthropic's messages have none."""
    assert encode({"messages": [HI | {"name": "Ada"}]})[1].dropped == ("messages.name",)


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user", "content": ""}, "messages[1].content"),
        ({"role": "wizard", "content": "x"}, "messages[1].role"),
        ({"role": "tool", "content": "x"}, "messages[1].tool_call_id"),
        ({"role": "user", "content": 7}, "messages[1]"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "messages[1].content[0]"),
        ({"role": "assistant", "tool_calls": [{"id": "a", "type": "custom"}]}, "messages[1].tool_calls[0]"),
        (
            {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]},
            "messages[1].tool_calls[0].function.arguments",
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "[1]"}}]},
            "messages[1].tool_calls[0].function.arguments",
        ),
    ],
)
def test_what_cannot_be_said_names_its_place(encode: Encode, message: Any, param: str) -> None:
    """The caller learns which member to change."""
    with pytest.raises(Unsupported) as caught:
        encode({"messages": [HI, message]})
    assert caught.value.param == param


@pytest.mark.parametrize("messages", [[], [{"role": "system", "content": "x"}], [{"role": "assistant", "content": ""}]])
def test_a_conversation_of_nobody_is_refused(encode: Encode, messages: Any) -> None:
    """Anthropic needs at least one message."""
    with pytest.raises(Unsupported) as caught:
        encode({"messages": messages})
    assert caught.value.param == "messages"
