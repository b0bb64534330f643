"""Sampling, thinking, effort and the shape of the output, by the model's generation."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from providers.anthropic.controls import close_objects
from providers.anthropic.dialect import encode_request
from providers.errors import Unsupported
from providers.wire import Call

Encode = Callable[..., Any]
OLD, BUDGET, ASKED, DEFAULT = "claude-3-5-haiku-latest", "claude-sonnet-4-5", "claude-opus-4-6", "claude-sonnet-5"
ALWAYS, OPUS_4_5, SONNET_5_5 = "claude-opus-5-5", "claude-opus-4-5", "claude-sonnet-5-5"
SUMMARY = {"type": "adaptive", "display": "summarized"}
TOOLS = [{"type": "function", "function": {"name": "f"}}]
CALLED = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "a", "content": "ok"},
]


def pick(sent: dict[str, Any], *names: str) -> dict[str, Any]:
    """The members that the test is about."""
    return {name: sent[name] for name in names if name in sent}


@pytest.mark.parametrize(
    ("model", "given", "said", "dropped"),
    [
        (OLD, {"temperature": 0.3, "top_p": 0.9, "top_k": 5}, {"temperature": 0.3, "top_p": 0.9, "top_k": 5}, ()),
        (OLD, {"temperature": 1.7}, {"temperature": 1}, ("temperature",)),
        (BUDGET, {"temperature": 0, "top_p": 0.9}, {"temperature": 0}, ("top_p",)),
        (BUDGET, {"temperature": 0, "top_p": 1}, {"temperature": 0}, ()),
        (BUDGET, {"top_p": 0.9}, {"top_p": 0.9}, ()),
        (DEFAULT, {"temperature": 0.3, "top_p": 0.9, "top_k": 5}, {}, ("temperature", "top_p", "top_k")),
        (DEFAULT, {"temperature": 1, "top_p": 1}, {}, ()),
        (
            OLD.replace("3-5", "3-7"),
            {"temperature": 0.3, "top_p": 0.96, "top_k": 5, "reasoning_effort": "low"},
            {"top_p": 0.96},
            ("temperature", "top_k"),
        ),
    ],
)
def test_only_sampling_that_the_model_takes_is_sent(
    encode: Encode, model: str, given: Any, said: Any, dropped: Any
) -> None:
    """What is not sent, or sent otherwise, is named."""
    sent, request = encode(given, model)
    assert pick(sent, "temperature", "top_p", "top_k") == said
    assert request.dropped == dropped


@pytest.mark.parametrize(
    ("model", "level", "said", "dropped"),
    [
        (OLD, "high", {}, ("reasoning_effort",)),
        (OLD, "none", {}, ()),
        (BUDGET, "none", {}, ()),
        (BUDGET, "low", {"thinking": {"type": "enabled", "budget_tokens": 1_024}}, ()),
        (BUDGET, "high", {"thinking": {"type": "enabled", "budget_tokens": 16_384}}, ()),
        (
            OPUS_4_5,
            "xhigh",
            {"thinking": {"type": "enabled", "budget_tokens": 32_768}, "output_config": {"effort": "high"}},
            (),
        ),
        (ASKED, "none", {}, ()),
        (ASKED, "minimal", {"thinking": SUMMARY, "output_config": {"effort": "low"}}, ()),
        (ASKED, "xhigh", {"thinking": SUMMARY, "output_config": {"effort": "high"}}, ()),
        (DEFAULT, "xhigh", {"thinking": SUMMARY, "output_config": {"effort": "xhigh"}}, ()),
        (DEFAULT, "none", {"thinking": {"type": "disabled"}}, ()),
        (SONNET_5_5, "none", {"thinking": {"type": "between_tools"}}, ()),
        (ALWAYS, "medium", {"thinking": SUMMARY, "output_config": {"effort": "medium"}}, ()),
        (ALWAYS, "none", {"output_config": {"effort": "low"}}, ("reasoning_effort",)),
    ],
)
def test_reasoning_effort_is_said_in_the_generations_words(
    encode: Encode, model: str, level: str, said: Any, dropped: Any
) -> None:
    """A budget, adaptive thinking with an effort, or nothing: what Anthropic's table by model says."""
    sent, request = encode({"reasoning_effort": level}, model)
    assert pick(sent, "thinking", "output_config") == said
    assert request.dropped == dropped


@pytest.mark.parametrize(
    ("max_tokens", "said", "dropped"),
    [(3_000, {"type": "enabled", "budget_tokens": 2_999}, ()), (1_024, None, ("reasoning_effort",))],
)
def test_a_budget_stays_below_max_tokens(encode: Encode, max_tokens: int, said: Any, dropped: Any) -> None:
    """Anthropic refuses a budget that leaves no room, and one below 1,024."""
    sent, request = encode({"reasoning_effort": "high"}, BUDGET, max_tokens=max_tokens)
    assert sent.get("thinking") == said
    assert request.dropped == dropped


@pytest.mark.parametrize(
    "given",
    [{"tools": TOOLS, "tool_choice": "required"}, {"tools": TOOLS, "messages": CALLED}],
    ids=["forced tool", "unsigned calls"],
)
def test_thinking_is_not_turned_on_where_it_would_be_refused(encode: Encode, given: Any) -> None:
    """A preference must not turn a good request into a 400."""
    sent, request = encode(given | {"reasoning_effort": "high"}, BUDGET)
    assert "thinking" not in sent
    assert request.dropped == ("reasoning_effort",)


