"""Tools and the choice among them, from OpenAI's words to Anthropic's.

Formats: https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools (read 2026-11-21).
"""

import re

import msgspec

from providers.anthropic.content import mark
from providers.anthropic.models import Model
from providers.anthropic.parameters import Fields, is_given, is_text, read_field, read_raw
from providers.errors import Unsupported

_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")


class Tool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A client tool. The schema and what is Anthropic's own go out byte for byte."""

    name: str
    description: str | None = None
    input_schema: msgspec.Raw
    strict: bool | None = None
    cache_control: msgspec.Raw | None = None
    defer_loading: msgspec.Raw | None = None
    allowed_callers: msgspec.Raw | None = None
    eager_input_streaming: msgspec.Raw | None = None
    input_examples: msgspec.Raw | None = None


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which tools the model may or must use: auto, any, tool or none."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says of tools."""

    tools: tuple[Tool | msgspec.Raw, ...] = ()
    choice: ToolChoice | msgspec.Raw | None = None
    # The choice makes the model call a tool, which it may not do while thinking on a budget.
    is_forced: bool = False


class _Function(msgspec.Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None
    cache_control: msgspec.Raw = msgspec.Raw()


class _Definition(msgspec.Struct, frozen=True):
    type: str | None = None
    function: _Function | None = None
    custom: msgspec.Raw = msgspec.Raw()
    cache_control: msgspec.Raw = msgspec.Raw()
    defer_loading: msgspec.Raw = msgspec.Raw()
    allowed_callers: msgspec.Raw = msgspec.Raw()
    eager_input_streaming: msgspec.Raw = msgspec.Raw()
    input_examples: msgspec.Raw = msgspec.Raw()


class _Named(msgspec.Struct, frozen=True):
    name: str


class _Choice(msgspec.Struct, frozen=True):
    type: str = "function"
    name: str | None = None
    function: _Named | None = None


def encode_tools(fields: Fields, model: Model, dropped: list[str]) -> Tools:
    """Say tools, tool_choice and parallel_tool_calls, or their older names functions and function_call."""
    definitions = read_field(fields, "tools", list[msgspec.Raw]) or []
    tools = [_encode_tool(raw, f"tools[{at}]", model, dropped) for at, raw in enumerate(definitions)]
    functions = read_field(fields, "functions", list[_Function]) or []
    tools += [
        _encode_function(function, _Definition(), f"functions[{at}]", model, dropped)
        for at, function in enumerate(functions)
    ]
    if not tools:
        # OpenAI takes a choice among no tools, Anthropic does not.
        return Tools()
    named = "tool_choice" if is_given(fields.get("tool_choice")) else "function_call"
    choice = _encode_choice(fields, named)
    # A legacy reply holds one function_call, so more must not be made.
    parallel = False if functions and not definitions else read_field(fields, "parallel_tool_calls", bool)
    if parallel is False:
        choice = _one_at_a_time(choice, dropped)
    kind = read_raw(choice, named, _Choice).type if isinstance(choice, msgspec.Raw) else choice and choice.type
    return Tools(tools=tuple(tools), choice=choice, is_forced=kind in ("any", "tool"))


def tool_id(given: str) -> str:
    """Make an id one that Anthropic takes (letters, digits, ``_`` and ``-``); calls and results change alike."""
    return _NOT_IN_IDS.sub("_", given)


def _encode_tool(raw: msgspec.Raw, where: str, model: Model, dropped: list[str]) -> Tool | msgspec.Raw:
    given = read_raw(raw, where, _Definition)
    if given.function is not None:
        return _encode_function(given.function, given, where, model, dropped)
    if is_given(given.custom):
        raise Unsupported(f"{where} is a custom tool; Anthropic's tools take JSON: make it a function", param=where)
    if given.type == "function":
        raise Unsupported(f"{where} has no function", param=where)
    return raw


def _encode_function(function: _Function, given: _Definition, where: str, model: Model, dropped: list[str]) -> Tool:
    if function.strict and not model.structured:
        dropped.append("tools.function.strict")
    return Tool(
        name=function.name,
        description=function.description,
        input_schema=_encode_schema(function.parameters, f"{where}.function.parameters"),
        strict=function.strict if model.structured else None,
        cache_control=mark(given.cache_control) or mark(function.cache_control),
        defer_loading=mark(given.defer_loading),
        allowed_callers=mark(given.allowed_callers),
        eager_input_streaming=mark(given.eager_input_streaming),
        input_examples=mark(given.input_examples),
    )


def _encode_schema(raw: msgspec.Raw, where: str) -> msgspec.Raw:
    if not is_given(raw):
        return _NO_PARAMETERS
    members = read_raw(raw, where, dict[str, msgspec.Raw])
    if "type" in members:
        return raw
    # OpenAI takes a schema without a type, Anthropic wants it said.
    return msgspec.Raw(msgspec.json.encode({"type": "object"} | members))


def _one_at_a_time(choice: ToolChoice | msgspec.Raw | None, dropped: list[str]) -> ToolChoice | msgspec.Raw:
    if isinstance(choice, msgspec.Raw):
        # Anthropic's own form of the choice has its own word for it.
        dropped.append("parallel_tool_calls")
        return choice
    chosen = choice or ToolChoice(type="auto")
    return chosen if chosen.type == "none" else msgspec.structs.replace(chosen, disable_parallel_tool_use=True)


_MODES = {"auto": "auto", "none": "none", "required": "any"}


def _encode_choice(fields: Fields, name: str) -> ToolChoice | msgspec.Raw | None:
    raw = fields.get(name)
    if raw is None or not is_given(raw):
        return None
    if is_text(raw):
        mode = read_raw(raw, name, str)
        if mode not in _MODES:
            raise Unsupported(f"{name} is {mode!r}; use auto, none, required or a function", param=name)
        return ToolChoice(type=_MODES[mode])
    given = read_raw(raw, name, _Choice)
    if given.type in ("auto", "any", "tool", "none"):
        return raw
    chosen = given.function.name if given.function else given.name
    if given.type != "function" or chosen is None:
        raise Unsupported(
            f"{name} has type {given.type!r}; Anthropic can be made to call one named function", param=name
        )
    return ToolChoice(type="tool", name=chosen)
