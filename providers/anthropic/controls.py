"""How the model shall work: sampling, thinking, effort and the shape of its output, by the model's generation.

Decisions, where the two APIs differ (vendor sources in models.py):
- temperature: OpenAI's range is 0-2, Anthropic's 0-1; more is cut to 1, as Anthropic's own OpenAI layer does.
- reasoning_effort: ``output_config.effort`` with adaptive thinking where the model has it (its text asked for as a
  summary, else it is left out of replies), else a budget of thinking tokens; it is dropped where the request could
  not be answered with thinking on: a forced tool, tool calls in the history whose thinking was not sent back, no room
  below max_tokens.
- response_format json_schema: ``output_config.format``; models before 4.5 and json_object get an instruction, which
  nothing enforces.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from providers.anthropic.models import Model, Sampling, Thinking
from providers.anthropic.parameters import Fields, is_given, read_field, read_raw
from providers.errors import Unsupported

Number = TypeVar("Number", int, float)

EFFORT_LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
# Tokens of thinking for models that think on a budget; ours, after the efforts that Anthropic's examples use.
BUDGET_TOKENS = {"minimal": 1_024, "low": 1_024, "medium": 4_096, "high": 16_384, "xhigh": 32_768, "max": 32_768}
_MIN_BUDGET_TOKENS = 1_024
_MIN_TOP_P_WHILE_THINKING = 0.95
_ONLY_JSON = "Answer with one JSON object and nothing else: no prose, no code fence."


class SamplingValues(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent of the three."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


class Reasoning(msgspec.Struct, frozen=True, kw_only=True):
    """How the model shall think; ``thinking`` None leaves it at the model's default."""

    thinking: msgspec.Raw | None = None
    effort: str | None = None

    @property
    def is_on(self) -> bool:
        """Whether the request itself turns thinking on."""
        return self.thinking is not None and read_raw(self.thinking, "thinking", _Kind).type in ("enabled", "adaptive")


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """The shape that the answer shall have."""

    schema: msgspec.Raw | None = None
    instruction: str | None = None


class _Kind(msgspec.Struct, frozen=True):
    type: str


class _Format(msgspec.Struct, frozen=True):
    type: str
    schema: msgspec.Raw = msgspec.Raw()
    json_schema: "_JsonSchema | None" = None


class _JsonSchema(msgspec.Struct, frozen=True):
    schema: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None


def choose_sampling(fields: Fields, model: Model, is_thinking: bool, dropped: list[str]) -> SamplingValues:
    """Keep what the model accepts of temperature, top_p and top_k; note what is not sent or changed."""
    temperature = read_field(fields, "temperature", float)
    top_p = read_field(fields, "top_p", float)
    top_k = read_field(fields, "top_k", int)
    if temperature is not None and temperature > 1:
        dropped.append("temperature")
        temperature = 1
    if model.sampling is Sampling.FIXED or is_thinking:
        # The default may be said everywhere, so leaving it out changes nothing.
        temperature = _keep(temperature, temperature == 1, "temperature", dropped)
        temperature = None if model.sampling is Sampling.FIXED else temperature
        fits = model.sampling is not Sampling.FIXED and top_p is not None and top_p >= _MIN_TOP_P_WHILE_THINKING
        top_p = None if top_p == 1 else _keep(top_p, fits, "top_p", dropped)
        top_k = _keep(top_k, False, "top_k", dropped)
    if model.sampling is Sampling.ONE and temperature is not None:
        top_p = None if top_p == 1 else _keep(top_p, False, "top_p", dropped)
    return SamplingValues(temperature=temperature, top_p=top_p, top_k=top_k)


def _keep(value: Number | None, fits: bool, name: str, dropped: list[str]) -> Number | None:
    if value is not None and not fits:
        dropped.append(name)
        return None
    return value


def choose_reasoning(fields: Fields, model: Model, max_tokens: int, is_hindered: bool, dropped: list[str]) -> Reasoning:
    """Say thinking or reasoning_effort; ``is_hindered``: thinking must not be turned on for this request."""
    level = read_field(fields, "reasoning_effort", str)
    if level is not None and level not in EFFORT_LEVELS:
        message = f"reasoning_effort is {level!r}; use one of {', '.join(EFFORT_LEVELS)}"
        raise Unsupported(message, param="reasoning_effort")
    given = fields.get("thinking")
    if given is not None and is_given(given):
        return Reasoning(thinking=given, effort=_effort(level, model) if level and level != "none" else None)
    if level is None:
        return Reasoning()
    chosen = _turn_off(model) if level == "none" else _turn_on(level, model, max_tokens, is_hindered)
    if chosen is None:
        dropped.append("reasoning_effort")
    return chosen or Reasoning(effort=_effort("low", model))


