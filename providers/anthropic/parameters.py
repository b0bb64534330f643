"""What becomes of every parameter of chat/completions: translated, passed on, dropped with notice, or refused.

Anthropic answers 400 ("Extra inputs are not permitted") to a member it does not know, so nothing unknown is sent:
a parameter that stands in no row is dropped and named. Source: https://platform.claude.com/docs/en/api/messages/create
and https://platform.claude.com/docs/en/cli-sdks-libraries/libraries/openai-sdk, read 2026-11-21.
"""

from enum import Enum
from typing import Any, TypeVar

import msgspec

from providers.errors import Unsupported

Fields = dict[str, msgspec.Raw]
# What reading JSON raises; msgspec reports bytes that are no UTF-8 in Python's own way, passes them in a Raw, and
# gives up on JSON that is nested too deep.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
T = TypeVar("T")


class Fate(Enum):
    """What the dialect does with a parameter."""

    TRANSLATED = "said in Anthropic's words"
    PASSED = "a member of Anthropic's own, sent byte for byte"
    DROPPED = "not sent; named in x-watchllm-dropped-params"
    REFUSED = "answered with 400, because the reply would lack what was asked for"


class Rule(msgspec.Struct, frozen=True):
    """One row: the fate, why, and the values that ask for nothing and are left out without a word."""

    fate: Fate
    reason: str
    neutral: tuple[Any, ...] = ()


_SAID = Fate.TRANSLATED
_PASS = Fate.PASSED
_DROP = Fate.DROPPED
_DENY = Fate.REFUSED

PARAMETERS: dict[str, Rule] = {
    "model": Rule(_SAID, "replaced by the target's name"),
    "messages": Rule(_SAID, "messages and system"),
    "stream": Rule(_SAID, "stream"),
    "stream_options": Rule(_SAID, "usage is always reported; the gateway decides who sees it"),
    "max_tokens": Rule(_SAID, "max_tokens"),
    "max_completion_tokens": Rule(_SAID, "max_tokens"),
    "stop": Rule(_SAID, "stop_sequences"),
    "temperature": Rule(_SAID, "0 to 1: more is cut to 1 and named; dropped where the model has no sampling"),
    "top_p": Rule(_SAID, "dropped where the model has no sampling, or takes only one of temperature and top_p"),
    "top_k": Rule(_SAID, "Anthropic's own; dropped where the model has no sampling"),
    "tools": Rule(_SAID, "function tools become client tools; Anthropic's own tools pass"),
    "tool_choice": Rule(_SAID, "tool_choice"),
    "parallel_tool_calls": Rule(_SAID, "tool_choice.disable_parallel_tool_use"),
    "functions": Rule(_SAID, "tools"),
    "function_call": Rule(_SAID, "tool_choice"),
    "user": Rule(_SAID, "metadata.user_id"),
    "safety_identifier": Rule(_SAID, "metadata.user_id"),
    "metadata": Rule(_SAID, "metadata.user_id; other members are dropped, Anthropic has no place for them"),
    "response_format": Rule(_SAID, "output_config.format, or an instruction where the model has none"),
    "reasoning_effort": Rule(_SAID, "thinking and output_config.effort, by the model's generation"),
    "thinking": Rule(_SAID, "Anthropic's own, sent byte for byte; wins over reasoning_effort"),
    "output_config": Rule(_SAID, "Anthropic's own; its members win over response_format and reasoning_effort"),
    "output_format": Rule(_SAID, "Anthropic's older name of output_config.format"),
    "service_tier": Rule(_SAID, "auto and standard_only pass, default is standard_only, others are dropped"),
    "betas": Rule(_SAID, "the anthropic-beta header"),
    "context_management": Rule(_SAID, "Anthropic's own; compaction is refused: its tokens are billed beside the usage"),
    "cache_control": Rule(_PASS, "automatic prompt caching"),
    "container": Rule(_PASS, "a code execution container to reuse"),
    "mcp_servers": Rule(_PASS, "the MCP connector"),
    "diagnostics": Rule(_PASS, "why a prompt cache was missed"),
    "n": Rule(_DENY, "Anthropic answers with one choice", (1,)),
    "logprobs": Rule(_DENY, "Anthropic reports no log probabilities", (False,)),
    "top_logprobs": Rule(_DENY, "Anthropic reports no log probabilities", (0,)),
    "audio": Rule(_DENY, "Anthropic's models do not speak"),
    "modalities": Rule(_DENY, "Anthropic's models answer in text", (["text"],)),
    "web_search_options": Rule(_DENY, "name Anthropic's web search tool in tools instead"),
    "speed": Rule(_DENY, "another speed has another price, which is not metered", ("standard",)),
    "inference_geo": Rule(_DENY, "a region may have another price, which is not metered", ("global",)),
    "compaction": Rule(_DENY, "its tokens are billed beside the usage, so they would not be metered"),
    "fallbacks": Rule(_DENY, "the fallback model has another price; give the gateway a second target instead"),
    "logit_bias": Rule(_DROP, "Anthropic has no token biases", ({},)),
    "presence_penalty": Rule(_DROP, "Anthropic has no penalties", (0,)),
    "frequency_penalty": Rule(_DROP, "Anthropic has no penalties", (0,)),
    "seed": Rule(_DROP, "Anthropic does not sample by a seed; OpenAI promises best effort only"),
    "prediction": Rule(_DROP, "a hint for speed"),
    "verbosity": Rule(_DROP, "a hint for style"),
    "store": Rule(_DROP, "Anthropic keeps no completions", (False,)),
    "prompt_cache_key": Rule(_DROP, "Anthropic finds its cache by the prompt itself"),
    "prompt_cache_retention": Rule(_DROP, "said by cache_control.ttl"),
    "moderation": Rule(_DROP, "Anthropic moderates by its own rules"),
}
_UNKNOWN = Rule(_DROP, "no member of the Messages API that this dialect knows")