def test_a_forced_tool_leaves_the_effort(encode: Encode) -> None:
    """Where thinking is adaptive, effort works without it."""
    given = {"tools": TOOLS, "tool_choice": "required", "reasoning_effort": "high"}
    sent, request = encode(given, ASKED)
    assert pick(sent, "thinking", "output_config") == {"output_config": {"effort": "high"}}
    assert request.dropped == ()


def test_anthropics_own_thinking_passes_and_wins(encode: Encode) -> None:
    """Who says it in Anthropic's words is taken by the word."""
    thinking = {"type": "enabled", "budget_tokens": 5_000}
    sent, request = encode({"thinking": thinking, "reasoning_effort": "low"}, OPUS_4_5)
    assert sent["thinking"] == thinking
    assert sent["output_config"] == {"effort": "low"}
    assert b'"thinking":{"type": "enabled", "budget_tokens": 5000}' in request.body


def test_an_effort_that_nobody_knows_is_refused(encode: Encode) -> None:
    """The message names the known ones."""
    with pytest.raises(Unsupported, match="minimal, low, medium") as caught:
        encode({"reasoning_effort": "extreme"})
    assert caught.value.param == "reasoning_effort"


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}


def test_a_json_schema_is_a_structured_output(encode: Encode) -> None:
    """Models from 4.5 on are bound to the schema."""
    sent, request = encode({"response_format": FORMAT, "reasoning_effort": "low"}, OPUS_4_5)
    assert sent["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}
    assert request.dropped == ()


def test_an_older_model_is_asked_for_the_schema(encode: Encode) -> None:
    """It cannot be bound, so strict is dropped and named, and the schema stands in the instructions."""
    sent, request = encode({"response_format": FORMAT}, OLD)
    assert "output_config" not in sent
    assert json.dumps(SCHEMA) in sent["system"][-1]["text"]
    assert request.dropped == ("response_format.json_schema.strict",)


def test_json_object_is_an_instruction(encode: Encode) -> None:
    """Anthropic has no JSON mode without a schema."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    sent, _ = encode({"response_format": {"type": "json_object"}, "messages": messages})
    assert sent["system"][0]["text"] == "Be brief."
    assert "one JSON object" in sent["system"][1]["text"]


@pytest.mark.parametrize("given", [{"type": "text"}, None])
def test_text_needs_no_word(encode: Encode, given: Any) -> None:
    """It is what every model answers."""
    assert encode({"response_format": given}) == encode({})


def test_anthropics_older_output_format_is_translated(encode: Encode) -> None:
    """It moved to output_config.format."""
    sent, _ = encode({"output_format": {"type": "json_schema", "schema": SCHEMA}})
    assert sent["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}


def test_anthropics_own_output_config_wins(encode: Encode) -> None:
    """Its members stay, others are added."""
    sent, _ = encode({"output_config": {"effort": "max"}, "reasoning_effort": "low", "response_format": FORMAT}, ASKED)
    assert sent["output_config"] == {"effort": "max", "format": {"type": "json_schema", "schema": SCHEMA}}


@pytest.mark.parametrize(
    "given", [{"type": "grammar"}, {"type": "json_schema"}, "json", {"type": "json_schema", "json_schema": {}}]
)
def test_a_format_that_cannot_be_said_is_refused(encode: Encode, given: Any) -> None:
    """The reply would not be what the caller parses."""
    with pytest.raises(Unsupported) as caught:
        encode({"response_format": given})
    assert caught.value.param == "response_format"


def test_objects_are_closed_wherever_they_stand() -> None:
    """Anthropic wants additionalProperties false said; what says anything keeps it."""
    open_object = {"type": "object"}
    closed = open_object | {"additionalProperties": False}
    kept = open_object | {"additionalProperties": True}
    places = {"items": open_object, "anyOf": [open_object, True], "$defs": {"a": open_object, "b": kept}}
    schema = {"properties": {"p": open_object, "type": {"type": "string"}}, **places}
    read = json.loads(bytes(close_objects(msgspec.Raw(json.dumps(schema).encode()))))
    assert read == {
        "properties": {"p": closed, "type": {"type": "string"}},
        "items": closed,
        "anyOf": [closed, True],
        "$defs": {"a": closed, "b": kept},
        "additionalProperties": False,
    }


@pytest.mark.parametrize("depth", [600, 5_000])
def test_a_schema_that_is_nested_too_deep_is_refused(depth: int) -> None:
    """It must not exhaust the stack."""
    raw = b'{"items":' * depth + b"{}" + b"}" * depth
    body = b'{"messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_schema","schema":%b}}' % raw
    call = Call(endpoint="chat/completions", body=body, model="m")
    with pytest.raises(Unsupported):
        encode_request(call, "claude-opus-5")


def test_a_closed_schema_is_sent_byte_for_byte() -> None:
    """Its bytes are part of a cache key."""
    raw = msgspec.Raw(json.dumps(SCHEMA).encode())
    assert close_objects(raw) is raw
