"""Tools and the choice among them."""

from collections.abc import Callable
from typing import Any

import pytest

from providers.anthropic.tools import tool_id
from providers.errors import Unsupported

Encode = Callable[..., Any]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells it.", "parameters": SCHEMA},
}
SENT = {"name": "weather", "description": "Tells it.", "input_schema": SCHEMA}


def test_a_function_becomes_a_client_tool(encode: Encode) -> None:
    """parameters are input_schema."""
    assert encode({"tools": [WEATHER]})[0]["tools"] == [SENT]


def test_a_schema_is_sent_byte_for_byte(encode: Encode) -> None:
    """Its bytes are part of the prompt's cache key."""
    _, request = encode({"tools": [WEATHER]})
    assert b'"input_schema":{"type": "object", "properties": {"city": {"type": "string"}}, "required"' in request.body


@pytest.mark.parametrize(
    ("parameters", "schema"),
    [
        ({}, {"type": "object"}),
        (None, {"type": "object", "properties": {}}),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
    ],
)
def test_a_schema_says_that_it_is_an_object(encode: Encode, parameters: Any, schema: Any) -> None:
    """OpenAI takes functions without parameters, Anthropic wants a schema of an object."""
    function = {"name": "now", "parameters": parameters}
    sent, _ = encode({"tools": [{"type": "function", "function": function}]})
    assert sent["tools"][0]["input_schema"] == schema


def test_strict_is_said_where_the_model_can(encode: Encode) -> None:
    """Structured outputs came with Claude 4.5; before, strict is dropped and named."""
    tools = [{"type": "function", "function": WEATHER["function"] | {"strict": True}}]
    sent, _ = encode({"tools": tools}, "claude-sonnet-4-5")
    assert sent["tools"][0]["strict"] is True
    sent, request = encode({"tools": tools}, "claude-3-haiku-20240307")
    assert "strict" not in sent["tools"][0]
    assert request.dropped == ("tools.function.strict",)


@pytest.mark.parametrize("name", ["cache_control", "defer_loading", "allowed_callers", "input_examples"])
def test_a_tools_extra_member_is_kept(encode: Encode, name: str) -> None:
    """cache_control and the like stand beside the function."""
    assert encode({"tools": [WEATHER | {name: ["x"]}]})[0]["tools"] == [SENT | {name: ["x"]}]


def test_cache_control_inside_the_function_is_kept(encode: Encode) -> None:
    """Some clients put it there."""
    tool = {"type": "function", "function": WEATHER["function"] | {"cache_control": {"type": "ephemeral"}}}
    assert encode({"tools": [tool]})[0]["tools"][0]["cache_control"] == {"type": "ephemeral"}


def test_a_tool_of_anthropics_own_passes(encode: Encode) -> None:
    """Server tools have no words in OpenAI's API."""
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    assert encode({"tools": [search, WEATHER]})[0]["tools"] == [search, SENT]


@pytest.mark.parametrize(
    "tool", [{"type": "custom", "custom": {"name": "f"}}, {"type": "function"}, {"type": "function", "function": {}}, 7]
)
def test_a_tool_that_cannot_be_said_names_its_place(encode: Encode, tool: Any) -> None:
    """The caller learns which tool to change."""
    with pytest.raises(Unsupported) as caught:
        encode({"tools": [WEATHER, tool]})
    assert caught.value.param == "tools[1]"


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
        ({"type": "any", "disable_parallel_tool_use": True}, {"type": "any", "disable_parallel_tool_use": True}),
    ],
)
def test_every_choice_is_said(encode: Encode, choice: Any, said: Any) -> None:
    """auto, none, required, named; Anthropic's own form passes."""
    assert encode({"tools": [WEATHER], "tool_choice": choice})[0]["tool_choice"] == said


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (None, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", {"type": "any", "disable_parallel_tool_use": True}),
        ("none", {"type": "none"}),
    ],
)
def test_one_call_at_a_time_is_said(encode: Encode, choice: Any, said: Any) -> None:
    """parallel_tool_calls false is disable_parallel_tool_use."""
    sent, _ = encode({"tools": [WEATHER], "tool_choice": choice, "parallel_tool_calls": False})
    assert sent["tool_choice"] == said


def test_parallel_calls_need_no_word(encode: Encode) -> None:
    """They are Anthropic's default."""
    assert "tool_choice" not in encode({"tools": [WEATHER], "parallel_tool_calls": True})[0]


def test_anthropics_own_choice_wins_over_the_flag(encode: Encode) -> None:
    """It has its own member for it, so the flag is dropped and named."""
    choice = {"type": "auto"}
    sent, request = encode({"tools": [WEATHER], "tool_choice": choice, "parallel_tool_calls": False})
    assert sent["tool_choice"] == choice
    assert request.dropped == ("parallel_tool_calls",)


@pytest.mark.parametrize("choice", ["sometimes", {"type": "allowed_tools", "allowed_tools": {}}, {"type": "function"}])
def test_a_choice_that_cannot_be_said_is_refused(encode: Encode, choice: Any) -> None:
    """Choosing otherwise than asked would be worse."""
    with pytest.raises(Unsupported) as caught:
        encode({"tools": [WEATHER], "tool_choice": choice})
    assert caught.value.param == "tool_choice"


def test_a_choice_among_no_tools_is_left_out(encode: Encode) -> None:
    """Anthropic refuses it, OpenAI takes it."""
    assert "tool_choice" not in encode({"tool_choice": "auto", "tools": []})[0]


@pytest.mark.parametrize(
    ("choice", "kind"),
    [
        ("auto", {"type": "auto"}),
        ({"name": "weather"}, {"type": "tool", "name": "weather"}),
        ("none", {"type": "none"}),
    ],
)
def test_functions_are_tools_and_call_one_at_a_time(encode: Encode, choice: Any, kind: dict[str, Any]) -> None:
    """A legacy reply holds one function_call."""
    sent, _ = encode({"functions": [WEATHER["function"]], "function_call": choice})
    single = {} if choice == "none" else {"disable_parallel_tool_use": True}
    assert sent["tools"] == [SENT]
    assert sent["tool_choice"] == kind | single


@pytest.mark.parametrize(("given", "made"), [("call_a-1", "call_a-1"), ("functions.f:0", "functions_f_0")])
def test_an_id_is_made_one_that_anthropic_takes(given: str, made: str) -> None:
    """Histories that other providers began hold other characters."""
    assert tool_id(given) == made