def read_fields(body: bytes) -> Fields:
    """Split a request's body into its members; raises Unsupported where it is no JSON object."""
    try:
        body.decode()
        return msgspec.json.decode(body, type=Fields)
    except UNREADABLE as error:
        raise Unsupported(f"the body is not a JSON object: {error}", param=None) from None


def is_given(raw: msgspec.Raw | None) -> bool:
    """Tell whether a member was sent with a value: an absent one and null are the same to OpenAI."""
    return raw is not None and bytes(raw) not in (b"", b"null")


def is_text(raw: msgspec.Raw | None) -> bool:
    """Tell whether a member is a JSON string."""
    return raw is not None and bytes(raw).startswith(b'"')


def read_field(fields: Fields, name: str, kind: type[T]) -> T | None:
    """Read a member as ``kind``, None where it is absent or null; raises Unsupported on another shape."""
    raw = fields.get(name)
    if raw is None or not is_given(raw):
        return None
    return read_raw(raw, name, kind)


def read_raw(raw: msgspec.Raw, param: str, kind: type[T]) -> T:
    """Read JSON as ``kind``; raises Unsupported, naming ``param``, on another shape."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNREADABLE as error:
        raise Unsupported(f"{param} cannot be read: {error}; see OpenAI's chat/completions", param=param) from None


def check_parameters(fields: Fields, dropped: list[str]) -> None:
    """Walk the table over a request: raise Unsupported for a refused parameter, note the dropped ones."""
    for name, raw in fields.items():
        rule = PARAMETERS.get(name, _UNKNOWN)
        if rule.fate in (_SAID, _PASS) or not is_given(raw):
            continue
        if rule.neutral and msgspec.json.decode(raw) in rule.neutral:
            continue
        if rule.fate is _DENY:
            raise Unsupported(f"{name} cannot be used with an Anthropic model: {rule.reason}", param=name)
        dropped.append(name)