def _turn_off(model: Model) -> Reasoning | None:
    if model.thinking is Thinking.ALWAYS:
        return None
    if model.thinking is Thinking.DEFAULT:
        return Reasoning(thinking=msgspec.Raw(msgspec.json.encode({"type": model.off_switch})))
    return Reasoning()


def _turn_on(level: str, model: Model, max_tokens: int, is_hindered: bool) -> Reasoning | None:
    if model.thinking is Thinking.NONE:
        return None
    effort = _effort(level, model)
    if model.thinking is not Thinking.BUDGET:
        # Where thinking is on anyway, the forced tool is the upstream's own affair.
        if is_hindered:
            return Reasoning(effort=effort)
        return Reasoning(thinking=msgspec.Raw(b'{"type":"adaptive","display":"summarized"}'), effort=effort)
    budget_tokens = min(BUDGET_TOKENS[level], max_tokens - 1)
    if is_hindered or budget_tokens < _MIN_BUDGET_TOKENS:
        return None
    thinking = msgspec.json.encode({"type": "enabled", "budget_tokens": budget_tokens})
    return Reasoning(thinking=msgspec.Raw(thinking), effort=effort)


def _effort(level: str | None, model: Model) -> str | None:
    """The highest effort of the model that is not above ``level``; None where it has none."""
    rank = EFFORT_LEVELS.index(level or "none")
    fitting = [
        effort for effort in model.efforts if EFFORT_LEVELS.index(effort) <= max(rank, EFFORT_LEVELS.index("low"))
    ]
    return fitting[-1] if fitting else None


def choose_output(fields: Fields, model: Model, dropped: list[str]) -> Output:
    """Say response_format, or Anthropic's own older output_format."""
    name = "response_format" if is_given(fields.get("response_format")) else "output_format"
    given = read_field(fields, name, _Format)
    if given is None or given.type == "text":
        return Output()
    if given.type == "json_object":
        return Output(instruction=_ONLY_JSON)
    if given.type != "json_schema":
        raise Unsupported(f"{name}.type is {given.type!r}; use text, json_object or json_schema", param=name)
    schema = given.json_schema.schema if given.json_schema else given.schema
    if not is_given(schema):
        raise Unsupported(f"{name} has no schema", param=name)
    if model.structured:
        try:
            return Output(schema=close_objects(schema))
        except RecursionError:
            raise Unsupported(f"{name} has a schema that is nested too deep", param=name) from None
    if given.json_schema is not None and given.json_schema.strict:
        dropped.append("response_format.json_schema.strict")
    return Output(instruction=f"{_ONLY_JSON} It must follow this JSON schema:\n{bytes(schema).decode()}")


def close_objects(schema: msgspec.Raw) -> msgspec.Raw:
    """Say ``additionalProperties: false`` where a schema's object says nothing: Anthropic refuses it otherwise.

    What says it already is returned as it came, byte for byte.
    """
    if not bytes(schema).startswith(b"{"):
        return schema
    node = msgspec.json.decode(schema, type=Fields)
    changed: Fields = {}
    for name, child in node.items():
        close = _PLACES.get(name)
        closed = child if close is None else close(child)
        if closed is not child:
            changed[name] = closed
    is_object = "properties" in node or bytes(node.get("type", b"")) == b'"object"'
    if is_object and "additionalProperties" not in node:
        changed["additionalProperties"] = msgspec.Raw(b"false")
    return msgspec.Raw(msgspec.json.encode(node | changed)) if changed else schema


def _close_each(schemas: msgspec.Raw) -> msgspec.Raw:
    if not bytes(schemas).startswith(b"["):
        return close_objects(schemas)
    children = msgspec.json.decode(schemas, type=list[msgspec.Raw])
    closed = [close_objects(child) for child in children]
    is_same = all(new is old for new, old in zip(closed, children, strict=True))
    return schemas if is_same else msgspec.Raw(msgspec.json.encode(closed))


def _close_named(schemas: msgspec.Raw) -> msgspec.Raw:
    if not bytes(schemas).startswith(b"{"):
        return schemas
    children = msgspec.json.decode(schemas, type=Fields)
    closed = {name: close_objects(child) for name, child in children.items()}
    is_same = all(closed[name] is child for name, child in children.items())
    return schemas if is_same else msgspec.Raw(msgspec.json.encode(closed))


# The members of a schema that hold schemas.
_PLACES: dict[str, Callable[[msgspec.Raw], msgspec.Raw]] = {
    **dict.fromkeys(("items", "anyOf", "allOf", "oneOf", "prefixItems", "not", "contains"), _close_each),
    **dict.fromkeys(("properties", "$defs", "definitions"), _close_named),
}
